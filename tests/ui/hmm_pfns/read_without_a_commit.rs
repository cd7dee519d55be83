// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The PFNs are not read before it is known that they are those of the process.

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

pub fn is_valid(mirror: &MmuIntervalRegistration<Device>, addr: usize) -> Result<bool> {
    let mut pfns = HmmPfns::new(1)?;
    let range = mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, HmmAccess::Read, 1)?;
    #[cfg(good)]
    return range.commit(|_, pages| pages.pfns()[0].is_valid());
    #[cfg(bad)]
    {
        drop(range);
        Ok(pfns.list[0].is_valid())
        //~[bad]^ ERROR: E0616: field `list` of struct `HmmPfns` is private
    }
}
