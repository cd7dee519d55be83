// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Borrowed `vm_private_data` cannot outlive the mmap lock; an `Arc` can.

use kernel::{mm::{vm_ops::VmOperations, MmWithUser}, sync::Arc};

pub fn find<T: VmOperations>(mm: &MmWithUser, addr: usize) -> Option<Arc<T>> {
    let guard = mm.mmap_read_lock();
    let data = guard.vma_lookup(addr)?.downcast::<T>()?.data();
    #[cfg(good)]
    let data: Arc<T> = data.into();
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard`
    #[cfg(bad)]
    let data: Arc<T> = data.into();
    Some(data)
}
