// SPDX-License-Identifier: GPL-2.0

//! Areas before they are made.
//!
//! A program wants to map a file of a driver. The driver's `mmap_prepare` hook is shown a
//! [`VmaDesc`] and says what the area is to be. The kernel makes it, or makes a neighbour larger,
//! when the hook has returned: so a hook that fails leaves nothing to undo, and no half-made area
//! is ever within reach.
//!
//! What a hook may ask for:
//! - that the area holds data of the driver, which then serves its faults
//!   ([`VmaDesc::set_ops`]),
//! - or that it is filled at once: with page frames ([`VmaDesc::remap_pfn_range`]) or with pages
//!   ([`VmaDesc::map_kernel_pages`]).
//!
//! It is one of these, as the kernel does not tell a driver whether filling an area has failed
//! before or after the area got the data.
//!
//! Where the kernel knows no such hooks, the driver's framework calls them from an `mmap` hook.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     mm::{fault::{FaultResult, VmFault}, vm_ops::{MmapPrepareHook, VmOperations}, vma_desc::VmaDesc},
//!     page::Page,
//!     prelude::*,
//!     sync::{Arc, ArcBorrow},
//!     impl_has_vm_ops,
//! };
//!
//! /// Memory that is mapped when it is touched.
//! struct Buffer {
//!     page: Page,
//! }
//!
//! impl_has_vm_ops!(Buffer);
//!
//! #[vtable]
//! impl VmOperations for Buffer {
//!     type Hook = MmapPrepareHook;
//!
//!     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
//!         vmf.return_page(&vmf.data().page)
//!     }
//! }
//!
//! /// What an open file of the driver has.
//! struct Opened {
//!     buffer: Arc<Buffer>,
//! }
//!
//! /// What the driver does in its `mmap_prepare` hook.
//! fn mmap_prepare<'a>(opened: &'a Opened, desc: &mut VmaDesc<'a>) -> Result {
//!     if desc.vma_pages() != 1 {
//!         return Err(EINVAL);
//!     }
//!     desc.set_ops(opened.buffer.as_arc_borrow())
//! }
//! ```
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    alloc::{
        Allocator,
        Vec, //
    },
    bindings,
    error::{
        code::{
            EBUSY,
            EINVAL, //
        },
        Result, //
    },
    mm::{
        pfnmap::{
            Caching,
            REMAP_FLAGS, //
        },
        virt::{
            as_page_array,
            flags,
            vm_flags_t, //
        },
        vm_ops::{
            MmapPrepareHook,
            VmOperations, //
        },
        OwnedPage,
    },
    page::PAGE_SHIFT,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::Opaque,
};
use core::{
    cell::Cell,
    marker::PhantomData, //
};

/// An area that a program has asked for.
///
/// What it borrows for `'a` stays until the area is complete, with its own counts, or has come to
/// nothing.
///
/// # Invariants
///
/// - An `mmap_prepare` hook runs in this thread, and was given this description. Nobody else uses
///   it meanwhile.
/// - All that lives for `'a` lives until the C side has done with the area what the description
///   says.
/// - `private_data` is null, or the pointer of an `Arc<T>` that lives for `'a`. In that case,
///   `vm_ops` is the table of `T`, `VM_DONTEXPAND` is set, and there is no action.
/// - At most one of `VM_PFNMAP`, `VM_MIXEDMAP` and an action is there.
///
/// # Examples
///
/// A hook that checks what it is asked for:
///
/// ```
/// use kernel::mm::vma_desc::VmaDesc;
///
/// fn mmap_prepare(desc: &mut VmaDesc<'_>) -> Result {
///     if desc.pgoff() != 0 {
///         return Err(EINVAL);
///     }
///     // Not writable now, nor by `mprotect()` later.
///     desc.try_clear_maywrite()?;
///     desc.set_dontdump();
///     Ok(())
/// }
/// ```
#[doc(alias = "vm_area_desc")]
#[repr(transparent)]
pub struct VmaDesc<'a> {
    desc: Opaque<bindings::vm_area_desc>,
    // Invariant: what is kept may be neither shorter lived nor longer.
    kept: PhantomData<Cell<&'a ()>>,
}

impl<'a> VmaDesc<'a> {
    /// Borrows a description that C code points to.
    ///
    /// # Safety
    ///
    /// - `desc` is what an `mmap_prepare` hook was given, which does not return before the end of
    ///   `'b`, and nobody else uses it until then.
    /// - The hook returns what comes of it. If that is success, all that lives for `'a` lives until
    ///   `mmap_region()` or `compat_vma_mmap()` is done with the area.
    /// - Neither `private_data` nor an action is set, nor `VM_PFNMAP` or `VM_MIXEDMAP`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{bindings, mm::vma_desc::VmaDesc};
    ///
    /// unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> i32 {
    ///     // SAFETY: This is the hook, and nothing but the area itself is kept.
    ///     let desc: &mut VmaDesc<'static> = unsafe { VmaDesc::from_raw(desc) };
    ///     desc.set_dontexpand();
    ///     0
    /// }
    /// ```
    #[inline]
    pub unsafe fn from_raw<'b>(desc: *mut bindings::vm_area_desc) -> &'b mut Self {
        // SAFETY: The caller vouches for the type invariant. CAST: `Opaque` is transparent, and the
        // other field has no size.
        unsafe { &mut *desc.cast() }
    }

    /// Returns the address of the first byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vma_desc::VmaDesc;
    ///
    /// /// Whether the area could be mapped by huge pages of 2 MiB.
    /// fn is_aligned(desc: &VmaDesc<'_>) -> bool {
    ///     desc.start() % (2 << 20) == 0
    /// }
    /// ```
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: The description is there, and nobody else uses it, by the type invariant.
        unsafe { (*self.desc.get()).start }
    }

    /// Returns the address behind the last byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vma_desc::VmaDesc;
    ///
    /// /// Returns the length in bytes.
    /// fn size(desc: &VmaDesc<'_>) -> usize {
    ///     desc.end() - desc.start()
    /// }
    /// ```
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: As for `start()`.
        unsafe { (*self.desc.get()).end }
    }

    /// Returns the length in pages.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{vma_desc::VmaDesc, OwnedPage};
    ///
    /// /// Whether there is a page for each of the area's.
    /// fn enough(desc: &VmaDesc<'_>, pages: &[OwnedPage]) -> bool {
    ///     desc.pgoff().checked_add(desc.vma_pages()).is_some_and(|end| end <= pages.len())
    /// }
    /// ```
    #[doc(alias = "vma_desc_pages")]
    #[inline]
    pub fn vma_pages(&self) -> usize {
        self.end().wrapping_sub(self.start()) >> PAGE_SHIFT
    }

    /// Returns which page of the file the area begins with.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vma_desc::VmaDesc;
    ///
    /// /// Each page of the file is a register block of its own.
    /// fn block(desc: &VmaDesc<'_>) -> Result<usize> {
    ///     match (desc.pgoff(), desc.vma_pages()) {
    ///         (block @ 0..8, 1) => Ok(block),
    ///         _ => Err(EINVAL),
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: As for `start()`.
        unsafe { (*self.desc.get()).pgoff }
    }

    /// Returns what user space may do, and more: see [`flags`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{virt::flags, vma_desc::VmaDesc};
    ///
    /// fn for_reading(desc: &VmaDesc<'_>) -> Result {
    ///     if desc.flags() & flags::WRITE != 0 {
    ///         return Err(EPERM);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn flags(&self) -> vm_flags_t {
        // SAFETY: As for `start()`. All flags of `flags` are in the first word.
        unsafe { (*self.desc.get()).vma_flags.__vma_flags[0] }
    }

    flags::impl_set_flags!(self, &mut Self);
    flags::impl_new_vma_flags!(self, &mut Self);

    /// Sets the flags in `set` and clears those in `unset`.
    ///
    /// # Safety
    ///
    /// A driver must be allowed to give the resulting combination to a new VMA.
    #[inline]
    unsafe fn update_flags(&mut self, set: vm_flags_t, unset: vm_flags_t) {
        let flags = (self.flags() | set) & !unset;
        // SAFETY: As for `start()`.
        unsafe { (*self.desc.get()).vma_flags.__vma_flags[0] = flags };
    }

    /// Returns whether the area is to hold data.
    #[inline]
    fn has_data(&self) -> bool {
        // SAFETY: As for `start()`.
        !unsafe { (*self.desc.get()).private_data }.is_null()
    }

    /// Returns whether the area is to be filled at once.
    #[inline]
    fn has_action(&self) -> bool {
        // SAFETY: As for `start()`.
        let action = unsafe { (*self.desc.get()).action.type_ };
        action != bindings::mmap_action_type_MMAP_NOTHING
    }

    /// Returns whether it has been said what is mapped in the area.
    #[inline]
    fn has_contents(&self) -> bool {
        self.has_action() || self.flags() & (flags::PFNMAP | flags::MIXEDMAP) != 0
    }

    /// Gives the area `data`, and the operations of its type.
    ///
    /// The area takes its count when it is there, and gives it back when it is unmapped; so does
    /// each area that is made from it: see [`vm_ops`](crate::mm::vm_ops). The type has to be
    /// [`PREPARED`](VmOperations::PREPARED).
    ///
    /// This sets [`flags::DONTEXPAND`]. Otherwise the kernel would merge areas of one file without
    /// a look at their data.
    ///
    /// `EBUSY` if the area has data already, or is to be filled at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{vm_ops::{MmapPrepareHook, VmOperations}, vma_desc::VmaDesc}, sync::Arc};
    ///
    /// fn mmap_prepare<'a, T: VmOperations<Hook = MmapPrepareHook>>(data: &'a Arc<T>, desc: &mut VmaDesc<'a>) -> Result {
    ///     desc.set_ops(data.as_arc_borrow())
    /// }
    /// ```
    #[doc(alias("vm_ops", "private_data"))]
    #[inline]
    pub fn set_ops<T>(&mut self, data: ArcBorrow<'a, T>) -> Result
    where
        T: VmOperations<Hook = MmapPrepareHook>,
    {
        if self.has_data() || self.has_action() {
            return Err(EBUSY);
        }

        self.set_dontexpand();
        // The pointer of an `Arc` is for the count, too, and that of what it holds is not.
        let count = Arc::into_raw(Arc::from(data));
        // SAFETY: As for `start()`. The two fields belong to the hook.
        // INVARIANT: Both belong to `T`. The data lives for `'a`.
        unsafe {
            (*self.desc.get()).private_data = count.cast_mut().cast();
            (*self.desc.get()).vm_ops = T::table().as_ptr();
        }
        // SAFETY: It was made above, and this was its count.
        drop(unsafe { Arc::from_raw(count) });
        Ok(())
    }

    /// Has the area take single pages when they are touched: see
    /// [`VmaMixedMap`](super::virt::VmaMixedMap).
    ///
    /// `EBUSY` if it is for page frames alone, or is to be filled at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{vm_ops::{MmapPrepareHook, VmOperations}, vma_desc::VmaDesc}, sync::Arc};
    ///
    /// /// Its handler maps the pages by `vmf_insert_page()`.
    /// fn mmap_prepare<'a, T: VmOperations<Hook = MmapPrepareHook>>(data: &'a Arc<T>, desc: &mut VmaDesc<'a>) -> Result {
    ///     desc.set_mixedmap()?;
    ///     desc.set_ops(data.as_arc_borrow())
    /// }
    /// ```
    #[inline]
    pub fn set_mixedmap(&mut self) -> Result {
        if self.has_contents() {
            return Err(EBUSY);
        }
        // SAFETY: The VMA is to hold neither a PFN mapping nor pages at once, as checked above.
        unsafe { self.update_flags(flags::MIXEDMAP, 0) };
        Ok(())
    }

    /// Checks that the area can have frames, and sets how they are cached.
    fn set_caching(&mut self, caching: Caching) -> Result {
        if self.has_action() {
            return Err(EBUSY);
        }
        // SAFETY: As for `start()`.
        let old = unsafe { (*self.desc.get()).page_prot };
        let new = caching.for_frames(self.flags(), old)?;
        // SAFETY: As for `start()`.
        unsafe { (*self.desc.get()).page_prot = new };
        Ok(())
    }

    /// Has the area take page frames when they are touched: see
    /// [`vmf_insert_pfn`](super::fault::VmFault::vmf_insert_pfn).
    ///
    /// The area becomes [`flags::PFNMAP`], [`flags::IO`], [`flags::DONTEXPAND`] and
    /// [`flags::DONTDUMP`].
    ///
    /// Errors: `EBUSY` if it takes pages, or is to be filled at once; `EINVAL` if it is private and
    /// may become writable (see [`try_clear_maywrite`](Self::try_clear_maywrite)).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{pfnmap::Caching, vm_ops::{MmapPrepareHook, VmOperations}, vma_desc::VmaDesc};
    /// use kernel::sync::Arc;
    ///
    /// /// Its handler maps the frames by `vmf_insert_pfn()`.
    /// fn mmap_prepare<'a, T: VmOperations<Hook = MmapPrepareHook>>(data: &'a Arc<T>, desc: &mut VmaDesc<'a>) -> Result {
    ///     desc.set_pfnmap(Caching::WriteCombine)?;
    ///     desc.set_ops(data.as_arc_borrow())
    /// }
    /// ```
    #[inline]
    pub fn set_pfnmap(&mut self, caching: Caching) -> Result {
        self.set_caching(caching)?;
        // SAFETY: `set_caching()` has checked that a PFN mapping may be made in the VMA.
        unsafe { self.update_flags(REMAP_FLAGS, 0) };
        Ok(())
    }

    /// Checks that the area can be filled with frames at once.
    fn for_remap(&mut self, caching: Caching) -> Result {
        if self.has_data() {
            return Err(EBUSY);
        }
        self.set_caching(caching)
    }

    /// Has the area filled with the page frames from `pfn` on.
    ///
    /// It becomes what [`set_pfnmap`](Self::set_pfnmap) makes of it. The program sees the errors of
    /// doing so: `ENOMEM`, or `EINVAL` if the frames are cached otherwise elsewhere.
    ///
    /// Errors: `EBUSY` if the area has data, takes pages or frames, or is to be filled already;
    /// `EINVAL` if it is private and may become writable.
    ///
    /// # Safety
    ///
    /// For as long as a frame of these is mapped, a program may read it, may write to it if the
    /// area may be written to, and may cache it like this.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{pfnmap::Caching, vma_desc::VmaDesc};
    ///
    /// /// # Safety
    /// ///
    /// /// The frames from `pfn` on are registers that any program may use while it has the device
    /// /// open, and there are as many as the area has pages.
    /// unsafe fn mmap_prepare(desc: &mut VmaDesc<'_>, pfn: usize) -> Result {
    ///     // SAFETY: As the caller says. The area keeps the file.
    ///     unsafe { desc.io_remap_pfn_range(pfn, Caching::Noncached) }
    /// }
    /// ```
    #[doc(alias = "mmap_action_remap_full")]
    #[inline]
    pub unsafe fn remap_pfn_range(&mut self, pfn: usize, caching: Caching) -> Result {
        self.for_remap(caching)?;
        // SAFETY: As for `start()`. The function fills in the action.
        unsafe { bindings::mmap_action_remap_full(self.desc.get(), pfn) };
        Ok(())
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
    /// use kernel::{mm::{pfnmap::Caching, vma_desc::VmaDesc}, page::PAGE_SHIFT};
    ///
    /// /// # Safety
    /// ///
    /// /// At the physical address `base` is a frame buffer of `pages` pages, which any program may
    /// /// paint while it has the device open.
    /// unsafe fn mmap_prepare(desc: &mut VmaDesc<'_>, base: usize, pages: usize) -> Result {
    ///     if desc.pgoff() != 0 || desc.vma_pages() > pages {
    ///         return Err(EINVAL);
    ///     }
    ///     // SAFETY: As the caller says. The area keeps the file, and ends with the buffer.
    ///     unsafe { desc.io_remap_pfn_range(base >> PAGE_SHIFT, Caching::WriteCombine) }
    /// }
    /// ```
    #[doc(alias = "mmap_action_ioremap_full")]
    #[inline]
    pub unsafe fn io_remap_pfn_range(&mut self, pfn: usize, caching: Caching) -> Result {
        self.for_remap(caching)?;
        // SAFETY: As for `start()`. The function fills in the action.
        unsafe { bindings::mmap_action_ioremap_full(self.desc.get(), pfn) };
        Ok(())
    }

    /// Has `pages` mapped from the beginning of the area on.
    ///
    /// Each mapping has a count of its own on its page. User space may write to what it can map, so
    /// this wants a vector: that owns its pages, which have nothing else in them. The area becomes
    /// [`flags::MIXEDMAP`]. The program sees the errors of mapping the pages: `EFAULT` if there are
    /// more than the area has, `ENOMEM`.
    ///
    /// `EBUSY` if the area has data, takes pages or frames, or is to be filled already.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{alloc::KVec, mm::vma_desc::VmaDesc, page::Page};
    ///
    /// struct Opened {
    ///     pages: KVec<Page>,
    /// }
    ///
    /// fn mmap_prepare<'a>(opened: &'a Opened, desc: &mut VmaDesc<'a>) -> Result {
    ///     desc.map_kernel_pages(&opened.pages)
    /// }
    /// ```
    #[doc(alias = "mmap_action_map_kernel_pages")]
    #[inline]
    pub fn map_kernel_pages<A: Allocator>(&mut self, pages: &'a Vec<OwnedPage, A>) -> Result {
        if self.has_data() || self.has_contents() {
            return Err(EBUSY);
        }
        if pages.is_empty() {
            return Ok(());
        }
        let (start, array) = (self.start(), as_page_array(pages));
        // SAFETY: As for `start()`. The function fills in the action. The pointers live for `'a`,
        // and the C side only reads them.
        unsafe {
            bindings::mmap_action_map_kernel_pages(self.desc.get(), start, array, pages.len())
        };
        Ok(())
    }
}
