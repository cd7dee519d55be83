// SPDX-License-Identifier: GPL-2.0

//! VMAs under the mmap lock or the VMA lock.

use super::{
    flags,
    vm_flags_t, //
};
use crate::{
    bindings,
    error::{
        code::EINVAL,
        Result, //
    },
    fs::File,
    mm::{
        vm_ops::{
            DriverVma,
            VmOperations, //
        },
        MmWithUser,
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    sync::atomic::{
        atomic_load,
        Relaxed, //
    },
    types::Opaque,
};
use core::ptr;

/// A VMA that is locked, at least for reading.
///
/// It is neither `Send` nor `Sync`: the current task holds the lock.
///
/// # Invariants
///
/// For as long as a reference to this type exists:
///
/// - The VMA is valid: it is allocated and is not freed.
/// - The current task holds the mmap lock of the VMA's mm, or the VMA lock, at least for reading.
/// - `mm_users` of that mm is not zero.
///
/// # Examples
///
/// ```
/// use kernel::mm::virt::flags;
///
/// # kernel::mm::kunit::with_vma(|vma| {
/// // `vma` is a private, writable, anonymous page.
/// assert!(vma.flags() & flags::WRITE != 0);
/// assert!(vma.flags() & flags::SHARED == 0);
/// assert!(vma.file().is_none());
/// assert_eq!(vma.vma_pages(), 1);
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "vm_area_struct")]
#[repr(transparent)]
pub struct VmaRef {
    vma: Opaque<bindings::vm_area_struct>,
}

// These methods need one of the two locks, whatever the flags of the VMA are.
impl VmaRef {
    /// Creates a reference from a C pointer.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Safety
    ///
    /// - `vma` must point to a valid VMA.
    /// - For the duration of `'a`, the caller must hold the mmap lock of the VMA's mm or the VMA
    ///   lock, for reading at least.
    /// - For the duration of `'a`, `mm_users` of that mm must not be zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaRef;
    ///
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// // SAFETY: `vma` is a valid reference, and `same` is not used after it.
    /// let same = unsafe { VmaRef::from_raw(vma.as_ptr()) };
    /// assert_eq!(same.start(), vma.start());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // CAST: `VmaRef` is `repr(transparent)` over `Opaque<vm_area_struct>`.
        let vma: *const Self = vma.cast();

        // SAFETY: The caller guarantees that `vma` points to a VMA. A lock is held for `'a`, so the
        // VMA is not freed.
        // INVARIANT: The caller guarantees the lock and `mm_users` for the duration of `'a`.
        unsafe { &*vma }
    }

    /// Returns the C pointer to this VMA.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// assert!(!vma.as_ptr().is_null());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::vm_area_struct {
        self.vma.get()
    }

    /// Returns the mm that this VMA belongs to.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// let task = current!();
    /// assert_eq!(Some(vma.mm().as_raw()), task.mm().map(|mm| mm.as_raw()));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "vm_mm")]
    #[inline]
    pub fn mm(&self) -> &MmWithUser {
        // SAFETY: `vm_mm` is set when the VMA is allocated and does not change until it is freed.
        // By the type invariants, `mm_users` is not zero for as long as `self` is borrowed.
        unsafe { MmWithUser::from_raw((*self.as_ptr()).vm_mm) }
    }

    /// Returns the flags, a combination of the constants in [`flags`].
    ///
    /// While the lock is held, other tasks do not change the access rights ([`flags::READ`],
    /// [`flags::WRITE`], [`flags::EXEC`] and their `MAY` flags), [`flags::SHARED`],
    /// [`flags::PFNMAP`], [`flags::MIXEDMAP`] and [`flags::DONTEXPAND`]. The core mm may change
    /// other flags, so two calls may return different values.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::flags;
    ///
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// assert!(vma.flags() & flags::READ != 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "vm_flags")]
    #[inline]
    pub fn flags(&self) -> vm_flags_t {
        // SAFETY: By the type invariants, the VMA is valid, and this reads one aligned word of it.
        // Under a read lock, C code changes only single bits of the word: by an atomic operation
        // (`vma_set_atomic_flag()`), or by one store (`untrack_pfn()` of 6.12). `READ_ONCE()`
        // returns the value before or after, and is no data race with these.
        unsafe {
            atomic_load(
                ptr::addr_of!((*self.as_ptr()).__bindgen_anon_2.vm_flags).cast_mut(),
                Relaxed,
            )
        }
    }

    /// Returns the start address.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// assert_eq!(vma.start() % kernel::page::PAGE_SIZE, 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "vm_start")]
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: C code stores to `vm_start` only with both the mmap lock and the VMA lock held
        // for writing. By the type invariants, one of them is held here for reading at least, so
        // there is no data race.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_start }
    }

    /// Returns the exclusive end address.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// assert!(vma.start() < vma.end());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "vm_end")]
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: C code stores to `vm_end` only with both the mmap lock and the VMA lock held for
        // writing. By the type invariants, one of them is held here for reading at least, so there
        // is no data race.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_end }
    }

    /// Returns the length in pages.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::page::PAGE_SIZE;
    ///
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// assert_eq!(vma.vma_pages() * PAGE_SIZE, vma.end() - vma.start());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vma_pages(&self) -> usize {
        // The end is greater than the start, so the subtraction does not wrap.
        self.end().wrapping_sub(self.start()) >> PAGE_SHIFT
    }

    /// Returns the file that is mapped, or `None` for a VMA without a file.
    ///
    /// This may be another file than the one passed to `mmap()`, as an `->mmap()` hook may replace
    /// it (`vma_set_file()`). Use `ARef::from(file)` to hold a reference that outlives the lock.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     fs::File,
    ///     sync::aref::ARef, //
    /// };
    ///
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// let file: ARef<File> = vma.file().ok_or(ENODEV)?.into();
    /// # drop(file);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "vm_file")]
    #[inline]
    pub fn file(&self) -> Option<&File> {
        // SAFETY: By the type invariants, the VMA is valid. C code stores to `vm_file` only before
        // the VMA can be found by another task: in `mmap_region()`, in `dup_mmap()` and the other
        // functions that create a VMA, and in `->mmap()` hooks, for example by `vma_set_file()`.
        let file = unsafe { (*self.as_ptr()).vm_file };

        if file.is_null() {
            None
        } else {
            // SAFETY: The VMA holds a reference to its file until it is freed, and the borrow ends
            // before that. While that reference exists, `fdget_pos()` of another task does not skip
            // `f_pos_lock`: see `file_needs_f_pos_lock()`.
            Some(unsafe { File::from_raw_file(file) })
        }
    }

    /// Returns `vm_pgoff`: the page offset in the file of the VMA's first page.
    ///
    /// For anonymous memory, the value has a meaning only to the core mm.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::virt::VmaRef,
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Returns the page offset that is mapped at `address`.
    /// fn pgoff_at(vma: &VmaRef, address: usize) -> Option<usize> {
    ///     let range = vma.start()..vma.end();
    ///     range.contains(&address).then(|| vma.pgoff() + (address - vma.start()) / PAGE_SIZE)
    /// }
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     assert_eq!(pgoff_at(vma, vma.start() + PAGE_SIZE), Some(1));
    /// #     assert_eq!(pgoff_at(vma, vma.start() - 1), None);
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "vm_pgoff")]
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: C code stores to `vm_pgoff` where it stores to `vm_start`, with both the mmap
        // lock and the VMA lock held for writing. By the type invariants, one of them is held here
        // for reading at least, so there is no data race.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    /// Removes the pages at `address .. address + size` from the page tables.
    ///
    /// [`DriverVma::zap_vma_range`] documents it.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the range is invalid.
    ///
    /// # Safety
    ///
    /// - The VMA must not be of hugetlbfs, and no PUD of the VMA may map a huge page.
    /// - If [`is_tracked`](Self::is_tracked), the mmap lock must be held for writing.
    #[inline]
    pub(super) unsafe fn zap(&self, address: usize, size: usize) -> Result {
        let end = address.checked_add(size).ok_or(EINVAL)?;
        if (address | size) % PAGE_SIZE != 0
            || size == 0
            || address < self.start()
            || self.end() < end
        {
            return Err(EINVAL);
        }

        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held, so
        // `free_pgtables()` does not free the page tables of the VMA. The page table walk ends
        // where an address equals the end of the range, so both must be page-aligned, and the range
        // must lie within the VMA. That has been checked above. The caller guarantees that there is
        // no huge page of which a part could be zapped, and that `untrack_pfn()` of 6.12 does not
        // run twice at a time.
        unsafe { bindings::zap_vma_range(self.as_ptr(), address, size) };
        Ok(())
    }

    /// Returns whether 6.12 looks up the memory type of the VMA in its page tables (`VM_PAT`), as
    /// it does for a PFN mapping of the whole VMA on x86.
    ///
    /// Each zap of such a VMA, also of a part, releases the memory type of the whole VMA
    /// (`untrack_pfn()`). If two tasks do this at a time, one of them finds no page table entry,
    /// and `get_pat_info()` warns. Later kernels do not set the flag.
    #[inline]
    pub(super) fn is_tracked(&self) -> bool {
        const TRACKED: vm_flags_t = flags::PFNMAP | flags::ARCH_1;

        cfg!(CONFIG_X86) && self.flags() & TRACKED == TRACKED
    }

    /// Removes the pages at `address .. address + size` from the page tables, whatever driver the
    /// VMA belongs to.
    ///
    /// Drivers use [`DriverVma::zap_vma_range`]: the owner of another VMA may depend on what is
    /// mapped there. This method exists only for drivers of the kernel that were written for its
    /// own abstractions.
    ///
    /// The call silently does nothing where [`DriverVma::zap_vma_range`] fails, and if huge pages
    /// can be mapped in the VMA, as C code can only zap whole huge pages.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    #[cfg(CONFIG_RUST_VMA_OF_ANY_OWNER)]
    #[doc(alias("zap_page_range_single", "zap_vma_ptes"))]
    #[inline]
    pub fn zap_vma_range(&self, address: usize, size: usize) {
        // `__unmap_hugepage_range()` has a `BUG_ON()` for a part of a huge page, and
        // `zap_pud_range()` of 6.12 asserts the mmap lock for it.
        if self.flags() & flags::HUGETLB == 0 && !self.may_map_huge() && !self.is_tracked() {
            // SAFETY: All of this has been checked.
            let _ = unsafe { self.zap(address, size) };
        }
    }

    /// Returns the VMA as a [`VmaMixedMap`] if [`flags::MIXEDMAP`] is set, whatever driver the VMA
    /// belongs to.
    ///
    /// Drivers use [`DriverVma::as_mixedmap_vma`]: the owner of another VMA may depend on what is
    /// mapped there. This method exists only for drivers of the kernel that were written for its
    /// own abstractions.
    ///
    /// Returns `None` also if `vm_ops->huge_fault` is set: `get_locked_pte()`, which
    /// `vm_insert_page()` uses, does not check for a huge PUD.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    #[cfg(CONFIG_RUST_VMA_OF_ANY_OWNER)]
    #[inline]
    pub fn as_mixedmap_vma(&self) -> Option<&super::VmaMixedMap> {
        if self.flags() & flags::MIXEDMAP == 0 || self.may_map_huge() {
            return None;
        }

        // SAFETY: `VM_MIXEDMAP` is set, and C code does not clear it. As `may_map_huge()` returned
        // `false`, no PUD of the VMA maps a huge page. The other requirements are the invariants of
        // `VmaRef`, which hold while `self` is borrowed. With this option, callers guarantee that
        // they insert no page in a VMA of another driver.
        Some(unsafe { super::VmaMixedMap::from_raw(self.as_ptr()) })
    }

    /// Returns the VMA as a [`DriverVma<T>`] if its `vm_ops` are those of `T`.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     virt::VmaRef,
    ///     vm_ops::VmOperations, //
    /// };
    ///
    /// /// Zaps `vma`, unless userspace has mapped something else at this address meanwhile. The
    /// /// next access calls `T::fault()`. Other VMAs, such as those of a child, keep the pages.
    /// fn zap_own<T: VmOperations>(own: &T, vma: &VmaRef) -> Result {
    ///     let vma = vma.downcast::<T>().ok_or(EINVAL)?;
    ///     // The driver's `vm_ops` are those of its other open files, too.
    ///     if !core::ptr::eq(&*vma.data(), own) {
    ///         return Err(EINVAL);
    ///     }
    ///     vma.zap_vma_range(vma.start(), vma.end() - vma.start())
    /// }
    /// ```
    #[inline]
    pub fn downcast<T: VmOperations>(&self) -> Option<&DriverVma<T>> {
        if !ptr::eq(self.vm_ops(), T::table().as_ptr()) {
            return None;
        }

        // SAFETY: The `vm_ops` of the VMA are those of `T`. The other requirements are the
        // invariants of `VmaRef`, which hold while `self` is borrowed.
        Some(unsafe { DriverVma::from_raw(self.as_ptr()) })
    }

    /// Returns the `vm_ops` of the VMA.
    #[inline]
    fn vm_ops(&self) -> *const bindings::vm_operations_struct {
        // SAFETY: By the type invariants, the VMA is valid, and this reads one aligned word of it.
        // `vm_ops` is set before the VMA can be found. Code that replaces it later stores one
        // pointer, so `READ_ONCE()` returns the pointer before or after. That of a driver's VMA is
        // replaced by `vma_close()` only, after the VMA has been detached.
        unsafe { atomic_load(ptr::addr_of!((*self.as_ptr()).vm_ops).cast_mut(), Relaxed) }
    }

    /// Returns whether the `vm_ops` of the VMA can map huge pages.
    #[cfg(CONFIG_RUST_VMA_OF_ANY_OWNER)]
    #[inline]
    fn may_map_huge(&self) -> bool {
        let ops = self.vm_ops();

        // SAFETY: `vm_ops` is null or points to a constant in the kernel or in a module. The file
        // of the VMA holds a reference to that module for as long as the VMA exists.
        !ops.is_null() && unsafe { (*ops).huge_fault.is_some() }
    }
}
