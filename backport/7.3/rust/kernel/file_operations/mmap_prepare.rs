// SPDX-License-Identifier: GPL-2.0

//! The `file_operations` of this kernel: it has an `->mmap_prepare()` hook.

use super::{
    Calls,
    FileOperations, //
};
use crate::{
    bindings,
    mm::vma_desc::VmaDesc,
    prelude::*, //
};

impl<T: FileOperations> Calls<T> {
    /// `compat_ptr_ioctl()`, which is no `Option` on earlier kernels.
    #[cfg(CONFIG_COMPAT)]
    pub(super) const COMPAT_PTR_IOCTL: Option<
        unsafe extern "C" fn(*mut bindings::file, c_uint, c_ulong) -> c_long,
    > = bindings::compat_ptr_ioctl;

    /// Adds the hook for `mmap_prepare()` to a table.
    pub(super) const fn with_mmap_prepare(
        mut table: bindings::file_operations,
    ) -> bindings::file_operations {
        table.mmap_prepare = Some(Self::mmap_prepare);
        table
    }

    /// # Safety
    ///
    /// Only `mmap_region()` or `compat_vma_mmap()` may call this, for an open file. They hold
    /// a reference to the file until the VMA is complete.
    unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
        // SAFETY: The descriptor is valid, and its `file` is the one with this hook. The caller
        // holds a reference to it until the VMA is complete.
        let (data, file) = unsafe { Self::borrow((*desc).file) };
        // SAFETY: This is the `->mmap_prepare()` hook. Both borrows are valid while there is a
        // reference on the file: the caller holds one until the VMA is complete or has failed, and
        // a VMA that has this file holds one until it is unmapped. `mmap_region()` sets neither
        // data nor an action in the descriptor, and neither `VM_PFNMAP` nor `VM_MIXEDMAP`.
        let desc = unsafe { VmaDesc::from_raw(desc) };

        T::mmap_prepare(data, file, desc).map_or_else(|err| err.to_errno(), |()| 0)
    }
}
