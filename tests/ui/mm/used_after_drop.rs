// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! An `Mm` cannot be used after its reference has been dropped.

use kernel::{mm::Mm, sync::aref::ARef};

pub fn caller(mm: ARef<Mm>) -> bool {
    let borrowed: &Mm = &mm;
    #[cfg(bad)]
    drop(mm);
    //~[bad]^ ERROR: E0505: cannot move out of `mm` because it is borrowed
    borrowed.mmget_not_zero().is_some()
}
