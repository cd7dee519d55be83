// SPDX-License-Identifier: GPL-2.0

//! The operations that only our files offer.

use super::*;
use kernel::{
    mm::vm_ops::VmOperations,
    prelude::*,
    vm_operations, //
};

// It is in backport/, where rustfmt cannot follow.
#[rustfmt::skip]
#[path = "local_module.rs"]
mod local_module;
pub(crate) use local_module::LocalModule;

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
