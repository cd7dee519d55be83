// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A type with `Hook = MmapPrepareHook` is not accepted in `->mmap()`.

use kernel::mm::{virt::VmaNew, vm_ops::{MmapHook, MmapPrepareHook, VmOperations}};
use kernel::{impl_has_vm_ops, prelude::*, sync::Arc};

include!("../../local_module.rs");

pub struct Data;

impl_has_vm_ops!(Data);

#[vtable]
impl VmOperations for Data {
    #[cfg(good)]
    type Hook = MmapHook;
    #[cfg(bad)]
    type Hook = MmapPrepareHook;
}

pub fn mmap(vma: &VmaNew, data: Arc<Data>) -> Result {
    vma.set_ops(data).map(drop) //~[bad] ERROR: E0271: type mismatch
}
