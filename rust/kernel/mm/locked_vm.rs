// SPDX-License-Identifier: GPL-2.0

//! Memory that an address space is charged for, as that of `mlock()` is.

use crate::{
    bindings,
    capability::{
        capable,
        Capability, //
    },
    error::to_result,
    impl_has_work,
    mm::Mm,
    new_work,
    prelude::*,
    sync::aref::ARef,
    task::{
        may_sleep,
        Task, //
    },
    workqueue::{
        self,
        Work,
        WorkItem, //
    },
};
use core::mem::ManuallyDrop;

/// The maximum of `locked_vm`. `mlock()` adds at most the size of the address space without a check
/// for overflow, so the sum must have room for that.
const MAX: usize = usize::MAX / 2;

/// Pages that `locked_vm` of an address space includes.
///
/// # Invariants
///
/// `locked_vm` of `mm` includes `pages` for this value.
pub(super) struct Charge {
    mm: ARef<Mm>,
    pages: usize,
}

impl Charge {
    /// Adds pages to `locked_vm`. May sleep: the caller has checked `may_sleep()`.
    // Not inlined, so that the driver has one call.
    #[inline(never)]
    pub(super) fn new(mm: &Mm, pages: usize) -> Result<Self> {
        let bypass = capable(Capability::IPC_LOCK);
        let raw = mm.as_raw();
        // SAFETY: `mm` is allocated. The callers are functions that may sleep.
        to_result(unsafe { bindings::mmap_write_lock_killable(raw) })?;
        let result = match mm.locked_vm().checked_add(pages) {
            Some(sum) if sum <= MAX => {
                // SAFETY: `mm` is allocated, and this task has taken the lock above. `current` is
                // valid for the call. C checks the limit of the task.
                to_result(unsafe {
                    bindings::__account_locked_vm(raw, pages, true, Task::current_raw(), bypass)
                })
            }
            _ => Err(ENOMEM),
        };
        // SAFETY: This task has taken the lock above.
        unsafe { bindings::mmap_write_unlock(raw) };
        result?;
        // INVARIANT: The pages have been added above.
        Ok(Self {
            mm: mm.into(),
            pages,
        })
    }

    /// Removes the charge if the mmap lock is free. Returns whether the drop will then not wait for
    /// that lock.
    #[inline(never)]
    pub(super) fn try_remove(&mut self) -> bool {
        let mm = self.mm.as_raw();
        // SAFETY: `mm` is allocated, as this has a reference.
        if !unsafe { bindings::mmap_write_trylock(mm) } {
            return false;
        }
        // SAFETY: `mm` is allocated, and this task has taken the lock above. `locked_vm` includes
        // the pages by the type invariant. The task and its rights only matter for an increase.
        unsafe { bindings::__account_locked_vm(mm, self.pages, false, Task::current_raw(), true) };
        // SAFETY: This task has taken the lock above.
        unsafe { bindings::mmap_write_unlock(mm) };
        // INVARIANT: The charge has been removed above.
        self.pages = 0;
        true
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // SAFETY: `mm` is allocated, as this has a reference, and its `locked_vm` includes these
        // pages by the type invariant. The task may sleep: what owns a `Charge` drops it in a work
        // item otherwise. Without pages, C does nothing.
        unsafe { bindings::account_locked_vm(self.mm.as_raw(), self.pages, false) };
    }
}

/// What a [`LockedVm`] owns.
#[pin_data]
struct Inner {
    charge: Charge,
    #[pin]
    work: Work<Inner>,
}

impl_has_work! {
    impl HasWork<Self> for Inner { self.work }
}

impl WorkItem for Inner {
    type Pointer = Pin<KBox<Self>>;

    fn run(inner: Pin<KBox<Self>>) {
        drop(inner);
    }
}

impl Inner {
    /// As [`Charge::try_remove`].
    fn try_remove(self: Pin<&mut Self>) -> bool {
        // SAFETY: Nothing is moved out of the struct. The charge is not pinned.
        unsafe { &mut self.get_unchecked_mut().charge }.try_remove()
    }
}

/// Pages that an address space is charged for in `locked_vm`, the field `VmLck` of
/// `/proc/<pid>/status`.
///
/// A driver charges a process in this way for kernel memory that it allocates at the request of the
/// process, such as the page tables of a device, or for memory that a virtual machine may pin
/// later. Pages that the driver pins itself are charged by
/// [`Accounting::LockedVm`](super::pin::Accounting::LockedVm).
///
/// Dropping it removes the charge from the address space that was charged, also if the process has
/// exited. The mmap lock is taken for writing. If that lock is contended, or if the task may not
/// sleep, a work item removes the charge, so the drop may be called with the lock held, or under a
/// lock that is taken within it. If the value is leaked, the address space stays charged. The
/// context below is that of the drop.
///
/// # Context
///
/// Any context except NMI.
///
/// # Invariants
///
/// `inner` is dropped by [`Drop::drop`] only.
///
/// # Examples
///
/// A table that is allocated for a process:
///
/// ```
/// use kernel::{
///     mm::{LockedVm, Mm},
///     page::PAGE_SIZE, //
/// };
///
/// struct Table {
///     entries: KVVec<u64>,
///     // Dropped after the memory.
///     charge: LockedVm,
/// }
///
/// impl Table {
///     fn new(mm: &Mm, entries: usize) -> Result<Self> {
///         let size = entries.checked_mul(size_of::<u64>()).ok_or(EINVAL)?;
///         let charge = mm.account_locked_vm(size.div_ceil(PAGE_SIZE))?;
///         Ok(Self {
///             entries: KVVec::from_elem(0, entries, GFP_KERNEL)?,
///             charge,
///         })
///     }
/// }
/// # use core::mem::size_of;
/// # kernel::mm::kunit::with_user_mm(|mm, _| {
/// let table = Table::new(mm, PAGE_SIZE)?;
/// assert_eq!(mm.locked_vm(), size_of::<u64>());
/// # assert_eq!(table.charge.pages(), size_of::<u64>());
/// # assert_eq!(table.entries.len(), PAGE_SIZE);
/// drop(table);
/// assert_eq!(mm.locked_vm(), 0);
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
pub struct LockedVm {
    inner: ManuallyDrop<Pin<KBox<Inner>>>,
}

impl LockedVm {
    // Not inlined: `new_work!()` stores the address of a function, which must be part of the crate,
    // and that of a name.
    #[inline(never)]
    fn new(mm: &Mm, pages: usize) -> Result<Self> {
        if pages == 0 {
            return Err(EINVAL);
        }
        if !may_sleep() {
            return Err(EBUSY);
        }
        let charge = Charge::new(mm, pages)?;
        let inner = KBox::pin_init(
            try_pin_init!(Inner {
                charge,
                work <- new_work!("LockedVm"),
            }? Error),
            GFP_KERNEL,
        )?;
        Ok(Self {
            inner: ManuallyDrop::new(inner),
        })
    }

    /// Returns how many pages are charged.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    pub fn pages(&self) -> usize {
        self.inner.charge.pages
    }

    /// Returns the address space that is charged.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    pub fn mm(&self) -> &Mm {
        &self.inner.charge.mm
    }
}

impl Drop for LockedVm {
    // Not inlined, so that the driver has one call.
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, nothing else takes it.
        let mut inner = unsafe { ManuallyDrop::take(&mut self.inner) };
        if may_sleep() && inner.as_mut().try_remove() {
            drop(inner);
        } else {
            workqueue::system_long().enqueue(inner);
        }
    }
}

impl Mm {
    /// Charges this address space for pages of any memory, until the result is dropped.
    ///
    /// With these pages, `locked_vm` must not exceed `RLIMIT_MEMLOCK` of the current task, unless
    /// that has `CAP_IPC_LOCK`.
    ///
    /// The mmap lock is taken for writing, so the caller must not hold it, nor a lock that is taken
    /// within it.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `pages` is zero.
    /// - `ENOMEM`: The limit would be exceeded, or an allocation failed.
    /// - `EBUSY`: The task may not sleep here.
    /// - `EINTR`: The task has been killed.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller must not hold the mmap lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::LockedVm;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// let charge: LockedVm = mm.account_locked_vm(3)?;
    /// assert_eq!((charge.pages(), mm.locked_vm()), (3, 3));
    /// # assert!(*charge.mm() == **mm);
    /// # assert_eq!(mm.account_locked_vm(0).err(), Some(EINVAL));
    /// # // The kthread has `CAP_IPC_LOCK`.
    /// # for pages in [usize::MAX, usize::MAX - 3, usize::MAX / 2 - 2] {
    /// #     assert_eq!(mm.account_locked_vm(pages).err(), Some(ENOMEM));
    /// # }
    /// # let most = mm.account_locked_vm(usize::MAX / 2 - 3)?;
    /// # assert_eq!(mm.account_locked_vm(1).err(), Some(ENOMEM));
    /// # drop(most);
    /// # assert_eq!(mm.locked_vm(), 3);
    /// # // The mmap lock is held, so a work item removes the charge.
    /// # let guard = mm.mmap_read_lock();
    /// drop(charge);
    /// # assert_eq!(mm.locked_vm(), 3);
    /// # drop(guard);
    /// # while mm.locked_vm() != 0 {
    /// #     kernel::task::yield_now();
    /// # }
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "__account_locked_vm")]
    pub fn account_locked_vm(&self, pages: usize) -> Result<LockedVm> {
        LockedVm::new(self, pages)
    }
}
