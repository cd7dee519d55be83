// SPDX-License-Identifier: GPL-2.0

//! The exit of a kthread while its owner parks it: `KThread::park()`, the drop of `ParkGuard`, and
//! the end of `run()`.

use crate::{
    explore::{bad, Sites},
    kernel::lock,
};
use loom::{
    sync::{atomic::AtomicU32, Condvar, Mutex},
    thread,
};
use std::sync::Arc;

const RUNNING: u32 = 0;
const PARKING: u32 = 1;
const PARKED: u32 = 2;
const EXITING: u32 = 3;

/// What C code has of the kthread.
#[derive(Default)]
struct Kthread {
    /// `KTHREAD_SHOULD_PARK`
    should_park: bool,
    /// `kthread::parked`
    is_parked: bool,
    has_exited: bool,
}

struct Shared {
    parking: AtomicU32,
    kthread: Mutex<Kthread>,
    wake: Condvar,
}

impl Shared {
    fn kthread_park(&self) {
        let mut kthread = lock(&self.kthread);
        bad(
            kthread.has_exited,
            "kthread_park() of a kthread that has exited",
        );
        kthread.should_park = true;
        self.wake.notify_all();
        while !kthread.is_parked {
            bad(kthread.has_exited, "kthread_park() waits permanently");
            kthread = self.wake.wait(kthread).unwrap();
        }
    }

    fn kthread_unpark(&self) {
        let mut kthread = lock(&self.kthread);
        kthread.should_park = false;
        kthread.is_parked = false;
        self.wake.notify_all();
    }

    fn kthread_parkme(&self) {
        let mut kthread = lock(&self.kthread);
        while kthread.should_park {
            kthread.is_parked = true;
            self.wake.notify_all();
            kthread = self.wake.wait(kthread).unwrap();
        }
    }

    /// The end of `run()`
    fn exit(&self, sites: &Sites) {
        while sites
            .at("transition")
            .cmpxchg(&self.parking, RUNNING, EXITING)
            == Err(PARKING)
        {
            let mut kthread = lock(&self.kthread);
            while !kthread.should_park {
                kthread = self.wake.wait(kthread).unwrap();
            }
            drop(kthread);
            self.kthread_parkme();
        }
        lock(&self.kthread).has_exited = true;
        self.wake.notify_all();
    }
}

pub fn model(sites: &Arc<Sites>) {
    let shared = Arc::new(Shared {
        parking: AtomicU32::new(RUNNING),
        kthread: Mutex::new(Kthread::default()),
        wake: Condvar::new(),
    });
    let (their_sites, theirs) = (sites.clone(), shared.clone());
    let kthread = thread::spawn(move || theirs.exit(&their_sites));
    // The owner parks twice: the second time finds what the first one has left.
    for _ in 0..2 {
        // `park()`
        let transition = |from, to| sites.at("transition").cmpxchg(&shared.parking, from, to);
        if transition(RUNNING, PARKING).is_err() {
            break;
        }
        shared.kthread_park();
        sites.at("parked").store(&shared.parking, PARKED);
        // The drop of the `ParkGuard`
        if sites.at("drop").is_done() {
            let _ = transition(PARKED, RUNNING);
            shared.kthread_unpark();
        } else {
            shared.kthread_unpark();
            let _ = transition(PARKED, RUNNING);
        }
    }
    kthread.join().unwrap();
}
