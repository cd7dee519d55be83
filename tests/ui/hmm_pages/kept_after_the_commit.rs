// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The pages are accessed while no invalidation can run.

use kernel::{
    mm::{
        hmm::{HmmAccess, HmmPages, HmmPfns},
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

pub fn first_byte(mirror: &MmuIntervalRegistration<Device>, addr: usize) -> Result<u8> {
    fn byte(pages: &HmmPages<'_>) -> Result<u8> {
        let mut byte = [0];
        pages.read(0, &mut byte)?;
        Ok(byte[0])
    }
    let mut pfns = HmmPfns::new(1)?;
    let range = mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, HmmAccess::Read, 1)?;
    #[cfg(good)]
    return range.commit(|_, pages| byte(pages))?;
    #[cfg(bad)]
    return byte(range.commit(|_, pages| pages)?);
    //~[bad]^ ERROR: lifetime may not live long enough
    //~[bad]| ERROR: lifetime may not live long enough
}
