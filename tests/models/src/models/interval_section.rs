// SPDX-License-Identifier: GPL-2.0

//! `MmuIntervalRegistration::read_begin()` and `ReadSection::commit()` of a driver, and an
//! invalidation of the range.

use crate::{
    explore::{bad, Sites},
    kernel::{lock, lock_at},
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
    /// `invalidate_seq` of the subscriptions, which their lock protects. It is odd during an
    /// invalidation.
    subscriptions: Mutex<u32>,
    /// `invalidate_seq` of the notifier
    seq: AtomicU32,
    mutex: Mutex<()>,
    /// The page table of the process, and that of the driver: whether they have the page.
    is_mapped: AtomicU32,
    state: AtomicU32,
}

impl Shared {
    /// `zap_page_range_single()` or another function that changes the page table
    fn change(&self, sites: &Sites) {
        // `mn_itree_inv_start_range()`
        let seq = {
            let mut seq = lock(&self.subscriptions);
            *seq |= 1;
            *seq
        };
        // `invalidate()`
        let locked = lock_at(sites.at("invalidate"), &self.mutex);
        if sites.at("set-seq").is_done() {
            self.seq.store(seq, Relaxed);
        }
        self.state.store(0, Relaxed);
        drop(locked);
        self.is_mapped.store(0, Relaxed);
        // `mn_itree_inv_end()`
        *lock(&self.subscriptions) += 1;
    }

    fn commit(&self, sites: &Sites) {
        // `mmu_interval_read_begin()`. The model does not wait until an invalidation ends.
        let begun = {
            let current = lock(&self.subscriptions);
            let seq = self.seq.load(Relaxed);
            (seq != *current).then_some(seq)
        };
        let Some(seq) = begun else {
            return;
        };
        let is_mapped = self.is_mapped.load(Relaxed);
        // `lock_section()`
        let _locked = lock_at(sites.at("section"), &self.mutex);
        if sites.at("retry").is_done() && self.seq.load(Relaxed) != seq {
            return;
        }
        self.state.store(is_mapped, Relaxed);
    }
}

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        subscriptions: Mutex::new(2),
        seq: AtomicU32::new(0),
        mutex: Mutex::new(()),
        is_mapped: AtomicU32::new(1),
        state: AtomicU32::new(0),
    });
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let driver = thread::spawn(move || theirs.commit(&their_sites));
    shared.change(sites);
    driver.join().unwrap();
    let is_mapped = shared.state.load(Relaxed) != 0;
    bad(
        is_mapped,
        "the driver maps a page that the process has unmapped",
    );
}
