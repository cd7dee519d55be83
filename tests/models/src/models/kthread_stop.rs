// SPDX-License-Identifier: GPL-2.0

//! `Shared::tell_to_stop()`, and `CurrentKThread::wait_until()` in the kthread, which ends its wait
//! because of the wake-up, or of `TIF_NOTIFY_SIGNAL`.

use crate::{
    explore::{bad, Sites},
    kernel::Task,
};
use loom::{
    sync::atomic::{
        fence, AtomicU32,
        Ordering::{Acquire, Relaxed},
    },
    thread,
};
use std::sync::Arc;

struct Shared {
    going: AtomicU32,
    notify_signal: AtomicU32,
    task: Task,
}

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        going: AtomicU32::new(0),
        notify_signal: AtomicU32::new(0),
        task: Task::new(),
    });
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let kthread = thread::spawn(move || wait_until(&their_sites, &theirs));
    // `tell_to_stop()`
    sites.at("tell").swap(&shared.going, 1);
    shared.notify_signal.store(1, Relaxed);
    shared.task.wake_up();

    kthread.join().unwrap();
    bad(
        shared.task.sleeps(),
        "the kthread sleeps, and was told to stop",
    );
}

fn wait_until(sites: &Sites, shared: &Shared) {
    let should_stop = || sites.at("stop").load(&shared.going) != 0;
    // `wait_with()`
    if shared.notify_signal.load(Relaxed) != 0 {
        // `stopped_by_signal()`. loom does not explore in which order two sequentially consistent
        // fences are executed, so this has only that part of the full ordering which is needed.
        if sites.at("signal").is_done() {
            fence(Acquire);
        }
        bad(!should_stop(), "a stop is reported as a signal");
        return;
    }
    shared.task.set_current_state(sites.at("state"));
    if !should_stop() {
        shared.task.schedule();
    } else {
        shared.task.set_running();
    }
}
