// SPDX-License-Identifier: GPL-2.0

//! How a device runs its `mmap_prepare()`.
//!
//! This kernel has only `->mmap()` hooks, in which [`VmaDesc::compat_vma_mmap`] runs it.

use super::{
    CharDevice,
    Operations, //
};
use crate::{
    bindings,
    mm::vma_desc::VmaDesc,
    prelude::*, //
};

impl<T: CharDevice> Operations<T> {
    #[cfg(CONFIG_COMPAT)]
    pub(super) const COMPAT_PTR_IOCTL: Option<
        unsafe extern "C" fn(*mut bindings::file, c_uint, c_ulong) -> c_long,
    > = Some(bindings::compat_ptr_ioctl);

    /// Adds the hook for `mmap_prepare()` to a table, if the driver has it.
    pub(super) const fn with_mmap_prepare(
        mut table: bindings::file_operations,
    ) -> bindings::file_operations {
        if T::HAS_MMAP_PREPARE {
            table.mmap = Some(Self::mmap_prepare);
        }
        table
    }

    /// # Safety
    ///
    /// Only `mmap_region()` may call this, for a file that [`Self::open`] has opened.
    unsafe extern "C" fn mmap_prepare(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The caller holds a reference to the file for the duration of the call.
        let (device, file) = unsafe { Self::borrow(file) };
        // SAFETY: `mmap_region()` has called this hook with `vma`, which it sets up, and has not
        // set `VM_PFNMAP`. The hook returns what `compat_vma_mmap()` returns. The caller's
        // reference keeps the file and its data valid until this returns, and nothing else is
        // borrowed.
        unsafe { VmaDesc::compat_vma_mmap(vma, |desc| T::mmap_prepare(device, file, desc)) }
    }
}
