// SPDX-License-Identifier: GPL-2.0

//! `Serving::serve()` says that it serves the queue, and `KThreadWorker::start()` waits for that.
//! The insertion of a work then wakes the worker's task.

use crate::{
    explore::{bad, Sites},
    kernel::lock,
};
use loom::{
    sync::{atomic::AtomicU32, Mutex},
    thread,
};
use std::sync::Arc;

const NEW: u32 = 0;
const BEGUN: u32 = 1;

pub fn model(sites: &Arc<Sites>) {
    // Whether `kthread_worker::task` is set, which the lock of the worker protects.
    let shared = Arc::new((AtomicU32::new(NEW), Mutex::new(false)));
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let kthread = thread::spawn(move || {
        let (state, has_task) = &*theirs;
        // `serve()`
        let is_first = their_sites.at("set-task").is_done();
        if is_first {
            *lock(has_task) = true;
        }
        their_sites.at("begun").store(state, BEGUN);
        if !is_first {
            *lock(has_task) = true;
        }
    });
    let (state, has_task) = &*shared;
    // `start()`
    if sites.at("wait").load(state) == BEGUN && sites.at("insert").load(state) == BEGUN {
        // `kthread_insert_work()`
        bad(
            !*lock(has_task),
            "a work is queued, and no task is woken for it",
        );
    }
    kthread.join().unwrap();
}
