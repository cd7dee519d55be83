// SPDX-License-Identifier: GPL-2.0

//! What a driver may do with the page tables of its own VMAs.

use super::{
    flags,
    VmaMixedMap, //
};
use crate::{
    error::{
        code::EBUSY,
        Result, //
    },
    mm::vm_ops::{
        DriverVma,
        VmOperations, //
    },
};

// The table of `T` has no `huge_fault`, and no function of this crate maps a huge page.
impl<T: VmOperations> DriverVma<T> {
    /// Removes the pages at `address .. address + size` from the page tables.
    ///
    /// The driver's pages keep their content, also in other VMAs. Userspace's copies of them in a
    /// private VMA are lost. The VMA stays. The next access faults, so a driver that revokes memory
    /// must make `fault()` fail first: a concurrent page fault may map a page again at once.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `address` or `size` is not a multiple of
    ///   [`PAGE_SIZE`](crate::page::PAGE_SIZE), `size` is zero, or the range does not lie within
    ///   the VMA.
    /// - `EBUSY`: the VMA was mapped by
    ///   [`remap_pfn_range`](super::VmaNew::remap_pfn_range), and the kernel (6.12, on x86) looks
    ///   up the memory type of the whole VMA in its page tables.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vm_ops::{DriverVma, VmOperations};
    ///
    /// /// Has the next access to each page of the VMA call `T::fault()`.
    /// fn zap_all<T: VmOperations>(vma: &DriverVma<T>) -> Result {
    ///     vma.zap_vma_range(vma.start(), vma.end() - vma.start())
    /// }
    /// # use kernel::{
    /// #     impl_has_vm_ops,
    /// #     mm::{vm_ops::MmapHook, UserPage},
    /// #     page::PAGE_SIZE,
    /// #     sync::Arc,
    /// # };
    /// #
    /// # struct Board;
    /// #
    /// # impl_has_vm_ops!(Board);
    /// #
    /// # #[vtable]
    /// # impl VmOperations for Board {
    /// #     type Hook = MmapHook;
    /// # }
    /// #
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     let vma = vma.set_ops(Arc::new(Board, GFP_KERNEL)?)?;
    /// #     zap_all(vma)?;
    /// #     let (start, end) = (vma.start(), vma.end());
    /// #     for (address, size) in [
    /// #         (start, 0),
    /// #         (start, 1),
    /// #         (start + 1, PAGE_SIZE),
    /// #         (start - PAGE_SIZE, PAGE_SIZE),
    /// #         (start - PAGE_SIZE, 2 * PAGE_SIZE),
    /// #         (end, PAGE_SIZE),
    /// #         (end - PAGE_SIZE, 2 * PAGE_SIZE),
    /// #         (0, PAGE_SIZE),
    /// #         (start, usize::MAX & !(PAGE_SIZE - 1)),
    /// #         (start, usize::MAX),
    /// #         (usize::MAX & !(PAGE_SIZE - 1), PAGE_SIZE),
    /// #         (usize::MAX, usize::MAX),
    /// #     ] {
    /// #         assert_eq!(vma.zap_vma_range(address, size), Err(EINVAL));
    /// #     }
    /// #     Ok(())
    /// # })?;
    /// # // What is zapped in one hook can be mapped again.
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     let own = vma.set_ops(Arc::new(Board, GFP_KERNEL)?)?;
    /// #     assert!(own.as_mixedmap_vma().is_none());
    /// #     let mixed = vma.set_mixedmap();
    /// #     assert!(own.as_mixedmap_vma().is_some());
    /// #     mixed.vm_insert_page(vma.start(), &page)?;
    /// #     assert_eq!(mixed.vm_insert_page(vma.start(), &page), Err(EBUSY));
    /// #     own.zap_vma_range(vma.start(), PAGE_SIZE)?;
    /// #     mixed.vm_insert_page(vma.start(), &page)
    /// # })?;
    /// # // 6.12 tracks the memory type of this VMA.
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     let own = vma.set_ops(Arc::new(Board, GFP_KERNEL)?)?;
    /// #     // SAFETY: This is the BIOS of a PC. The VMA is unmapped without having been accessed.
    /// #     unsafe { vma.remap_pfn_range(0xf0, kernel::mm::pfnmap::Caching::Normal)? };
    /// #     let is_tracked = vma.flags() & kernel::mm::virt::flags::ARCH_1 != 0;
    /// #     let result = if is_tracked { Err(EBUSY) } else { Ok(()) };
    /// #     for _ in 0..2 {
    /// #         assert_eq!(own.zap_vma_range(vma.start(), PAGE_SIZE), result);
    /// #     }
    /// #     vma.zap_vma_range(vma.start(), PAGE_SIZE)
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("zap_page_range_single", "zap_vma_ptes"))]
    #[inline]
    pub fn zap_vma_range(&self, address: usize, size: usize) -> Result {
        if self.is_tracked() {
            return Err(EBUSY);
        }
        // SAFETY: The VMA has the `vm_ops` of `T`, so it is not of hugetlbfs, and no PUD of it maps
        // a huge page: only functions that `->huge_fault()` calls map one, which the table lacks.
        // It is not tracked.
        unsafe { self.zap(address, size) }
    }

    /// Returns the VMA as a [`VmaMixedMap`] if [`flags::MIXEDMAP`] is set.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{vm_ops::{DriverVma, VmOperations}, UserPage};
    ///
    /// /// Maps a page before userspace accesses it.
    /// fn prefault<T: VmOperations>(vma: &DriverVma<T>, address: usize, page: &UserPage) -> Result
    /// {
    ///     vma.as_mixedmap_vma().ok_or(EINVAL)?.vm_insert_page(address, page)
    /// }
    /// # use kernel::mm::kunit::fault_by_read;
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| match prefault(vmf.vma(), vmf.address(), &page) {
    /// #     Ok(()) => vmf.return_nopage(),
    /// #     Err(err) => vmf.return_error(err),
    /// # }), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_mixedmap_vma(&self) -> Option<&VmaMixedMap> {
        if self.flags() & flags::MIXEDMAP == 0 {
            return None;
        }

        // SAFETY: `VM_MIXEDMAP` is set, and C code does not clear it. No PUD of the VMA maps a huge
        // page: only functions that `->huge_fault()` calls map one, which the table of `T` lacks.
        // The VMA belongs to the driver that `T` belongs to. The other requirements are the
        // invariants of `VmaRef`, which hold while `self` is borrowed.
        Some(unsafe { VmaMixedMap::from_raw(self.as_ptr()) })
    }
}
