// SPDX-License-Identifier: GPL-2.0

//! `WaitQueue::wait_event_lock()`, whose condition a lock protects, and a waker that changes the
//! condition with the lock held.

use crate::{
    explore::{bad, Sites},
    kernel::{lock, Queue, Task},
};
use loom::{sync::Mutex, thread};
use std::sync::Arc;

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new((Mutex::new(false), Queue::new(), Task::new()));
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let waiter = thread::spawn(move || {
        let (done, queue, task) = &*theirs;
        // `wait_locked()`
        let guard = lock(done);
        if their_sites.at("add").is_done() {
            queue.add();
        }
        task.set_current_state(their_sites.at("state"));
        let is_done = *guard;
        // `do_unlocked()`
        drop(guard);
        if !is_done {
            task.schedule();
        } else {
            task.set_running();
        }
    });
    let (done, queue, task) = &*shared;
    *lock(done) = true;
    queue.wake_up(task);
    waiter.join().unwrap();
    bad(task.sleeps(), "the task sleeps, and its condition is true");
}
