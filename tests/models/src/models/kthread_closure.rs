// SPDX-License-Identifier: GPL-2.0

//! The hand-over of the closure: `run()` takes it, and `KThread::end()` does if `run()` was not
//! called, after `kthread_stop()` has waited for the exit of the kthread.

use crate::{explore::Sites, kernel::lock};
use loom::{
    cell::UnsafeCell,
    sync::{Condvar, Mutex},
    thread,
};
use std::sync::Arc;

struct Shared {
    closure: UnsafeCell<u32>,
    /// `kthread::exited`
    exited: (Mutex<bool>, Condvar),
}

// The model is about the accesses to `closure`, which loom checks.
pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        closure: UnsafeCell::new(1),
        exited: (Mutex::new(false), Condvar::new()),
    });
    let theirs = shared.clone();
    let kthread = thread::spawn(move || {
        // `run()`
        theirs.closure.with_mut(|_| ());
        // `mm_release()` in `do_exit()`
        *lock(&theirs.exited.0) = true;
        theirs.exited.1.notify_one();
    });
    // `end()`
    if sites.at("stop").is_done() {
        let mut exited = lock(&shared.exited.0);
        while !*exited {
            exited = shared.exited.1.wait(exited).unwrap();
        }
    }
    shared.closure.with_mut(|_| ());
    kthread.join().unwrap();
}
