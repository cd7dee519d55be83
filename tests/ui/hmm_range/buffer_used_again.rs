// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A buffer has the result of one lookup.

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
    let range = mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, HmmAccess::Read, 1)?;
    #[cfg(bad)]
    let _ = mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, HmmAccess::Write, 1)?;
    //~[bad]^ ERROR: E0499: cannot borrow `pfns` as mutable more than once at a time
    range.commit(|_, _| ())
}
