// SPDX-License-Identifier: GPL-2.0

//! `WaitQueue::wait_event_exclusive()`: two tasks wait for tokens. A wake-up that counts for a task
//! which has taken its token already must reach the next one.

use crate::{
    explore::{bad, Sites},
    kernel::{lock, Task},
    table::Strength,
};
use loom::{
    sync::{
        atomic::{
            AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
        Mutex,
    },
    thread,
};
use std::sync::Arc;

struct Shared {
    tokens: AtomicU32,
    /// The tasks on the queue, in the order in which they are woken.
    list: Mutex<Vec<usize>>,
    tasks: [Task; 2],
}

impl Shared {
    /// `__wake_up()` of one exclusive task
    fn wake(&self) {
        let list = lock(&self.list);
        for &task in &*list {
            if self.tasks[task].wake_up() {
                return;
            }
        }
    }

    /// The rest of `wait()` of the first task, whose condition was true.
    fn leave(&self, me: usize, sites: &Sites) {
        self.tasks[me].set_running();
        // The drop of the `Entry`, and `has_sleeper()`
        let has_sleeper = {
            let mut list = lock(&self.list);
            list.retain(|task| *task != me);
            !list.is_empty()
        };
        if sites.at("pass").is_done() && has_sleeper {
            self.wake();
        }
    }

    /// `wait()` of the second task.
    fn wait(&self, me: usize) {
        lock(&self.list).push(me);
        self.tasks[me].set_current_state(Strength::Mb);
        match self.tokens.load(Acquire) {
            0 => self.tasks[me].schedule(),
            _ => self.tokens.store(0, Relaxed),
        }
    }
}

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        tokens: AtomicU32::new(0),
        list: Mutex::new(vec![0]),
        tasks: [Task::new(), Task::new()],
    });
    // The first task has found a token while it was about to sleep.
    shared.tasks[0].set_current_state(Strength::Mb);
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let first = thread::spawn(move || theirs.leave(0, &their_sites));
    let theirs = shared.clone();
    let second = thread::spawn(move || theirs.wait(1));
    // `put()` of the example
    shared.tokens.store(1, Release);
    shared.wake();

    first.join().unwrap();
    second.join().unwrap();
    let sleeps = shared.tasks.iter().any(Task::sleeps);
    let is_left = shared.tokens.load(Relaxed) != 0;
    bad(
        sleeps && is_left,
        "a task sleeps, and there is a token for it",
    );
}
