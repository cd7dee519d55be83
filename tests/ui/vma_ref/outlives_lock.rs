// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmaRef` cannot outlive the mmap lock.

use kernel::mm::{virt::VmaRef, MmWithUser};

#[cfg(good)]
pub fn caller<R>(mm: &MmWithUser, f: impl FnOnce(Option<&VmaRef>) -> R) -> R {
    f(mm.mmap_read_lock().vma_lookup(0))
}

#[cfg(bad)]
pub fn caller(mm: &MmWithUser) -> Option<&VmaRef> {
    mm.mmap_read_lock().vma_lookup(0)
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
