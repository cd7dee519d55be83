// SPDX-License-Identifier: GPL-2.0

//! The operations that only our files offer.

use super::*;
use core::ptr::null_mut;
use kernel::{
    c_str,
    mm::vm_ops::VmOperations,
    prelude::*,
    str::CStr,
    vm_operations,
    ModuleMetadata, //
};

/// What a table of callbacks asks of the module it is in. C's `main.c` is the rest of it.
pub(crate) struct LocalModule;

impl ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c_str!("rust_task_bench");
    // SAFETY: Null stands for the kernel itself. A table of operations of areas has no owner.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(null_mut()) };
}

/// Data that areas may have.
struct Data;

vm_operations!(Data);

#[vtable]
impl VmOperations for Data {}

operations! {
    rust_mmap_write_lock: |b| {
        let _guard = b.users().mmap_write_lock();
        between();
    };
    rust_vma_each: |b| {
        let guard = b.users().mmap_read_lock();
        for vma in guard.vmas(0..usize::MAX) {
            keep!(vma.as_ptr());
        }
    };
    rust_vma_typed: |b| {
        // SAFETY: As for `rust_vma_fields`.
        if let Some(vma) = unsafe { b.vma() }.downcast::<Data>() {
            keep!(vma.as_ptr());
        }
    };
}
