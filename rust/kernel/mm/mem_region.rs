// SPDX-License-Identifier: GPL-2.0

//! Memory of a device, which a driver has requested and lets userspace map.
//!
//! C header: [`include/linux/ioport.h`](srctree/include/linux/ioport.h)

#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
use crate::ffi::{
    c_int,
    c_ulong,
    c_void, //
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
    mm::{
        pfnmap::Caching,
        vma_desc::VmaDesc, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    str::CString,
};
use core::{
    mem::MaybeUninit,
    ptr::addr_of_mut, //
};

/// A range of physical addresses that `request_mem_region()` has reserved for a driver.
///
/// Dropping it releases the range. [`VmaDesc::io_remap_region`] maps pages of it. It is not
/// released while it is mapped: a VMA holds a reference on the file, and the file owns the region.
///
/// A driver that accesses the range itself, by a `pci::Bar` for example, has reserved it already.
/// Such a range cannot be requested again.
///
/// # Invariants
///
/// - The range is a resource that [`request`](Self::request) has added below `iomem_resource`, and
///   that has not been released. Its name is `name`.
/// - `start` and `size` are multiples of the page size, and `size` is not zero. Each PFN fits into
///   a `usize`.
/// - Userspace may access the range, as [`request`](Self::request) requires.
///
/// # Examples
///
/// A file by which userspace maps the registers of a device:
///
/// ```
/// use kernel::{
///     c_str,
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     mm::{pfnmap::Caching, vma_desc::VmaDesc, MemRegion},
/// };
///
/// struct Registers {
///     region: MemRegion,
/// }
///
/// #[vtable]
/// impl MiscDevice for Registers {
///     type Ptr = KBox<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
///         // SAFETY: The device has eight pages of registers here, by which it accesses no memory.
///         let region = unsafe { MemRegion::request(0xfe00_0000, 0x8000, c_str!("registers"))? };
///         Ok(KBox::new(Registers { region }, GFP_KERNEL)?)
///     }
///
///     fn mmap_prepare<'a>(me: &'a Self, _file: &'a File, desc: &mut VmaDesc<'a>) -> Result {
///         // Userspace chooses the page offset and the length.
///         desc.io_remap_region(&me.region, desc.pgoff(), Caching::Noncached)
///     }
/// }
/// # // SAFETY: Nothing accesses the range.
/// # let region = unsafe { MemRegion::request(0xfe00_0000, 0x8000, c_str!("registers"))? };
/// # assert_eq!((region.start(), region.size()), (0xfe00_0000, 0x8000));
/// # for (start, size, error) in [
/// #     (0xfe00_0000, 0x8000, EBUSY),
/// #     (0xfe00_7000, 0x2000, EBUSY),
/// #     (0xfe00_0800, 0x1000, EINVAL),
/// #     (0xfe00_8000, 0x800, EINVAL),
/// #     (0xfe00_8000, 0, EINVAL),
/// #     (u64::MAX - 0xfff, 0x2000, EINVAL),
/// # ] {
/// #     // SAFETY: As above.
/// #     let refused = unsafe { MemRegion::request(start, size, c_str!("registers")) };
/// #     assert_eq!(refused.map(drop), Err(error));
/// # }
/// # // User-Mode Linux has no physical addresses there.
/// # let results = [(0, Ok(())), (4, Ok(())), (5, Err(EINVAL)), (usize::MAX, Err(EINVAL))];
/// # for (page, result) in results.iter().filter(|_| !cfg!(CONFIG_UML)) {
/// #     let mapped = kernel::mm::kunit::with_vma_desc(|desc| {
/// #         desc.io_remap_region(&region, *page, Caching::Noncached)
/// #     });
/// #     assert_eq!(mapped, *result);
/// # }
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("request_mem_region", "release_mem_region"))]
pub struct MemRegion {
    start: u64,
    size: usize,
    // The resource has a pointer to the name. If this region is leaked, so is the name.
    _name: CString,
}

// SAFETY: Any thread may release the range, and free the name.
unsafe impl Send for MemRegion {}

// SAFETY: The methods with `&self` only read fields.
unsafe impl Sync for MemRegion {}

impl MemRegion {
    /// Reserves `size` bytes from the physical address `start` on.
    ///
    /// C: `request_mem_region()`. `/proc/iomem` shows the range and `name`.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: a part of the range is reserved, as RAM usually is, or the CPU has no such
    ///   address, or the resource could not be allocated.
    /// - `EINVAL`: `start` or `size` is not a multiple of the page size, or `size` is zero, or the
    ///   kernel has no PFN for an address.
    /// - `ENOMEM`: the name could not be copied.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Safety
    ///
    /// - The range must be memory or registers of a device, and no RAM of the kernel.
    /// - Userspace must be allowed to read each address of it until the region is dropped, also as
    ///   instructions and with any [`Caching`], and to write to it, unless each hook that maps the
    ///   region calls [`VmaDesc::try_clear_maywrite`] before. So the device must not access memory
    ///   of the kernel because of that, for example by DMA to an address that is written there.
    ///   This includes accesses of devices and guests to which userspace gives the mapping: see
    ///   [`pfnmap`](super::pfnmap).
    ///
    /// # Examples
    ///
    /// See [`MemRegion`].
    pub unsafe fn request(start: u64, size: usize, name: &CStr) -> Result<Self> {
        let is_aligned = start % PAGE_SIZE as u64 == 0 && size % PAGE_SIZE == 0;
        // `resource_size_t` and a PFN may have 32 bits.
        let last = start.checked_add((size as u64).wrapping_sub(1));
        let fits = last.is_some_and(|last| {
            bindings::resource_size_t::try_from(last).is_ok()
                && usize::try_from(last >> PAGE_SHIFT).is_ok()
        });
        if size == 0 || !is_aligned || !fits {
            return Err(EINVAL);
        }
        let name = CString::try_from(name)?;
        // SAFETY: The name is on the heap, and is freed after the resource. `iomem_resource` is the
        // root of the physical addresses.
        let resource = unsafe {
            bindings::__request_region(
                addr_of_mut!(bindings::iomem_resource),
                start as bindings::resource_size_t,
                size as bindings::resource_size_t,
                name.as_char_ptr(),
                0,
            )
        };
        if resource.is_null() {
            return Err(EBUSY);
        }
        // INVARIANT: The range was reserved, and the conditions on it were checked above. The
        // caller guarantees the last one.
        Ok(Self {
            start,
            size,
            _name: name,
        })
    }

    /// Returns the physical address of the first byte.
    ///
    /// # Examples
    ///
    /// See [`MemRegion`].
    #[inline]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Returns the size in bytes.
    ///
    /// # Examples
    ///
    /// See [`MemRegion`].
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for MemRegion {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the range is reserved by this region, and is released
        // once. The name is dropped after this.
        unsafe {
            bindings::__release_region(
                addr_of_mut!(bindings::iomem_resource),
                self.start as bindings::resource_size_t,
                self.size as bindings::resource_size_t,
            )
        };
    }
}

impl<'a> VmaDesc<'a> {
    /// Has the core mm fill the VMA with the pages of `region`, from page `page` on.
    ///
    /// Unlike [`io_remap_pfn_range`](Self::io_remap_pfn_range), this is safe: the file owns the
    /// region, and the VMA holds a reference on the file. The pages cannot be taken back before
    /// userspace has unmapped them. A debugger can access the pages as well, by `ptrace()` or
    /// `/proc/<pid>/mem`, if the architecture has `HAVE_IOREMAP_PROT`, as x86 and arm64.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the region has fewer pages than the VMA from there on, or the VMA is private and
    ///   may become writable (see [`try_clear_maywrite`](Self::try_clear_maywrite)), or it will not
    ///   hold the file of the hook, because another driver has passed its own VMA on.
    /// - `EBUSY`: as for [`io_remap_pfn_range`](Self::io_remap_pfn_range).
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// See [`MemRegion`].
    #[doc(alias("io_remap_pfn_range", "vm_iomap_memory", "generic_access_phys"))]
    pub fn io_remap_region(
        &mut self,
        region: &'a MemRegion,
        page: usize,
        caching: Caching,
    ) -> Result {
        let end = page.checked_add(self.vma_pages());
        let fits = end.is_some_and(|end| end <= region.size >> PAGE_SHIFT);
        if !fits || !self.keeps_file() {
            return Err(EINVAL);
        }
        // CAST: `request()` has checked that the last PFN fits.
        let pfn = (region.start >> PAGE_SHIFT) as usize + page;
        // SAFETY: All PFNs are of the region. It is valid for `'a`, so it is not dropped before
        // this VMA, and each VMA that is made from it, has been unmapped. By its invariants,
        // userspace may access them with any cache mode, and the region is not RAM.
        unsafe { self.io_remap_pfn_range(pfn, caching)? };
        // INVARIANT: `private_data` is null: `io_remap_pfn_range()` fails for a VMA with data.
        // These `vm_ops` use no data.
        self.raw_mut().vm_ops = VM_OPS;
        Ok(())
    }
}

/// The `vm_ops` of the VMAs of a region. No module has to stay loaded for them: this file is built
/// into the kernel.
const VM_OPS: &bindings::vm_operations_struct = &bindings::vm_operations_struct {
    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    access: Some(access),
    // SAFETY: The fields of `struct vm_operations_struct` are nullable pointers. Zero is a valid
    // value of each.
    ..unsafe { MaybeUninit::zeroed().assume_init() }
};

/// Reads or writes a part of one page for a debugger.
///
/// # Safety
///
/// `__access_remote_vm()` must call this for a VMA with [`VM_OPS`]. `address` must be in the VMA,
/// and `len` must not be negative. `buffer` must be exclusive to the call, and valid for `len`
/// bytes.
#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
unsafe extern "C" fn access(
    vma: *mut bindings::vm_area_struct,
    address: c_ulong,
    buffer: *mut c_void,
    len: c_int,
    write: c_int,
) -> c_int {
    // CAST: The result is at most `PAGE_SIZE`.
    let page_end = (PAGE_SIZE - address % PAGE_SIZE) as c_int;
    // Up to Linux 7.2, the function does not stop at the end of the page, and so not at that of the
    // VMA or the region. The caller goes on with the next page.
    let len = len.min(page_end);
    // SAFETY: The caller holds the mmap lock, so the VMA is valid, and so is the region. The
    // function accesses the page of `address` only, with the page table locked. It writes only if
    // the PTE is writable.
    unsafe { bindings::access_phys(vma, address, buffer, len, write) }
}
