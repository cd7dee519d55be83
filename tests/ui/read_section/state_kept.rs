// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The state is not accessed without its lock.

use kernel::{
    mm::mmu_notifier::{InvalidatedRange, MmuIntervalNotifier, MmuIntervalRegistration},
    prelude::*,
};

pub struct Device;

impl MmuIntervalNotifier for Device {
    type State = u32;

    fn invalidate(&self, state: &mut u32, _range: &InvalidatedRange<'_>) {
        *state = 0;
    }
}

pub fn get(registration: &MmuIntervalRegistration<Device>) -> Result<u32> {
    let section = registration.read_begin()?;
    #[cfg(good)]
    return section.commit(|state| *state);
    #[cfg(bad)]
    return section.commit(|state| state).map(|state| *state);
    //~[bad]^ ERROR: lifetime may not live long enough
}
