// SPDX-License-Identifier: GPL-2.0

//! How much memory an address space uses, and the file that the process executes.
//!
//! `/proc/<pid>/status` has these figures in KiB. They change at any time, and say nothing about a
//! single page. They stay as they are when the address space has no users any more, except for
//! [`get_mm_rss`](Mm::get_mm_rss).
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    fs::File,
    mm::Mm,
    sync::{
        aref::ARef,
        atomic::{
            atomic_load,
            Relaxed, //
        },
    },
};
use core::ptr::{
    addr_of_mut,
    NonNull, //
};

impl Mm {
    /// Returns the number of pages of physical memory that are mapped (RSS; `VmRSS`).
    ///
    /// It is not exact: each CPU has a counter, which it adds to that of the mm from time to time.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Mm;
    ///
    /// /// Returns whether a process uses so much memory that its buffer should shrink.
    /// fn is_large(mm: &Mm, limit: usize) -> bool {
    ///     mm.get_mm_rss() > limit
    /// }
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// #     assert!(!is_large(mm, 1 << 20));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_mm_rss(&self) -> usize {
        // SAFETY: The `mm_struct` is allocated by the type invariant. `__mmdrop()` frees the
        // counters with it. `get_mm_rss()` only reads them.
        unsafe { bindings::get_mm_rss(self.as_raw()) }
    }

    /// Returns the number of pages of all VMAs (`VmSize`).
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// assert_eq!(mm.total_vm(), 1);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn total_vm(&self) -> usize {
        // SAFETY: The `mm_struct` is allocated by the type invariant. This is an aligned field of
        // it, which is stored to as one word, with the mmap lock held for writing.
        unsafe {
            let total_vm = addr_of_mut!((*self.as_raw()).__bindgen_anon_1.total_vm);
            atomic_load(total_vm, Relaxed)
        }
    }

    /// Returns the number of pages that `mlock()` and drivers have locked (`VmLck`).
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::pin::{Accounting, LongtermPages, ReadOnly};
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let pages: LongtermPages<ReadOnly> =
    ///     current!().pin_user_pages_longterm(addr, 1, Accounting::LockedVm)?;
    /// assert_eq!(mm.locked_vm(), 1);
    /// # assert_eq!(mm.pinned_vm(), 0);
    /// # drop(pages);
    /// # assert_eq!(mm.locked_vm(), 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn locked_vm(&self) -> usize {
        // SAFETY: As in `total_vm()`.
        unsafe {
            let locked_vm = addr_of_mut!((*self.as_raw()).__bindgen_anon_1.locked_vm);
            atomic_load(locked_vm, Relaxed)
        }
    }

    /// Returns the number of pages that drivers have pinned and charged (`VmPin`).
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::pin::{Accounting, LongtermPages, ReadOnly};
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let pages: LongtermPages<ReadOnly> =
    ///     current!().pin_user_pages_longterm(addr, 1, Accounting::PinnedVm)?;
    /// assert_eq!(mm.pinned_vm(), 1);
    /// # assert_eq!(mm.locked_vm(), 0);
    /// # drop(pages);
    /// # assert_eq!(mm.pinned_vm(), 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn pinned_vm(&self) -> usize {
        // SAFETY: The `mm_struct` is allocated by the type invariant. The field is atomic.
        //
        // CAST: A number of pages is not negative, and fits.
        unsafe { bindings::mm_pinned_vm_read(self.as_raw()) as usize }
    }

    /// Returns the file that the process executes: `/proc/<pid>/exe`.
    ///
    /// It returns `None` if the address space has no users any more, or no `execve()` has been
    /// called for it.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{fs::File, mm::MmWithUser, sync::aref::ARef};
    ///
    /// /// Returns whether two processes execute the same open file, as those of one `fork()` do.
    /// fn same_program(one: &MmWithUser, other: &MmWithUser) -> bool {
    ///     let file = |mm: &MmWithUser| Some(mm.get_mm_exe_file()?.as_ptr());
    ///     file(one).is_some() && file(one) == file(other)
    /// }
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// #     // No program has been executed with this address space.
    /// #     assert!(!same_program(mm, mm));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    // Not inlined, as C does not export `get_mm_exe_file()`.
    #[inline(never)]
    pub fn get_mm_exe_file(&self) -> Option<ARef<File>> {
        // SAFETY: The `mm_struct` is allocated by the type invariant. C reads the field under RCU,
        // and takes a reference unless the file is being released.
        let file = NonNull::new(unsafe { bindings::get_mm_exe_file(self.as_raw()) })?;
        // SAFETY: This is the reference that was taken. The file was opened by `execve()` for the
        // kernel, or is one that `prctl()` has found in the file descriptor table of its caller.
        // The address space holds a reference, so an `fdget_pos()` that began after that takes the
        // lock. One that began before is one of the caller of `prctl()`, and has ended, or of
        // another task with that table, and has taken the lock.
        //
        // CAST: `File` is transparent around `file`.
        Some(unsafe { ARef::from_raw(file.cast()) })
    }
}
