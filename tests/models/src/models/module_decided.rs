// SPDX-License-Identifier: GPL-2.0

//! `refuse_open()` and the task work that waits until a module has become live, and
//! `rust_module_decided()`.

use crate::{
    explore::{bad, Sites},
    kernel::{Queue, Task},
    table::Strength,
};
use loom::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};
use std::sync::Arc;

struct Shared {
    is_live: AtomicU32,
    /// `DECIDED`
    decided: AtomicU32,
    queue: Queue,
    opener: Task,
}

fn open(sites: &Sites, shared: &Shared) {
    // `refuse_open()`
    let seen = sites.at("current").load(&shared.decided);
    let is_ready = || sites.at("ready").load(&shared.is_live) != 0;
    if is_ready() {
        return;
    }
    // `Restart::run()`
    shared.queue.add();
    shared.opener.set_current_state(Strength::Mb);
    if sites.at("change").load(&shared.decided) == seen {
        return shared.opener.schedule();
    }
    shared.opener.set_running();
    // The system call has been restarted.
    bad(
        !is_ready(),
        "open() is restarted, and the module is still coming",
    );
}

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        is_live: AtomicU32::new(0),
        decided: AtomicU32::new(0),
        queue: Queue::new(),
        opener: Task::new(),
    });
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let opener = thread::spawn(move || open(&their_sites, &theirs));
    // `do_init_module()`
    shared.is_live.store(1, Relaxed);
    // `rust_module_decided()`
    sites.at("notify").fetch_add(&shared.decided, 1);
    // `wake_up_var()`
    if shared.queue.has_sleeper(Strength::Nothing) {
        shared.queue.wake_up(&shared.opener);
    }
    opener.join().unwrap();
    bad(
        shared.opener.sleeps(),
        "open() waits, and the module is live",
    );
}
