// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `kthread_use_mm()`: the closure cannot capture a guard of the mmap lock, which a page fault may
//! take.

use kernel::{mm::MmWithUser, prelude::*};

pub fn inside(mm: &MmWithUser) -> Result<bool> {
    #[cfg(good)]
    return mm.kthread_use_mm(|| mm.mmap_read_lock().vma_lookup(0).is_some());
    #[cfg(bad)]
    let guard = mm.mmap_read_lock();
    #[cfg(bad)]
    return mm.kthread_use_mm(move || guard.vma_lookup(0).is_some());
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
}
