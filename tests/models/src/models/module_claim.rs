// SPDX-License-Identifier: GPL-2.0

//! `end_each()` ends an object that a module has left behind, while its owner calls `claim()`,
//! which waits in `Changes::wait()`.

use crate::{
    explore::{bad, Sites},
    kernel::{lock, Queue, Task},
};
use loom::{
    cell::UnsafeCell,
    sync::{atomic::AtomicU32, Mutex},
    thread,
};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Unlinked,
    Linked,
    Busy,
    Claimed,
}

struct Shared {
    state: Mutex<State>,
    /// `ENDED`
    ended: AtomicU32,
    queue: Queue,
    owner: Task,
    /// What `end()` uses, and the owner frees.
    object: UnsafeCell<()>,
}

impl Shared {
    /// `Changes::notify()`
    fn notify(&self, sites: &Sites) {
        sites.at("notify").fetch_add(&self.ended, 1);
        if self.queue.has_sleeper(crate::table::Strength::Nothing) {
            self.queue.wake_up(&self.owner);
        }
    }

    /// `end_each()` for an object that is no thread
    fn end(&self, sites: &Sites) {
        let mut state = lock(&self.state);
        if *state != State::Linked {
            return;
        }
        *state = State::Busy;
        drop(state);
        self.object.with(|_| ());
        *lock(&self.state) = State::Unlinked;
        self.notify(sites);
    }

    /// `claim()`. Returns `None` if the owner sleeps in `wait()`.
    fn claim(&self, sites: &Sites) -> Option<bool> {
        loop {
            let mut state = lock(&self.state);
            let seen = sites.at("current").load(&self.ended);
            match *state {
                State::Busy if sites.at("busy").is_done() => {}
                State::Linked => {
                    *state = State::Claimed;
                    return Some(true);
                }
                _ => return Some(false),
            }
            drop(state);
            // `wait_var_event_timeout()`
            self.queue.add();
            self.owner.set_current_state(crate::table::Strength::Mb);
            if sites.at("change").load(&self.ended) == seen {
                self.owner.schedule();
                if self.owner.sleeps() {
                    return None;
                }
            }
            self.owner.set_running();
        }
    }
}

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State::Linked),
        ended: AtomicU32::new(0),
        queue: Queue::new(),
        owner: Task::new(),
        object: UnsafeCell::new(()),
    });
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let owner = thread::spawn(move || {
        if theirs.claim(&their_sites).is_some() {
            theirs.object.with_mut(|_| ());
        }
    });
    shared.end(sites);
    owner.join().unwrap();
    bad(
        shared.owner.sleeps(),
        "claim() sleeps, and the object has been ended",
    );
}
