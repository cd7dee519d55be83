// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A type with `Hook = MmapHook` is not accepted in `->mmap_prepare()`.

use kernel::mm::{vm_ops::{MmapHook, MmapPrepareHook, VmOperations}, vma_desc::VmaDesc};
use kernel::{impl_has_vm_ops, prelude::*, sync::Arc};

include!("../../local_module.rs");

pub struct Data;

impl_has_vm_ops!(Data);

#[vtable]
impl VmOperations for Data {
    #[cfg(good)]
    type Hook = MmapPrepareHook;
    #[cfg(bad)]
    type Hook = MmapHook;
}

pub fn mmap_prepare<'a>(desc: &mut VmaDesc<'a>, data: &'a Arc<Data>) -> Result {
    desc.set_ops(data.as_arc_borrow()) //~[bad] ERROR: E0271: type mismatch
}
