// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A guard of the mmap read lock cannot be used after it has been dropped.

use kernel::mm::MmWithUser;

pub fn caller(mm: &MmWithUser) -> bool {
    let guard = mm.mmap_read_lock();
    #[cfg(bad)]
    drop(guard);
    guard.vma_lookup(0).is_some()
    //~[bad]^ ERROR: E0382: borrow of moved value: `guard`
}
