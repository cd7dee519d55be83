// SPDX-License-Identifier: GPL-2.0

//! `CurrentTask::task_work_add()` takes a reference on the module of the work, and `run()` drops it
//! when the code of the module has returned, while `rmmod` unloads the module.

use crate::explore::Sites;
use loom::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicU32,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
    thread,
};
use std::sync::Arc;

struct Module {
    /// `module::refcnt`, which is 1 without a user, and 0 when the module goes.
    count: AtomicU32,
    text: UnsafeCell<()>,
}

// The model is about the accesses to `text`, which loom checks.
pub fn model(sites: &Arc<Sites>) {
    let module = Arc::new(Module {
        count: AtomicU32::new(1),
        text: UnsafeCell::new(()),
    });
    let (their_sites, theirs) = (sites.clone(), module.clone());
    let task = thread::spawn(move || {
        // `task_work_add()`: `atomic_inc_not_zero()` in `try_module_get()`
        let more = |n: u32| (n != 0).then_some(n + 1);
        let count = &theirs.count;
        if their_sites.at("get").is_done() && count.fetch_update(AcqRel, Acquire, more).is_err() {
            return;
        }
        let put = || {
            // `atomic_dec_if_positive()` in `module_put()`
            let less = |n: u32| n.checked_sub(1);
            let _ = count.fetch_update(AcqRel, Acquire, less);
        };
        // `run()`
        if their_sites.at("put").is_done() {
            theirs.text.with(|_| ());
            put();
        } else {
            put();
            theirs.text.with(|_| ());
        }
    });
    // `try_release_module_ref()`: the base is subtracted, and added again if there are users.
    let is_going = module.count.compare_exchange(1, 0, AcqRel, Relaxed).is_ok();
    if is_going {
        // `free_module()`
        module.text.with_mut(|_| ());
    }
    task.join().unwrap();
}
