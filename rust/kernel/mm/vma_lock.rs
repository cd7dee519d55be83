// SPDX-License-Identifier: GPL-2.0

//! The VMA lock.
//!
//! The VMA lock behaves like a read/write semaphore of one VMA. Held for reading, it stabilises
//! that VMA: the VMA is neither freed, split nor merged, and the fields that describe it do not
//! change. Other VMAs of the address space may change meanwhile. Page fault handlers use it to run
//! without the mmap lock.
//!
//! A read lock is obtained by [`lock_vma_under_rcu`](MmWithUser::lock_vma_under_rcu), which never
//! waits and may fail at any time. Code must fall back to the [mmap lock](super::MmapReadGuard).
//! The write lock is not available here: code that changes a VMA takes it by `vma_start_write()`
//! while it holds the mmap lock for writing.
//!
//! # Lock ordering
//!
//! The mmap lock comes before the VMA lock: a thread may take a VMA lock while it holds the mmap
//! lock for reading, but must not wait for the mmap lock while it holds a VMA lock. A writer, which
//! holds the mmap lock, may wait for that VMA lock. For the same reason, a thread must not access
//! userspace memory while it holds a VMA lock: the page fault may take the mmap lock.
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
    /// Tries to take the VMA lock of the VMA that contains `vma_addr`, for reading.
    ///
    /// `vma_addr` may be any value. `None` does not mean that no VMA contains it; the look-up must
    /// be repeated under [`mmap_read_lock`](Self::mmap_read_lock). It is returned in these cases:
    ///
    /// - No VMA contains `vma_addr`.
    /// - The VMA is write-locked, or was changed during the look-up.
    /// - The kernel is built without `CONFIG_PER_VMA_LOCK`.
    ///
    /// While it holds the guard, the caller must not take the mmap lock and must not access
    /// userspace memory: both may deadlock. Nor may it change the flags of this VMA
    /// ([`VmaWriteLocked`](super::virt::VmaWriteLocked), if it took the mmap lock for writing
    /// before): that waits for all read locks of the VMA, and so for itself.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// if let Some(vma) = mm.lock_vma_under_rcu(addr) {
    ///     assert_eq!(vma.start(), addr);
    /// }
    /// assert!(mm.lock_vma_under_rcu(0).is_none());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn lock_vma_under_rcu(&self, vma_addr: usize) -> Option<VmaReadGuard<'_>> {
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            // SAFETY: The maple tree of VMAs exists while `mm_users` is not zero, by the type
            // invariant. `lock_vma_under_rcu()` walks it under RCU. `vma_addr` may be any value.
            let vma = unsafe { bindings::lock_vma_under_rcu(self.as_raw(), vma_addr) };

            if vma.is_null() {
                return None;
            }

            // INVARIANT: `lock_vma_under_rcu()` returned the VMA with its lock held for reading by
            // the current thread, and only the guard releases it.
            Some(VmaReadGuard {
                // SAFETY: Code that frees or changes the VMA takes the VMA write lock, which the
                // read lock excludes. The guard holds the read lock, and never hands out a
                // reference with the lifetime of its field. `mm_users` is not zero while `self` is
                // borrowed.
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

/// A guard that holds the VMA lock for reading.
///
/// It dereferences to the VMA. The lock is released when the guard is dropped.
///
/// The holder must not wait for the mmap lock: a thread that holds the mmap lock for writing may
/// wait for this guard, in `vma_start_write()`. So it must not call
/// [`mmap_read_lock`](MmWithUser::mmap_read_lock), [`mmap_write_lock`](MmWithUser::mmap_write_lock)
/// or [`with_vma`](MmWithUser::with_vma) of the same mm, and must not access userspace memory.
/// [`mmap_read_trylock`](MmWithUser::mmap_read_trylock) does not wait. A setter of
/// [`VmaWriteLocked`](super::virt::VmaWriteLocked) for the same VMA waits for the guard.
///
/// # Invariants
///
/// The current thread holds the VMA lock of `vma` for reading, once for each guard.
///
/// # Examples
///
/// ```
/// # kernel::mm::kunit::with_user_mm(|mm, addr| {
/// if let Some(vma) = mm.lock_vma_under_rcu(addr) {
///     assert!(vma.start() <= addr && addr < vma.end());
/// }
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "vma_end_read")]
#[must_use = "the VMA lock is released immediately when the guard is unused"]
pub struct VmaReadGuard<'a> {
    vma: &'a VmaRef,
    // The task that took the lock must release it.
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
        // SAFETY: The current thread holds the VMA lock for reading, by the type invariant.
        unsafe { bindings::vma_end_read(self.vma.as_ptr()) };
    }
}
