// SPDX-License-Identifier: GPL-2.0

//! PFN mappings, such as of the MMIO registers of a device.
//!
//! A PFN mapping holds no reference on what it maps. The core mm therefore does not prevent that
//! the memory is freed and reused while userspace can still access it. The driver must prevent it,
//! which is why most functions here are unsafe. A driver can rely on this: data that it has
//! attached to the VMA ([`VmaNew::set_ops`]) is dropped only after the last PFN has been unmapped,
//! in the VMA and in all VMAs that were made from it, also if the `->mmap()` hook fails.
//!
//! That is about the CPUs of this kernel. What userspace has put into an IOMMU by VFIO, or into the
//! page tables of an ACRN guest, stays until userspace removes it, not until the VMA is unmapped:
//! type 1 of VFIO (`follow_fault_pfn()`) and `acrn_vm_ram_map()` take PFNs of MMIO and of reserved
//! pages. Neither holds a reference on the driver's file. PFNs of other memory are refused.
//!
//! [`flags::PFNMAP`] and [`flags::MIXEDMAP`] must not be combined: for a VMA with both, the core mm
//! would take a mapped PFN for a page with a refcount.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    error::{
        code::{
            EBUSY,
            EINVAL, //
        },
        to_result,
        Result, //
    },
    mm::{
        fault::{
            FaultResult,
            VmFault, //
        },
        virt::{
            flags,
            vm_flags_t,
            VmaNew,
            VmaRef, //
        },
        vm_ops::VmOperations,
    },
};
use core::{
    ffi::c_int,
    ptr, //
};

/// The CPU cache mode of a userspace mapping.
///
/// # Examples
///
/// ```
/// use kernel::mm::pfnmap::Caching;
///
/// /// What a device lets userspace map.
/// enum Region {
///     Registers,
///     FrameBuffer,
/// }
///
/// fn caching(region: Region) -> Caching {
///     match region {
///         Region::Registers => Caching::Noncached,
///         // The order in which pixels arrive does not matter.
///         Region::FrameBuffer => Caching::WriteCombine,
///     }
/// }
///
/// assert_eq!(caching(Region::Registers), Caching::Noncached);
/// assert_eq!(caching(Region::FrameBuffer), Caching::WriteCombine);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Cached like the kernel's own memory.
    Normal,
    /// Not cached, and accesses reach the device in the order of the instructions. For registers.
    #[doc(alias = "pgprot_noncached")]
    Noncached,
    /// Not cached, but writes may be combined and reordered. For example, for a frame buffer.
    #[doc(alias = "pgprot_writecombine")]
    WriteCombine,
}

impl Caching {
    /// Checks that a VMA with the flags `set` may become a PFN mapping, and returns `prot` with
    /// this cache mode.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: `VM_PFNMAP` or `VM_MIXEDMAP` is set.
    /// - `EINVAL`: the VMA is private and may become writable.
    pub(super) fn pgprot_for_pfnmap(
        self,
        set: vm_flags_t,
        prot: bindings::pgprot_t,
    ) -> Result<bindings::pgprot_t> {
        if set & (flags::PFNMAP | flags::MIXEDMAP) != 0 {
            return Err(EBUSY);
        }
        // In a copy-on-write PFN mapping, `vm_normal_page()` tells a PFN from the copy of a page by
        // its offset from `vm_pgoff`. `remap_pfn_range()` sets `vm_pgoff` for that, but page fault
        // handlers rely on its old value, and `vmf_insert_pfn()` has a `BUG_ON()` for such VMAs.
        if is_cow_mapping(set) {
            return Err(EINVAL);
        }
        // SAFETY: The two functions only compute a value.
        Ok(unsafe {
            match self {
                Caching::Normal => prot,
                Caching::Noncached => bindings::pgprot_noncached(prot),
                Caching::WriteCombine => bindings::pgprot_writecombine(prot),
            }
        })
    }
}

/// The flags that a PFN mapping has.
#[doc(alias = "VM_REMAP_FLAGS")]
pub(super) const REMAP_FLAGS: vm_flags_t =
    flags::PFNMAP | flags::IO | flags::DONTEXPAND | flags::DONTDUMP;

/// The type of `remap_pfn_range()` and `io_remap_pfn_range()`.
type Remap = unsafe extern "C" fn(
    *mut bindings::vm_area_struct,
    usize,
    usize,
    usize,
    bindings::pgprot_t,
) -> c_int;

/// Returns whether a write to a VMA with the flags `set` copies the page: the VMA is private, and
/// is or may become writable.
fn is_cow_mapping(set: vm_flags_t) -> bool {
    set & (flags::SHARED | flags::MAYWRITE) == flags::MAYWRITE
}

impl VmaNew {
    /// Checks that the VMA may become a PFN mapping, and sets its cache mode.
    ///
    /// Returns the old `vm_page_prot`.
    ///
    /// # Errors
    ///
    /// Those of [`Caching::pgprot_for_pfnmap`].
    fn set_caching(&self, caching: Caching) -> Result<bindings::pgprot_t> {
        let old = self.page_prot();
        self.set_page_prot(caching.pgprot_for_pfnmap(self.flags(), old)?);
        Ok(old)
    }

    /// Returns `vm_page_prot`.
    pub(super) fn page_prot(&self) -> bindings::pgprot_t {
        // SAFETY: The VMA is valid, and no other task has a pointer to it by the type invariants,
        // so there is no data race.
        unsafe { (*self.as_ptr()).vm_page_prot }
    }

    /// Sets `vm_page_prot`.
    fn set_page_prot(&self, prot: bindings::pgprot_t) {
        // SAFETY: The VMA is valid, and no other task has a pointer to it by the type invariants.
        // `VmaNew` is not `Sync`, so there is no data race.
        unsafe { ptr::addr_of_mut!((*self.as_ptr()).vm_page_prot).write(prot) };
    }

    /// Calls `remap` for the whole VMA.
    ///
    /// # Safety
    ///
    /// - The requirements of [`Self::remap_pfn_range`] must be met.
    /// - `remap` must be `remap_pfn_range()` or `io_remap_pfn_range()`.
    unsafe fn remap(&self, remap: Remap, pfn: usize, caching: Caching) -> Result {
        let old = self.set_caching(caching)?;
        let (start, size) = (self.start(), self.end() - self.start());

        // SAFETY: By the type invariants, the mmap lock is held for writing, and the VMA is valid
        // and not in the maple tree, so `remap` may change its flags. The range is the whole VMA,
        // which is not empty. Neither `VM_PFNMAP` nor `VM_MIXEDMAP` was set, so nothing is mapped
        // in it. `set_caching()` has refused copy-on-write VMAs, so `vm_pgoff` does not change. The
        // caller guarantees the rest for the PFNs.
        let result = to_result(unsafe { remap(self.as_ptr(), start, pfn, size, self.page_prot()) });
        if result.is_err() {
            // The hook may continue after the error, and map pages in the VMA.
            self.set_page_prot(old);
        }
        result
    }

    /// Maps consecutive PFNs, starting with `pfn`, in the whole VMA.
    ///
    /// This sets [`flags::PFNMAP`], [`flags::IO`], [`flags::DONTEXPAND`] and [`flags::DONTDUMP`].
    ///
    /// # Errors
    ///
    /// - `EBUSY`: [`flags::MIXEDMAP`] or [`flags::PFNMAP`] is set.
    /// - `EINVAL`: the VMA is private and may become writable (see
    ///   [`try_clear_maywrite`](Self::try_clear_maywrite)), or the PFNs are mapped with another
    ///   cache mode elsewhere.
    /// - `ENOMEM`: a page table could not be allocated.
    /// - `EACCES`: userspace may not access the VMA (`PROT_NONE`), and an x86 CPU with the L1TF bug
    ///   must not map a PFN that high without access.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// - For as long as one of the PFNs is mapped, userspace must be allowed to read it, to write
    ///   to it if the VMA is or may become writable, and to access it with this cache mode. (On
    ///   x86, 6.12's `track_pfn_remap()` checks the cache mode only until a part of the VMA is
    ///   unmapped or zapped.)
    /// - [`set_mixedmap`](Self::set_mixedmap) must not be called for this VMA.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     pfnmap::Caching,
    ///     virt::VmaNew, //
    /// };
    ///
    /// /// # Safety
    /// ///
    /// /// The `pages` PFNs from `pfn` on must be those of memory that userspace may access while
    /// /// it has the file open.
    /// unsafe fn mmap(vma: &VmaNew, pfn: usize, pages: usize) -> Result {
    ///     // Userspace chooses the offset and the length.
    ///     if vma.pgoff() != 0 || vma.vma_pages() > pages {
    ///         return Err(EINVAL);
    ///     }
    ///     // SAFETY: Guaranteed by the caller. The VMA holds a reference on the file, and is not
    ///     // longer than the memory. This function does not call `set_mixedmap()`.
    ///     unsafe { vma.remap_pfn_range(pfn, Caching::Normal) }
    /// }
    /// # // SAFETY: This is the BIOS of a PC. The VMA is unmapped without having been accessed.
    /// # kernel::mm::kunit::with_vma_new(|vma| unsafe { mmap(vma, 0xf0, 16) })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn remap_pfn_range(&self, pfn: usize, caching: Caching) -> Result {
        // SAFETY: The caller guarantees the requirements of this function, which are those of
        // `remap()` for the PFNs.
        unsafe { self.remap(bindings::remap_pfn_range, pfn, caching) }
    }

    /// Maps consecutive PFNs of a device, starting with `pfn`, in the whole VMA.
    ///
    /// This differs from [`remap_pfn_range`](Self::remap_pfn_range) where memory is encrypted: the
    /// mapping is then a decrypted one.
    ///
    /// # Errors
    ///
    /// Those of [`remap_pfn_range`](Self::remap_pfn_range).
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// The requirements of [`remap_pfn_range`](Self::remap_pfn_range) must be met.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{pfnmap::Caching, virt::VmaNew},
    ///     page::PAGE_SHIFT, //
    /// };
    ///
    /// /// # Safety
    /// ///
    /// /// The physical address `base` must be that of a frame buffer of `pages` pages, which
    /// /// userspace may access while it has the file open.
    /// unsafe fn mmap(vma: &VmaNew, base: usize, pages: usize) -> Result {
    ///     if vma.pgoff() != 0 || vma.vma_pages() > pages {
    ///         return Err(EINVAL);
    ///     }
    ///     // SAFETY: Guaranteed by the caller. The VMA holds a reference on the file, and is not
    ///     // longer than the buffer. This function does not call `set_mixedmap()`.
    ///     unsafe { vma.io_remap_pfn_range(base >> PAGE_SHIFT, Caching::WriteCombine) }
    /// }
    /// # // SAFETY: This is the frame buffer of VGA. The VMA is unmapped without having been
    /// # // accessed.
    /// # kernel::mm::kunit::with_vma_new(|vma| unsafe { mmap(vma, 0xa_0000, 16) })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn io_remap_pfn_range(&self, pfn: usize, caching: Caching) -> Result {
        // SAFETY: The caller guarantees the requirements of `remap_pfn_range()`, which are those of
        // `remap()` for the PFNs.
        unsafe { self.remap(bindings::io_remap_pfn_range, pfn, caching) }
    }

    /// Makes the VMA a PFN mapping that page faults fill: see
    /// [`vmf_insert_pfn`](VmFault::vmf_insert_pfn).
    ///
    /// This sets the flags that [`remap_pfn_range`](Self::remap_pfn_range) sets.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: [`flags::MIXEDMAP`] or [`flags::PFNMAP`] is set.
    /// - `EINVAL`: the VMA is private and may become writable (see
    ///   [`try_clear_maywrite`](Self::try_clear_maywrite)).
    ///
    /// # Context
    ///
    /// Process context. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// [`set_mixedmap`](Self::set_mixedmap) must not be called for this VMA.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     impl_has_vm_ops,
    ///     mm::{
    ///         pfnmap::Caching,
    ///         virt::VmaNew,
    ///         vm_ops::{MmapHook, VmOperations}, //
    ///     },
    ///     sync::Arc, //
    /// };
    ///
    /// fn mmap<T: VmOperations<Hook = MmapHook>>(data: Arc<T>, vma: &VmaNew) -> Result {
    ///     // `T::fault()` maps the PFNs.
    ///     vma.set_ops(data)?;
    ///     // SAFETY: This function does not call `set_mixedmap()`.
    ///     unsafe { vma.set_pfnmap(Caching::Noncached) }
    /// }
    /// # struct Registers;
    /// #
    /// # impl_has_vm_ops!(Registers);
    /// #
    /// # #[vtable]
    /// # impl VmOperations for Registers {
    /// #     type Hook = MmapHook;
    /// # }
    /// #
    /// # let registers = Arc::new(Registers, GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| mmap(registers, vma))?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn set_pfnmap(&self, caching: Caching) -> Result {
        self.set_caching(caching)?;
        // SAFETY: A driver may set these flags on a VMA in which nothing is mapped. Nothing is, as
        // `set_caching()` found neither `VM_PFNMAP` nor `VM_MIXEDMAP`. The caller guarantees that
        // `VM_MIXEDMAP` is not set later.
        unsafe { self.update_flags(REMAP_FLAGS, 0) };
        Ok(())
    }
}

impl VmaRef {
    /// Returns whether `vmf_insert_pfn()` may be called for the VMA.
    #[inline]
    fn is_pfnmap(&self) -> bool {
        let set = self.flags();

        set & (flags::PFNMAP | flags::MIXEDMAP) == flags::PFNMAP && !is_cow_mapping(set)
    }
}

impl<'a, T: VmOperations> VmFault<'a, T> {
    /// Maps `pfn` at the address of the fault, in a PFN mapping.
    ///
    /// The VMA must be a PFN mapping ([`VmaNew::set_pfnmap`]). Otherwise, the result is `SIGBUS`.
    /// If another task has mapped a PFN at the address meanwhile, the fault is complete.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Safety
    ///
    /// For as long as the PFN is mapped, userspace must be allowed to read it, to write to it if
    /// the VMA is or may become writable, and to access it with the cache mode of the VMA.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     impl_has_vm_ops,
    ///     mm::{
    ///         fault::{FaultResult, VmFault},
    ///         pfnmap::Caching,
    ///         vm_ops::{MmapHook, VmOperations},
    ///         UserPage, //
    ///     },
    ///     sync::Arc, //
    /// };
    ///
    /// /// Memory that each page of the VMA maps by its PFN.
    /// struct Buffer {
    ///     page: UserPage,
    /// }
    ///
    /// impl_has_vm_ops!(Buffer);
    ///
    /// #[vtable]
    /// impl VmOperations for Buffer {
    ///     type Hook = MmapHook;
    ///
    ///     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
    ///         // SAFETY: `page_to_pfn()` computes the PFN of a valid page from its address.
    ///         let pfn = unsafe { bindings::page_to_pfn(vmf.data().page.as_ptr()) };
    ///         // SAFETY: The VMA holds a reference on the `Buffer`, which owns the page, until the
    ///         // PFN is unmapped. The kernel does not use the content of the page.
    ///         unsafe { vmf.vmf_insert_pfn(pfn) }
    ///     }
    /// }
    ///
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # let buffer = Arc::new(Buffer { page }, GFP_KERNEL)?;
    /// # let byte = kernel::mm::kunit::read_page(1, |vma| {
    /// #     vma.set_ops(buffer)?;
    /// #     // SAFETY: `set_mixedmap()` is not called.
    /// #     unsafe { vma.set_pfnmap(Caching::Normal) }
    /// # })?;
    /// # assert_eq!(byte, 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn vmf_insert_pfn(&'a self, pfn: usize) -> FaultResult<'a> {
        let vma = self.vma();
        if !vma.is_pfnmap() {
            return self.return_error(EINVAL);
        }

        // SAFETY: The fault lock is held by the type invariants. `is_pfnmap()` has checked the
        // flags that `vmf_insert_pfn_prot()` has `BUG_ON()`s for: `VM_PFNMAP` without
        // `VM_MIXEDMAP`, and no copy-on-write mapping. The caller guarantees the rest for the PFN.
        // The function returns a value for the handler to return: it is not zero, and as the lock
        // is still held, it contains neither `VM_FAULT_RETRY` nor `VM_FAULT_COMPLETED`.
        unsafe { self.complete(bindings::vmf_insert_pfn(vma.as_ptr(), self.address(), pfn)) }
    }

    /// Maps `pfn` at the address of the fault, in a [`flags::MIXEDMAP`] VMA.
    ///
    /// The handler may map a PFN in one fault and a page in the next. If the VMA is not
    /// [`flags::MIXEDMAP`] ([`VmaNew::set_mixedmap`]), or is private and may become writable
    /// ([`VmaNew::try_clear_maywrite`]), the result is `SIGBUS`. If another task has mapped
    /// something at the address meanwhile, the fault is complete.
    /// [`VmOperations::page_mkwrite`] is not called for PFNs.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Safety
    ///
    /// The requirements of [`vmf_insert_pfn`](Self::vmf_insert_pfn) must be met, also for a PFN
    /// that has a `struct page`: the mapping holds no reference on it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     impl_has_vm_ops,
    ///     mm::{
    ///         fault::{FaultResult, VmFault},
    ///         vm_ops::{MmapHook, VmOperations},
    ///         UserPage, //
    ///     },
    ///     sync::Arc, //
    /// };
    ///
    /// struct Buffer {
    ///     first: UserPage,
    ///     others: UserPage,
    /// }
    ///
    /// impl_has_vm_ops!(Buffer);
    ///
    /// #[vtable]
    /// impl VmOperations for Buffer {
    ///     type Hook = MmapHook;
    ///
    ///     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
    ///         let data = vmf.data();
    ///         if vmf.pgoff() == 0 {
    ///             return vmf.vmf_insert_page(&data.first);
    ///         }
    ///         // SAFETY: `page_to_pfn()` computes the PFN of a valid page from its address.
    ///         let pfn = unsafe { bindings::page_to_pfn(data.others.as_ptr()) };
    ///         // SAFETY: The VMA holds a reference on the `Buffer`, which owns the page, until the
    ///         // PFN is unmapped. The kernel does not use the content of the page.
    ///         unsafe { vmf.vmf_insert_mixed(pfn) }
    ///     }
    /// }
    ///
    /// # let first = UserPage::alloc_page(GFP_KERNEL)?;
    /// # let others = UserPage::alloc_page(GFP_KERNEL)?;
    /// # let buffer = Arc::new(Buffer { first, others }, GFP_KERNEL)?;
    /// # for page in [0, 1] {
    /// #     let buffer = buffer.clone();
    /// #     let byte = kernel::mm::kunit::read_page(page, |vma| {
    /// #         vma.set_mixedmap();
    /// #         vma.set_ops(buffer)?;
    /// #         Ok(())
    /// #     })?;
    /// #     assert_eq!(byte, 0);
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn vmf_insert_mixed(&'a self, pfn: usize) -> FaultResult<'a> {
        let vma = self.vma();
        let set = vma.flags();
        // For a write to a PFN without a page in a copy-on-write mapping, `__wp_page_copy_user()`
        // copies from the current address space. For `ptrace()` that is the debugger's.
        if set & flags::MIXEDMAP == 0 || is_cow_mapping(set) {
            return self.return_error(EINVAL);
        }

        // SAFETY: The fault lock is held by the type invariants. `VM_MIXEDMAP` is set, which
        // `vm_mixed_ok()` requires, and the VMA is no copy-on-write mapping. The caller guarantees
        // the rest for the PFN. The function returns a value for the handler to return: it is not
        // zero, and as the lock is still held, it contains neither `VM_FAULT_RETRY` nor
        // `VM_FAULT_COMPLETED`.
        unsafe {
            self.complete(bindings::vmf_insert_mixed(
                vma.as_ptr(),
                self.address(),
                pfn,
            ))
        }
    }
}
