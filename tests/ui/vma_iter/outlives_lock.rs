// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! An iterator over VMAs cannot outlive the mmap lock.

use kernel::mm::MmWithUser;

pub fn count(mm: &MmWithUser) -> usize {
    let guard = mm.mmap_read_lock();
    let mut vmas = guard.vmas(0..usize::MAX);
    let first = vmas.next().map_or(0, |vma| vma.start());
    #[cfg(bad)]
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard`
    first + vmas.count()
}
