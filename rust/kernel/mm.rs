// SPDX-License-Identifier: GPL-2.0

//! Address spaces.
//!
//! An address space (`struct mm_struct`, the mm) has two refcounts. Each type of this module stands
//! for one of them:
//!
//! | type | refcount | what it keeps | released by |
//! | --- | --- | --- | --- |
//! | [`Mm`] | `mm_count` | the `mm_struct` | `mmdrop()` |
//! | [`MmWithUser`] | `mm_users` | the VMAs and the page tables as well | `mmput_async()` |
//! | [`MmWithUserAsync`] | `mm_users` | the same | `mmput_async()` |
//!
//! C lets both refcounts wrap. Here they saturate, as a `refcount_t` does: after 2^30 leaked
//! references, the address space is never released.
//!
//! A VMA is stable only under a lock: the mmap lock, which covers the whole address space
//! ([`MmapReadGuard`], [`MmapWriteGuard`]), or the VMA lock, which covers one VMA
//! ([`VmaReadGuard`]). [`virt`] has the types of VMAs.
//!
//! # Examples
//!
//! Look up a VMA under the VMA lock, and fall back to the mmap lock:
//!
//! ```
//! use kernel::mm::MmWithUser;
//!
//! fn vma_size(mm: &MmWithUser, addr: usize) -> Option<usize> {
//!     if let Some(vma) = mm.lock_vma_under_rcu(addr) {
//!         return Some(vma.end() - vma.start());
//!     }
//!     let guard = mm.mmap_read_lock();
//!     let vma = guard.vma_lookup(addr)?;
//!     Some(vma.end() - vma.start())
//! }
//! # use kernel::page::PAGE_SIZE;
//! # kernel::mm::kunit::with_user_mm(|mm, addr| {
//! # assert_eq!(vma_size(mm, addr), Some(PAGE_SIZE));
//! # assert_eq!(vma_size(mm, 0), None);
//! # Ok(())
//! # })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! Guide: [choosing a type](srctree/Documentation/rust/task-mm/guide/choosing-a-type.rst),
//! [choosing a lock](srctree/Documentation/rust/task-mm/guide/choosing-a-lock.rst)
//!
//! C headers: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h),
//! [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)

use crate::{
    bindings,
    c_struct::{
        impl_refcounted,
        saturate, //
    },
    sync::aref::ARef,
    types::Opaque, //
};
use core::{
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};

pub mod fault;
// An entry of HMM has no room for a PFN of a 32-bit kernel with greater physical addresses.
#[cfg(all(CONFIG_HMM_MIRROR, any(CONFIG_64BIT, not(CONFIG_PHYS_ADDR_T_64BIT))))]
pub mod hmm;
#[cfg(CONFIG_MMU_NOTIFIER)]
pub mod mmu_notifier;
pub mod pfnmap;
#[cfg(CONFIG_MMU)]
pub mod pin;
#[cfg(CONFIG_MMU)]
pub mod remote;
pub mod revoke;
pub mod virt;
#[cfg(CONFIG_MMU)]
pub mod vm_mmap;
pub mod vm_ops;
pub mod vma_desc;

mod kthread_use_mm;

#[cfg(CONFIG_MMU)]
mod locked_vm;
#[cfg(CONFIG_MMU)]
pub use locked_vm::LockedVm;

mod mem_region;
pub use mem_region::MemRegion;

mod mmap_lock;
pub use mmap_lock::{
    MmapReadGuard,
    MmapWriteGuard, //
};

mod usage;

mod user_page;
pub use user_page::UserPage;

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

/// An address space that may have no users any more.
///
/// This is `struct mm_struct`. An `ARef<Mm>` holds a reference on `mm_count`, which keeps the
/// `mm_struct` allocated but keeps neither VMAs nor page tables. It is meant for a long-lived
/// reference to an address space: [`mmget_not_zero`](Self::mmget_not_zero) upgrades it when the
/// address space is to be accessed.
///
/// Dropping the last reference calls `__mmdrop()`, which takes spinlocks that are not IRQ-safe, and
/// that sleep on PREEMPT_RT. An `ARef<Mm>` must therefore be dropped in process context.
///
/// # Invariants
///
/// A reference on `mm_count` is held for as long as a reference to the `Mm` exists, so the
/// `mm_struct` is allocated.
///
/// # Examples
///
/// ```
/// use kernel::{mm::Mm, sync::aref::ARef};
///
/// # kernel::mm::kunit::with_user_mm(|user_mm, _| {
/// let mm: ARef<Mm> = ARef::from(&**user_mm);
///
/// // Later, perhaps in another thread: does the address space still have users?
/// if let Some(user_mm) = mm.mmget_not_zero() {
///     let guard = user_mm.mmap_read_lock();
///     assert!(guard.vma_lookup(0).is_none());
/// }
/// # assert!(mm.mmget_not_zero().is_some());
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "mm_struct")]
#[repr(transparent)]
pub struct Mm {
    mm: Opaque<bindings::mm_struct>,
}

// SAFETY: A thread that an `Mm` was sent to may only release its reference. `mmdrop()` decrements
// `mm_count` atomically and may be called by any thread.
unsafe impl Send for Mm {}
// SAFETY: The methods with `&self` write to no other fields than `mm_count` and `mm_users`, which
// are atomic.
unsafe impl Sync for Mm {}

// SAFETY: `mm_count` is the refcount of an `mm_struct`, and `__mmdrop()` frees it when the last
// reference is released. By the type invariant, an `Mm` exists only while a reference is held. Only
// these two functions change `mm_count`, except for C code.
impl_refcounted!(unsafe Mm(mm_struct): mmgrab, mmdrop, __bindgen_anon_1.__bindgen_anon_1.mm_count);

/// Two references are equal if they refer to the same address space.
///
/// # Examples
///
/// A driver that acts on the address space of the process that opened a file checks that the caller
/// is that process, as KVM does. A file can be inherited by a child or sent to another process.
///
/// ```
/// use kernel::{mm::Mm, sync::aref::ARef};
///
/// struct Session {
///     mm: ARef<Mm>,
/// }
///
/// impl Session {
///     fn check_caller(&self) -> Result {
///         match current!().mm() {
///             Some(mm) if **mm == *self.mm => Ok(()),
///             _ => Err(EIO),
///         }
///     }
/// }
/// # kernel::mm::kunit::with_user_mm(|mm, _| {
/// # let session = Session { mm: ARef::from(&**mm) };
/// # assert_eq!(session.check_caller(), Ok(()));
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
impl PartialEq for Mm {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Mm {}

/// An address space that has users.
///
/// An `ARef<MmWithUser>` holds a reference on `mm_users`. While that refcount is not zero, the VMAs
/// and the page tables exist and may be accessed under the locks that they need. When it becomes
/// zero, `__mmput()` tears them down by `exit_mmap()`, and it never becomes non-zero again.
///
/// Dropping an `ARef<MmWithUser>` calls `mmput_async()`, so it is allowed in any context except
/// NMI. If that was the last reference, a work item runs `exit_mmap()`. The code that drops it may
/// therefore hold a lock that a callback of a VMA takes, such as
/// [`VmOperations::close`](vm_ops::VmOperations::close), and `vm_private_data` may own a reference
/// to another address space.
///
/// A reference must not be owned by what the address space itself keeps: the data of an open file,
/// if a process can map that file; `vm_private_data`; a kthread that only ends when that file is
/// released. The VMA keeps the file, the file keeps `mm_users`, and `exit_mmap()`, which would
/// unmap the VMA, is never run. All memory of the process then stays allocated when the process has
/// exited, and the module of the driver cannot be unloaded. For the same reason, the data of a file
/// must not own the [`File`](crate::fs::File). Nothing dangles, so this is not `unsafe`, and the
/// types cannot tell which files a process will map. Store an `ARef<Mm>`, which keeps the
/// `mm_struct` only, and call [`mmget_not_zero`](Mm::mmget_not_zero) for each use:
///
/// ```
/// use kernel::{
///     mm::{Mm, MmWithUser},
///     prelude::*,
///     sync::aref::ARef, //
/// };
///
/// /// The data of an open file.
/// struct OpenFile {
///     /// The mm that has opened the file.
///     mm: ARef<Mm>,
/// }
///
/// impl OpenFile {
///     fn new() -> Result<Self> {
///         let task = current!();
///         let mm: &MmWithUser = task.mm().ok_or(ESRCH)?;
///         Ok(Self { mm: ARef::from(&**mm) })
///     }
///
///     /// Returns the number of VMAs, or an error if the process has exited.
///     fn vmas(&self) -> Result<usize> {
///         let mm = self.mm.mmget_not_zero().ok_or(ESRCH)?;
///         let guard = mm.mmap_read_lock();
///         Ok(guard.vmas(0..usize::MAX).count())
///     }
/// }
/// # kernel::mm::kunit::with_user_mm(|_, _| {
/// #     assert!(OpenFile::new()?.vmas()? > 0);
/// #     Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
///
/// [`VmOperations`]: vm_ops::VmOperations
/// [`VmOperations::close`]: vm_ops::VmOperations::close
///
/// # Invariants
///
/// `mm_users` is not zero for as long as a reference to the `MmWithUser` exists.
///
/// # Examples
///
/// ```
/// use kernel::{mm::MmWithUser, sync::aref::ARef};
///
/// /// Takes a reference, which keeps the address space beyond the borrow of `mm`.
/// fn keep(mm: &MmWithUser) -> ARef<MmWithUser> {
///     mm.into()
/// }
/// # kernel::mm::kunit::with_user_mm(|mm, _| {
/// # assert_eq!(keep(mm).as_raw(), mm.as_raw());
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[derive(PartialEq, Eq)]
#[repr(transparent)]
pub struct MmWithUser {
    mm: Mm,
}

// SAFETY: A thread that an `MmWithUser` was sent to may only release its reference. `mmput_async()`
// decrements `mm_users` atomically and may be called by any thread.
unsafe impl Send for MmWithUser {}
// SAFETY: The methods with `&self` change `mm_count` and `mm_users`, which are atomic, or take the
// mmap lock or a VMA lock, which any number of threads may try to take at the same time.
unsafe impl Sync for MmWithUser {}

// SAFETY: `mm_users` keeps the address space alive, and all of its users together hold one
// reference on `mm_count`, which keeps the `mm_struct` allocated. By the type invariant, an
// `MmWithUser` exists only while `mm_users` is not zero. Other Rust code that changes `mm_users` is
// `from_taken()`, which calls `saturate()`, and `MmWithUserAsync`, whose implementation is the
// same.
#[cfg(CONFIG_MMU)]
impl_refcounted!(unsafe MmWithUser(mm_struct): mmget, mmput_async, __bindgen_anon_1.mm_users);

// SAFETY: As for the one above. `mmput_async()` does not exist without an MMU.
#[cfg(not(CONFIG_MMU))]
impl_refcounted!(unsafe MmWithUser(mm_struct): mmget, mmput, __bindgen_anon_1.mm_users);

// An `MmWithUser` satisfies the invariant of `Mm`, as the users of an address space hold a
// reference on `mm_count`.
impl Deref for MmWithUser {
    type Target = Mm;

    #[inline]
    fn deref(&self) -> &Mm {
        &self.mm
    }
}

// These methods need a reference on `mm_count` only.
impl Mm {
    /// Returns a pointer to the `struct mm_struct`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// assert!(!mm.as_raw().is_null());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::mm_struct {
        self.mm.get()
    }

    /// Creates a reference to a `struct mm_struct`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an `mm_struct`, and a reference on its `mm_count` must be held for the
    /// duration of `'a`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Mm;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// // SAFETY: `mm` is borrowed until after the last use of `same`.
    /// let same = unsafe { Mm::from_raw(mm.as_raw()) };
    /// assert!(same.mmget_not_zero().is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::mm_struct) -> &'a Mm {
        // CAST: `Mm` is transparent around `mm_struct`.
        let ptr = ptr.cast();
        // SAFETY: The caller guarantees that the `mm_struct` is allocated for the duration of `'a`.
        // INVARIANT: The caller guarantees the reference on `mm_count` for as long.
        unsafe { &*ptr }
    }

    /// Takes a reference on `mm_users`, unless it is zero.
    ///
    /// Returns `None` if the address space has no users any more. That is permanent.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let user_mm = mm.mmget_not_zero().ok_or(ESRCH)?;
    /// assert!(user_mm.mmap_read_lock().vma_lookup(addr).is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mmget_not_zero(&self) -> Option<ARef<MmWithUser>> {
        // SAFETY: The `mm_struct` is allocated by the type invariant.
        if !unsafe { bindings::mmget_not_zero(self.as_raw()) } {
            return None;
        }

        // SAFETY: `mmget_not_zero()` has taken a reference on `mm_users`.
        Some(unsafe { MmWithUser::from_taken(NonNull::from(self).cast()) })
    }
}

// These methods access VMAs, so they need a reference on `mm_users`.
impl MmWithUser {
    /// Creates a reference to a `struct mm_struct` that has users.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an `mm_struct` whose `mm_users` is not zero for the duration of `'a`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::MmWithUser;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// // SAFETY: `mm` is borrowed until after the last use of `same`.
    /// let same = unsafe { MmWithUser::from_raw(mm.as_raw()) };
    /// assert!(same.mmap_read_lock().vma_lookup(addr).is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::mm_struct) -> &'a MmWithUser {
        // CAST: `MmWithUser` is transparent around `Mm`, and that around `mm_struct`.
        let ptr = ptr.cast();
        // SAFETY: The caller guarantees that `mm_users` is not zero for the duration of `'a`. The
        // users hold a reference on `mm_count`, so the `mm_struct` is allocated.
        // INVARIANT: The caller guarantees that `mm_users` is not zero.
        unsafe { &*ptr }
    }

    /// Creates the owner of a reference that has been taken.
    ///
    /// # Safety
    ///
    /// `mm` must point to an `mm_struct`, and a reference on its `mm_users` must have been taken,
    /// which passes to the result.
    #[inline]
    unsafe fn from_taken(mm: NonNull<bindings::mm_struct>) -> ARef<Self> {
        // CAST: An `atomic_t` consists of an `int`.
        // SAFETY: The `mm_struct` is allocated, as the reference has not been released.
        unsafe {
            saturate(ptr::addr_of_mut!((*mm.as_ptr()).__bindgen_anon_1.mm_users).cast());
        }

        // CAST: `MmWithUser` is transparent around `Mm`, and that around `mm_struct`.
        // INVARIANT: `mm_users` is not zero, as the reference has not been released.
        // SAFETY: The caller passes the reference on.
        unsafe { ARef::from_raw(mm.cast()) }
    }
}
