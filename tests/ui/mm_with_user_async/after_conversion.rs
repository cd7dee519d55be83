// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! One count is not dropped in both ways.

use kernel::{mm::MmWithUser, sync::aref::ARef};

pub fn caller(mm: ARef<MmWithUser>) {
    #[cfg(good)]
    let kept = mm.clone();
    #[cfg(bad)]
    let kept = &mm;
    let later = MmWithUser::into_mmput_async(mm);
    //~[bad]^ ERROR: E0505: cannot move out of `mm` because it is borrowed
    drop(kept.mmap_read_trylock());
    drop(later);
}
