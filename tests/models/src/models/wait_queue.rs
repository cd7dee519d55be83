// SPDX-License-Identifier: GPL-2.0

//! `WaitQueue::wait_event()`, and a waker that calls `has_sleeper()` and has nothing to wake.

use crate::{
    explore::{bad, Sites},
    kernel::{Queue, Task},
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
    let shared = Arc::new((AtomicU32::new(0), Queue::new(), Task::new()));
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let waiter = thread::spawn(move || {
        let (done, queue, task) = &*theirs;
        // `with_entry()`
        queue.add();
        // `wait_with()`
        task.set_current_state(their_sites.at("state"));
        if done.load(Acquire) == 0 {
            task.schedule();
        } else {
            task.set_running();
        }
    });
    let (done, queue, task) = &*shared;
    done.store(1, Release);
    if queue.has_sleeper(sites.at("sleeper")) {
        queue.wake_up(task);
    }
    waiter.join().unwrap();
    bad(task.sleeps(), "the task sleeps, and its condition is true");
}
