// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A guard of the mmap read lock cannot outlive the `MmWithUser`.

use kernel::mm::{MmWithUser, MmapReadGuard};

#[cfg(good)]
pub fn lock(mm: &MmWithUser) -> MmapReadGuard<'_> {
    mm.mmap_read_lock()
}

#[cfg(bad)]
pub fn lock(mm: &MmWithUser) -> MmapReadGuard<'static> {
    mm.mmap_read_lock()
    //~[bad]^ ERROR: lifetime may not live long enough
}
