// SPDX-License-Identifier: GPL-2.0

//! `CurrentTask::wait_until()`, and a waker that changes the condition and calls `wake_up()`.

use crate::{
    explore::{bad, Sites},
    kernel::Task,
};
use loom::{
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Release},
    },
    thread,
};
use std::sync::Arc;

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new((AtomicU32::new(0), Task::new()));
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let waiter = thread::spawn(move || {
        let (done, task) = &*theirs;
        // `wait_with()` calls the helper, which has the barrier.
        let (state, helper) = (their_sites.at("state"), their_sites.at("helper"));
        let at = if helper.is_done() { state } else { helper };
        task.set_current_state(at);
        if done.load(Acquire) == 0 {
            task.schedule();
        } else {
            task.set_running();
        }
    });
    let (done, task) = &*shared;
    done.store(1, Release);
    // `Task::wake_up()`
    task.wake_up();
    waiter.join().unwrap();
    bad(task.sleeps(), "the task sleeps, and its condition is true");
}
