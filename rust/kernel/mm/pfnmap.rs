// SPDX-License-Identifier: GPL-2.0

//! Areas of bare page frames, such as the registers of a device.
//!
//! A frame has no count, so nothing keeps it from being used for something else while a program can
//! still reach it: that is for the driver to see to, and why the functions here are unsafe. Data
//! that the area owns ([`VmaNew::set_ops`]) is dropped after the last frame is out of reach, in all
//! areas that were made from it and if the hook fails.
//!
//! [`flags::PFNMAP`] and [`flags::MIXEDMAP`] exclude each other: the kernel would take frames for
//! pages with a count.
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

/// How a CPU caches what a program does with page frames.
///
/// # Examples
///
/// ```
/// use kernel::mm::pfnmap::Caching;
///
/// /// What a device lets programs map.
/// enum Region {
///     Registers,
///     Screen,
/// }
///
/// fn caching(region: Region) -> Caching {
///     match region {
///         Region::Registers => Caching::Noncached,
///         // Nobody minds the order in which it is painted.
///         Region::Screen => Caching::WriteCombine,
///     }
/// }
/// # assert!(caching(Region::Registers) == Caching::Noncached);
/// # assert!(caching(Region::Screen) == Caching::WriteCombine);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// As the kernel's own memory.
    Normal,
    /// Not at all, and in the order of the program: for registers.
    #[doc(alias = "pgprot_noncached")]
    Noncached,
    /// Not, but what is written may be put together first: for a frame buffer, for example.
    #[doc(alias = "pgprot_writecombine")]
    WriteCombine,
}

impl Caching {
    /// Checks that an area with these flags can have frames, and returns its protection bits `prot`
    /// with this caching.
    pub(super) fn for_frames(
        self,
        set: vm_flags_t,
        prot: bindings::pgprot_t,
    ) -> Result<bindings::pgprot_t> {
        if set & (flags::PFNMAP | flags::MIXEDMAP) != 0 {
            return Err(EBUSY);
        }
        // What belongs to the program alone is found again by its page offset, which a fault
        // handler relies on.
        if is_cow(set) {
            return Err(EINVAL);
        }
        // SAFETY: The functions only compute.
        Ok(unsafe {
            match self {
                Caching::Normal => prot,
                Caching::Noncached => bindings::pgprot_noncached(prot),
                Caching::WriteCombine => bindings::pgprot_writecombine(prot),
            }
        })
    }
}

/// What an area becomes that takes frames.
#[doc(alias = "VM_REMAP_FLAGS")]
pub(super) const REMAP_FLAGS: vm_flags_t =
    flags::PFNMAP | flags::IO | flags::DONTEXPAND | flags::DONTDUMP;

/// C's functions that fill an area with frames.
type Remap = unsafe extern "C" fn(
    *mut bindings::vm_area_struct,
    usize,
    usize,
    usize,
    bindings::pgprot_t,
) -> c_int;

/// Returns whether a program gets a page of its own where it writes to such an area.
#[doc(alias = "is_cow_mapping")]
fn is_cow(set: vm_flags_t) -> bool {
    set & (flags::SHARED | flags::MAYWRITE) == flags::MAYWRITE
}

impl VmaNew {
    /// Checks that the area can have frames, and sets how they are cached. Returns how they were.
    fn set_caching(&self, caching: Caching) -> Result<bindings::pgprot_t> {
        let old = self.page_prot();
        self.set_page_prot(caching.for_frames(self.flags(), old)?);
        Ok(old)
    }

    pub(super) fn page_prot(&self) -> bindings::pgprot_t {
        // SAFETY: The area is allocated, and nobody else has a pointer to it by the type
        // invariant.
        unsafe { (*self.as_ptr()).vm_page_prot }
    }

    fn set_page_prot(&self, prot: bindings::pgprot_t) {
        // SAFETY: As for `page_prot()`.
        unsafe { ptr::addr_of_mut!((*self.as_ptr()).vm_page_prot).write(prot) };
    }

    /// # Safety
    ///
    /// As for [`Self::remap_pfn_range`], and `remap` is that or its sister for I/O.
    unsafe fn remap(&self, remap: Remap, pfn: usize, caching: Caching) -> Result {
        let old = self.set_caching(caching)?;
        let (start, size) = (self.start(), self.end() - self.start());

        // SAFETY: The hook runs under the mmap lock for writing, by the type invariant. The area
        // is not empty, nothing has been mapped in it, as neither of the two flags was set, and it
        // is shared or cannot be written to. The frames are as the caller says.
        let result = to_result(unsafe { remap(self.as_ptr(), start, pfn, size, self.page_prot()) });
        if result.is_err() {
            // The hook may go on without, and have pages mapped in the area.
            self.set_page_prot(old);
        }
        result
    }

    /// Fills the area with the page frames from `pfn` on.
    ///
    /// The area becomes [`flags::PFNMAP`], [`flags::IO`], [`flags::DONTEXPAND`] and
    /// [`flags::DONTDUMP`]. May sleep, as page tables may have to be allocated.
    ///
    /// Errors: `EBUSY` if the area takes pages or has frames already, `EINVAL` if it is private and
    /// may become writable (see [`try_clear_maywrite`](Self::try_clear_maywrite)) or if the frames
    /// are cached otherwise elsewhere, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// - For as long as a frame of these is mapped, a program may read it, may write to it if the
    ///   area may be written to, and may cache it like this. (On x86, Linux 6.12 knows the caching
    ///   of the frames until a part of the area is unmapped or zapped.)
    /// - [`set_mixedmap`](Self::set_mixedmap) is not called for this area.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{pfnmap::Caching, virt::VmaNew};
    ///
    /// /// # Safety
    /// ///
    /// /// The frames from `pfn` on are registers that any program may use while it has the device
    /// /// open, and there are as many as the area has pages.
    /// unsafe fn mmap(vma: &VmaNew, pfn: usize) -> Result {
    ///     // SAFETY: As the caller says. The area keeps the file.
    ///     unsafe { vma.io_remap_pfn_range(pfn, Caching::Noncached) }
    /// }
    /// ```
    #[inline]
    pub unsafe fn remap_pfn_range(&self, pfn: usize, caching: Caching) -> Result {
        // SAFETY: As the caller says.
        unsafe { self.remap(bindings::remap_pfn_range, pfn, caching) }
    }

    /// The same for frames of a device.
    ///
    /// Where memory is encrypted, these are not.
    ///
    /// # Safety
    ///
    /// As for [`Self::remap_pfn_range`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{pfnmap::Caching, virt::VmaNew}, page::PAGE_SHIFT};
    ///
    /// /// # Safety
    /// ///
    /// /// At the physical address `base` is a frame buffer of `pages` pages, which any program may
    /// /// paint while it has the device open.
    /// unsafe fn mmap(vma: &VmaNew, base: usize, pages: usize) -> Result {
    ///     if vma.pgoff() != 0 || vma.vma_pages() > pages {
    ///         return Err(EINVAL);
    ///     }
    ///     // SAFETY: As the caller says. The area keeps the file, and ends with the buffer.
    ///     unsafe { vma.io_remap_pfn_range(base >> PAGE_SHIFT, Caching::WriteCombine) }
    /// }
    /// ```
    #[inline]
    pub unsafe fn io_remap_pfn_range(&self, pfn: usize, caching: Caching) -> Result {
        // SAFETY: As the caller says.
        unsafe { self.remap(bindings::io_remap_pfn_range, pfn, caching) }
    }

    /// Has the area take page frames when they are touched: see
    /// [`vmf_insert_pfn`](VmFault::vmf_insert_pfn).
    ///
    /// Flags and errors are as for [`remap_pfn_range`](Self::remap_pfn_range).
    ///
    /// # Safety
    ///
    /// [`set_mixedmap`](Self::set_mixedmap) is not called for this area.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{pfnmap::Caching, virt::VmaNew, vm_ops::{MmapHook, VmOperations}}, sync::Arc};
    ///
    /// fn mmap<T: VmOperations<Hook = MmapHook>>(data: Arc<T>, vma: &VmaNew) -> Result {
    ///     // The handler of its faults maps the frames.
    ///     vma.set_ops(data)?;
    ///     // SAFETY: Nothing else is done to the area.
    ///     unsafe { vma.set_pfnmap(Caching::Noncached) }
    /// }
    /// ```
    #[inline]
    pub unsafe fn set_pfnmap(&self, caching: Caching) -> Result {
        self.set_caching(caching)?;
        // SAFETY: A driver may set these on an area in which nothing is mapped, and neither of the
        // flags that say that something may be was set.
        unsafe { self.update_flags(REMAP_FLAGS, 0) };
        Ok(())
    }
}

impl VmaRef {
    /// Returns whether the area takes page frames when they are touched.
    #[inline]
    fn takes_frames(&self) -> bool {
        let set = self.flags();

        set & (flags::PFNMAP | flags::MIXEDMAP) == flags::PFNMAP && !is_cow(set)
    }
}

impl<'a, T: VmOperations> VmFault<'a, T> {
    /// Maps the page frame `pfn` at the address of the fault.
    ///
    /// The area must take frames ([`VmaNew::set_pfnmap`]): otherwise `SIGBUS`. It is well if
    /// somebody was faster.
    ///
    /// # Safety
    ///
    /// For as long as the frame is mapped, a program may read it, may write to it if the area may
    /// be written to, and may cache it as the area says.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
    ///
    /// /// # Safety
    /// ///
    /// /// Any program may use the frames from `first` on, one for each page of the area.
    /// unsafe fn frame<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, first: usize) -> FaultResult<'a> {
    ///     // SAFETY: As the caller says.
    ///     unsafe { vmf.vmf_insert_pfn(first + vmf.pgoff()) }
    /// }
    /// ```
    #[inline]
    pub unsafe fn vmf_insert_pfn(&'a self, pfn: usize) -> FaultResult<'a> {
        let vma = self.vma();
        if !vma.takes_frames() {
            return self.return_error(EINVAL);
        }

        // SAFETY: The lock is held by the invariants of `self`, and the flags are what the function
        // asks for. The frame is as the caller says. What it returns is for the handler to return,
        // and has at least one bit set.
        unsafe { self.complete(bindings::vmf_insert_pfn(vma.as_ptr(), self.address(), pfn)) }
    }

    /// Maps the page frame `pfn` at the address of the fault, among pages.
    ///
    /// The area must take single pages ([`VmaNew::set_mixedmap`]), and the next fault may get one:
    /// otherwise `SIGBUS`. It is well if somebody was faster. [`VmOperations::page_mkwrite`] is not
    /// asked about frames.
    ///
    /// # Safety
    ///
    /// As for [`Self::vmf_insert_pfn`], even where the frame is that of a page.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations}, page::Page};
    ///
    /// /// # Safety
    /// ///
    /// /// Any program may use the frames from `first` on, one for each page of the area.
    /// unsafe fn frame_or_page<'a, T: VmOperations>(
    ///     vmf: &'a VmFault<'a, T>,
    ///     first: usize,
    ///     last: &Page,
    /// ) -> FaultResult<'a> {
    ///     if vmf.pgoff() + 1 == vmf.vma().vma_pages() {
    ///         return vmf.vmf_insert_page(last);
    ///     }
    ///     // SAFETY: As the caller says.
    ///     unsafe { vmf.vmf_insert_mixed(first + vmf.pgoff()) }
    /// }
    /// ```
    #[inline]
    pub unsafe fn vmf_insert_mixed(&'a self, pfn: usize) -> FaultResult<'a> {
        let Some(vma) = self.vma().as_mixedmap_vma() else {
            return self.return_error(EINVAL);
        };

        // SAFETY: As for `vmf_insert_pfn()`, but for the flag, which is set. It may be private: a
        // program that writes there gets a copy.
        unsafe {
            self.complete(bindings::vmf_insert_mixed(
                vma.as_ptr(),
                self.address(),
                pfn,
            ))
        }
    }
}
