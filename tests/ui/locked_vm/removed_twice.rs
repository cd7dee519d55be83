// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A charge cannot be copied, so it is removed once.

use kernel::{mm::LockedVm, prelude::*};

pub fn remove(charge: LockedVm) {
    #[cfg(bad)]
    drop(charge.clone());
    //~[bad]^ ERROR: no method named `clone` found
    drop(charge);
}
