// SPDX-License-Identifier: GPL-2.0

//! Heterogeneous memory management (HMM): the pages of a range that is mirrored.
//!
//! [`MmuIntervalRegistration::hmm_range_fault`] looks up the pages of a range, and has those that
//! are missing faulted in. No reference to a page is taken. A page is only known to be that of the
//! process until an invalidation, so the result, an [`HmmRange`], shows the pages in
//! [`commit`](HmmRange::commit) only.
//!
//! C header: [`include/linux/hmm.h`](srctree/include/linux/hmm.h)

use crate::{
    alloc::flags::{
        __GFP_NOWARN,
        GFP_KERNEL_ACCOUNT, //
    },
    bindings,
    error::to_result,
    mm::mmu_notifier::{
        Head,
        MmuIntervalNotifier,
        MmuIntervalRegistration,
        ReadSection, //
    },
    page::PAGE_SIZE,
    prelude::*,
    task::{
        may_sleep,
        MAX_JIFFY_OFFSET, //
    },
    time::Jiffies,
};
use core::{
    mem::size_of,
    ops::Range,
    ptr::{
        addr_of,
        null_mut, //
    },
};

/// The maximum number of pages of an [`HmmPfns`]: `kvmalloc()` fails above `INT_MAX` bytes.
const MAX_PAGES: usize = i32::MAX as usize / size_of::<HmmPfn>();

/// What [`MmuIntervalRegistration::hmm_range_fault`] does about pages that are not present.
///
/// # Examples
///
/// See [`MmuIntervalRegistration::hmm_range_fault`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum HmmAccess {
    /// Nothing: they are not valid in the result.
    Snapshot,
    /// It faults them in. All pages of the result can be read.
    #[doc(alias = "HMM_PFN_REQ_FAULT")]
    Read,
    /// It faults them in, and those that cannot be written. All pages of the result can be written.
    #[doc(alias = "HMM_PFN_REQ_WRITE")]
    Write,
}

/// A PFN, with what HMM knows about its page.
///
/// This is an integer, which says nothing about the page after an invalidation.
///
/// # Examples
///
/// See [`HmmPages::pfns`].
#[doc(alias("hmm_pfn_flags", "hmm_pfns"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct HmmPfn(c_ulong);

impl HmmPfn {
    /// Returns whether there is a page, which the process can read.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`HmmPages::pfns`].
    #[doc(alias = "HMM_PFN_VALID")]
    pub fn is_valid(self) -> bool {
        self.0 & bindings::hmm_pfn_flags_HMM_PFN_VALID != 0
    }

    /// Returns whether there is a page, which the process can write to.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`HmmPages::pfns`].
    #[doc(alias = "HMM_PFN_WRITE")]
    pub fn is_writable(self) -> bool {
        self.is_valid() && self.0 & bindings::hmm_pfn_flags_HMM_PFN_WRITE != 0
    }

    /// Returns whether C reports that there is nothing to access: no VMA, no right to read, or the
    /// memory of a device. Not each page that cannot be faulted in has this.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`HmmPages::pfns`].
    #[doc(alias = "HMM_PFN_ERROR")]
    pub fn is_error(self) -> bool {
        self.0 & bindings::hmm_pfn_flags_HMM_PFN_ERROR != 0
    }

    /// Returns the PFN if there is a page.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`HmmPages::pfns`].
    #[doc(alias("hmm_pfn_to_phys", "hmm_pfn_to_page"))]
    pub fn pfn(self) -> Option<usize> {
        let pfn = self.0 & !bindings::hmm_pfn_flags_HMM_PFN_FLAGS;
        self.is_valid().then_some(pfn)
    }

    /// Returns the order of the part of memory that one page table entry maps: 0 for a page, and if
    /// there is none.
    ///
    /// The part begins at an address that is a multiple of its size. It may begin before the range,
    /// or end after it.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`HmmPages::pfns`].
    #[doc(alias = "hmm_pfn_to_map_order")]
    pub fn map_order(self) -> u32 {
        if !self.is_valid() {
            return 0;
        }
        // SAFETY: `hmm_pfn_to_map_order()` shifts an integer.
        unsafe { bindings::hmm_pfn_to_map_order(self.0) }
    }
}

/// Memory for the result of [`MmuIntervalRegistration::hmm_range_fault`], which can be used again.
///
/// # Examples
///
/// See [`MmuIntervalRegistration::hmm_range_fault`].
///
/// # Invariants
///
/// The flags that C takes over from the input (`HMM_PFN_INOUT_FLAGS`) are not set.
pub struct HmmPfns {
    list: KVVec<HmmPfn>,
}

impl HmmPfns {
    /// Allocates memory for this number of pages.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: An allocation failed.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::hmm::HmmPfns;
    ///
    /// let pfns = HmmPfns::new(64)?;
    /// # let _ = pfns;
    /// # assert_eq!(HmmPfns::new(usize::MAX).err(), Some(ENOMEM));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(pages: usize) -> Result<Self> {
        if pages > MAX_PAGES {
            return Err(ENOMEM);
        }
        // INVARIANT: No flag is set.
        Ok(Self {
            list: KVVec::from_elem(HmmPfn(0), pages, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?,
        })
    }
}

/// The pages of a range, as [`HmmRange::commit`] shows them to its closure.
///
/// # Invariants
///
/// Each valid PFN is one that the process has mapped in the range, with write access if the PFN is
/// writable. It stays mapped for the duration of `'a`: what unmaps it, or changes its permissions,
/// waits.
///
/// # Examples
///
/// See [`MmuIntervalRegistration::hmm_range_fault`].
pub struct HmmPages<'a> {
    pfns: &'a [HmmPfn],
}

impl HmmPages<'_> {
    /// Returns the PFNs, one for each page of the range.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::hmm::HmmPages;
    ///
    /// /// The format of a page table entry of the device.
    /// fn entries<'a>(pages: &'a HmmPages<'_>) -> impl Iterator<Item = usize> + 'a {
    ///     const READ: usize = 1;
    ///     const WRITE: usize = 2;
    ///     pages.pfns().iter().map(|entry| match entry.pfn() {
    ///         Some(pfn) if entry.is_writable() => pfn << 12 | WRITE | READ,
    ///         Some(pfn) => pfn << 12 | READ,
    ///         None => 0,
    ///     })
    /// }
    /// # use kernel::{
    /// #     mm::hmm::{HmmAccess, HmmPfns},
    /// #     mm::mmu_notifier::{InvalidatedRange, MmuIntervalNotifier},
    /// #     page::PAGE_SIZE,
    /// # };
    /// # struct Nothing;
    /// # impl MmuIntervalNotifier for Nothing {
    /// #     type State = ();
    /// #     fn invalidate(&self, _state: &mut (), _range: &InvalidatedRange<'_>) {}
    /// # }
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// #     let mirror = mm.mmu_interval_notifier_insert(addr, 2 * PAGE_SIZE, Nothing, ())?;
    /// #     let mut pfns = HmmPfns::new(2)?;
    /// #     // The second page is not mapped.
    /// #     for (access, present) in [
    /// #         (HmmAccess::Snapshot, [false, false]),
    /// #         (HmmAccess::Write, [true, false]),
    /// #         (HmmAccess::Snapshot, [true, false]),
    /// #     ] {
    /// #         let len = if access == HmmAccess::Write { 1 } else { 2 };
    /// #         mirror
    /// #             .hmm_range_fault(addr, len * PAGE_SIZE, &mut pfns, access, 1000)?
    /// #             .commit(|_, pages| {
    /// #                 assert_eq!(pages.pfns().len(), len);
    /// #                 let first = entries(pages).next();
    /// #                 assert_eq!(first.map(|entry| entry & 3 == 3), Some(present[0]));
    /// #                 for (pfn, present) in pages.pfns().iter().zip(present) {
    /// #                     assert_eq!(pfn.is_valid(), present);
    /// #                     assert_eq!(pfn.is_writable(), present);
    /// #                     assert_eq!(pfn.pfn().is_some(), present);
    /// #                     assert!(!present || pfn.map_order() == 0);
    /// #                 }
    /// #                 assert!(pages.pfns().get(1).map_or(true, |pfn| pfn.is_error()));
    /// #             })?;
    /// #     }
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn pfns(&self) -> &[HmmPfn] {
        self.pfns
    }

    /// Calls `f` with each PFN of a part of the range, the offset in its page, and the part of
    /// `0..len` that it has. Before that, checks all of them by `check`.
    fn for_each_pfn(
        &self,
        offset: usize,
        len: usize,
        check: fn(HmmPfn) -> Result,
        mut f: impl FnMut(HmmPfn, usize, Range<usize>) -> Result,
    ) -> Result {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if end > self.pfns.len() * PAGE_SIZE {
            return Err(EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let pages = offset / PAGE_SIZE..end.div_ceil(PAGE_SIZE);
        for pfn in &self.pfns[pages] {
            check(*pfn)?;
        }
        let mut done = 0;
        while done < len {
            let at = offset + done;
            let in_page = at % PAGE_SIZE;
            let step = (PAGE_SIZE - in_page).min(len - done);
            f(self.pfns[at / PAGE_SIZE], in_page, done..done + step)?;
            done += step;
        }
        Ok(())
    }

    /// Copies bytes of the range, beginning with that at `offset`.
    ///
    /// The process may write them at the same time. A concurrent write may be seen in part.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range.
    /// - `EFAULT`: A page is not valid, is not in the direct map of the kernel, as those of
    ///   `memfd_secret()`, or has been mapped by a driver without a reference. A part may have been
    ///   copied.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// See [`MmuIntervalRegistration::hmm_range_fault`].
    // Not inlined: C does not export all functions of the helpers.
    #[inline(never)]
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result {
        let (len, out) = (out.len(), out.as_mut_ptr());
        let check = |pfn: HmmPfn| pfn.is_valid().then_some(()).ok_or(EFAULT);
        self.for_each_pfn(offset, len, check, |pfn, in_page, part| {
            // SAFETY: `part` is within `out`, which is borrowed exclusively. By the type
            // invariants, the PFN is mapped by the process, so its page is not freed. `in_page` and
            // the length of `part` are within it. The function handles a page that is not in the
            // direct map, and refuses a PFN that has been mapped without a reference to a page.
            let result = unsafe {
                bindings::hmm_pfn_read(out.add(part.start).cast(), pfn.0, in_page, part.len())
            };
            // CAST: The result is zero or an error code.
            to_result(result as c_int)
        })
    }

    /// Copies bytes to the range, beginning with that at `offset`, and marks the pages as dirty.
    ///
    /// A concurrent access may see a part of them.
    ///
    /// A device that writes to the pages does not mark them. If it does so without
    /// [`HmmAccess::Write`], or after the section, the page table entry may have become clean, and
    /// the kernel would drop what has been written. Such a driver calls C's `set_page_dirty()` when
    /// a page is invalidated.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range.
    /// - `EPERM`: A page cannot be written. Nothing is copied.
    /// - `EFAULT`: A page is not valid, is not in the direct map of the kernel, or has been mapped
    ///   by a driver without a reference. A part may have been copied.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// See [`MmuIntervalRegistration::hmm_range_fault`].
    #[doc(alias = "set_page_dirty")]
    #[inline(never)]
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        let check = |pfn: HmmPfn| match (pfn.is_valid(), pfn.is_writable()) {
            (false, _) => Err(EFAULT),
            (true, false) => Err(EPERM),
            (true, true) => Ok(()),
        };
        self.for_each_pfn(offset, bytes.len(), check, |pfn, in_page, part| {
            let bytes = &bytes[part];
            // SAFETY: As in `read()`. The process can write to the page, so it is neither shared
            // with another one by copy-on-write nor the zero page, and Rust code has no reference
            // to its contents. The page is known to be mapped, or is one of a device, so it is not
            // truncated during `set_page_dirty()`, which does not sleep: the kernel calls it with
            // the lock of a page table.
            let result = unsafe {
                bindings::hmm_pfn_write(pfn.0, in_page, bytes.as_ptr().cast(), bytes.len())
            };
            // CAST: The result is zero or an error code.
            to_result(result as c_int)
        })
    }
}

/// The result of [`MmuIntervalRegistration::hmm_range_fault`].
///
/// # Invariants
///
/// `pfns` was filled by `hmm_range_fault()` in the read section, for pages in the range of its
/// notifier.
///
/// # Examples
///
/// See [`MmuIntervalRegistration::hmm_range_fault`].
#[doc(alias = "hmm_range")]
#[must_use = "the pages are not used"]
pub struct HmmRange<'a, T: MmuIntervalNotifier> {
    section: ReadSection<'a, T>,
    pfns: &'a [HmmPfn],
}

impl<T: MmuIntervalNotifier> HmmRange<'_, T> {
    /// As [`ReadSection::commit`], and shows the pages to `f`.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: A part of the range of the notifier has been invalidated. The driver begins
    ///   again with `hmm_range_fault()`, for a limited time.
    /// - `EBUSY`: The task may not sleep here.
    /// - `ENODEV`: The module of the driver is being unloaded.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`MmuIntervalRegistration::hmm_range_fault`].
    #[doc(alias = "mmu_interval_read_retry")]
    pub fn commit<R>(self, f: impl FnOnce(&mut T::State, &HmmPages<'_>) -> R) -> Result<R> {
        let pfns = self.pfns;
        self.section.commit(|state| {
            // INVARIANT: By the type invariants, C has found these pages in the section, whose
            // range they are in. `commit()` has locked the mutex and found out that no callback has
            // run since. One that begins now waits for the mutex before the page tables are
            // changed.
            f(state, &HmmPages { pfns })
        })
    }
}

/// Returns whether the notifier of a registration has all addresses of a range, which must not be
/// empty.
fn contains(head: &Head, addr: usize, len: usize) -> bool {
    // SAFETY: The notifier of a registration has been inserted, which has set these fields. They do
    // not change.
    let (start, last) = unsafe {
        let node = addr_of!((*head.notifier.get()).interval_tree);
        ((*node).start, (*node).last)
    };
    let end = addr.checked_add(len - 1);
    start <= addr && end.is_some_and(|end| end <= last)
}

/// Calls `hmm_range_fault_unlocked_timeout()`, and returns the sequence number of the section.
///
/// # Safety
///
/// - The notifier of `head` must have been inserted, and only `end()` may have removed it. It must
///   contain the range of the pages from `addr` on.
/// - The caller must have a reference on `mm_users` of its address space. The task must be allowed
///   to sleep.
// Not inlined: C does not export the functions of the helper for older kernels.
#[inline(never)]
unsafe fn fault(
    head: &Head,
    addr: usize,
    pfns: &mut [HmmPfn],
    access: HmmAccess,
    timeout: Jiffies,
) -> Result<c_ulong> {
    let fault = bindings::hmm_pfn_flags_HMM_PFN_REQ_FAULT;
    let write = bindings::hmm_pfn_flags_HMM_PFN_REQ_WRITE;
    let mut range = bindings::hmm_range {
        notifier: head.notifier.get(),
        notifier_seq: 0,
        start: addr,
        end: addr + pfns.len() * PAGE_SIZE,
        // CAST: `HmmPfn` is transparent.
        hmm_pfns: pfns.as_mut_ptr().cast(),
        default_flags: match access {
            HmmAccess::Snapshot => 0,
            HmmAccess::Read => fault,
            HmmAccess::Write => fault | write,
        },
        // What is in the buffer is not a request.
        pfn_flags_mask: 0,
        dev_private_owner: null_mut(),
    };
    // SAFETY: The notifier has been inserted, so its address space is allocated. The caller holds a
    // reference on `mm_users`, and the task may sleep. The array has an element for each page of
    // the range.
    let result = to_result(unsafe {
        bindings::hmm_range_fault_unlocked_timeout(&mut range, timeout.clamp(1, MAX_JIFFY_OFFSET))
    });
    match result {
        Ok(()) => Ok(range.notifier_seq),
        Err(err) if err == EBUSY => Err(ETIMEDOUT),
        Err(err) => Err(err),
    }
}

impl<T: MmuIntervalNotifier> MmuIntervalRegistration<T> {
    /// Looks up the pages of a range, in a read section that this begins.
    ///
    /// The range must be a part of that of the notifier. A page fault is one of another task: the
    /// rights of the current task do not matter, so the driver must have checked that it may access
    /// this process. If the range is invalidated meanwhile, this begins again, for `timeout`
    /// jiffies, at least one: C's 0, which has no limit, is not provided. Page faults are not
    /// limited. Linux 7.3 begins to count again when one has released the mmap lock.
    ///
    /// Unlike a pin for writing, this does not refuse a shadow stack of the process.
    ///
    /// Pages that are in the private memory of a device are migrated back by
    /// [`Read`](HmmAccess::Read) and [`Write`](HmmAccess::Write) (`dev_private_owner` is null).
    ///
    /// The mmap lock is taken, so the caller must not hold it, nor any lock that a hook takes.
    ///
    /// C: `hmm_range_fault_unlocked_timeout()`. Older kernels than 7.3 have `hmm_range_fault()`
    /// only, which is called in the same way. There, the mmap lock is held during a page fault, so
    /// one that must release it fails, as that of memory with `userfaultfd()` does.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `addr` or `len` is not a multiple of the page size, `len` is zero, the range is
    ///   not in that of the notifier, or `pfns` has fewer elements.
    /// - `ESRCH`: The address space has no users any more.
    /// - `EFAULT`: A page cannot be faulted in, or has a memory error. A lookup with
    ///   [`Snapshot`](HmmAccess::Snapshot) may tell which.
    /// - `EPERM`: A VMA must not be written.
    /// - `EBUSY`: The task may not sleep here.
    /// - `ETIMEDOUT`: The range was invalidated again and again. (C: `EBUSY`)
    /// - `EINTR`: The task has been killed. C finds out when it takes the mmap lock or tries again.
    /// - `ENOMEM`: An allocation failed. Before 7.3, this is `EFAULT`.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// A device that increments a byte:
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         hmm::{HmmAccess, HmmPfns},
    ///         mmu_notifier::{InvalidatedRange, MmuIntervalNotifier, MmuIntervalRegistration},
    ///     },
    ///     page::PAGE_SIZE,
    ///     time::msecs_to_jiffies,
    /// };
    ///
    /// struct Device;
    ///
    /// impl MmuIntervalNotifier for Device {
    ///     // It has no page table.
    ///     type State = ();
    ///
    ///     fn invalidate(&self, _state: &mut (), _range: &InvalidatedRange<'_>) {}
    /// }
    ///
    /// fn increment(mirror: &MmuIntervalRegistration<Device>, addr: usize) -> Result {
    ///     let mut pfns = HmmPfns::new(1)?;
    ///     let (page, offset) = (addr / PAGE_SIZE * PAGE_SIZE, addr % PAGE_SIZE);
    ///     for _ in 0..100 {
    ///         let timeout = msecs_to_jiffies(1000);
    ///         let range =
    ///             mirror.hmm_range_fault(page, PAGE_SIZE, &mut pfns, HmmAccess::Write, timeout)?;
    ///         let result = range.commit(|_, pages| {
    ///             let mut byte = [0];
    ///             pages.read(offset, &mut byte)?;
    ///             pages.write(offset, &[byte[0] + 1])
    ///         });
    ///         match result {
    ///             Err(EAGAIN) => continue,
    ///             result => return result?,
    ///         }
    ///     }
    ///     Err(EBUSY)
    /// }
    /// # let mut kept = None;
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let mirror = mm.mmu_interval_notifier_insert(addr, 2 * PAGE_SIZE, Device, ())?;
    /// increment(&mirror, addr + 7)?;
    /// increment(&mirror, addr + 7)?;
    /// # let user = kernel::uaccess::UserPtr::from_addr(addr + 7);
    /// # assert_eq!(kernel::uaccess::UserSlice::new(user, 1).reader().read::<u8>()?, 2);
    /// # assert_eq!(increment(&mirror, addr + PAGE_SIZE), Err(EFAULT));
    /// # assert_eq!(increment(&mirror, addr - 1), Err(EINVAL));
    /// # assert_eq!(increment(&mirror, addr + 2 * PAGE_SIZE), Err(EINVAL));
    /// # let mut pfns = HmmPfns::new(2)?;
    /// # let mut refused = |addr, len| {
    /// #     mirror.hmm_range_fault(addr, len, &mut pfns, HmmAccess::Read, 1000).err()
    /// # };
    /// # assert_eq!(refused(addr, 0), Some(EINVAL));
    /// # assert_eq!(refused(addr, 1), Some(EINVAL));
    /// # assert_eq!(refused(addr + 1, PAGE_SIZE), Some(EINVAL));
    /// # assert_eq!(refused(addr, 3 * PAGE_SIZE), Some(EINVAL));
    /// # assert_eq!(refused(addr, usize::MAX - PAGE_SIZE + 1), Some(EINVAL));
    /// # assert_eq!(refused(addr + PAGE_SIZE, 2 * PAGE_SIZE), Some(EINVAL));
    /// # let read = |pages: &kernel::mm::hmm::HmmPages<'_>, offset, len| {
    /// #     pages.read(offset, &mut [0; 8][..len])
    /// # };
    /// # mirror.hmm_range_fault(addr, 2 * PAGE_SIZE, &mut pfns, HmmAccess::Snapshot, 0)?.commit(
    /// #     |_, pages| {
    /// #         assert_eq!(read(pages, PAGE_SIZE - 8, 8), Ok(()));
    /// #         assert_eq!(read(pages, PAGE_SIZE - 7, 8), Err(EFAULT));
    /// #         assert_eq!(read(pages, 2 * PAGE_SIZE - 7, 8), Err(EINVAL));
    /// #         assert_eq!(read(pages, 2 * PAGE_SIZE, 0), Ok(()));
    /// #         assert_eq!(read(pages, usize::MAX, 8), Err(EINVAL));
    /// #         assert_eq!(pages.write(PAGE_SIZE - 1, &[1, 1]), Err(EFAULT));
    /// #     },
    /// # )?;
    /// # let range = mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, HmmAccess::Read, 9)?;
    /// # kernel::mm::kunit::zap(mm, addr)?;
    /// # assert_eq!(range.commit(|_, _| ()), Err(EAGAIN));
    /// # // This maps the zero page, which must not be written.
    /// # mirror.hmm_range_fault(addr, PAGE_SIZE, &mut pfns, HmmAccess::Read, 9)?.commit(
    /// #     |_, pages| assert_eq!(pages.write(0, &[1]), Err(EPERM)),
    /// # )?;
    /// # kept = Some((mirror, addr));
    /// # Ok(())
    /// # })?;
    /// # let (mirror, addr) = kept.ok_or(EINVAL)?;
    /// # assert_eq!(increment(&mirror, addr), Err(ESRCH));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "hmm_range_fault_unlocked_timeout")]
    pub fn hmm_range_fault<'a>(
        &'a self,
        addr: usize,
        len: usize,
        pfns: &'a mut HmmPfns,
        access: HmmAccess,
        timeout: Jiffies,
    ) -> Result<HmmRange<'a, T>> {
        if len == 0 || (addr | len) % PAGE_SIZE != 0 || !contains(self.head(), addr, len) {
            return Err(EINVAL);
        }
        let pfns = pfns.list.get_mut(..len / PAGE_SIZE).ok_or(EINVAL)?;
        if !may_sleep() {
            return Err(EBUSY);
        }
        // C walks over page tables, which `exit_mmap()` would free.
        let mm = self.mm().mmget_not_zero().ok_or(ESRCH)?;
        // SAFETY: By the type invariants, the notifier has been inserted, and only `end()` may have
        // removed it. It contains the range, and the task may sleep, as checked above. `mm` is the
        // reference.
        let seq = unsafe { fault(self.head(), addr, pfns, access, timeout)? };
        drop(mm);
        // INVARIANT: `fault()` has filled the PFNs of this range, which the notifier contains.
        Ok(HmmRange {
            // INVARIANT: C has got the sequence number from `mmu_interval_read_begin()` for this
            // notifier.
            section: ReadSection {
                registration: self,
                seq,
            },
            pfns,
        })
    }
}
