// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A hook does not keep its argument.

use kernel::mm::mmu_notifier::{InvalidatedRange, MmuIntervalNotifier};

pub struct Device;

impl MmuIntervalNotifier for Device {
    #[cfg(good)]
    type State = Option<core::ops::Range<usize>>;
    #[cfg(bad)]
    type State = Option<&'static InvalidatedRange<'static>>;
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely

    fn invalidate(&self, state: &mut Self::State, range: &InvalidatedRange<'_>) {
        #[cfg(good)]
        {
            *state = Some(range.range());
        }
        #[cfg(bad)]
        let _ = (state, range);
    }
}
