// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The address space that is charged is borrowed from the owner of the charge.

use kernel::{
    mm::{LockedVm, Mm},
    prelude::*,
};

pub fn locked(charge: LockedVm) -> usize {
    let mm: &Mm = charge.mm();
    #[cfg(bad)]
    drop(charge);
    //~[bad]^ ERROR: cannot move out of `charge` because it is borrowed
    mm.locked_vm()
}
