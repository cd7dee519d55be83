// SPDX-License-Identifier: GPL-2.0

//! Taking the reference of a VMA to the data of an `->mmap_prepare()` hook.
//!
//! Linux 6.12 has neither such hooks nor `vm_ops->mapped()`. A driver's framework calls the hook
//! from `->mmap()`, with [`VmaDesc::compat_vma_mmap`].

use super::{
    opened_by_prepare,
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

/// The function that takes the reference of a VMA and calls `open()` of the driver.
pub(super) struct Mapped {
    opened: unsafe fn(usize, usize, usize, *mut c_void),
}

impl Mapped {
    pub(super) const fn new<T: VmOperations>() -> Self {
        Self {
            opened: opened_by_prepare::<T>,
        }
    }
}

/// Returns a `vm_operations_struct` with all fields null.
#[expect(
    clippy::extra_unused_type_parameters,
    reason = "other kernels have a field that depends on the type"
)]
pub(super) const fn vm_ops<T: VmOperations>() -> bindings::vm_operations_struct {
    // SAFETY: All fields are nullable pointers, for which zero is a valid value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

impl<'a> VmaDesc<'a> {
    /// Runs an `->mmap_prepare()` hook from an `->mmap()` hook. Returns the result for `->mmap()`.
    ///
    /// # Safety
    ///
    /// The requirements of [`VmaNew::run_mmap_hook`] must be met for `->mmap()` of `file`, and `'a`
    /// must last until this returns. If the VMA has that file, it must last until each VMA is
    /// unmapped that is made from this one.
    pub(crate) unsafe fn compat_vma_mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
        hook: impl FnOnce(&mut Self) -> Result,
    ) -> c_int {
        let body = |vma: &VmaNew| {
            let mut desc = bindings::vm_area_desc {
                start: vma.start(),
                end: vma.end(),
                pgoff: vma.pgoff(),
                page_prot: vma.page_prot(),
                // SAFETY: All fields are integers or nullable pointers, for which zero is a valid
                // value. It means no `vm_ops`, no private data and no action.
                ..unsafe { MaybeUninit::zeroed().assume_init() }
            };
            desc.vma_flags.__vma_flags[0] = vma.flags();
            // `vma_init()` has set `vm_ops` to `vma_dummy_vm_ops`.
            // SAFETY: The VMA is allocated and only this thread can reach it, by the type invariant
            // of `VmaNew`.
            desc.vm_ops = unsafe { (*vma.as_ptr()).vm_ops };
            // SAFETY: As for `vm_ops`. The VMA holds a reference to its file.
            desc.vm_file = unsafe { (*vma.as_ptr()).vm_file };
            desc.file = file;

            // SAFETY: `desc` describes the VMA as for an `->mmap_prepare()` hook. `do_mmap()` sets
            // neither `VM_PFNMAP` nor `VM_MIXEDMAP`. The caller guarantees how long `'a` lasts.
            hook(unsafe { Self::from_raw(&mut desc) })?;
            // Without the flag, `mremap()` would grow the VMA without calling the hook.
            desc.vma_flags.__vma_flags[0] |= flags::DONTEXPAND;
            // SAFETY: The VMA is being set up, and `desc` is what the hook has made of its
            // description. This fails only for an action. A description with an action has no data,
            // so there is no reference to drop.
            to_result(unsafe { bindings::__compat_vma_mmap(&mut desc, vma.as_ptr()) })?;

            if let Some(table) = VmOpsTable::of(vma) {
                // SAFETY: `VmaDesc::set_ops()` has stored the table and the data, which is borrowed
                // for `'a`. So the refcount is not zero during the call.
                unsafe {
                    (table.mapped.opened)(vma.start(), vma.end(), vma.pgoff(), desc.private_data)
                };
            }
            Ok(())
        };
        // SAFETY: The caller meets the requirements of `run_mmap_hook()`.
        unsafe { VmaNew::run_mmap_hook(vma, body) }
    }
}
