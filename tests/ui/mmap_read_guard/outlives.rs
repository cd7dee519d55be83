// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The lock is not kept beyond the address space.

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
