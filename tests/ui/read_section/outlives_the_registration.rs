// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A registration is not dropped during a section.

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

pub fn add(registration: MmuIntervalRegistration<Device>) -> Result {
    let section = registration.read_begin()?;
    #[cfg(bad)]
    drop(registration);
    //~[bad]^ ERROR: E0505: cannot move out of `registration` because it is borrowed
    section.commit(|state| *state += 1)
}
