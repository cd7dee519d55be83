// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The flags of a VMA cannot be changed under the mmap read lock.

use kernel::mm::MmWithUser;

pub fn hide(mm: &MmWithUser, addr: usize) -> Option<()> {
    #[cfg(good)]
    mm.mmap_write_lock().vma_lookup(addr)?.set_dontcopy();
    #[cfg(bad)]
    mm.mmap_read_lock().vma_lookup(addr)?.set_dontcopy();
    //~[bad]^ ERROR: E0599: no method named `set_dontcopy` found
    Some(())
}
