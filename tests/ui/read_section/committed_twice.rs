// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A section is checked when the state is changed, and is used up then.

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

pub fn add(registration: &MmuIntervalRegistration<Device>) -> Result {
    let section = registration.read_begin()?;
    section.commit(|state| *state += 1)?;
    #[cfg(good)]
    let section = registration.read_begin()?;
    section.commit(|state| *state += 1)
    //~[bad]^ ERROR: E0382: use of moved value
}
