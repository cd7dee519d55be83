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
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    },
};
use core::{
    ops::{
        Deref,
        Range, //
    },
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
use virt::VmaRef;

mod mmap_lock;
pub use mmap_lock::MmapWriteGuard;

mod use_mm;

mod vma_iter;
pub use vma_iter::VmaIter;

#[cfg(CONFIG_MMU)]
mod mmput_async;
#[cfg(CONFIG_MMU)]
pub use mmput_async::MmWithUserAsync;

#[cfg(all(CONFIG_KUNIT, CONFIG_MMU))]
#[doc(hidden)]
pub mod kunit;

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

// SAFETY: `mm_count` counts the references to an `mm_struct`, and `__mmdrop()` frees it when the
// last is gone. By the type invariant there is no `Mm` without such a count.
unsafe impl AlwaysRefCounted for Mm {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: A reference exists, so the count is not zero.
        unsafe { bindings::mmgrab(self.as_raw()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns.
        unsafe { bindings::mmdrop(obj.cast().as_ptr()) };
    }
}

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

// SAFETY: `mm_users` keeps the address space, and with it (`mm_users` as a whole owns an
// `mm_count`) the `mm_struct`. By the type invariant there is no `MmWithUser` without one.
unsafe impl AlwaysRefCounted for MmWithUser {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: A reference exists, so the count is not zero.
        unsafe { bindings::mmget(self.as_raw()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns.
        unsafe { bindings::mmput(obj.cast().as_ptr()) };
    }
}

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
        // `Opaque::get()` would be a call in a kernel that is optimized for size. CAST: `Self` is
        // transparent around it.
        ptr::from_ref(self).cast_mut().cast()
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

    /// Locks the address space for reading: no area appears, disappears or changes meanwhile.
    ///
    /// May sleep. A thread that touches user memory while it holds the lock, or takes it again,
    /// can deadlock.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// {
    ///     let guard = mm.mmap_read_lock();
    ///     assert!(guard.vma_lookup(addr).is_some());
    /// }
    /// // The lock has been given back.
    /// # assert!(mm.mmap_read_trylock().is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_read_lock(&self) -> MmapReadGuard<'_> {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        unsafe { bindings::mmap_read_lock(self.as_raw()) };

        // SAFETY: The lock was taken by this thread.
        unsafe { MmapReadGuard::new(self) }
    }

    /// Locks the address space for reading if that needs no waiting.
    ///
    /// `None` if a writer holds the lock. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// let first = mm.mmap_read_trylock().ok_or(EAGAIN)?;
    /// // There can be many readers.
    /// let second = mm.mmap_read_trylock().ok_or(EAGAIN)?;
    /// # assert!(first.vma_lookup(addr).is_some() && second.vma_lookup(addr).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_read_trylock(&self) -> Option<MmapReadGuard<'_>> {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        if !unsafe { bindings::mmap_read_trylock(self.as_raw()) } {
            return None;
        }

        // SAFETY: The lock was taken by this thread.
        Some(unsafe { MmapReadGuard::new(self) })
    }
}

/// The mmap lock of an address space, held for reading.
///
/// # Invariants
///
/// This thread holds the lock of `mm` for reading, once for each value of this type.
///
/// # Examples
///
/// ```
/// use kernel::mm::MmapReadGuard;
///
/// fn is_mapped(guard: &MmapReadGuard<'_>, addr: usize) -> bool {
///     guard.vma_lookup(addr).is_some()
/// }
/// # // SAFETY: No `current!()` is in use yet.
/// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
/// # let task = current!();
/// # assert!(is_mapped(&task.mm().ok_or(EINVAL)?.mmap_read_lock(), addr));
/// # Ok::<(), Error>(())
/// ```
pub struct MmapReadGuard<'a> {
    mm: &'a MmWithUser,
    // A reader-writer semaphore is given back by the task that took it.
    _nts: NotThreadSafe,
}

impl<'a> MmapReadGuard<'a> {
    /// # Safety
    ///
    /// This thread holds the lock of `mm` for reading, and leaves it to this value to give it back.
    #[inline]
    unsafe fn new(mm: &'a MmWithUser) -> Self {
        // INVARIANT: As the caller says.
        Self {
            mm,
            _nts: NotThreadSafe,
        }
    }

    /// Finds the area that holds `vma_addr`.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// assert!(vma.start() <= addr && addr < vma.end());
    /// # assert!(guard.vma_lookup(usize::MAX).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vma_lookup(&self, vma_addr: usize) -> Option<&VmaRef> {
        // SAFETY: The lock that the function wants is held, by the type invariant. Any number may
        // be looked up.
        let vma = unsafe { bindings::vma_lookup(self.mm.as_raw(), vma_addr) };

        if vma.is_null() {
            return None;
        }

        // SAFETY: Whoever frees or changes an area holds the mmap lock for writing, so this one
        // stays as it is until the lock is dropped, and the reference is borrowed from the guard.
        // `mm_users` is kept by the borrow of `self.mm`.
        Some(unsafe { VmaRef::from_raw(vma) })
    }

    /// Goes through the areas that have a part in `range`, from low to high addresses.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    ///
    /// // The first that ends behind an address, as C's `find_vma()` finds it.
    /// let vma = guard.vmas(addr..usize::MAX).next().ok_or(EFAULT)?;
    /// assert_eq!(vma.start(), addr);
    /// # assert_eq!(guard.vmas(addr..addr + 1).count(), 1);
    /// # assert_eq!(guard.vmas(addr..addr).count(), 0);
    /// # assert_eq!(guard.vmas(0..0).count(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("find_vma", "for_each_vma"))]
    #[inline]
    pub fn vmas(&self, range: Range<usize>) -> VmaIter<'_> {
        // SAFETY: The lock is held for as long as `self` is borrowed, by the type invariant.
        unsafe { VmaIter::new(self.mm, range) }
    }
}

impl Drop for MmapReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: This thread holds the lock, by the type invariant.
        unsafe { bindings::mmap_read_unlock(self.mm.as_raw()) };
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
