// SPDX-License-Identifier: GPL-2.0

//! `end()` of a notifier that its module has left behind, and `ReadSection::commit()`, which must
//! not succeed when the notifier has been removed.

use crate::{
    explore::{bad, Sites},
    kernel::lock_at,
};
use loom::{
    sync::{
        atomic::{AtomicU32, Ordering::Relaxed},
        Mutex,
    },
    thread,
};
use std::sync::Arc;

struct Shared {
    mutex: Mutex<()>,
    ended: AtomicU32,
    is_removed: AtomicU32,
}

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        mutex: Mutex::new(()),
        ended: AtomicU32::new(0),
        is_removed: AtomicU32::new(0),
    });
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let driver = thread::spawn(move || {
        // `lock_section()`
        let _locked = lock_at(their_sites.at("section"), &theirs.mutex);
        if their_sites.at("check").is_done() && theirs.ended.load(Relaxed) != 0 {
            return;
        }
        let is_removed = theirs.is_removed.load(Relaxed) != 0;
        bad(
            is_removed,
            "a section is committed, and the notifier was removed",
        );
    });
    // `end()`
    let locked = lock_at(sites.at("end"), &shared.mutex);
    if sites.at("set").is_done() {
        shared.ended.store(1, Relaxed);
    }
    drop(locked);
    // `mmu_interval_notifier_remove()`
    shared.is_removed.store(1, Relaxed);
    driver.join().unwrap();
}
