// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmaWriteLocked` cannot be used after the mmap lock has been downgraded.

use kernel::mm::MmWithUser;

pub fn hide(mm: &MmWithUser, addr: usize) -> Option<usize> {
    let guard = mm.mmap_write_lock();
    let vma = guard.vma_lookup(addr)?;
    #[cfg(good)]
    vma.set_dontcopy();
    let guard = guard.downgrade();
    //~[bad]^ ERROR: E0505: cannot move out of `guard`
    #[cfg(bad)]
    vma.set_dontcopy();
    guard.vma_lookup(addr).map(|vma| vma.start())
}
