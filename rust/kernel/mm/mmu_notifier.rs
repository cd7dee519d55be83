// SPDX-License-Identifier: GPL-2.0

//! Interval notifiers: mirroring a range of an address space.
//!
//! A driver whose device has page tables of its own fills them from those of a process, without
//! pinning the pages. Before the kernel changes a page table entry of the process, it calls the
//! driver, which removes the entry of the device.
//!
//! A page may be invalidated while the driver fills a page table. So C has a protocol, which is
//! similar to that of a seqcount, and which each driver must follow. Here, the types follow it:
//!
//! - [`MmWithUser::mmu_interval_notifier_insert`] returns an [`MmuIntervalRegistration`]. It owns
//!   what the driver keeps about the range, [`MmuIntervalNotifier::State`], and a mutex.
//! - [`read_begin`](MmuIntervalRegistration::read_begin) waits until no invalidation is running,
//!   and returns a [`ReadSection`]. The driver then finds out which pages it needs.
//! - [`commit`](ReadSection::commit) locks the mutex. If the range has not been invalidated since
//!   `read_begin()`, a closure changes the state.
//! - An invalidation locks the mutex, makes all sections fail, and calls
//!   [`invalidate`](MmuIntervalNotifier::invalidate) with the state.
//!
//! There is no other way to the state. [`hmm`](super::hmm) looks up the pages.
//!
//! A notifier costs time in each invalidation of its address space. It should have the whole range
//! that the device may use, rather than there being many, or several for the same memory.
//!
//! Notifiers of a whole address space (`mmu_notifier_register()`) are not provided: they have no
//! such protocol, and `mmu_notifier_put()` leaves a callback behind that may run after the module
//! has been unloaded.
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)

use crate::{
    alloc::{
        allocator::Kmalloc,
        Allocator, //
    },
    bindings, c_str, container_of,
    error::to_result,
    mm::{
        Mm,
        MmWithUser, //
    },
    module_going::{
        self,
        Kind,
        Leftover, //
    },
    page::PAGE_SIZE,
    prelude::*,
    static_lock_class,
    task::may_sleep,
    types::Opaque,
    workqueue::{
        self,
        RawWorkItem, //
    },
};
use core::{
    alloc::Layout,
    cell::UnsafeCell,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::{
        Deref,
        Range, //
    },
    ptr::{
        addr_of_mut,
        drop_in_place,
        NonNull, //
    },
};

/// What a driver does when a part of its range is invalidated.
///
/// The hooks run in the task that changes the page tables: one that calls `munmap()`, `kswapd` when
/// it reclaims a page, and others. They hold the mutex of the registration, and the caller may hold
/// the mmap lock and locks of the rmap. So the hooks, and what they wait for, must not
///
/// - allocate memory, except with `GFP_NOWAIT`,
/// - take the mmap lock, or access memory of userspace,
/// - drop pages that were pinned for [`ReadWrite`](crate::mm::pin::ReadWrite): that takes the lock
///   of each folio that is not dirty yet, which the caller may hold, for example to migrate it,
/// - drop a [`MmuIntervalRegistration`], or call its
///   [`read_begin`](MmuIntervalRegistration::read_begin) or [`commit`](ReadSection::commit): each
///   waits until the invalidation has ended.
///
/// Otherwise they may deadlock. Lockdep finds most of these. Nor must they wait for a kthread of
/// the module: when that is unloaded, its kthreads end before the registrations that it has leaked.
///
/// # Examples
///
/// See [`MmuIntervalRegistration`].
#[doc(alias = "mmu_interval_notifier_ops")]
pub trait MmuIntervalNotifier: Send + Sync + Sized + 'static {
    /// What the driver keeps about the range, such as page tables of the device.
    type State: Send + 'static;

    /// Removes what the device knows about the pages of `range`.
    ///
    /// When this returns, the device must not access them any more.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    fn invalidate(&self, state: &mut Self::State, range: &InvalidatedRange<'_>);

    /// Does the same without waiting for anything, and returns whether it has. If it has not, the
    /// kernel does not invalidate the range now.
    ///
    /// The OOM reaper calls this: the memory that it frees may be what others need to proceed. It
    /// is not called if the mutex is locked. By default, it does nothing.
    ///
    /// # Context
    ///
    /// Process context.
    fn try_invalidate(&self, state: &mut Self::State, range: &InvalidatedRange<'_>) -> bool {
        let _ = (state, range);
        false
    }
}

/// Why a range is invalidated. An event that is not in this list is [`Clear`](Self::Clear).
///
/// # Examples
///
/// See [`InvalidatedRange::event`].
#[doc(alias = "mmu_notifier_event")]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MmuNotifierEvent {
    /// The range is unmapped, or moved by `mremap()`.
    Unmap,
    /// Page table entries are cleared or replaced.
    Clear,
    /// The permissions of VMAs change.
    ProtectionVma,
    /// The permissions of pages change.
    ProtectionPage,
    /// Which pages have been written is tracked from now on. The pages and the permissions stay.
    SoftDirty,
    /// The address space has no users any more. The range is all of it. Others follow, in which the
    /// kernel unmaps the memory.
    Release,
    /// Pages are migrated to the memory of a device or from there.
    Migrate,
    /// Only a device may access the pages from now on.
    Exclusive,
}

/// A range that is invalidated.
///
/// # Invariants
///
/// The range is the argument of a callback that has not returned.
///
/// # Examples
///
/// See [`InvalidatedRange::range`].
#[doc(alias = "mmu_notifier_range")]
pub struct InvalidatedRange<'a> {
    range: &'a bindings::mmu_notifier_range,
}

impl InvalidatedRange<'_> {
    /// Returns the addresses, a part of which may be outside of the range of the notifier.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::mmu_notifier::{InvalidatedRange, MmuIntervalNotifier},
    ///     page::PAGE_SIZE,
    ///     prelude::*,
    /// };
    ///
    /// /// A range of 64 pages.
    /// struct Range {
    ///     start: usize,
    /// }
    ///
    /// impl MmuIntervalNotifier for Range {
    ///     // Which of the pages are in the device's page table.
    ///     type State = u64;
    ///
    ///     fn invalidate(&self, present: &mut u64, range: &InvalidatedRange<'_>) {
    ///         for page in 0..64 {
    ///             let addr = self.start + page * PAGE_SIZE;
    ///             if range.range().contains(&addr) {
    ///                 *present &= !(1 << page);
    ///             }
    ///         }
    ///     }
    /// }
    /// # kernel::mm::kunit::with_user_mm(|mm, start| {
    /// # let len = 64 * PAGE_SIZE;
    /// # let range = mm.mmu_interval_notifier_insert(start, len, Range { start }, 0)?;
    /// # range.read_begin()?.commit(|present| *present = 7)?;
    /// # kernel::mm::kunit::zap(mm, start)?;
    /// # assert_eq!(range.read_begin()?.commit(|present| *present)?, 6);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn range(&self) -> Range<usize> {
        self.range.start..self.range.end
    }

    /// Returns why the range is invalidated.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::mmu_notifier::{InvalidatedRange, MmuNotifierEvent};
    ///
    /// /// Returns whether the device can go on with what it has.
    /// fn can_ignore(range: &InvalidatedRange<'_>) -> bool {
    ///     range.event() == MmuNotifierEvent::SoftDirty
    /// }
    /// # use kernel::{mm::mmu_notifier::MmuIntervalNotifier, page::PAGE_SIZE};
    /// # struct Events;
    /// # impl MmuIntervalNotifier for Events {
    /// #     type State = Option<MmuNotifierEvent>;
    /// #     fn invalidate(&self, last: &mut Self::State, range: &InvalidatedRange<'_>) {
    /// #         assert!(!can_ignore(range));
    /// #         if *last != Some(MmuNotifierEvent::Release) {
    /// #             *last = Some(range.event());
    /// #         }
    /// #     }
    /// # }
    /// # let mut kept = None;
    /// # kernel::mm::kunit::with_user_mm(|mm, start| {
    /// #     let range = mm.mmu_interval_notifier_insert(start, PAGE_SIZE, Events, None)?;
    /// #     kernel::mm::kunit::zap(mm, start)?;
    /// #     let last = range.read_begin()?.commit(|last| *last)?;
    /// #     assert_eq!(last, Some(MmuNotifierEvent::Clear));
    /// #     kept = Some(range);
    /// #     Ok(())
    /// # })?;
    /// # let range = kept.ok_or(EINVAL)?;
    /// # let last = range.read_begin()?.commit(|last| *last)?;
    /// # assert_eq!(last, Some(MmuNotifierEvent::Release));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn event(&self) -> MmuNotifierEvent {
        match self.range.event {
            bindings::mmu_notifier_event_MMU_NOTIFY_UNMAP => MmuNotifierEvent::Unmap,
            bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA => {
                MmuNotifierEvent::ProtectionVma
            }
            bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE => {
                MmuNotifierEvent::ProtectionPage
            }
            bindings::mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY => MmuNotifierEvent::SoftDirty,
            bindings::mmu_notifier_event_MMU_NOTIFY_RELEASE => MmuNotifierEvent::Release,
            bindings::mmu_notifier_event_MMU_NOTIFY_MIGRATE => MmuNotifierEvent::Migrate,
            bindings::mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE => MmuNotifierEvent::Exclusive,
            _ => MmuNotifierEvent::Clear,
        }
    }

    /// Returns the address space. The hook may be called when it has no users any more.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{mmu_notifier::InvalidatedRange, Mm};
    ///
    /// fn is_of(range: &InvalidatedRange<'_>, mm: &Mm) -> bool {
    ///     range.mm() == mm
    /// }
    /// # use kernel::{mm::mmu_notifier::MmuIntervalNotifier, page::PAGE_SIZE, sync::aref::ARef};
    /// # struct Check(ARef<Mm>);
    /// # impl MmuIntervalNotifier for Check {
    /// #     type State = bool;
    /// #     fn invalidate(&self, same: &mut bool, range: &InvalidatedRange<'_>) {
    /// #         *same = is_of(range, &self.0);
    /// #     }
    /// # }
    /// # kernel::mm::kunit::with_user_mm(|mm, start| {
    /// #     let check = Check(ARef::from(&**mm));
    /// #     let range = mm.mmu_interval_notifier_insert(start, PAGE_SIZE, check, false)?;
    /// #     kernel::mm::kunit::zap(mm, start)?;
    /// #     assert!(range.read_begin()?.commit(|same| *same)?);
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mm(&self) -> &Mm {
        // SAFETY: By the type invariant, the callback is running. Its caller keeps the address
        // space allocated until that has returned.
        unsafe { Mm::from_raw(self.range.mm) }
    }
}

/// The part of a registration that is not generic, so that what the crate does with it is code of
/// the crate.
///
/// # Invariants
///
/// - This is the field of an [`Inner<T>`] that has been allocated by [`Kmalloc`] with `layout`.
///   `drop_data` is `drop_data::<T>`.
/// - `lock` is initialized, and not locked across functions of this module except by [`Locked`].
/// - `ended` is accessed by the holder of `lock` only.
/// - After `insert()`, until `remove()`, the notifier is registered, or `ended` is true and a
///   reference on `mm_count` of its address space is held.
pub(super) struct Head {
    pub(super) notifier: Opaque<bindings::mmu_interval_notifier>,
    lock: Opaque<bindings::mutex>,
    // Whether the module has left the notifier behind, and it has been removed.
    ended: UnsafeCell<bool>,
    leftover: Leftover,
    work: Opaque<bindings::work_struct>,
    drop_data: unsafe fn(NonNull<Head>),
    layout: Layout,
}

/// A lock of the mutex of a [`Head`].
///
/// # Invariants
///
/// The current task holds the mutex.
pub(super) struct Locked<'a>(&'a Head);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, this task holds the mutex.
        unsafe { bindings::mutex_unlock(self.0.lock.get()) };
    }
}

impl Head {
    /// Initializes a `Head`.
    ///
    /// # Safety
    ///
    /// `slot` must be valid for writes, and must be pinned. The caller ensures the first type
    /// invariant.
    // Not inlined: the addresses of a function and of two names are stored.
    #[inline(never)]
    unsafe fn init(slot: *mut Self, drop_data: unsafe fn(NonNull<Head>), layout: Layout) {
        let lock_name = c_str!("MmuIntervalRegistration");
        let work_name = c_str!("MmuIntervalRegistration::drop");
        // SAFETY: The caller guarantees that the fields are valid for writes, and pinned. The names
        // and the keys are statics of the crate.
        // INVARIANT: The mutex is initialized here. The notifier is not registered.
        unsafe {
            bindings::__mutex_init(
                addr_of_mut!((*slot).lock).cast(),
                lock_name.as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
            bindings::init_work_with_key(
                addr_of_mut!((*slot).work).cast(),
                Some(run),
                false,
                work_name.as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
            addr_of_mut!((*slot).notifier).write(Opaque::uninit());
            addr_of_mut!((*slot).ended).write(UnsafeCell::new(false));
            addr_of_mut!((*slot).leftover).write(Leftover::new(Kind::Registration, end));
            addr_of_mut!((*slot).drop_data).write(drop_data);
            addr_of_mut!((*slot).layout).write(layout);
        }
    }

    /// Inserts the notifier.
    ///
    /// # Safety
    ///
    /// - The notifier must not have been inserted before.
    /// - If this succeeds, `self` must stay pinned and valid until the notifier is removed, and so
    ///   must what the function of `ops` accesses.
    #[inline(never)]
    unsafe fn insert(
        &self,
        mm: &MmWithUser,
        addr: usize,
        len: usize,
        ops: &'static bindings::mmu_interval_notifier_ops,
    ) -> Result {
        // SAFETY: The notifier is pinned and not registered, so nothing else accesses it.
        // `mm_users` is not zero. The callers have checked that the task may sleep, and the range.
        // If the call fails, `__mmu_interval_notifier_insert()` has not added the notifier to a
        // list or a tree.
        to_result(unsafe {
            bindings::mmu_interval_notifier_insert(self.notifier.get(), mm.as_raw(), addr, len, ops)
        })
    }

    /// Removes the notifier unless it has been ended, drops the data and frees the memory.
    ///
    /// # Safety
    ///
    /// The notifier must have been inserted. The task must be allowed to sleep. If `is_driver`, the
    /// code of the driver must not be freed during this call. Nothing may access `this` any more.
    #[inline(never)]
    unsafe fn remove(this: NonNull<Self>, is_driver: bool) {
        // SAFETY: The caller guarantees that `this` is valid. This borrow ends before it is freed.
        let head = unsafe { this.as_ref() };
        // This waits for `end()`. If it returns true, the module is not freed before `unlink()`.
        let is_inserted = head.leftover.claim();
        if is_inserted {
            // SAFETY: By the type invariant, the notifier is registered. The task may sleep.
            unsafe { bindings::mmu_interval_notifier_remove(head.notifier.get()) };
        }
        if is_inserted || is_driver {
            // SAFETY: By the type invariants, this is the function of the `Inner`. No callback is
            // running any more, and the caller guarantees that nothing else uses the data. The
            // module has not been freed: see above, or by the caller.
            unsafe { (head.drop_data)(this) };
        }
        if is_inserted {
            head.leftover.unlink();
        } else {
            // SAFETY: `end()` has removed the notifier, and has taken this reference to its address
            // space, which nothing uses any more. The task may sleep.
            unsafe { bindings::mmdrop((*head.notifier.get()).mm) };
        }
        let layout = head.layout;
        // SAFETY: By the type invariants, the `Inner`, whose first field this is, has been
        // allocated with this layout. Nothing uses it any more, and a `Head` needs no drop.
        unsafe { Kmalloc::free(this.cast(), layout) };
    }

    /// As [`remove`](Self::remove), but where the task may not sleep, a work item does it.
    ///
    /// # Safety
    ///
    /// The notifier must have been inserted. Code of the driver must be executing this call.
    /// Nothing may access `this` any more.
    #[inline(never)]
    unsafe fn remove_any_context(this: NonNull<Self>) {
        if may_sleep() {
            // SAFETY: The caller guarantees the requirements, and the task may sleep.
            unsafe { Self::remove(this, true) };
        } else {
            workqueue::system_long().enqueue(Removal(this));
        }
    }

    /// Begins a read-side section, and returns its sequence number.
    ///
    /// # Safety
    ///
    /// The notifier must have been inserted, and only [`end`] may have removed it.
    unsafe fn read_begin(&self) -> Result<c_ulong> {
        if !may_sleep() {
            return Err(EBUSY);
        }
        // SAFETY: The notifier, or `end()`, has a reference on `mm_count`, so the address space and
        // its `notifier_subscriptions`, which `__mmdrop()` frees, are allocated.
        Ok(unsafe { bindings::mmu_interval_read_begin(self.notifier.get()) })
    }

    fn lock(&self) -> Locked<'_> {
        // SAFETY: By the type invariants, the mutex is initialized.
        unsafe { bindings::mutex_lock(self.lock.get()) };
        // INVARIANT: The mutex has been locked above.
        Locked(self)
    }

    fn try_lock(&self) -> Option<Locked<'_>> {
        // SAFETY: By the type invariants, the mutex is initialized.
        let is_locked = unsafe { bindings::mutex_trylock(self.lock.get()) } != 0;
        // INVARIANT: The mutex has been locked above.
        is_locked.then(|| Locked(self))
    }

    /// Locks the mutex, and checks that a section has not collided with an invalidation.
    ///
    /// While the result lives, an invalidation of the range that begins waits for the mutex.
    ///
    /// # Safety
    ///
    /// As for [`read_begin`](Self::read_begin).
    unsafe fn lock_section(&self, seq: c_ulong) -> Result<Locked<'_>> {
        // A section can be sent to code that may not sleep.
        if !may_sleep() {
            return Err(EBUSY);
        }
        // MODEL: interval-section/section, interval-end/section
        let locked = self.lock();
        // SAFETY: This task holds the mutex.
        // MODEL: interval-end/check
        if unsafe { *self.ended.get() } {
            return Err(ENODEV);
        }
        // SAFETY: The notifier has been inserted. This task holds the mutex with which the callback
        // calls `mmu_interval_set_seq()`.
        // MODEL: interval-section/retry
        if unsafe { bindings::mmu_interval_read_retry(self.notifier.get(), seq) } {
            return Err(EAGAIN);
        }
        Ok(locked)
    }
}

/// Removes a notifier that its module has left behind.
///
/// Other objects that have been left behind may still use the registration. So its address space
/// stays allocated until the registration is dropped.
///
/// # Safety
///
/// `leftover` must be that of a [`Head`] that is in the list and not claimed.
unsafe fn end(leftover: *mut Leftover) {
    // SAFETY: `leftover` is a field of a `Head`, which is valid while it is in the list. It is
    // added to the list after the notifier has been inserted.
    let head = unsafe { &*container_of!(leftover, Head, leftover) };
    {
        // MODEL: interval-end/end
        let _locked = head.lock();
        // Without notifications, a section could not collide.
        // SAFETY: This task holds the mutex.
        // MODEL: interval-end/set
        unsafe { *head.ended.get() = true };
    }
    // SAFETY: `insert()` has set the field, which does not change, and the notifier, which is
    // registered, has a reference on `mm_count`.
    unsafe { bindings::mmgrab((*head.notifier.get()).mm) };
    // INVARIANT: `ended` is true, and a reference on `mm_count` was taken above.
    // SAFETY: The notifier is registered. The module notifier may sleep.
    unsafe { bindings::mmu_interval_notifier_remove(head.notifier.get()) };
}

/// A registration that a work item removes, as it was dropped where the task may not sleep.
///
/// # Invariants
///
/// The notifier has been inserted, and nothing but the work item accesses the [`Head`].
struct Removal(NonNull<Head>);

// SAFETY: Any task may remove a notifier, and drop the data, see [`MmuIntervalRegistration`].
unsafe impl Send for Removal {}

// SAFETY: `__enqueue()` passes the `work` of a `Head`, which `init()` has initialized. It is valid
// until `run()` is called, which frees it.
unsafe impl RawWorkItem<0> for Removal {
    type EnqueueOutput = ();

    unsafe fn __enqueue<F>(self, queue_work_on: F)
    where
        F: FnOnce(*mut bindings::work_struct) -> bool,
    {
        // SAFETY: By the type invariant, the `Head` is valid.
        let work = unsafe { addr_of_mut!((*self.0.as_ptr()).work) };
        // This returns true: the work is queued only once, when its registration is dropped.
        queue_work_on(work.cast());
    }
}

/// The function of the work item of a [`Removal`].
///
/// # Safety
///
/// Only the workqueue may call this, with the `work` of a [`Removal`].
unsafe extern "C" fn run(work: *mut bindings::work_struct) {
    // CAST: `Opaque` is transparent.
    let work: *mut Opaque<bindings::work_struct> = work.cast();
    // SAFETY: `__enqueue()` has passed the field of a `Head`.
    let head: *const Head = unsafe { container_of!(work, Head, work) };
    // SAFETY: The `Head` is not at address zero.
    let head = unsafe { NonNull::new_unchecked(head.cast_mut()) };
    // SAFETY: By the invariant of `Removal`, the notifier has been inserted, and nothing else
    // accesses the `Head`. A work item may sleep. The module may have been freed.
    unsafe { Head::remove(head, false) };
}

/// What a [`MmuIntervalRegistration`] owns.
#[repr(C)]
struct Inner<T: MmuIntervalNotifier> {
    // The first field, as `Head::remove()` frees the `Inner`.
    head: Head,
    // Protected by the mutex.
    state: UnsafeCell<T::State>,
    data: T,
}

/// Drops the data of a registration.
///
/// # Safety
///
/// `head` must be that of an `Inner<T>`, whose data nothing uses any more.
unsafe fn drop_data<T: MmuIntervalNotifier>(head: NonNull<Head>) {
    let inner: *mut Inner<T> = head.as_ptr().cast();
    // SAFETY: The `Head` is the first field of an `Inner<T>`. The caller guarantees that nothing
    // uses the data, neither now nor later.
    unsafe {
        drop_in_place(addr_of_mut!((*inner).state));
        drop_in_place(addr_of_mut!((*inner).data));
    }
}

/// The `invalidate` of a notifier.
///
/// # Safety
///
/// Only mm/mmu_notifier.c may call this, with a notifier of an `Inner<T>`.
unsafe extern "C" fn invalidate<T: MmuIntervalNotifier>(
    notifier: *mut bindings::mmu_interval_notifier,
    range: *const bindings::mmu_notifier_range,
    cur_seq: c_ulong,
) -> bool {
    // CAST: `Opaque` is transparent.
    let opaque: *mut Opaque<bindings::mmu_interval_notifier> = notifier.cast();
    // SAFETY: The notifier is the field of the `Head` of an `Inner<T>`, which is valid:
    // `mmu_interval_notifier_remove()` waits for this callback.
    let inner: &Inner<T> = unsafe { &*container_of!(opaque, Head, notifier).cast() };
    // SAFETY: The range is valid during this call, and not changed.
    let event = unsafe { &*range };
    // INVARIANT: This is the argument of this callback.
    let invalidated = InvalidatedRange { range: event };
    // SAFETY: As above.
    let is_blockable = unsafe { bindings::mmu_notifier_range_blockable(range) };
    let _locked = if is_blockable {
        // MODEL: interval-section/invalidate
        inner.head.lock()
    } else {
        match inner.head.try_lock() {
            Some(locked) => locked,
            None => return false,
        }
    };
    // SAFETY: `cur_seq` is that of this callback. This task holds the mutex.
    // MODEL: interval-section/set-seq
    unsafe { bindings::mmu_interval_set_seq(notifier, cur_seq) };
    // SAFETY: This task holds the mutex, which protects the state.
    let state = unsafe { &mut *inner.state.get() };
    if is_blockable {
        inner.data.invalidate(state, &invalidated);
        true
    } else {
        inner.data.try_invalidate(state, &invalidated)
    }
}

/// The callbacks of a notifier of a `T`.
struct Ops<T>(PhantomData<T>);

impl<T: MmuIntervalNotifier> Ops<T> {
    const OPS: &'static bindings::mmu_interval_notifier_ops = &{
        // SAFETY: The fields are nullable function pointers. Zero is a valid value of each.
        let mut ops: bindings::mmu_interval_notifier_ops =
            unsafe { MaybeUninit::zeroed().assume_init() };
        ops.invalidate = Some(invalidate::<T>);
        ops
    };
}

/// The owner of an interval notifier.
///
/// It dereferences to the driver's `T`. Dropping it removes the notifier, which waits until no hook
/// is running. Where the task may not sleep, a work item does that, and drops `T` and its state,
/// unless the module of the driver has been unloaded before. If a registration is leaked, its
/// notifier is removed when the module is unloaded.
///
/// It must not be dropped by a hook or a closure of [`commit`](ReadSection::commit), nor with a
/// lock held that a hook takes. The state must thus not own the last reference to what owns the
/// registration. The context below is that of the drop.
///
/// A registration keeps the [`Mm`], but not its VMAs. It can outlive the process: before its memory
/// is freed, the hook is called with [`MmuNotifierEvent::Release`].
///
/// # Context
///
/// Any context except NMI.
///
/// # Invariants
///
/// `inner` is owned, pinned and allocated by a `KBox`. Its notifier has been inserted, and is
/// removed by the drop, or by `end()`.
///
/// # Examples
///
/// A device with a page table for one page:
///
/// ```
/// use kernel::{
///     mm::mmu_notifier::{InvalidatedRange, MmuIntervalNotifier},
///     page::PAGE_SIZE,
/// };
///
/// struct Device;
///
/// impl Device {
///     fn flush_tlb(&self) {}
/// }
///
/// impl MmuIntervalNotifier for Device {
///     /// The entry of the page table.
///     type State = Option<usize>;
///
///     fn invalidate(&self, entry: &mut Self::State, _range: &InvalidatedRange<'_>) {
///         *entry = None;
///         self.flush_tlb();
///     }
/// }
///
/// # kernel::mm::kunit::with_user_mm(|mm, addr| {
/// let mirror = mm.mmu_interval_notifier_insert(addr, PAGE_SIZE, Device, None)?;
/// loop {
///     let section = mirror.read_begin()?;
///     // Here, the driver looks for the page.
///     let pfn = 1;
///     match section.commit(|entry| *entry = Some(pfn)) {
///         Err(EAGAIN) => continue,
///         result => break result?,
///     }
/// }
/// # mirror.flush_tlb();
/// # assert_eq!(mirror.read_begin()?.commit(|entry| *entry), Ok(Some(1)));
/// # let section = mirror.read_begin()?;
/// # kernel::mm::kunit::zap(mm, addr)?;
/// # assert_eq!(section.commit(|_| ()), Err(EAGAIN));
/// # assert_eq!(mirror.read_begin()?.commit(|entry| *entry), Ok(None));
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("mmu_interval_notifier", "mmu_interval_notifier_remove"))]
pub struct MmuIntervalRegistration<T: MmuIntervalNotifier> {
    inner: NonNull<Inner<T>>,
    _owner: PhantomData<KBox<Inner<T>>>,
}

// SAFETY: Any task may remove a notifier, and drop a `T` and its state, which are `Send`.
unsafe impl<T: MmuIntervalNotifier> Send for MmuIntervalRegistration<T> {}
// SAFETY: `T` is `Sync`. The state, which is `Send`, is accessed by one task at a time, the one
// that holds the mutex. Any task may call the functions of the notifier.
unsafe impl<T: MmuIntervalNotifier> Sync for MmuIntervalRegistration<T> {}

impl<T: MmuIntervalNotifier> Deref for MmuIntervalRegistration<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().data
    }
}

impl<T: MmuIntervalNotifier> MmuIntervalRegistration<T> {
    fn inner(&self) -> &Inner<T> {
        // SAFETY: By the type invariants, `inner` is owned and valid.
        unsafe { self.inner.as_ref() }
    }

    pub(super) fn head(&self) -> &Head {
        &self.inner().head
    }

    /// Returns the address space of the notifier.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::mmu_notifier::{MmuIntervalNotifier, MmuIntervalRegistration};
    ///
    /// /// Checks that the caller is the process whose memory is mirrored.
    /// fn check_caller<T: MmuIntervalNotifier>(mirror: &MmuIntervalRegistration<T>) -> Result {
    ///     match current!().mm() {
    ///         Some(mm) if **mm == *mirror.mm() => Ok(()),
    ///         _ => Err(EIO),
    ///     }
    /// }
    /// # use kernel::{mm::mmu_notifier::InvalidatedRange, page::PAGE_SIZE};
    /// # struct Nothing;
    /// # impl MmuIntervalNotifier for Nothing {
    /// #     type State = ();
    /// #     fn invalidate(&self, _state: &mut (), _range: &InvalidatedRange<'_>) {}
    /// # }
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// #     let mirror = mm.mmu_interval_notifier_insert(addr, PAGE_SIZE, Nothing, ())?;
    /// #     check_caller(&mirror)
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mm(&self) -> &Mm {
        // SAFETY: `insert()` has set the field, which does not change. The notifier, or `end()`,
        // has a reference on `mm_count`.
        unsafe { Mm::from_raw((*self.head().notifier.get()).mm) }
    }

    /// Waits until no invalidation is running in this range, and begins a section that collides
    /// with each later one.
    ///
    /// The wait cannot be interrupted. The caller must not hold a lock that a hook takes, nor the
    /// mmap lock, which `hmm_range_fault()` takes after this.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: The task may not sleep here.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`MmuIntervalRegistration`].
    #[doc(alias = "mmu_interval_read_begin")]
    pub fn read_begin(&self) -> Result<ReadSection<'_, T>> {
        // SAFETY: By the type invariants, the notifier has been inserted, and only `end()` may have
        // removed it.
        let seq = unsafe { self.head().read_begin()? };
        // INVARIANT: `seq` is that of this notifier.
        Ok(ReadSection {
            registration: self,
            seq,
        })
    }
}

impl<T: MmuIntervalNotifier> Drop for MmuIntervalRegistration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the notifier has been inserted, and nothing uses the
        // registration after this. This function is generic, so it is code of the driver.
        unsafe { Head::remove_any_context(self.inner.cast()) };
    }
}

/// A section in which a driver looks at page tables of the process, and then changes its own.
///
/// # Invariants
///
/// `seq` is a result of `mmu_interval_read_begin()` for the notifier of `registration`.
///
/// # Examples
///
/// See [`MmuIntervalRegistration`].
#[must_use = "the section ends without a change of the state"]
pub struct ReadSection<'a, T: MmuIntervalNotifier> {
    pub(super) registration: &'a MmuIntervalRegistration<T>,
    pub(super) seq: c_ulong,
}

impl<T: MmuIntervalNotifier> ReadSection<'_, T> {
    /// Locks the state and calls `f` with it, unless a part of the range has been invalidated since
    /// the section began.
    ///
    /// Until `f` returns, an invalidation waits, and so may a task that reclaims memory. So `f`
    /// must not do what a hook must not do: see [`MmuIntervalNotifier`]. It must not use another
    /// registration either, as no order of their locks is defined.
    ///
    /// C: `mmu_interval_read_retry()`.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: The section has collided with an invalidation. The driver begins a new one. It
    ///   should do so for a limited time, and stop if the task is killed.
    /// - `EBUSY`: The task may not sleep here.
    /// - `ENODEV`: The module of the driver is being unloaded.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`MmuIntervalRegistration`].
    #[doc(alias = "mmu_interval_read_retry")]
    pub fn commit<R>(self, f: impl FnOnce(&mut T::State) -> R) -> Result<R> {
        let inner = self.registration.inner();
        // SAFETY: By the type invariants of the registration, the notifier has been inserted, and
        // only `end()` may have removed it.
        let _locked = unsafe { inner.head.lock_section(self.seq)? };
        // SAFETY: This task holds the mutex, which protects the state.
        Ok(f(unsafe { &mut *inner.state.get() }))
    }
}

impl MmWithUser {
    /// Calls the hooks of `data` before the page tables of a range change, until the result is
    /// dropped.
    ///
    /// Nothing needs to be mapped there. The first notifier of an address space takes the mmap lock
    /// for writing and locks each VMA, so the caller must hold neither. If this fails, `data` and
    /// `state` are dropped.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `addr` or `len` is not a multiple of the page size, or `len` is zero.
    /// - `EOVERFLOW`: The end is not an address.
    /// - `EBUSY`: The task may not sleep here.
    /// - `EINTR`: The task has got a signal.
    /// - `ENOMEM`: An allocation failed.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         mmu_notifier::{InvalidatedRange, MmuIntervalNotifier, MmuIntervalRegistration},
    ///         MmWithUser,
    ///     },
    ///     page::PAGE_SIZE,
    /// };
    ///
    /// /// Counts the invalidations.
    /// struct Counter;
    ///
    /// impl MmuIntervalNotifier for Counter {
    ///     type State = u32;
    ///
    ///     fn invalidate(&self, count: &mut u32, _range: &InvalidatedRange<'_>) {
    ///         *count += 1;
    ///     }
    ///
    ///     fn try_invalidate(&self, count: &mut u32, range: &InvalidatedRange<'_>) -> bool {
    ///         // Nothing waits here.
    ///         self.invalidate(count, range);
    ///         true
    ///     }
    /// }
    ///
    /// fn count(mm: &MmWithUser, addr: usize) -> Result<MmuIntervalRegistration<Counter>> {
    ///     mm.mmu_interval_notifier_insert(addr, PAGE_SIZE, Counter, 0)
    /// }
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// # let counter = count(mm, addr)?;
    /// # let other = count(mm, addr + PAGE_SIZE)?;
    /// # kernel::mm::kunit::zap(mm, addr)?;
    /// # assert_eq!(counter.read_begin()?.commit(|count| *count), Ok(1));
    /// # assert_eq!(other.read_begin()?.commit(|count| *count), Ok(0));
    /// # let refused = |addr, len| mm.mmu_interval_notifier_insert(addr, len, Counter, 0).err();
    /// # assert_eq!(refused(addr, 0), Some(EINVAL));
    /// # assert_eq!(refused(addr, 1), Some(EINVAL));
    /// # assert_eq!(refused(addr + 1, PAGE_SIZE), Some(EINVAL));
    /// # assert_eq!(refused(PAGE_SIZE, usize::MAX - PAGE_SIZE + 1), Some(EOVERFLOW));
    /// # assert_eq!(refused(0, usize::MAX - PAGE_SIZE + 1), None);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mmu_interval_notifier_insert<T: MmuIntervalNotifier>(
        &self,
        addr: usize,
        len: usize,
        data: T,
        state: T::State,
    ) -> Result<MmuIntervalRegistration<T>> {
        if len == 0 || (addr | len) % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        addr.checked_add(len).ok_or(EOVERFLOW)?;
        if !may_sleep() {
            return Err(EBUSY);
        }
        let mut inner = KBox::<Inner<T>>::new_uninit(GFP_KERNEL)?;
        let slot = inner.as_mut_ptr();
        // SAFETY: The slot is allocated by a `KBox` with this layout, and is not moved.
        unsafe {
            Head::init(
                addr_of_mut!((*slot).head),
                drop_data::<T>,
                Layout::new::<Inner<T>>(),
            )
        };
        // SAFETY: The fields are valid for writes.
        unsafe {
            addr_of_mut!((*slot).state).write(UnsafeCell::new(state));
            addr_of_mut!((*slot).data).write(data);
        }
        // SAFETY: All fields have been initialized above.
        let inner = unsafe { inner.assume_init() };
        // SAFETY: The notifier has not been inserted. The box is leaked below if this succeeds. The
        // callback accesses the `Inner<T>`, which is initialized, and whose `Head` this is.
        unsafe { inner.head.insert(self, addr, len, Ops::<T>::OPS)? };
        let inner = NonNull::from(KBox::leak(inner));
        let module = module_going::module_of(invalidate::<T> as *const () as usize);
        // SAFETY: `leftover` is pinned, and has not been added before. `module` contains this
        // function, which is generic as `invalidate()` is. The drop claims the object before it is
        // freed. `end()` needs no other object of the module.
        unsafe { Leftover::link(addr_of_mut!((*inner.as_ptr()).head.leftover), module) };
        // INVARIANT: The box was leaked above, and its notifier has been inserted.
        Ok(MmuIntervalRegistration {
            inner,
            _owner: PhantomData,
        })
    }
}
