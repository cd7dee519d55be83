// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What the kernel asks for is not changed by the driver.

use kernel::shrinker::ShrinkControl;

pub fn scan_all(control: &mut ShrinkControl) {
    #[cfg(good)]
    control.set_nr_scanned(control.nr_to_scan());
    #[cfg(bad)]
    {
        control.nr_to_scan = usize::MAX;
        //~[bad]^ ERROR: E0616: field `nr_to_scan` of struct `ShrinkControl` is private
    }
}
