// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A hook has no access to the registration of its caller.

use kernel::mm::mmu_notifier::{InvalidatedRange, MmuIntervalNotifier, MmuIntervalRegistration};

pub struct Device;

impl MmuIntervalNotifier for Device {
    type State = u32;

    fn invalidate(&self, state: &mut u32, _range: &InvalidatedRange<'_>) {
        #[cfg(bad)]
        let _ = self.read_begin();
        //~[bad]^ ERROR: E0599: no method named `read_begin` found
        *state += 1;
    }
}

pub fn begin(registration: &MmuIntervalRegistration<Device>) -> bool {
    registration.read_begin().is_ok()
}
