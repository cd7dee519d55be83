// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass
//@[bad] compile-flags: --emit=obj
//@[bad] error-in-other-file: this type is for `mmap_prepare` hooks

//! A type is for one kind of hook. That is seen when code is made of it.

use kernel::mm::{virt::VmaNew, vm_ops::VmOperations};
use kernel::{prelude::*, sync::Arc, vm_operations};

pub struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static kernel::str::CStr = kernel::c_str!("none");
    const THIS_MODULE: ThisModule =
        // SAFETY: Null stands for the kernel itself.
        unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
}

pub struct Data;

vm_operations!(Data);

#[vtable]
impl VmOperations for Data {
    #[cfg(bad)]
    const PREPARED: bool = true;
}

pub fn mmap(vma: &VmaNew, data: Arc<Data>) -> Result {
    vma.set_ops(data).map(drop)
}
