// SPDX-License-Identifier: GPL-2.0

//! The mmap lock.
//!
//! C header: [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)

use crate::{
    bindings,
    error::{
        to_result,
        Result, //
    },
    mm::{
        virt::{
            VmaRef,
            VmaWriteLocked, //
        },
        MmWithUser,
        VmaIter, //
    },
    types::NotThreadSafe,
};
use core::{
    mem::ManuallyDrop,
    ops::Range, //
};

impl MmWithUser {
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

    /// Like [`mmap_read_lock`](Self::mmap_read_lock), but gives up if the task is killed.
    ///
    /// Errors: `EINTR` if a fatal signal comes while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock_killable()?;
    /// assert!(guard.vma_lookup(addr).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_read_lock_killable(&self) -> Result<MmapReadGuard<'_>> {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        to_result(unsafe { bindings::mmap_read_lock_killable(self.as_raw()) })?;

        // SAFETY: The lock was taken by this thread.
        Ok(unsafe { MmapReadGuard::new(self) })
    }

    /// Locks the address space for writing: nobody else looks at its areas meanwhile.
    ///
    /// May sleep. A thread that touches user memory while it holds the lock, or takes it again,
    /// deadlocks.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// let guard = mm.mmap_write_lock();
    /// assert!(guard.vma_lookup(addr).is_some());
    /// assert!(mm.mmap_read_trylock().is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_write_lock(&self) -> MmapWriteGuard<'_> {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        unsafe { bindings::mmap_write_lock(self.as_raw()) };

        // INVARIANT: The lock was taken by this thread.
        MmapWriteGuard {
            mm: self,
            _nts: NotThreadSafe,
        }
    }

    /// Like [`mmap_write_lock`](Self::mmap_write_lock), but gives up if the task is killed.
    ///
    /// Errors: `EINTR` if a fatal signal comes while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_write_lock_killable()?;
    /// assert!(guard.vma_lookup(addr).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_write_lock_killable(&self) -> Result<MmapWriteGuard<'_>> {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        to_result(unsafe { bindings::mmap_write_lock_killable(self.as_raw()) })?;

        // INVARIANT: The lock was taken by this thread.
        Ok(MmapWriteGuard {
            mm: self,
            _nts: NotThreadSafe,
        })
    }

    /// Asks about the area that holds `addr`, under its own lock if that is free and under the mmap
    /// lock otherwise.
    ///
    /// `None` if there is no such area. May sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// assert_eq!(mm.with_vma(addr, |vma| vma.start()), Some(addr));
    /// assert_eq!(mm.with_vma(0, |vma| vma.start()), None);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn with_vma<R>(&self, addr: usize, ask: impl FnOnce(&VmaRef) -> R) -> Option<R> {
        if let Some(vma) = self.lock_vma_under_rcu(addr) {
            return Some(ask(&vma));
        }

        let guard = self.mmap_read_lock();
        guard.vma_lookup(addr).map(ask)
    }
}

/// Returns the VMA that contains `addr`.
///
/// # Safety
///
/// The mmap lock of `mm` must be held for the duration of `'a`, for reading at least.
#[inline]
unsafe fn vma_lookup<'a>(mm: &'a MmWithUser, addr: usize) -> Option<&'a VmaRef> {
    // SAFETY: The caller holds the mmap lock, which `vma_lookup()` needs to walk the maple tree. The
    // tree exists as `mm_users` is not zero. `addr` may be any value.
    let vma = unsafe { bindings::vma_lookup(mm.as_raw(), addr) };

    if vma.is_null() {
        return None;
    }

    // SAFETY: Code that frees or changes a VMA holds the mmap lock for writing, so the VMA is stable
    // for the duration of `'a`. `mm` is borrowed for as long, so `mm_users` is not zero.
    Some(unsafe { VmaRef::from_raw(vma) })
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
        // SAFETY: The mmap lock is held for as long as `self` is borrowed, by the type invariant.
        unsafe { vma_lookup(self.mm, vma_addr) }
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

/// The mmap lock of an address space, held for writing.
///
/// # Invariants
///
/// This thread holds the lock of `mm` for writing.
///
/// # Examples
///
/// ```
/// use kernel::mm::{virt::flags, MmWithUser};
///
/// /// Keeps what is mapped at `addr` from all children.
/// fn keep_from_children(mm: &MmWithUser, addr: usize) -> Result {
///     let guard = mm.mmap_write_lock_killable()?;
///     let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
///     vma.set_dontcopy();
///     assert!(vma.flags() & flags::DONTCOPY != 0);
///     Ok(())
/// }
/// # // SAFETY: No `current!()` is in use yet.
/// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
/// # let task = current!();
/// # keep_from_children(task.mm().ok_or(EINVAL)?, addr)?;
/// # Ok::<(), Error>(())
/// ```
pub struct MmapWriteGuard<'a> {
    mm: &'a MmWithUser,
    // A reader-writer semaphore is given back by the task that took it.
    _nts: NotThreadSafe,
}

impl<'a> MmapWriteGuard<'a> {
    /// Finds the area that holds `vma_addr`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::flags;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_write_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // Under this lock, the area may be changed as well.
    /// vma.set_dontdump();
    /// assert!(vma.flags() & flags::DONTDUMP != 0);
    /// # assert!(guard.vma_lookup(usize::MAX).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vma_lookup(&self, vma_addr: usize) -> Option<&VmaWriteLocked> {
        // SAFETY: The mmap lock is held for as long as `self` is borrowed, by the type invariant.
        let vma = unsafe { vma_lookup(self.mm, vma_addr) }?;

        // SAFETY: The mmap lock is held for writing for as long as `self` is borrowed, by the type
        // invariant.
        Some(unsafe { VmaWriteLocked::from_raw(vma.as_ptr()) })
    }

    /// Goes through the areas that have a part in `range`, from low to high addresses.
    ///
    /// None of them is split where `range` begins or ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::virt::flags, page::PAGE_SIZE};
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_write_lock();
    ///
    /// let range = addr..addr + PAGE_SIZE;
    /// guard.vmas(range.clone()).for_each(|vma| vma.set_dontcopy());
    /// assert!(guard.vmas(range.clone()).all(|vma| vma.flags() & flags::DONTCOPY != 0));
    /// # assert_eq!(guard.vmas(range).count(), 1);
    /// # assert_eq!(guard.vmas(addr..addr).count(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vmas(&self, range: Range<usize>) -> impl Iterator<Item = &VmaWriteLocked> {
        // SAFETY: The lock is held for as long as `self` is borrowed.
        let areas = unsafe { VmaIter::new(self.mm, range) };

        // SAFETY: The lock is held for writing for as long as `self` is borrowed.
        areas.map(|vma| unsafe { VmaWriteLocked::from_raw(vma.as_ptr()) })
    }

    /// Lets others read again.
    ///
    /// Nobody writes in between.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(EINVAL)?;
    ///
    /// let guard = mm.mmap_write_lock().downgrade();
    /// assert!(guard.vma_lookup(addr).is_some());
    /// assert!(mm.mmap_read_trylock().is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "mmap_write_downgrade")]
    #[inline]
    pub fn downgrade(self) -> MmapReadGuard<'a> {
        let me = ManuallyDrop::new(self);

        // SAFETY: This thread holds the lock for writing, by the type invariant, and nothing is
        // borrowed from the guard.
        unsafe { bindings::mmap_write_downgrade(me.mm.as_raw()) };
        // SAFETY: This thread holds the lock for reading now, and gives it back once.
        unsafe { MmapReadGuard::new(me.mm) }
    }
}

impl Drop for MmapWriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: This thread holds the lock for writing, by the type invariant.
        unsafe { bindings::mmap_write_unlock(self.mm.as_raw()) };
    }
}
