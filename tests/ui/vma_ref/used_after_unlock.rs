// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A VMA cannot be used after the mmap lock has been released.

use kernel::mm::MmWithUser;

pub fn caller(mm: &MmWithUser) -> Option<usize> {
    let guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(0)?;
    #[cfg(bad)]
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard` because it is borrowed
    Some(vma.end())
}
