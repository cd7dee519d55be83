// SPDX-License-Identifier: GPL-2.0

//! The end of `Serving::serve()`, and `Queue::insert()` of another task: a work is either refused,
//! or in the list when the kthread takes the works that are left.

use crate::{
    explore::{bad, Sites},
    kernel::{lock, Rcu},
};
use loom::{
    sync::{atomic::AtomicU32, Mutex},
    thread,
};
use std::sync::Arc;

const BEGUN: u32 = 1;
const ENDED: u32 = 2;

struct Queue {
    state: AtomicU32,
    has_timers: AtomicU32,
    works: Mutex<u32>,
    rcu: Rcu,
}

pub fn model(sites: &Arc<Sites>) {
    let queue = Arc::new(Queue {
        state: AtomicU32::new(BEGUN),
        has_timers: AtomicU32::new(0),
        works: Mutex::new(0),
        rcu: Rcu::new(),
    });
    let (their_sites, theirs) = (sites.clone(), queue.clone());
    let other = thread::spawn(move || {
        // `KThreadDelayedWork::new()`
        their_sites.at("has-timer").store(&theirs.has_timers, 1);
        // `insert()`
        theirs.rcu.section(their_sites.at("section"), || {
            if their_sites.at("insert").load(&theirs.state) == BEGUN {
                *lock(&theirs.works) += 1;
            }
        });
    });
    // `serve()`
    sites.at("end").store(&queue.state, ENDED);
    queue.rcu.synchronize(sites.at("wait"));
    let taken = std::mem::take(&mut *lock(&queue.works));
    let has_timers = sites.at("timers").load(&queue.has_timers) != 0;
    bad(
        taken != 0 && !has_timers,
        "the kthread does not wait for a timer",
    );

    other.join().unwrap();
    let left = *lock(&queue.works) != 0;
    bad(left, "a work is queued after the kthread has ended");
}
