// SPDX-License-Identifier: GPL-2.0

//! VMAs that an `->mmap()` hook sets up.

use super::{
    flags,
    vm_flags_t,
    VmaMixedMap,
    VmaRef, //
};
use crate::{
    bindings,
    error::{
        code::{
            EBUSY,
            EINVAL, //
        },
        Result, //
    },
    mm::vm_ops::{
        self,
        DriverVma,
        MmapHook,
        VmOperations,
        VmOpsTable, //
    },
    sync::Arc,
};
use core::{
    ffi::c_int,
    ops::Deref,
    ptr, //
};

/// A VMA that an `->mmap()` hook sets up.
///
/// No other task can find the VMA yet, so the hook may set its flags and map its pages. If the hook
/// succeeds, the core mm inserts the VMA into the maple tree, or merges it with a neighbour and
/// frees it. If the hook fails, the core mm frees the VMA.
///
/// # Invariants
///
/// - The invariants of [`VmaRef`] hold.
/// - The current task holds the mmap lock for writing.
/// - The VMA is not in the maple tree of its mm, and no other task has a pointer to it.
/// - `VM_PFNMAP` was not set when C code called the hook. Only the unsafe functions of
///   [`pfnmap`](crate::mm::pfnmap) set it later.
///
/// # Examples
///
/// The hook of a driver whose memory is not writable:
///
/// ```
/// use kernel::mm::{virt::VmaNew, UserPage};
///
/// fn mmap(vma: &VmaNew, page: &UserPage) -> Result {
///     if vma.pgoff() != 0 {
///         return Err(EINVAL);
///     }
///     // Fails if the VMA is writable. Otherwise `mprotect()` cannot make it writable later.
///     vma.try_clear_maywrite()?;
///     vma.set_mixedmap().vm_insert_page(vma.start(), page)
/// }
/// # let page = UserPage::alloc_page(GFP_KERNEL)?;
/// # // The fixture maps the file for writing.
/// # assert_eq!(kernel::mm::kunit::with_vma_new(|vma| mmap(vma, &page)), Err(EINVAL));
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct VmaNew {
    vma: VmaRef,
}

impl Deref for VmaNew {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.vma
    }
}

impl VmaNew {
    /// Creates a reference from the C pointer that an `->mmap()` hook was called with.
    ///
    /// # Context
    ///
    /// Process context. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// - C code must be calling an `->mmap()` hook with `vma`, during `mmap_region()`. The hook
    ///   must not return during `'a`.
    /// - `VM_PFNMAP` must not have been set in the flags of the VMA when C code called the hook.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     mm::virt::VmaNew, //
    /// };
    ///
    /// /// # Safety
    /// ///
    /// /// `mmap_region()` must call it, with a VMA that it sets up.
    /// unsafe extern "C" fn mmap(
    ///     _file: *mut bindings::file,
    ///     vma: *mut bindings::vm_area_struct,
    /// ) -> i32 {
    ///     // SAFETY: `mmap_region()` calls this hook with the VMA that it sets up. It does not set
    ///     // `VM_PFNMAP`.
    ///     let vma = unsafe { VmaNew::from_raw(vma) };
    ///     vma.set_dontexpand();
    ///     0
    /// }
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *mut bindings::vm_area_struct) -> &'a Self {
        // CAST: `VmaNew` is `repr(transparent)` over `VmaRef`, which is `repr(transparent)` over
        // `Opaque<vm_area_struct>`.
        let vma: *mut Self = vma.cast();

        // SAFETY: The caller guarantees that this is the VMA of an `->mmap()` hook, which does not
        // return during `'a`, so the VMA is valid. INVARIANT: `mmap_region()` holds the mmap lock
        // of the current task's mm for writing. It has just allocated the VMA, and has not inserted
        // it into the maple tree. The mm is that of the current task, so `mm_users` is not zero.
        // The caller guarantees the flag.
        unsafe { &*vma }
    }

    /// Runs `hook` as the body of an `->mmap()` hook, and returns what the hook must return.
    ///
    /// If an `->mmap()` hook fails, the core mm does not call `->close()` of the `vm_ops` that the
    /// hook has set. This function then calls [`VmOperations::close`], and releases the data that
    /// [`set_ops`](Self::set_ops) has attached.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// - The requirements of [`from_raw`](Self::from_raw) must be met. The `->mmap()` hook must not
    ///   return before this function does.
    /// - The `->mmap()` hook must return what this function returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     mm::virt::VmaNew, //
    /// };
    ///
    /// /// # Safety
    /// ///
    /// /// `mmap_region()` must call it, with a VMA that it sets up.
    /// unsafe extern "C" fn mmap(
    ///     _file: *mut bindings::file,
    ///     vma: *mut bindings::vm_area_struct,
    /// ) -> i32 {
    ///     // SAFETY: `mmap_region()` calls this hook with the VMA that it sets up, and the hook
    ///     // returns what `run_mmap_hook()` returns.
    ///     unsafe { VmaNew::run_mmap_hook(vma, |vma| vma.try_clear_maywrite()) }
    /// }
    /// ```
    pub unsafe fn run_mmap_hook(
        vma: *mut bindings::vm_area_struct,
        hook: impl FnOnce(&Self) -> Result,
    ) -> c_int {
        // SAFETY: The caller guarantees the requirements of `from_raw()` until this function
        // returns.
        let vma = unsafe { Self::from_raw(vma) };

        match hook(vma) {
            Ok(()) => 0,
            Err(err) => {
                if let Some(table) = VmOpsTable::of(vma) {
                    // Other threads of the process cannot find the VMA, but can already access its
                    // pages. They are unmapped first, as `close()` or the drop of the data may free
                    // the memory: a PFN mapping holds no reference.
                    if vma.flags() & (flags::PFNMAP | flags::MIXEDMAP) != 0 {
                        // The whole VMA is a valid range.
                        let _ = vma.zap_vma_range(vma.start(), vma.end() - vma.start());
                    }
                    // SAFETY: `table` is what `set_ops()` has stored in this VMA. References that
                    // `hook` has derived from the VMA have ended with it.
                    unsafe { table.clear(vma) };
                }
                err.to_errno()
            }
        }
    }

    /// Attaches `data` to the VMA, together with the `vm_ops` of its type.
    ///
    /// The VMA holds the reference `data` until it is unmapped. Each VMA that the core mm makes
    /// from it later (`fork()`, `mremap()`, a split) holds a reference of its own: see
    /// [`vm_ops`](crate::mm::vm_ops). This calls [`VmOperations::open`] for the VMA. If the hook
    /// fails after this, [`run_mmap_hook`](Self::run_mmap_hook) calls [`VmOperations::close`] and
    /// drops the reference. A hook that uses [`from_raw`](Self::from_raw) instead leaks it.
    ///
    /// A hook that charges something for the VMA before this, which `close` uncharges, must
    /// uncharge it itself if this fails, and must not if a later step fails.
    ///
    /// This sets [`flags::DONTEXPAND`]. Otherwise, the core mm would merge VMAs of one file without
    /// comparing their data.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: `set_ops()` was already called for this VMA, or `T` has
    ///   [`page_mkwrite`](VmOperations::page_mkwrite) and [`set_mixedmap`](Self::set_mixedmap) was
    ///   called before: pages that were mapped since could be written to without a call of
    ///   `page_mkwrite`.
    /// - `EINVAL`: `T` is in a module that is not the `owner` of the VMA's `file_operations`. The
    ///   VMA outlives the file descriptor, and holds only its file. The file holds only that
    ///   module, and no other.
    ///
    /// In each case, `data` is dropped, and `open` is not called.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     impl_has_vm_ops,
    ///     mm::vm_ops::{MmapHook, VmOperations},
    ///     sync::Arc, //
    /// };
    ///
    /// struct Registers;
    ///
    /// impl_has_vm_ops!(Registers);
    ///
    /// #[vtable]
    /// impl VmOperations for Registers {
    ///     type Hook = MmapHook;
    /// }
    ///
    /// let registers = Arc::new(Registers, GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// vma.set_ops(registers.clone())?;
    /// assert!(vma.downcast::<Registers>().is_some());
    /// assert!(matches!(vma.set_ops(registers), Err(err) if err == EBUSY));
    /// # Ok(())
    /// # })?;
    /// # struct NoWrite;
    /// #
    /// # impl_has_vm_ops!(NoWrite);
    /// #
    /// # #[vtable]
    /// # impl VmOperations for NoWrite {
    /// #     type Hook = MmapHook;
    /// #
    /// #     fn page_mkwrite(_: &kernel::mm::vm_ops::DriverVma<Self>, _pgoff: usize) -> Result {
    /// #         Err(EPERM)
    /// #     }
    /// # }
    /// #
    /// # // A page that the hook inserts is not writable without `page_mkwrite()`.
    /// # use kernel::mm::{kunit::{read_page, write_page}, virt::VmaNew, UserPage};
    /// # let no_write = Arc::new(NoWrite, GFP_KERNEL)?;
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # let insert = |vma: &VmaNew| {
    /// #     vma.set_ops(no_write.clone())?;
    /// #     vma.set_mixedmap().vm_insert_page(vma.start(), &page)
    /// # };
    /// # assert_eq!(read_page(0, insert), Ok(0));
    /// # assert_eq!(write_page(0, insert), Err(EFAULT));
    /// # // A page that was inserted before could be writable.
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     vma.set_mixedmap().vm_insert_page(vma.start(), &page)?;
    /// #     assert!(matches!(vma.set_ops(no_write.clone()), Err(err) if err == EBUSY));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("vm_ops", "vm_private_data"))]
    #[inline]
    pub fn set_ops<T>(&self, data: Arc<T>) -> Result<&DriverVma<T>>
    where
        T: VmOperations<Hook = MmapHook>,
    {
        if VmOpsTable::of(self).is_some()
            || (T::HAS_PAGE_MKWRITE && self.flags() & flags::MIXEDMAP != 0)
        {
            return Err(EBUSY);
        }
        // SAFETY: The VMA is valid by the type invariants, and holds a reference to its file.
        if !unsafe { T::table().is_kept_by((*self.as_ptr()).vm_file) } {
            return Err(EINVAL);
        }

        self.set_dontexpand();
        // SAFETY: The VMA is valid, and no other task has a pointer to it by the type invariants.
        // The two fields belong to the hook. The VMA had no data, so no reference to its data
        // exists that this could invalidate.
        unsafe {
            (*self.as_ptr()).vm_private_data = Arc::into_raw(data).cast_mut().cast();
            (*self.as_ptr()).vm_ops = T::table().as_ptr();
        }
        if T::HAS_PAGE_MKWRITE {
            self.protect_from_writes();
        }
        // SAFETY: The VMA has the `vm_ops` of `T`, and has taken over the reference `data`. No
        // other task has a pointer to it by the type invariants.
        unsafe { vm_ops::opened_by_hook::<T>(self.as_ptr()) };
        // SAFETY: As above. The other requirements are the invariants of `VmaRef`, which hold while
        // `self` is borrowed.
        Ok(unsafe { DriverVma::from_raw(self.as_ptr()) })
    }

    /// Has `vm_insert_page()` map pages read-only if `vm_ops->page_mkwrite` is set and the VMA is
    /// shared, so that the first write calls it.
    ///
    /// The core mm does the same (`vma_set_page_prot()`), but only after the hook.
    fn protect_from_writes(&self) {
        // SAFETY: The VMA is valid, and no other task has a pointer to it by the type invariants.
        // The function computes `vm_page_prot` from the flags and `vm_ops`, and keeps its cache
        // mode. `__mmap_region()` (7.3: `__mmap_complete()`) calls it for each VMA.
        unsafe { bindings::vma_set_page_prot(self.as_ptr()) };
    }

    /// Removes the pages at `address .. address + size` from the page tables, for example because
    /// a later step of the hook has failed.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `address` or `size` is not a multiple of
    ///   [`PAGE_SIZE`](crate::page::PAGE_SIZE), `size` is zero, or the range does not lie within
    ///   the VMA.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{virt::VmaNew, UserPage}, page::PAGE_SIZE};
    ///
    /// /// Maps `page`, and `other` in place of it if the device wants that.
    /// fn mmap(vma: &VmaNew, page: &UserPage, other: Option<&UserPage>) -> Result {
    ///     if vma.pgoff() != 0 {
    ///         return Err(EINVAL);
    ///     }
    ///     let mixed = vma.set_mixedmap();
    ///     mixed.vm_insert_page(vma.start(), page)?;
    ///     if let Some(other) = other {
    ///         vma.zap_vma_range(vma.start(), PAGE_SIZE)?;
    ///         mixed.vm_insert_page(vma.start(), other)?;
    ///     }
    ///     Ok(())
    /// }
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # let other = UserPage::alloc_page(GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     mmap(vma, &page, Some(&other))?;
    /// #     let (start, end) = (vma.start(), vma.end());
    /// #     for (address, size) in [
    /// #         (start, 0),
    /// #         (start, PAGE_SIZE / 2),
    /// #         (start - 1, PAGE_SIZE),
    /// #         (end, PAGE_SIZE),
    /// #         (0, end),
    /// #         (start, usize::MAX & !(PAGE_SIZE - 1)),
    /// #         (usize::MAX, 1),
    /// #     ] {
    /// #         assert_eq!(vma.zap_vma_range(address, size), Err(EINVAL));
    /// #     }
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn zap_vma_range(&self, address: usize, size: usize) -> Result {
        // SAFETY: `mmap()` of hugetlbfs is C code. Nothing maps a huge page in a new VMA: the
        // functions that a hook can call do not. By the type invariants, the mmap lock is held for
        // writing.
        unsafe { self.zap(address, size) }
    }

    /// Sets the flags in `set` and clears those in `unset`.
    ///
    /// # Safety
    ///
    /// The resulting flags must be valid for a VMA that an `->mmap()` hook sets up.
    #[inline]
    pub(in crate::mm) unsafe fn update_flags(&self, set: vm_flags_t, unset: vm_flags_t) {
        let flags = (self.flags() | set) & !unset;

        // SAFETY: The VMA is valid, and no other task has a pointer to it by the type invariants.
        // `VmaNew` is not `Sync`, so two calls do not overlap. As in `vm_flags_init()`, a store
        // suffices before the VMA is in the maple tree. The caller guarantees that the combination
        // is allowed.
        unsafe { ptr::addr_of_mut!((*self.as_ptr()).__bindgen_anon_2.vm_flags).write(flags) };
    }

    /// Sets [`flags::MIXEDMAP`]: the driver may map its pages in the VMA.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::UserPage;
    ///
    /// let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// vma.set_mixedmap().vm_insert_page(vma.start(), &page)?;
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set_mixedmap(&self) -> &VmaMixedMap {
        // SAFETY: `VM_MIXEDMAP` must not be combined with `VM_PFNMAP`. That was not set when the
        // hook was called. Only the unsafe functions of `mm::pfnmap` set it, whose callers
        // guarantee that this function is not called for the same VMA.
        unsafe { self.update_flags(flags::MIXEDMAP, 0) };

        // SAFETY: `VM_MIXEDMAP` was set above. Nothing maps a huge page in a new VMA: the
        // functions that a hook can call do not. The driver whose hook runs owns the VMA. The other
        // requirements are the invariants of `VmaNew`, which hold while `self` is borrowed.
        unsafe { VmaMixedMap::from_raw(self.as_ptr()) }
    }

    flags::impl_set_flags!(self, &Self, "with_vma_new");
    flags::impl_new_vma_flags!(self, &Self, "with_vma_new");
}
