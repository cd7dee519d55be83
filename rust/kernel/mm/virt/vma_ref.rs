// SPDX-License-Identifier: GPL-2.0

//! VMAs under the mmap lock or the VMA lock.

use super::{
    flags,
    vm_flags_t,
    VmaMixedMap, //
};
use crate::{
    bindings,
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
    /// fn pgoff_at(vma: &VmaRef, address: usize) -> usize {
    ///     vma.pgoff() + (address - vma.start()) / PAGE_SIZE
    /// }
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     assert_eq!(pgoff_at(vma, vma.start() + PAGE_SIZE), 1);
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
    /// The content of a page is lost if nothing else refers to the page (private anonymous
    /// memory), and kept otherwise (the page cache, pages of a driver). The VMA stays. The next
    /// access faults, so a driver that revokes memory must make `fault()` fail first: a concurrent
    /// page fault may map a page again at once.
    ///
    /// The call silently does nothing if
    ///
    /// - `address` or `size` is not a multiple of [`PAGE_SIZE`], or `size` is zero,
    /// - the range does not lie within the VMA, or
    /// - the VMA belongs to hugetlbfs ([`flags::HUGETLB`]), as C code can only zap whole huge pages
    ///   there.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// vma.zap_vma_range(vma.start(), vma.end() - vma.start());
    /// # // These have no effect: not aligned, longer than the VMA, empty.
    /// # vma.zap_vma_range(vma.start() + 1, 4096);
    /// # vma.zap_vma_range(vma.start(), usize::MAX & !4095);
    /// # vma.zap_vma_range(vma.start(), 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("zap_page_range_single", "zap_vma_ptes"))]
    #[inline]
    pub fn zap_vma_range(&self, address: usize, size: usize) {
        let Some(end) = address.checked_add(size) else {
            return;
        };
        if (address | size) % PAGE_SIZE != 0
            || size == 0
            || address < self.start()
            || self.end() < end
            || self.flags() & flags::HUGETLB != 0
        {
            return;
        }

        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held, so
        // `free_pgtables()` does not free the page tables of the VMA. The page table walk ends
        // where an address equals the end of the range, so both must be page-aligned, and the range
        // must lie within the VMA. `__unmap_hugepage_range()` has a `BUG_ON()` for a part of a huge
        // page. All of this has been checked above.
        unsafe { bindings::zap_vma_range(self.as_ptr(), address, size) };
    }

    /// Returns the VMA as a [`VmaMixedMap`] if [`flags::MIXEDMAP`] is set.
    ///
    /// Returns `None` also if `vm_ops->huge_fault` is set: `get_locked_pte()`, which
    /// `vm_insert_page()` uses, does not check for a huge PUD.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_vma(|vma| {
    /// // A driver cannot map its pages in anonymous memory.
    /// assert!(vma.as_mixedmap_vma().is_none());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_mixedmap_vma(&self) -> Option<&VmaMixedMap> {
        if self.flags() & flags::MIXEDMAP == 0 || self.may_map_huge() {
            return None;
        }

        // SAFETY: `VM_MIXEDMAP` is set, and C code does not clear it. As `may_map_huge()` returned
        // `false`, no PUD of the VMA maps a huge page. The other requirements are the invariants of
        // `VmaRef`, which hold while `self` is borrowed.
        Some(unsafe { VmaMixedMap::from_raw(self.as_ptr()) })
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
    /// /// Zaps `vma`, unless userspace has mapped something else at this address meanwhile.
    /// fn revoke<T: VmOperations>(vma: &VmaRef) {
    ///     if let Some(vma) = vma.downcast::<T>() {
    ///         vma.zap_vma_range(vma.start(), vma.end() - vma.start());
    ///     }
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
    #[inline]
    fn may_map_huge(&self) -> bool {
        let ops = self.vm_ops();

        // SAFETY: `vm_ops` is null or points to a constant in the kernel or in a module. The file
        // of the VMA holds a reference to that module for as long as the VMA exists.
        !ops.is_null() && unsafe { (*ops).huge_fault.is_some() }
    }
}
