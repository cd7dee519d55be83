// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A guard must be used: dropping it releases the lock at once.

#![deny(unused_must_use)]

use kernel::mm::MmWithUser;

pub fn lock(mm: &MmWithUser) {
    #[cfg(good)]
    let _guard = mm.mmap_read_lock();
    #[cfg(bad)]
    mm.mmap_read_lock();
    //~[bad]^ ERROR: unused_must_use: unused
}
