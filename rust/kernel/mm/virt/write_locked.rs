// SPDX-License-Identifier: GPL-2.0

//! VMAs under the mmap write lock.

use super::{
    flags,
    vm_flags_t,
    VmaRef, //
};
use crate::bindings;
use core::ops::Deref;

/// An area that is locked for writing.
///
/// # Invariants
///
/// As for [`VmaRef`], and the mmap lock is held for writing.
///
/// # Examples
///
/// ```
/// use kernel::mm::virt::VmaWriteLocked;
///
/// /// Makes a secret of an area: neither children nor core dumps have it.
/// fn hide(vma: &VmaWriteLocked) {
///     vma.set_dontcopy();
///     vma.set_dontdump();
/// }
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

// Each waits until nobody holds the area's own lock for reading, as the C side does.
impl VmaWriteLocked {
    /// # Safety
    ///
    /// The type invariant holds for the whole of `'a`.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The caller vouches for the type invariant. CAST: `Self` is transparent around it.
        unsafe { &*vma.cast() }
    }

    /// Sets the flags in `set` and clears those in `unset`.
    ///
    /// # Safety
    ///
    /// A driver must be allowed to make this change to any VMA.
    #[inline]
    unsafe fn update_flags(&self, set: vm_flags_t, unset: vm_flags_t) {
        // SAFETY: The mmap lock is held for writing by the type invariant, which is what
        // `vm_flags_mod()` asserts. It takes the VMA lock for writing before it stores.
        unsafe { bindings::vm_flags_mod(self.as_ptr(), set, unset) };
    }

    flags::impl_set_flags!(self, &Self);
}
