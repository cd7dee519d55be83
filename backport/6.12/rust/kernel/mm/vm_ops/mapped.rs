// SPDX-License-Identifier: GPL-2.0

//! How a VMA takes its reference on the data of an `->mmap_prepare()` hook.
//!
//! This kernel has neither such hooks nor `vm_ops->mapped()`. A driver's framework calls the hook
//! from `->mmap()`, by [`VmaDesc::compat_vma_mmap`].

use super::{
    take,
    VmOperations,
    VmOpsTable, //
};
use crate::{
    bindings,
    error::to_result,
    mm::{
        virt::{
            flags,
            VmaNew, //
        },
        vma_desc::VmaDesc,
    },
    prelude::*,
};
use core::mem::MaybeUninit;

/// What takes the reference of a VMA.
pub(super) struct Mapped {
    take: unsafe fn(*mut c_void),
}

impl Mapped {
    pub(super) const fn new<T: VmOperations>() -> Self {
        Self { take: take::<T> }
    }
}

/// Returns a `vm_ops` of which all is null.
pub(super) const fn vm_ops<T: VmOperations>() -> bindings::vm_operations_struct {
    // SAFETY: All fields are nullable pointers, for which zero is a valid value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

impl<'a> VmaDesc<'a> {
    /// Runs the body of an `mmap_prepare` hook in an `mmap` hook, and returns what that has to
    /// return.
    ///
    /// # Safety
    ///
    /// As for [`VmaNew::run_mmap_hook`], and all that lives for `'a` lives until this returns.
    pub(crate) unsafe fn compat_vma_mmap(
        vma: *mut bindings::vm_area_struct,
        hook: impl FnOnce(&mut Self) -> Result,
    ) -> c_int {
        let body = |vma: &VmaNew| {
            let mut desc = bindings::vm_area_desc {
                start: vma.start(),
                end: vma.end(),
                pgoff: vma.pgoff(),
                page_prot: vma.page_prot(),
                // SAFETY: The struct is made of numbers and nullable pointers, for which zero is a
                // value: no operations, no data, no action.
                ..unsafe { MaybeUninit::zeroed().assume_init() }
            };
            desc.vma_flags.__vma_flags[0] = vma.flags();
            // What an area has that nobody has given any.
            // SAFETY: The area is allocated, and this thread alone has it.
            desc.vm_ops = unsafe { (*vma.as_ptr()).vm_ops };

            // SAFETY: This is what stands for the hook. `do_mmap()` sets neither flag, and what
            // lives for `'a` is as the caller says.
            hook(unsafe { Self::from_raw(&mut desc) })?;
            // The kernel would make such an area larger without asking the hook.
            desc.vma_flags.__vma_flags[0] |= flags::DONTEXPAND;
            // SAFETY: The area is being set up, and the description is what the hook has made of
            // it. If this fails, there was an action, and so there is no data to give back.
            to_result(unsafe { bindings::__compat_vma_mmap(&mut desc, vma.as_ptr()) })?;

            if let Some(table) = VmOpsTable::of(vma) {
                // SAFETY: The area has the table and the data by `VmaDesc::set_ops()`. The data is
                // borrowed for `'a`.
                unsafe { (table.mapped.take)(desc.private_data) };
            }
            Ok(())
        };
        // SAFETY: As the caller says.
        unsafe { VmaNew::run_mmap_hook(vma, body) }
    }
}
