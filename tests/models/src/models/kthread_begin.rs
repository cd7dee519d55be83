// SPDX-License-Identifier: GPL-2.0

//! `NewKThread::bind()` and `start()`, and `run_closure()` in the kthread.

use crate::explore::{bad, Sites};
use loom::{sync::atomic::AtomicU32, thread};
use std::sync::Arc;

const ANY_CPU: u32 = 9;

pub fn model(sites: &Arc<Sites>) {
    let begin = Arc::new(AtomicU32::new(0));
    let cpu = Arc::new(AtomicU32::new(ANY_CPU));

    let (their_sites, theirs) = (sites.clone(), (begin.clone(), cpu.clone()));
    let kthread = thread::spawn(move || {
        let (begin, cpu) = theirs;
        // `run_closure()`
        if their_sites.at("begun").load(&begin) != 0 {
            let cpu = their_sites.at("cpu").load(&cpu);
            bad(
                cpu == ANY_CPU,
                "the closure runs on another CPU than that of bind()",
            );
        }
    });
    // `bind()`
    sites.at("bind").store(&cpu, 1);
    // `start()`
    sites.at("start").store(&begin, 1);
    kthread.join().unwrap();
}
