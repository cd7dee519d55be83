// SPDX-License-Identifier: GPL-2.0

//! The operations that only our files offer.

use super::*;
use core::{
    ffi::c_int,
    ptr::null_mut, //
};
use kernel::{
    c_str,
    mm::{
        fault::{
            Served,
            VmFault, //
        },
        virt::VmaNew,
        vm_ops::VmOperations,
    },
    prelude::*,
    str::CStr,
    sync::Arc,
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

/// What an area of this driver knows.
struct Data {
    page: Page,
}

vm_operations!(Data);

#[vtable]
impl VmOperations for Data {
    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> Served<'a> {
        vmf.page(&vmf.data().page)
    }
}

/// Gives an area to this driver.
///
/// # Safety
///
/// It is what the hook in `main.c` has been called for, and what that returns is what this does.
#[no_mangle]
unsafe extern "C" fn rust_set_up(vma: *mut bindings::vm_area_struct) -> c_int {
    let hook = |vma: &VmaNew| {
        let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
        vma.set_ops(Arc::new(Data { page }, GFP_KERNEL)?)?;
        Ok(())
    };
    // SAFETY: As the caller says, and nothing has been done to the area before.
    unsafe { VmaNew::set_up(vma, hook) }
}

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
