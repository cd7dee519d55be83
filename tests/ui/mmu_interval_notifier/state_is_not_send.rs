// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Any task may call a hook, so the state must be `Send`.

use kernel::mm::mmu_notifier::{InvalidatedRange, MmuIntervalNotifier};

pub struct Device;

impl MmuIntervalNotifier for Device {
    #[cfg(good)]
    type State = usize;
    #[cfg(bad)]
    type State = *mut usize;
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely

    fn invalidate(&self, _state: &mut Self::State, _range: &InvalidatedRange<'_>) {}
}
