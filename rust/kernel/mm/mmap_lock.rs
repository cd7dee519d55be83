// SPDX-License-Identifier: GPL-2.0

//! The mmap lock.
//!
//! The mmap lock is a read/write semaphore of the `mm_struct`. It protects the tree of VMAs and the
//! fields of each VMA:
//!
//! - Held for reading, it stabilises all VMAs of the address space: no VMA is added, removed, split
//!   or merged, and the fields that describe a VMA do not change. Page faults, and other readers,
//!   still run, so page table entries may change.
//! - Held for writing, it permits changes of VMAs as well. A change to a VMA that others can find
//!   also needs the VMA write lock (`vma_start_write()`), as page faults may hold only the VMA
//!   lock ([`VmaReadGuard`](super::VmaReadGuard)). `mmap_write_unlock()` releases all VMA write
//!   locks.
//!
//! # Lock ordering
//!
//! - A thread must not take the mmap lock of an address space while it holds it. A second reader
//!   deadlocks if a writer waits in between. ([`mmap_read_trylock`](MmWithUser::mmap_read_trylock)
//!   does not wait.)
//! - A thread must not take the mmap lock while it holds a VMA lock: a writer, which holds the mmap
//!   lock, may wait for that VMA lock.
//! - A page fault takes the mmap lock, so a thread must not access userspace memory while it holds
//!   the lock. A lock that is held during such an access must be taken before the mmap lock.
//! - The folio lock, the rmap locks and the page table locks are taken within the mmap lock.
//!
//! C header: [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)

use crate::{
    bindings, current,
    error::{
        code::EBUSY,
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
    sync::aref::ARef,
    task::{
        may_sleep,
        might_sleep,
        Task, //
    },
    types::NotThreadSafe,
};
use core::{
    hint,
    mem::ManuallyDrop,
    ops::Range,
    ptr, //
};

impl MmWithUser {
    /// Takes the mmap lock for reading.
    ///
    /// While the guard exists, no VMA is added, removed or changed. The caller must not hold a
    /// VMA lock of this address space, and must not access userspace memory before the guard is
    /// dropped: both may deadlock.
    ///
    /// Where the code must not sleep, as far as the kernel can tell, this spins until the lock is
    /// free. That is never if its holder waits for this CPU, as for the flush of a TLB. With
    /// `CONFIG_PREEMPT_RT` and interrupts disabled, it never returns: the lock is not taken for
    /// reading there.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller must not hold the mmap lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// {
    ///     let guard = mm.mmap_read_lock();
    ///     assert!(guard.vma_lookup(addr).is_some());
    /// }
    /// // The lock has been released.
    /// # assert!(mm.mmap_write_lock().vma_lookup(addr).is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_read_lock(&self) -> MmapReadGuard<'_> {
        if may_sleep() {
            // SAFETY: The `mm_struct` is allocated by the type invariant, and the task may sleep.
            unsafe { bindings::mmap_read_lock(self.as_raw()) };
        } else {
            spin(self, Self::read_trylock);
        }

        // SAFETY: This thread took the lock above, and only the guard releases it.
        unsafe { MmapReadGuard::new(self) }
    }

    /// Takes the mmap lock for reading if that does not need to wait.
    ///
    /// Returns `None` if the lock is held for writing, or if a writer waits for it, and with
    /// `CONFIG_PREEMPT_RT` if interrupts are disabled. As it does not wait, it cannot deadlock, and
    /// the caller may hold the mmap lock or a VMA lock.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let first = mm.mmap_read_trylock().ok_or(EAGAIN)?;
    /// // Readers do not exclude each other.
    /// let second = mm.mmap_read_trylock().ok_or(EAGAIN)?;
    /// # assert!(first.vma_lookup(addr).is_some() && second.vma_lookup(addr).is_some());
    /// # drop((first, second));
    /// # let writer = mm.mmap_write_lock();
    /// # assert!(mm.mmap_read_trylock().is_none());
    /// # drop(writer);
    /// # assert!(mm.mmap_read_trylock().is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_read_trylock(&self) -> Option<MmapReadGuard<'_>> {
        if !self.read_trylock() {
            return None;
        }

        // SAFETY: This thread took the lock above, and only the guard releases it.
        Some(unsafe { MmapReadGuard::new(self) })
    }

    /// Takes the mmap lock for reading, unless the task is killed while it waits.
    ///
    /// The rules of [`mmap_read_lock`](Self::mmap_read_lock) apply.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the lock is contended, and a fatal signal is pending.
    /// - `EBUSY`: the lock is contended, and the code must not sleep, as far as the kernel knows.
    ///   With `CONFIG_PREEMPT_RT` and interrupts disabled, also if the lock is free.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller must not hold the mmap lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_read_lock_killable()?;
    /// assert!(guard.vma_lookup(addr).is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_read_lock_killable(&self) -> Result<MmapReadGuard<'_>> {
        if may_sleep() {
            // SAFETY: The `mm_struct` is allocated by the type invariant, and the task may sleep.
            to_result(unsafe { bindings::mmap_read_lock_killable(self.as_raw()) })?;
        } else if !self.read_trylock() {
            return Err(EBUSY);
        }

        // SAFETY: This thread took the lock above, and only the guard releases it.
        Ok(unsafe { MmapReadGuard::new(self) })
    }

    /// Takes the mmap lock for writing.
    ///
    /// While the guard exists, no other thread holds the mmap lock. Other threads may hold the
    /// VMA lock of a VMA that the guard's holder has not write-locked. The caller must not hold a
    /// VMA lock of this address space, and must not access userspace memory before the guard is
    /// dropped: both deadlock.
    ///
    /// Where the code must not sleep, as far as the kernel can tell, this spins until the lock is
    /// free. That is never if its holder waits for this CPU, as for the flush of a TLB.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller must not hold the mmap lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_write_lock();
    /// assert!(guard.vma_lookup(addr).is_some());
    /// assert!(mm.mmap_read_trylock().is_none());
    /// #
    /// # // SAFETY: The current task is valid. A `refcount_t` is an `int`.
    /// # let usage = || unsafe {
    /// #     core::ptr::addr_of!((*current!().as_ptr()).usage).cast::<i32>().read_volatile()
    /// # };
    /// # let held = usage();
    /// # drop(guard);
    /// # assert_eq!(usage(), held - 1);
    /// # let guard = mm.mmap_write_lock().downgrade();
    /// # assert_eq!(usage(), held - 1);
    /// # drop(guard);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_write_lock(&self) -> MmapWriteGuard<'_> {
        if may_sleep() {
            // SAFETY: The `mm_struct` is allocated by the type invariant, and the task may sleep.
            unsafe { bindings::mmap_write_lock(self.as_raw()) };
        } else {
            spin(self, Self::write_trylock);
        }

        // SAFETY: This thread took the lock above, and only the guard releases it.
        unsafe { MmapWriteGuard::new(self) }
    }

    /// Takes the mmap lock for writing, unless the task is killed while it waits.
    ///
    /// The rules of [`mmap_write_lock`](Self::mmap_write_lock) apply.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the lock is contended, and a fatal signal is pending.
    /// - `EBUSY`: the lock is contended, and the code must not sleep, as far as the kernel knows.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller must not hold the mmap lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_write_lock_killable()?;
    /// assert!(guard.vma_lookup(addr).is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmap_write_lock_killable(&self) -> Result<MmapWriteGuard<'_>> {
        if may_sleep() {
            // SAFETY: The `mm_struct` is allocated by the type invariant, and the task may sleep.
            to_result(unsafe { bindings::mmap_write_lock_killable(self.as_raw()) })?;
        } else if !self.write_trylock() {
            return Err(EBUSY);
        }

        // SAFETY: This thread took the lock above, and only the guard releases it.
        Ok(unsafe { MmapWriteGuard::new(self) })
    }

    /// Runs `ask` on the VMA that contains `addr`, under the VMA lock if that is available, and
    /// under the mmap read lock otherwise.
    ///
    /// Returns `None` if no VMA contains `addr`, which may be any value. The rules of
    /// [`mmap_read_lock`](Self::mmap_read_lock) apply to the caller and to `ask`.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller must not hold the mmap lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// assert_eq!(mm.with_vma(addr, |vma| vma.start()), Some(addr));
    /// assert_eq!(mm.with_vma(0, |vma| vma.start()), None);
    /// # Ok(())
    /// # })?;
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

    /// Takes the lock for reading if that does not need to wait. If it returns `true`, the caller
    /// must create a guard.
    #[inline]
    fn read_trylock(&self) -> bool {
        if !may_unlock_for_reading() {
            return false;
        }
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        unsafe { bindings::mmap_read_trylock(self.as_raw()) }
    }

    /// Takes the lock for writing if that does not need to wait. If it returns `true`, the caller
    /// must create a guard.
    #[inline]
    fn write_trylock(&self) -> bool {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        unsafe { bindings::mmap_write_trylock(self.as_raw()) }
    }
}

/// Takes a lock by repeated calls of `trylock`.
///
/// Used where the code must not sleep: `down_read()` or `down_write()` of a contended lock would
/// set the state of the interrupted task, and enable interrupts.
#[cold]
#[inline(never)]
fn spin(mm: &MmWithUser, trylock: fn(&MmWithUser) -> bool) {
    // The kernel reports such a call if it has been built with `CONFIG_DEBUG_ATOMIC_SLEEP`.
    might_sleep();
    while !trylock(mm) {
        hint::spin_loop();
    }
}

/// Returns whether a lock that is held for reading can be released.
///
/// On PREEMPT_RT, `up_read()` enables interrupts if a writer waits.
#[inline]
fn may_unlock_for_reading() -> bool {
    // SAFETY: `irqs_disabled()` only reads the interrupt state of the current CPU.
    cfg!(not(CONFIG_PREEMPT_RT)) || !unsafe { bindings::irqs_disabled() }
}

/// Returns the VMA that contains `addr`.
///
/// # Safety
///
/// The mmap lock of `mm` must be held for the duration of `'a`, for reading at least.
#[inline]
unsafe fn vma_lookup<'a>(mm: &'a MmWithUser, addr: usize) -> Option<&'a VmaRef> {
    // SAFETY: The caller holds the mmap lock, which `vma_lookup()` needs to walk the maple tree.
    // The tree exists as `mm_users` is not zero. `addr` may be any value.
    let vma = unsafe { bindings::vma_lookup(mm.as_raw(), addr) };

    if vma.is_null() {
        return None;
    }

    // SAFETY: Code that frees or changes a VMA holds the mmap lock for writing, so the VMA is
    // stable for the duration of `'a`. `mm` is borrowed for as long, so `mm_users` is not zero.
    Some(unsafe { VmaRef::from_raw(vma) })
}

/// A guard that holds the mmap lock for reading.
///
/// The lock is released when the guard is dropped. With `CONFIG_PREEMPT_RT` and interrupts
/// disabled, it is not released: `up_read()` would enable them if a writer waits.
///
/// # Invariants
///
/// The current thread holds the mmap lock of `mm` for reading, once for each guard.
///
/// # Examples
///
/// ```
/// use kernel::mm::MmapReadGuard;
///
/// fn is_mapped(guard: &MmapReadGuard<'_>, addr: usize) -> bool {
///     guard.vma_lookup(addr).is_some()
/// }
/// # kernel::mm::kunit::with_user_mm(|mm, addr| {
/// # assert!(is_mapped(&mm.mmap_read_lock(), addr));
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the mmap lock is released immediately when the guard is unused"]
pub struct MmapReadGuard<'a> {
    mm: &'a MmWithUser,
    // The task that took a read/write semaphore must release it.
    _nts: NotThreadSafe,
}

impl<'a> MmapReadGuard<'a> {
    /// Creates the guard of a lock that has been taken.
    ///
    /// # Safety
    ///
    /// The current thread must hold the mmap lock of `mm` for reading, and must leave it to the
    /// guard to release it.
    #[inline]
    unsafe fn new(mm: &'a MmWithUser) -> Self {
        // INVARIANT: Guaranteed by the caller.
        Self {
            mm,
            _nts: NotThreadSafe,
        }
    }

    /// Returns the VMA that contains `vma_addr`.
    ///
    /// `vma_addr` may be any value.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// assert!(vma.start() <= addr && addr < vma.end());
    /// # assert!(guard.vma_lookup(usize::MAX).is_none());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vma_lookup(&self, vma_addr: usize) -> Option<&VmaRef> {
        // SAFETY: The mmap lock is held for as long as `self` is borrowed, by the type invariant.
        unsafe { vma_lookup(self.mm, vma_addr) }
    }

    /// Returns an iterator over the VMAs that overlap `range`, in ascending order.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_read_lock();
    ///
    /// // C's `find_vma()`: the first VMA whose exclusive end address is above `addr`.
    /// let vma = guard.vmas(addr..usize::MAX).next().ok_or(EFAULT)?;
    /// assert_eq!(vma.start(), addr);
    /// # assert_eq!(guard.vmas(addr..addr + 1).count(), 1);
    /// # assert_eq!(guard.vmas(addr..addr).count(), 0);
    /// # assert_eq!(guard.vmas(0..0).count(), 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("find_vma", "for_each_vma"))]
    #[inline]
    pub fn vmas(&self, range: Range<usize>) -> VmaIter<'_> {
        // SAFETY: The mmap lock is held for as long as `self` is borrowed, by the type invariant.
        // `self.mm` is borrowed for as long, so `mm_users` is not zero.
        unsafe { VmaIter::new(self.mm, range) }
    }
}

impl Drop for MmapReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // The lock stays held, as if the guard were leaked.
        if !may_unlock_for_reading() {
            return;
        }
        // SAFETY: The current thread holds the lock for reading, by the type invariant.
        unsafe { bindings::mmap_read_unlock(self.mm.as_raw()) };
    }
}

/// A guard that holds the mmap lock for writing.
///
/// The lock is released when the guard is dropped, and so are the VMA write locks that were taken
/// under it. The guard holds a reference on the `task_struct` of the thread: if it is leaked, the
/// thread exits with the lock held, and threads that wait for the lock still read
/// `task_struct::on_cpu` of its owner (`rwsem_spin_on_owner()`).
///
/// # Invariants
///
/// - The current thread holds the mmap lock of `mm` for writing.
/// - `owner` is the task of that thread.
///
/// # Examples
///
/// ```
/// use kernel::mm::{
///     virt::flags,
///     MmWithUser, //
/// };
///
/// /// Excludes the VMA that contains `addr` from `fork()`.
/// fn set_dontcopy(mm: &MmWithUser, addr: usize) -> Result {
///     let guard = mm.mmap_write_lock_killable()?;
///     let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
///     vma.set_dontcopy();
///     assert!(vma.flags() & flags::DONTCOPY != 0);
///     Ok(())
/// }
/// # kernel::mm::kunit::with_user_mm(set_dontcopy)?;
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the mmap lock is released immediately when the guard is unused"]
pub struct MmapWriteGuard<'a> {
    mm: &'a MmWithUser,
    owner: ARef<Task>,
    // The task that took a read/write semaphore must release it.
    _nts: NotThreadSafe,
}

impl<'a> MmapWriteGuard<'a> {
    /// Creates the guard of a lock that has been taken.
    ///
    /// # Safety
    ///
    /// The current thread must hold the mmap lock of `mm` for writing, and must leave it to the
    /// guard to release it.
    #[inline]
    unsafe fn new(mm: &'a MmWithUser) -> Self {
        let task: &Task = current!();
        // INVARIANT: Guaranteed by the caller. `owner` is the current task.
        Self {
            mm,
            owner: ARef::from(task),
            _nts: NotThreadSafe,
        }
    }

    /// Returns the VMA that contains `vma_addr`.
    ///
    /// `vma_addr` may be any value.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::flags;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_write_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // Under the write lock, the VMA may be changed.
    /// vma.set_dontdump();
    /// assert!(vma.flags() & flags::DONTDUMP != 0);
    /// # assert!(guard.vma_lookup(usize::MAX).is_none());
    /// # Ok(())
    /// # })?;
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

    /// Returns an iterator over the VMAs that overlap `range`, in ascending order.
    ///
    /// A VMA is returned whole: none is split where `range` starts or ends.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::virt::flags,
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_write_lock();
    ///
    /// let range = addr..addr + PAGE_SIZE;
    /// guard.vmas(range.clone()).for_each(|vma| vma.set_dontcopy());
    /// assert!(guard.vmas(range.clone()).all(|vma| vma.flags() & flags::DONTCOPY != 0));
    /// # assert_eq!(guard.vmas(range).count(), 1);
    /// # assert_eq!(guard.vmas(addr..addr).count(), 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vmas(&self, range: Range<usize>) -> impl Iterator<Item = &VmaWriteLocked> {
        // SAFETY: The mmap lock is held for as long as `self` is borrowed, by the type invariant.
        // `self.mm` is borrowed for as long, so `mm_users` is not zero.
        let vmas = unsafe { VmaIter::new(self.mm, range) };

        // SAFETY: The mmap lock is held for writing for as long as `self` is borrowed, by the type
        // invariant.
        vmas.map(|vma| unsafe { VmaWriteLocked::from_raw(vma.as_ptr()) })
    }

    /// Downgrades the guard to one that holds the mmap lock for reading.
    ///
    /// No other writer holds the lock in between. The VMA write locks are released.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let guard = mm.mmap_write_lock().downgrade();
    /// assert!(guard.vma_lookup(addr).is_some());
    /// assert!(mm.mmap_read_trylock().is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "mmap_write_downgrade")]
    #[inline]
    pub fn downgrade(self) -> MmapReadGuard<'a> {
        let me = ManuallyDrop::new(self);

        // SAFETY: The current thread holds the lock for writing, by the type invariant. `self` was
        // passed by value, so no reference to a VMA is borrowed from it.
        unsafe { bindings::mmap_write_downgrade(me.mm.as_raw()) };
        // SAFETY: `me` is not dropped, so this is the only owner of the reference. The lock has no
        // writer any more, so no thread reads the `task_struct` because of it.
        drop(unsafe { ptr::read(&me.owner) });
        // SAFETY: The current thread holds the lock for reading. `me` does not release it, as
        // `ManuallyDrop` suppresses its destructor, so only the new guard does.
        unsafe { MmapReadGuard::new(me.mm) }
    }
}

impl Drop for MmapWriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The current thread holds the lock for writing, by the type invariant.
        unsafe { bindings::mmap_write_unlock(self.mm.as_raw()) };
        // The reference of `owner` is dropped after this.
    }
}
