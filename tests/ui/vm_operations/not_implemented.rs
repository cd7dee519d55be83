// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `set_ops()` only accepts a type that implements `VmOperations`.

use kernel::{mm::{virt::VmaNew, vm_ops::{MmapHook, VmOperations}}, prelude::*, sync::Arc};

pub fn with<T: VmOperations<Hook = MmapHook>>(vma: &VmaNew, data: Arc<T>) -> Result {
    vma.set_ops(data).map(drop)
}

#[cfg(bad)]
pub fn without<T: Send + Sync + 'static>(vma: &VmaNew, data: Arc<T>) -> Result {
    vma.set_ops(data).map(drop)
    //~[bad]^ ERROR: E0277: the trait bound
}
