// SPDX-License-Identifier: GPL-2.0

//! The `file_operations` of this kernel: it has only `->mmap()` hooks, in which
//! [`VmaDesc::compat_vma_mmap`] runs that of a driver.

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
    /// `compat_ptr_ioctl()`, which is an `Option` on later kernels.
    #[cfg(CONFIG_COMPAT)]
    pub(super) const COMPAT_PTR_IOCTL: Option<
        unsafe extern "C" fn(*mut bindings::file, c_uint, c_ulong) -> c_long,
    > = Some(bindings::compat_ptr_ioctl);

    /// Adds the hook for `mmap_prepare()` to a table.
    pub(super) const fn with_mmap_prepare(
        mut table: bindings::file_operations,
    ) -> bindings::file_operations {
        table.mmap = Some(Self::mmap_prepare);
        table
    }

    /// # Safety
    ///
    /// Only `mmap_region()` may call this, for an open file.
    unsafe extern "C" fn mmap_prepare(
        raw_file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The caller of `do_mmap()` holds a reference to the file during the call. The
        // borrows may have any lifetime that the file is open for: only the hook uses them, and
        // what it stores in the descriptor is valid while the file is open.
        let (data, file) = unsafe { Self::borrow(raw_file) };
        // SAFETY: `mmap_region()` has called this hook of `raw_file` with `vma`, which it sets up,
        // and has not set `VM_PFNMAP`. The hook returns what `compat_vma_mmap()` returns. The
        // caller holds a reference to the file until `mmap_region()` has returned, also if that
        // fails. After that, the VMA holds one, if it has this file.
        unsafe { VmaDesc::compat_vma_mmap(raw_file, vma, |desc| T::mmap_prepare(data, file, desc)) }
    }
}
