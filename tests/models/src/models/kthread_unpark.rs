// SPDX-License-Identifier: GPL-2.0

//! A module that goes while a kthread is parked: `tell_to_stop()` and the drop of `ParkGuard` both
//! unpark it. The owner must not park it again when the module has ended it.

use crate::explore::{bad, Sites};
use loom::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};
use std::sync::Arc;

const RUNNING: u32 = 0;
const PARKING: u32 = 1;
const PARKED: u32 = 2;
const EXITING: u32 = 3;

pub fn model(sites: &Arc<Sites>) {
    // `parking`, and `KTHREAD_SHOULD_PARK`
    let shared = Arc::new((AtomicU32::new(PARKED), AtomicU32::new(1)));
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let owner = thread::spawn(move || {
        let (parking, should_park) = &*theirs;
        // The drop of the `ParkGuard`, unless that is leaked
        let transition = their_sites.at("transition");
        if transition.cmpxchg(parking, PARKED, RUNNING).is_ok() {
            should_park.store(0, Relaxed);
        }
        // `park()`
        let _ = transition.cmpxchg(parking, RUNNING, PARKING);
    });
    // `tell_to_stop()`
    let (parking, should_park) = &*shared;
    let ended = sites
        .at("transition")
        .cmpxchg(parking, PARKED, EXITING)
        .is_ok();
    if ended && sites.at("unpark").is_done() {
        should_park.store(0, Relaxed);
    }
    owner.join().unwrap();
    if ended {
        bad(should_park.load(Relaxed) != 0, "the kthread stays parked");
        let is_parked = parking.load(Relaxed) != EXITING;
        bad(
            is_parked,
            "the owner parks a kthread that the module has ended",
        );
    }
}
