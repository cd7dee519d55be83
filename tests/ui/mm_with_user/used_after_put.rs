// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! An `MmWithUser` cannot be used after its `mmput()`.

use kernel::{mm::MmWithUser, sync::aref::ARef};

pub fn caller(mm: ARef<MmWithUser>) -> bool {
    let borrowed: &MmWithUser = &mm;
    #[cfg(bad)]
    drop(mm);
    //~[bad]^ ERROR: E0505: cannot move out of `mm` because it is borrowed
    borrowed.mmap_read_trylock().is_some()
}
