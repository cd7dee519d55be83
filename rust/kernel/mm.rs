// SPDX-License-Identifier: GPL-2.0

//! Address spaces.
//!
//! An address space (`struct mm_struct`) has two counts, and each type here stands for what is
//! known about them:
//!
//! - [`Mm`]: the `mm_struct` is allocated (`mm_count`). The address space may be gone.
//! - [`MmWithUser`]: the address space is alive (`mm_users`), so its areas may be looked at.
//! - [`MmWithUserAsync`]: the same, and its count may be dropped in atomic context.
//!
//! The areas (VMAs) are reached through a lock: [`MmapReadGuard`] is that of the whole address
//! space, [`VmaReadGuard`] that of one area. [`virt`] has the areas themselves.
//!
//! # Examples
//!
//! Find the area that holds an address, by the cheap lock if it can be had:
//!
//! ```
//! use kernel::mm::MmWithUser;
//!
//! fn area_size(mm: &MmWithUser, addr: usize) -> Option<usize> {
//!     if let Some(vma) = mm.lock_vma_under_rcu(addr) {
//!         return Some(vma.end() - vma.start());
//!     }
//!     let guard = mm.mmap_read_lock();
//!     let vma = guard.vma_lookup(addr)?;
//!     Some(vma.end() - vma.start())
//! }
//! # use kernel::{mm::kunit, page::PAGE_SIZE};
//! # // SAFETY: No `current!()` is in use yet.
//! # let addr = unsafe { kunit::user_page() }?;
//! # let task = current!();
//! # let mm = task.mm().ok_or(EINVAL)?;
//! # assert_eq!(area_size(mm, addr), Some(PAGE_SIZE));
//! # assert_eq!(area_size(mm, 0), None);
//! # Ok::<(), Error>(())
//! ```
//!
//! C headers: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h),
//! [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)

use crate::{
    bindings,
    c_struct::impl_refcounted,
    page::Page,
    sync::aref::ARef,
    types::Opaque,
};
use core::{
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

pub mod fault;
pub mod pfnmap;
pub mod virt;
pub mod vm_ops;
pub mod vma_desc;

mod kthread_use_mm;

mod mmap_lock;
pub use mmap_lock::{
    MmapReadGuard,
    MmapWriteGuard, //
};

mod vma_iter;
pub use vma_iter::VmaIter;

mod vma_lock;
pub use vma_lock::VmaReadGuard;

#[cfg(CONFIG_MMU)]
mod mmput_async;
#[cfg(CONFIG_MMU)]
pub use mmput_async::MmWithUserAsync;

#[cfg(all(CONFIG_KUNIT, CONFIG_MMU))]
#[doc(hidden)]
pub mod kunit;

/// A page that its owner frees.
///
/// Slices and vectors of pages are of this type, so that the layout of [`Page`] itself can change.
pub type OwnedPage = Page;

/// The memory of an address space, which may itself be gone.
///
/// This is C's `struct mm_struct`. An `ARef<Mm>` owns one of its `mm_count`s, and is the cheap way
/// to remember an address space for a long time: it keeps the struct, and not the user's memory.
/// [`mmget_not_zero`](Self::mmget_not_zero) leads back to the living. Dropping it may free the
/// struct and what the architecture keeps with it, which may sleep.
///
/// # Invariants
///
/// The `mm_struct` stays allocated for as long as a reference to it exists, because somebody owns
/// an `mm_count`.
///
/// # Examples
///
/// ```
/// use kernel::{mm::Mm, sync::aref::ARef};
/// # // SAFETY: No `current!()` is in use yet.
/// # unsafe { kernel::mm::kunit::user_page() }?;
///
/// let task = current!();
/// let mm: ARef<Mm> = ARef::from(&**task.mm().ok_or(EINVAL)?);
///
/// // Later, perhaps in another thread: is anybody still using it?
/// if let Some(alive) = mm.mmget_not_zero() {
///     let guard = alive.mmap_read_lock();
///     assert!(guard.vma_lookup(0).is_none());
/// }
/// # assert!(mm.mmget_not_zero().is_some());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "mm_struct")]
#[repr(transparent)]
pub struct Mm {
    mm: Opaque<bindings::mm_struct>,
}

// SAFETY: What a thread can do with an `Mm` that it was sent is to drop its count, and `mmdrop()`
// may be called by any thread.
unsafe impl Send for Mm {}
// SAFETY: The methods with `&self` change the counts only, and those are atomic.
unsafe impl Sync for Mm {}

// SAFETY: `mm_count` is the refcount of an `mm_struct`, and `__mmdrop()` frees it when the last
// reference is released. By the type invariant, an `Mm` exists only while a reference is held.
impl_refcounted!(unsafe Mm: mmgrab, mmdrop);

/// An address space that is alive.
///
/// `mm_users` is what keeps the areas and pages of an address space: when it reaches zero,
/// `exit_mmap()` takes them down. An `ARef<MmWithUser>` owns one of them. Dropping it may sleep,
/// and may do the whole work of `exit_mmap()`; see [`MmWithUserAsync`] for atomic context.
///
/// # Invariants
///
/// `mm_users` is not zero for as long as a reference exists.
///
/// # Examples
///
/// ```
/// use kernel::{mm::MmWithUser, sync::aref::ARef};
/// # // SAFETY: No `current!()` is in use yet.
/// # unsafe { kernel::mm::kunit::user_page() }?;
///
/// let task = current!();
/// // A borrow costs nothing. A count is for keeping it beyond this scope.
/// let mm: &MmWithUser = task.mm().ok_or(EINVAL)?;
/// let kept: ARef<MmWithUser> = mm.into();
/// # assert_eq!(kept.as_raw(), mm.as_raw());
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct MmWithUser {
    mm: Mm,
}

// SAFETY: What a thread can do with an `MmWithUser` that it was sent is to drop its count, and
// `mmput()` may be called by any thread.
unsafe impl Send for MmWithUser {}
// SAFETY: The methods with `&self` change the atomic counts, or take locks which are made for
// being taken by many threads.
unsafe impl Sync for MmWithUser {}

// SAFETY: `mm_users` keeps the address space alive, and all of its users together hold one reference
// on `mm_count`, which keeps the `mm_struct` allocated. By the type invariant, an `MmWithUser` exists
// only while `mm_users` is not zero.
impl_refcounted!(unsafe MmWithUser: mmget, mmput);

// What may be done to any `Mm` may be done to one that is alive.
impl Deref for MmWithUser {
    type Target = Mm;

    #[inline]
    fn deref(&self) -> &Mm {
        &self.mm
    }
}

// These need no more than the allocation.
impl Mm {
    /// Returns the C side's pointer to this address space.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// assert!(!mm.as_raw().is_null());
    /// # let _ = addr;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::mm_struct {
        self.mm.get()
    }

    /// Borrows an address space that C code points to.
    ///
    /// # Safety
    ///
    /// `ptr` points to an `mm_struct`, and somebody owns an `mm_count` of it for the whole of `'a`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Mm;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// // SAFETY: `mm` is borrowed for longer than this.
    /// let same = unsafe { Mm::from_raw(mm.as_raw()) };
    /// assert!(same.mmget_not_zero().is_some());
    /// # let _ = addr;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::mm_struct) -> &'a Mm {
        // SAFETY: Valid for `'a`, says the caller. CAST: `Mm` is transparent around it.
        unsafe { &*ptr.cast() }
    }

    /// Takes a count of the address space's users, unless the last one has gone.
    ///
    /// `None` means that the address space is being taken down or is gone, which is final. Any
    /// context.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// let alive = mm.mmget_not_zero().ok_or(ESRCH)?;
    /// assert!(alive.mmap_read_lock().vma_lookup(addr).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmget_not_zero(&self) -> Option<ARef<MmWithUser>> {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        if !unsafe { bindings::mmget_not_zero(self.as_raw()) } {
            return None;
        }

        // CAST: `MmWithUser` is transparent around `Mm`.
        let mm = NonNull::from(self).cast();
        // SAFETY: The count of `mm_users` that was taken above is ours.
        Some(unsafe { ARef::from_raw(mm) })
    }
}

// These look at the areas, so `mm_users` must not be zero.
impl MmWithUser {
    /// Borrows an address space that C code points to.
    ///
    /// # Safety
    ///
    /// `ptr` points to an `mm_struct` whose `mm_users` is not zero at any time in `'a`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::MmWithUser;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// // SAFETY: `mm` is borrowed for longer than this.
    /// let same = unsafe { MmWithUser::from_raw(mm.as_raw()) };
    /// assert!(same.mmap_read_lock().vma_lookup(addr).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::mm_struct) -> &'a MmWithUser {
        // SAFETY: Valid for `'a`, says the caller. CAST: `MmWithUser` is transparent around it.
        unsafe { &*ptr.cast() }
    }
}
