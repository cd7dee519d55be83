// SPDX-License-Identifier: GPL-2.0

//! VMA descriptors, which `->mmap_prepare()` hooks fill in.
//!
//! The core mm calls the hook of a driver before it creates the VMA. The hook describes the VMA in
//! a [`VmaDesc`]. The core mm allocates the VMA, or extends a neighbour, after the hook has
//! returned. A hook that fails therefore has nothing to undo, and no other task can find a VMA that
//! is only half set up.
//!
//! A hook may do one of the following:
//!
//! - attach data of the driver, whose `vm_ops` handle page faults ([`VmaDesc::set_ops`]),
//! - have the whole VMA mapped: PFNs ([`VmaDesc::remap_pfn_range`]) or pages
//!   ([`VmaDesc::map_kernel_pages`]).
//!
//! The two cannot be combined: if mapping fails, the core mm does not tell the driver whether the
//! VMA had taken its reference on the data by then.
//!
//! On kernels without `->mmap_prepare()`, the framework of the driver (such as the miscdevice
//! abstraction) calls the hook from its `->mmap()` hook.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     impl_has_vm_ops,
//!     mm::{
//!         fault::{FaultResult, VmFault},
//!         vm_ops::{MmapPrepareHook, VmOperations},
//!         vma_desc::VmaDesc,
//!         UserPage, //
//!     },
//!     prelude::*,
//!     sync::Arc, //
//! };
//!
//! /// A page that is mapped when it is first accessed.
//! struct Buffer {
//!     page: UserPage,
//! }
//!
//! impl_has_vm_ops!(Buffer);
//!
//! #[vtable]
//! impl VmOperations for Buffer {
//!     type Hook = MmapPrepareHook;
//!
//!     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
//!         // The VMA may be longer than the buffer, and may start at another page offset.
//!         if vmf.pgoff() != 0 {
//!             return vmf.return_error(EINVAL);
//!         }
//!         vmf.return_page(&vmf.data().page)
//!     }
//! }
//!
//! /// The data of an open file.
//! struct OpenFile {
//!     buffer: Arc<Buffer>,
//! }
//!
//! /// The `->mmap_prepare()` hook.
//! fn mmap_prepare<'a>(file: &'a OpenFile, desc: &mut VmaDesc<'a>) -> Result {
//!     desc.set_ops(file.buffer.as_arc_borrow())
//! }
//! # let page = UserPage::alloc_page(GFP_KERNEL)?;
//! # let file = OpenFile { buffer: Arc::new(Buffer { page }, GFP_KERNEL)? };
//! # kernel::mm::kunit::with_vma_desc(|desc| mmap_prepare(&file, desc))?;
//! # Ok::<(), Error>(())
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
            EFAULT,
            EINVAL,
            ENOMEM, //
        },
        Result, //
    },
    mm::{
        pfnmap::{
            Caching,
            REMAP_FLAGS, //
        },
        user_page::{
            as_page_array,
            is_full,
            UserPage, //
        },
        virt::{
            flags,
            vm_flags_t, //
        },
        vm_ops::{
            MmapPrepareHook,
            VmOperations, //
        },
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

/// The description of a VMA that userspace has requested.
///
/// What the hook lends for `'a` is valid until C code has done what the descriptor says. If the VMA
/// has the file of the hook, it is valid until that VMA, and each VMA that is made from it, has
/// been unmapped: a VMA holds a reference on its file, which owns what the hook lends.
///
/// # Invariants
///
/// - The current task runs an `->mmap_prepare()` hook that was called with this descriptor. Nothing
///   else accesses the descriptor meanwhile.
/// - All that is valid for `'a` is valid until C code has done what the descriptor says. If the VMA
///   has the file of the hook, it is valid until that VMA, and each VMA that is made from it, has
///   been unmapped.
/// - `private_data` is null, or the pointer of an `Arc<T>` that is valid for `'a`. In the latter
///   case, `vm_ops` points to the `vm_ops` of `T`, `VM_DONTEXPAND` is set, and there is no action.
/// - At most one of these three is there: `VM_PFNMAP`, `VM_MIXEDMAP`, an action.
///
/// # Examples
///
/// A hook that checks the request of userspace:
///
/// ```
/// use kernel::mm::vma_desc::VmaDesc;
///
/// fn mmap_prepare(desc: &mut VmaDesc<'_>) -> Result {
///     if desc.pgoff() != 0 {
///         return Err(EINVAL);
///     }
///     // Fails if the VMA is executable, and forbids `mprotect()` to make it executable.
///     desc.try_clear_mayexec()?;
///     desc.set_dontdump();
///     Ok(())
/// }
/// # kernel::mm::kunit::with_vma_desc(|desc| mmap_prepare(desc))?;
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "vm_area_desc")]
#[repr(transparent)]
pub struct VmaDesc<'a> {
    desc: Opaque<bindings::vm_area_desc>,
    // `'a` is invariant: the type of a descriptor must not change to one that borrows for less or
    // for more.
    kept: PhantomData<Cell<&'a ()>>,
}

impl<'a> VmaDesc<'a> {
    /// Creates a reference from the C pointer that an `->mmap_prepare()` hook was called with.
    ///
    /// # Context
    ///
    /// Process context. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// - An `->mmap_prepare()` hook must have been called with `desc`. It must not return during
    ///   `'b`, and nothing else may access the descriptor until then.
    /// - The hook must return the result of what is done with the descriptor. If that is success,
    ///   all that is valid for `'a` must stay valid until `mmap_region()` or `compat_vma_mmap()`
    ///   has finished with the VMA. If `vm_file` is `file`, it must stay valid until the VMA, and
    ///   each VMA that is made from it, is unmapped.
    /// - `private_data` and the action must not be set, nor `VM_PFNMAP` or `VM_MIXEDMAP`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     mm::vma_desc::VmaDesc, //
    /// };
    ///
    /// /// # Safety
    /// ///
    /// /// `mmap_region()` must call it, with a description that nothing else uses.
    /// unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> i32 {
    ///     // SAFETY: This is the hook, which nothing has changed the descriptor before. What is
    ///     // `'static` stays valid.
    ///     let desc: &mut VmaDesc<'static> = unsafe { VmaDesc::from_raw(desc) };
    ///     desc.set_dontexpand();
    ///     0
    /// }
    /// ```
    #[inline]
    pub unsafe fn from_raw<'b>(desc: *mut bindings::vm_area_desc) -> &'b mut Self {
        // CAST: `VmaDesc` is `repr(transparent)` over `Opaque<vm_area_desc>`, as its other field
        // has no size.
        let desc: *mut Self = desc.cast();

        // SAFETY: The caller guarantees that the descriptor is valid, and that nothing else
        // accesses it, for the duration of `'b`.
        // INVARIANT: The caller guarantees that the current task runs the hook, and how long what
        // is valid for `'a` stays valid. `private_data` is null, and neither flag nor action is
        // set.
        unsafe { &mut *desc }
    }

    /// Returns the C descriptor, for reading.
    #[inline]
    fn raw(&self) -> &bindings::vm_area_desc {
        // SAFETY: By the type invariants, the hook that was called with the descriptor has not
        // returned, so the descriptor is valid. It is initialized, and nothing else accesses it.
        // Writes by this type need `&mut self`, so there is none while `self` is borrowed.
        unsafe { &*self.desc.get() }
    }

    /// Returns the C descriptor, for writing.
    ///
    /// What the caller writes must keep the type invariants.
    #[inline]
    pub(super) fn raw_mut(&mut self) -> &mut bindings::vm_area_desc {
        // SAFETY: By the type invariants, the hook that was called with the descriptor has not
        // returned, so the descriptor is valid. It is initialized, and nothing else accesses it.
        // `self` is borrowed exclusively.
        unsafe { &mut *self.desc.get() }
    }

    /// Returns the start address.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vma_desc::VmaDesc;
    ///
    /// /// Returns whether the start address suits huge pages of 2 MiB.
    /// fn is_aligned(desc: &VmaDesc<'_>) -> bool {
    ///     desc.start() % (2 << 20) == 0
    /// }
    /// # kernel::mm::kunit::with_vma_desc(|desc| {
    /// #     is_aligned(desc);
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn start(&self) -> usize {
        self.raw().start
    }

    /// Returns the exclusive end address.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_vma_desc(|desc| {
    /// assert!(desc.start() < desc.end());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn end(&self) -> usize {
        self.raw().end
    }

    /// Returns the length in pages.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     vma_desc::VmaDesc,
    ///     UserPage, //
    /// };
    ///
    /// /// Returns whether `pages` has a page for each page offset of the VMA.
    /// fn has_all(desc: &VmaDesc<'_>, pages: &[UserPage]) -> bool {
    ///     desc.pgoff().checked_add(desc.vma_pages()).is_some_and(|end| end <= pages.len())
    /// }
    /// # kernel::mm::kunit::with_vma_desc(|desc| {
    /// #     assert!(!has_all(desc, &[]));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "vma_desc_pages")]
    #[inline]
    pub fn vma_pages(&self) -> usize {
        // The end is greater than the start, so the subtraction does not wrap.
        self.end().wrapping_sub(self.start()) >> PAGE_SHIFT
    }

    /// Returns the page offset of the VMA's first page in the file.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vma_desc::VmaDesc;
    ///
    /// /// Returns the index of the register block for a device that has eight, one in each page.
    /// fn block(desc: &VmaDesc<'_>) -> Result<usize> {
    ///     match (desc.pgoff(), desc.vma_pages()) {
    ///         (block @ 0..=7, 1) => Ok(block),
    ///         _ => Err(EINVAL),
    ///     }
    /// }
    /// # kernel::mm::kunit::with_vma_desc(|desc| {
    /// #     assert_eq!(block(desc), Err(EINVAL));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pgoff(&self) -> usize {
        self.raw().pgoff
    }

    /// Returns the flags, a combination of the constants in [`flags`].
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::flags;
    ///
    /// # kernel::mm::kunit::with_vma_desc(|desc| {
    /// if desc.flags() & flags::SHARED == 0 {
    ///     return Err(EINVAL);
    /// }
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn flags(&self) -> vm_flags_t {
        // All constants of `flags` are bits of the first word.
        self.raw().vma_flags.__vma_flags[0]
    }

    flags::impl_set_flags!(self, &mut Self, "with_vma_desc");
    flags::impl_new_vma_flags!(self, &mut Self, "with_vma_desc");

    /// Sets the flags in `set` and clears those in `unset`.
    ///
    /// # Safety
    ///
    /// A driver must be allowed to give the resulting combination to a new VMA.
    #[inline]
    unsafe fn update_flags(&mut self, set: vm_flags_t, unset: vm_flags_t) {
        let flags = (self.flags() | set) & !unset;
        self.raw_mut().vma_flags.__vma_flags[0] = flags;
    }

    /// Returns whether the VMA will hold a reference on the file whose hook this is.
    #[inline]
    pub(super) fn keeps_file(&self) -> bool {
        let desc = self.raw();
        desc.vm_file.cast_const() == desc.file.cast_const()
    }

    /// Returns whether data is attached.
    #[inline]
    fn has_data(&self) -> bool {
        !self.raw().private_data.is_null()
    }

    /// Returns whether there is an action: the core mm is to map the whole VMA.
    #[inline]
    fn has_action(&self) -> bool {
        self.raw().action.type_ != bindings::mmap_action_type_MMAP_NOTHING
    }

    /// Returns whether the hook has said what is mapped in the VMA.
    #[inline]
    fn has_contents(&self) -> bool {
        self.has_action() || self.flags() & (flags::PFNMAP | flags::MIXEDMAP) != 0
    }

    /// Attaches `data` to the VMA, together with the `vm_ops` of its type.
    ///
    /// The VMA takes a reference on `data` when it is created, and drops it when it is unmapped.
    /// Each VMA that the core mm makes from it later (`fork()`, a split) holds a reference of its
    /// own: see [`vm_ops`](crate::mm::vm_ops).
    ///
    /// [`VmOperations::open`] is called when the core mm has created the VMA. If the hook fails, or
    /// the core mm after it, neither `open` nor `close` is called, and the hook is not told. So a
    /// hook must not charge anything that `close` uncharges: `open` has to.
    ///
    /// This sets [`flags::DONTEXPAND`]. Otherwise, the core mm would merge VMAs of one file without
    /// comparing their data.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the VMA has data already, or the core mm is to map the whole VMA.
    /// - `EINVAL`: `T` is in a module that is not the `owner` of the file's `file_operations`: see
    ///   [`VmaNew::set_ops`](super::virt::VmaNew::set_ops).
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     impl_has_vm_ops,
    ///     mm::{
    ///         vm_ops::{MmapPrepareHook, VmOperations},
    ///         vma_desc::VmaDesc, //
    ///     },
    ///     sync::{Arc, ArcBorrow}, //
    /// };
    ///
    /// fn mmap_prepare<'a, T>(data: ArcBorrow<'a, T>, desc: &mut VmaDesc<'a>) -> Result
    /// where
    ///     T: VmOperations<Hook = MmapPrepareHook>,
    /// {
    ///     desc.set_ops(data)
    /// }
    /// # struct Registers;
    /// #
    /// # impl_has_vm_ops!(Registers);
    /// #
    /// # #[vtable]
    /// # impl VmOperations for Registers {
    /// #     type Hook = MmapPrepareHook;
    /// # }
    /// #
    /// # let registers = Arc::new(Registers, GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_desc(|desc| mmap_prepare(registers.as_arc_borrow(), desc))?;
    /// # Ok::<(), Error>(())
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
        // SAFETY: `vm_file` is the file on which the VMA will hold a reference. The caller of the
        // hook holds one until then.
        if !unsafe { T::table().is_kept_by(self.raw().vm_file) } {
            return Err(EINVAL);
        }

        self.set_dontexpand();
        // `Arc::into_raw()` returns a pointer whose provenance includes the refcount. A pointer to
        // the `T` alone would not do.
        let ptr = Arc::into_raw(Arc::from(data));
        let desc = self.raw_mut();
        // INVARIANT: `private_data` is the pointer of an `Arc<T>`, which `data` keeps valid for
        // `'a`, and `vm_ops` points to the `vm_ops` of `T`. `VM_DONTEXPAND` was set above, and
        // there is no action.
        desc.private_data = ptr.cast_mut().cast();
        desc.vm_ops = T::table().as_ptr();
        // SAFETY: `ptr` is what `Arc::into_raw()` returned above. This drops that reference; the
        // caller's reference, which `data` borrows, stays.
        drop(unsafe { Arc::from_raw(ptr) });
        Ok(())
    }

    /// Sets [`flags::MIXEDMAP`]: the page fault handler may map pages of the driver. See
    /// [`VmaMixedMap`](super::virt::VmaMixedMap).
    ///
    /// # Errors
    ///
    /// - `EBUSY`: [`flags::MIXEDMAP`] or [`flags::PFNMAP`] is set, or the core mm is to map the
    ///   whole VMA.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     impl_has_vm_ops,
    ///     mm::{
    ///         vm_ops::{MmapPrepareHook, VmOperations},
    ///         vma_desc::VmaDesc, //
    ///     },
    ///     sync::{Arc, ArcBorrow}, //
    /// };
    ///
    /// // `T::fault()` maps pages with `vmf_insert_page()`.
    /// fn mmap_prepare<'a, T>(data: ArcBorrow<'a, T>, desc: &mut VmaDesc<'a>) -> Result
    /// where
    ///     T: VmOperations<Hook = MmapPrepareHook>,
    /// {
    ///     desc.set_mixedmap()?;
    ///     desc.set_ops(data)
    /// }
    /// # struct Registers;
    /// #
    /// # impl_has_vm_ops!(Registers);
    /// #
    /// # #[vtable]
    /// # impl VmOperations for Registers {
    /// #     type Hook = MmapPrepareHook;
    /// # }
    /// #
    /// # let registers = Arc::new(Registers, GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_desc(|desc| mmap_prepare(registers.as_arc_borrow(), desc))?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set_mixedmap(&mut self) -> Result {
        if self.has_contents() {
            return Err(EBUSY);
        }
        // SAFETY: A driver may set `VM_MIXEDMAP` on a new VMA that is not a PFN mapping, which was
        // checked above.
        // INVARIANT: There is no action, and `VM_PFNMAP` is not set.
        unsafe { self.update_flags(flags::MIXEDMAP, 0) };
        Ok(())
    }

    /// Checks that the VMA may become a PFN mapping, and sets its cache mode.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: there is an action.
    /// - Those of [`Caching::pgprot_for_pfnmap`].
    fn set_caching(&mut self, caching: Caching) -> Result {
        if self.has_action() {
            return Err(EBUSY);
        }
        let prot = caching.pgprot_for_pfnmap(self.flags(), self.raw().page_prot)?;
        self.raw_mut().page_prot = prot;
        Ok(())
    }

    /// Makes the VMA a PFN mapping that page faults fill: see
    /// [`vmf_insert_pfn`](super::fault::VmFault::vmf_insert_pfn).
    ///
    /// This sets [`flags::PFNMAP`], [`flags::IO`], [`flags::DONTEXPAND`] and [`flags::DONTDUMP`].
    ///
    /// # Errors
    ///
    /// - `EBUSY`: [`flags::MIXEDMAP`] or [`flags::PFNMAP`] is set, or the core mm is to map the
    ///   whole VMA.
    /// - `EINVAL`: the VMA is private and may become writable (see
    ///   [`try_clear_maywrite`](Self::try_clear_maywrite)).
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     impl_has_vm_ops,
    ///     mm::{
    ///         pfnmap::Caching,
    ///         vm_ops::{MmapPrepareHook, VmOperations},
    ///         vma_desc::VmaDesc, //
    ///     },
    ///     sync::{Arc, ArcBorrow}, //
    /// };
    ///
    /// // `T::fault()` maps PFNs with `vmf_insert_pfn()`.
    /// fn mmap_prepare<'a, T>(data: ArcBorrow<'a, T>, desc: &mut VmaDesc<'a>) -> Result
    /// where
    ///     T: VmOperations<Hook = MmapPrepareHook>,
    /// {
    ///     desc.set_pfnmap(Caching::WriteCombine)?;
    ///     desc.set_ops(data)
    /// }
    /// # struct Registers;
    /// #
    /// # impl_has_vm_ops!(Registers);
    /// #
    /// # #[vtable]
    /// # impl VmOperations for Registers {
    /// #     type Hook = MmapPrepareHook;
    /// # }
    /// #
    /// # let registers = Arc::new(Registers, GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_desc(|desc| mmap_prepare(registers.as_arc_borrow(), desc))?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set_pfnmap(&mut self, caching: Caching) -> Result {
        self.set_caching(caching)?;
        // SAFETY: A driver may set these flags on a new VMA that is not `VM_MIXEDMAP`, not private
        // and writable, and in which nothing is to be mapped. `set_caching()` has checked that.
        // INVARIANT: There is no action, and `VM_MIXEDMAP` is not set.
        unsafe { self.update_flags(REMAP_FLAGS, 0) };
        Ok(())
    }

    /// Checks that the whole VMA may be mapped by PFN, and sets its cache mode.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: data is attached.
    /// - Those of `set_caching()`.
    fn set_remap_caching(&mut self, caching: Caching) -> Result {
        if self.has_data() {
            return Err(EBUSY);
        }
        self.set_caching(caching)
    }

    /// Has the core mm map consecutive PFNs, starting with `pfn`, in the whole VMA.
    ///
    /// The VMA then has the flags that [`set_pfnmap`](Self::set_pfnmap) sets. The core mm maps the
    /// PFNs after the hook has returned. Userspace gets the errors of that: those of
    /// [`VmaNew::remap_pfn_range`](super::virt::VmaNew::remap_pfn_range).
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the VMA has data, [`flags::MIXEDMAP`] or [`flags::PFNMAP`] is set, or the core mm
    ///   is to map the whole VMA already.
    /// - `EINVAL`: the VMA is private and may become writable (see
    ///   [`try_clear_maywrite`](Self::try_clear_maywrite)).
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// For as long as one of the PFNs is mapped, userspace must be allowed to read it, to write to
    /// it if the VMA is or may become writable, and to access it with this cache mode.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     pfnmap::Caching,
    ///     vma_desc::VmaDesc, //
    /// };
    ///
    /// /// # Safety
    /// ///
    /// /// The `pages` PFNs from `pfn` on must be those of memory that userspace may access while
    /// /// it has the file open.
    /// unsafe fn mmap_prepare(desc: &mut VmaDesc<'_>, pfn: usize, pages: usize) -> Result {
    ///     // Userspace chooses the offset and the length.
    ///     if desc.pgoff() != 0 || desc.vma_pages() > pages {
    ///         return Err(EINVAL);
    ///     }
    ///     // SAFETY: Guaranteed by the caller. The VMA holds a reference on the file, and is not
    ///     // longer than the memory.
    ///     unsafe { desc.remap_pfn_range(pfn, Caching::Normal) }
    /// }
    /// # // SAFETY: This is the BIOS of a PC. The VMA is unmapped without having been accessed.
    /// # kernel::mm::kunit::with_vma_desc(|desc| unsafe { mmap_prepare(desc, 0xf0, 16) })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "mmap_action_remap_full")]
    #[inline]
    pub unsafe fn remap_pfn_range(&mut self, pfn: usize, caching: Caching) -> Result {
        self.set_remap_caching(caching)?;
        // SAFETY: `raw_mut()` returns a valid, exclusive pointer. `mmap_action_remap_full()` only
        // fills in the action. The caller guarantees that the core mm may map the PFNs.
        // INVARIANT: `set_remap_caching()` has checked that there was no data, no action, and
        // neither `VM_PFNMAP` nor `VM_MIXEDMAP`.
        unsafe { bindings::mmap_action_remap_full(self.raw_mut(), pfn) };
        Ok(())
    }

    /// Has the core mm map consecutive PFNs of a device, starting with `pfn`, in the whole VMA.
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
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Safety
    ///
    /// The requirements of [`remap_pfn_range`](Self::remap_pfn_range) must be met.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{pfnmap::Caching, vma_desc::VmaDesc},
    ///     page::PAGE_SHIFT, //
    /// };
    ///
    /// /// # Safety
    /// ///
    /// /// The physical address `base` must be that of a frame buffer of `pages` pages, which
    /// /// userspace may access while it has the file open.
    /// unsafe fn mmap_prepare(desc: &mut VmaDesc<'_>, base: usize, pages: usize) -> Result {
    ///     if desc.pgoff() != 0 || desc.vma_pages() > pages {
    ///         return Err(EINVAL);
    ///     }
    ///     // SAFETY: Guaranteed by the caller. The VMA holds a reference on the file, and is not
    ///     // longer than the buffer.
    ///     unsafe { desc.io_remap_pfn_range(base >> PAGE_SHIFT, Caching::WriteCombine) }
    /// }
    /// # // SAFETY: This is the frame buffer of VGA. The VMA is unmapped without having been
    /// # // accessed.
    /// # kernel::mm::kunit::with_vma_desc(|desc| unsafe { mmap_prepare(desc, 0xa_0000, 16) })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "mmap_action_ioremap_full")]
    #[inline]
    pub unsafe fn io_remap_pfn_range(&mut self, pfn: usize, caching: Caching) -> Result {
        self.set_remap_caching(caching)?;
        // SAFETY: `raw_mut()` returns a valid, exclusive pointer. `mmap_action_ioremap_full()` only
        // fills in the action. The caller guarantees that the core mm may map the PFNs.
        // INVARIANT: `set_remap_caching()` has checked that there was no data, no action, and
        // neither `VM_PFNMAP` nor `VM_MIXEDMAP`.
        unsafe { bindings::mmap_action_ioremap_full(self.raw_mut(), pfn) };
        Ok(())
    }

    /// Has the core mm map `pages` at consecutive addresses, from the start of the VMA on.
    ///
    /// Each mapping holds its own reference on its page. Userspace may write to the pages, if it
    /// may write to the VMA. The VMA then has [`flags::MIXEDMAP`].
    ///
    /// The core mm maps the pages after the hook has returned. Userspace gets the errors of that,
    /// such as `ENOMEM`.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the VMA has data, [`flags::MIXEDMAP`] or [`flags::PFNMAP`] is set, or the core mm
    ///   is to map the whole VMA already.
    /// - `EFAULT`: there are more pages than the VMA has.
    /// - `ENOMEM`: a page is mapped too often for its refcount (2^30 times).
    ///
    /// # Context
    ///
    /// Process context. Does not sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     alloc::KVec,
    ///     mm::{vma_desc::VmaDesc, UserPage}, //
    /// };
    ///
    /// /// The data of an open file.
    /// struct OpenFile {
    ///     pages: KVec<UserPage>,
    /// }
    ///
    /// fn mmap_prepare<'a>(file: &'a OpenFile, desc: &mut VmaDesc<'a>) -> Result {
    ///     // The first of the pages is mapped at the start of the VMA.
    ///     if desc.pgoff() != 0 {
    ///         return Err(EINVAL);
    ///     }
    ///     desc.map_kernel_pages(&file.pages)
    /// }
    /// # let mut pages = KVec::new();
    /// # pages.push(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
    /// # let file = OpenFile { pages };
    /// # kernel::mm::kunit::with_vma_desc(|desc| mmap_prepare(&file, desc))?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "mmap_action_map_kernel_pages")]
    #[inline]
    pub fn map_kernel_pages<A: Allocator>(&mut self, pages: &'a Vec<UserPage, A>) -> Result {
        if self.has_data() || self.has_contents() {
            return Err(EBUSY);
        }
        if pages.is_empty() {
            return Ok(());
        }
        // C code computes the end of the range without a check for overflow.
        if pages.len() > self.vma_pages() {
            return Err(EFAULT);
        }
        if pages.iter().any(|page| is_full(page)) {
            return Err(ENOMEM);
        }
        let (start, array) = (self.start(), as_page_array(pages));
        // SAFETY: `raw_mut()` returns a valid, exclusive pointer. `mmap_action_map_kernel_pages()`
        // only fills in the action. `array` is valid for reads of `pages.len()` pointers for `'a`,
        // which by the type invariants is until the core mm has mapped the pages, and C code only
        // reads it.
        // INVARIANT: There was no data, no action, and neither `VM_PFNMAP` nor `VM_MIXEDMAP`.
        unsafe {
            bindings::mmap_action_map_kernel_pages(self.raw_mut(), start, array, pages.len())
        };
        Ok(())
    }
}
