// SPDX-License-Identifier: GPL-2.0

//! VMAs under the mmap write lock.

use super::{
    flags,
    vm_flags_t,
    VmaRef, //
};
use crate::bindings;
use core::ops::Deref;

/// A VMA of an mm whose mmap lock the current task holds for writing.
///
/// A setter waits until no thread has a [`VmaReadGuard`](crate::mm::VmaReadGuard) of the VMA. A
/// thread that has one itself waits permanently.
///
/// # Invariants
///
/// - The invariants of [`VmaRef`] hold.
/// - The current task holds the mmap lock for writing.
///
/// # Examples
///
/// ```
/// use kernel::mm::virt::VmaWriteLocked;
///
/// /// Keeps the content of a VMA out of child processes and core dumps.
/// fn hide(vma: &VmaWriteLocked) {
///     vma.set_dontcopy();
///     vma.set_dontdump();
/// }
/// # kernel::mm::kunit::with_vma_write_locked(|vma| {
/// #     hide(vma);
/// #     Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct VmaWriteLocked {
    vma: VmaRef,
}

impl Deref for VmaWriteLocked {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.vma
    }
}

// `vma_start_write()`, which each setter calls, waits until no task holds the VMA lock for reading.
impl VmaWriteLocked {
    /// Creates a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// - `vma` must point to a valid VMA.
    /// - For the duration of `'a`, the caller must hold the mmap lock of the VMA's mm for writing,
    ///   and `mm_users` of that mm must not be zero.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // CAST: `VmaWriteLocked` is `repr(transparent)` over `VmaRef`, which is
        // `repr(transparent)` over `Opaque<vm_area_struct>`.
        let vma: *const Self = vma.cast();

        // SAFETY: The caller guarantees that `vma` points to a VMA, which is not freed during `'a`,
        // as the mmap lock is held.
        // INVARIANT: The caller guarantees the lock and `mm_users` for the duration of `'a`.
        unsafe { &*vma }
    }

    /// Sets the flags in `flags`.
    ///
    /// # Safety
    ///
    /// The change must be valid for every VMA.
    #[inline]
    unsafe fn set_flags(&self, flags: vm_flags_t) {
        // SAFETY: The mmap lock is held for writing by the type invariants, as `vm_flags_set()`
        // requires. With `CONFIG_PER_VMA_LOCK`, `vma_start_write()` asserts that, and takes the VMA
        // lock for writing before the store. The caller guarantees that the change is valid.
        unsafe { bindings::vm_flags_set(self.as_ptr(), flags) };
    }

    flags::impl_set_flags!(self, &Self, "with_vma_write_locked");
}
