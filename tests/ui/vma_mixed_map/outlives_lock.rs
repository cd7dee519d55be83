// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmaMixedMap` cannot outlive the mmap lock.

use kernel::{mm::{vm_ops::VmOperations, MmWithUser, UserPage}, prelude::*};

pub fn caller<T: VmOperations>(mm: &MmWithUser, page: &UserPage) -> Result {
    let guard = mm.mmap_read_lock();
    let vma = guard
        .vma_lookup(0)
        .and_then(|vma| vma.downcast::<T>()?.as_mixedmap_vma());
    #[cfg(bad)]
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard` because it is borrowed
    vma.ok_or(EINVAL)?.vm_insert_page(0, page)
}
