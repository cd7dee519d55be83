// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A driver says whether pages are faulted in.

use kernel::{
    mm::{
        hmm::{HmmAccess, HmmPfns},
        mmu_notifier::{InvalidatedRange, MmuIntervalNotifier, MmuIntervalRegistration},
    },
    page::PAGE_SIZE,
    prelude::*,
};

pub struct Device;

impl MmuIntervalNotifier for Device {
    type State = ();

    fn invalidate(&self, _state: &mut (), _range: &InvalidatedRange<'_>) {}
}

pub fn fault(mirror: &MmuIntervalRegistration<Device>, addr: usize) -> Result {
    let mut pfns = HmmPfns::new(1)?;
    let access = HmmAccess::Read;
    #[cfg(good)]
    let range = mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, access, 1)?;
    #[cfg(bad)]
    let range = mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, 1)?;
    //~[bad]^ ERROR: E0061: this method takes 5 arguments but 4 arguments were supplied
    let _ = access;
    range.commit(|_, _| ())
}
