// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `into_mmput_async()` consumes the reference, so the reference is dropped once.

use kernel::{mm::MmWithUser, sync::aref::ARef};

pub fn caller(mm: ARef<MmWithUser>) {
    #[cfg(good)]
    let other = mm.clone();
    #[cfg(bad)]
    let other = &mm;
    let later = MmWithUser::into_mmput_async(mm);
    //~[bad]^ ERROR: E0505: cannot move out of `mm` because it is borrowed
    drop(other.mmap_read_trylock());
    drop(later);
}
