// SPDX-License-Identifier: GPL-2.0

//! The VMA lock.
//!
//! C header: [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)

use crate::{
    bindings,
    mm::{
        virt::VmaRef,
        MmWithUser, //
    },
    types::NotThreadSafe,
};
use core::ops::Deref;

impl MmWithUser {
    /// Tries to lock the one area that holds `vma_addr`, for reading.
    ///
    /// `None` means that there is no such area, or that a writer holds it or the mmap lock just
    /// now, or that the kernel has no such locks (`CONFIG_PER_VMA_LOCK`). It proves nothing: ask
    /// again under [`mmap_read_lock`](Self::mmap_read_lock). Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// if let Some(vma) = mm.lock_vma_under_rcu(addr) {
    ///     assert_eq!(vma.start(), addr);
    /// }
    /// assert!(mm.lock_vma_under_rcu(0).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn lock_vma_under_rcu(&self, vma_addr: usize) -> Option<VmaReadGuard<'_>> {
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            // SAFETY: The tree of areas is there while `mm_users` is not zero, by the type
            // invariant. Any number may be looked up.
            let vma = unsafe { bindings::lock_vma_under_rcu(self.as_raw(), vma_addr) };

            if vma.is_null() {
                return None;
            }

            // INVARIANT: The function returned the area with its lock held for reading.
            Some(VmaReadGuard {
                // SAFETY: An area is not freed or changed while its lock is held for reading, and
                // the guard, which never gives away the whole of this lifetime, holds it.
                // `mm_users` is kept by the borrow of `self`.
                vma: unsafe { VmaRef::from_raw(vma) },
                _nts: NotThreadSafe,
            })
        }

        #[cfg(not(CONFIG_PER_VMA_LOCK))]
        {
            let _ = vma_addr;
            None
        }
    }
}

/// The lock of one area, held for reading.
///
/// It dereferences to the area.
///
/// # Invariants
///
/// This thread holds the lock of `vma` for reading, once for each value of this type.
///
/// # Examples
///
/// ```
/// # // SAFETY: No `current!()` is in use yet.
/// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
/// let task = current!();
///
/// if let Some(vma) = task.mm().ok_or(EINVAL)?.lock_vma_under_rcu(addr) {
///     assert!(vma.start() <= addr && addr < vma.end());
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct VmaReadGuard<'a> {
    vma: &'a VmaRef,
    // As for the mmap lock: it is given back by the task that took it.
    _nts: NotThreadSafe,
}

impl Deref for VmaReadGuard<'_> {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        self.vma
    }
}

impl Drop for VmaReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: This thread holds the area's lock, by the type invariant.
        unsafe { bindings::vma_end_read(self.vma.as_ptr()) };
    }
}
