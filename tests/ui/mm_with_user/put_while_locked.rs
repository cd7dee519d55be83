// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The reference to the `mm_struct` cannot be dropped while the mmap lock is held.

use kernel::{mm::MmWithUser, sync::aref::ARef};

pub fn caller(mm: ARef<MmWithUser>) {
    let guard = mm.mmap_read_lock();
    #[cfg(good)]
    drop(guard);
    drop(mm);
    //~[bad]^ ERROR: E0505: cannot move out of `mm` because it is borrowed
    #[cfg(bad)]
    drop(guard);
}
