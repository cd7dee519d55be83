// SPDX-License-Identifier: GPL-2.0

//! VMAs in which a driver may map its pages (`VM_MIXEDMAP`).

use super::VmaRef;
use crate::{
    bindings,
    error::{
        code::{
            EFAULT,
            ENOMEM, //
        },
        to_result,
        Result, //
    },
    mm::user_page::{
        as_page_array,
        is_full,
        UserPage, //
    },
    page::PAGE_SHIFT,
};
use core::ops::Deref;

/// A [`flags::MIXEDMAP`](super::flags::MIXEDMAP) VMA of a driver, locked for reading.
///
/// A driver gets it for its own VMAs only, from
/// [`DriverVma::as_mixedmap_vma`](crate::mm::vm_ops::DriverVma::as_mixedmap_vma) or
/// [`VmaNew::set_mixedmap`](super::VmaNew::set_mixedmap). The driver of another VMA may depend on
/// what is mapped there.
///
/// # Invariants
///
/// - The invariants of [`VmaRef`] hold.
/// - `VM_MIXEDMAP` is set.
/// - No PUD of the VMA maps a huge page.
/// - The driver that has the value owns the VMA.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{virt::VmaMixedMap, UserPage},
///     page::PAGE_SIZE, //
/// };
///
/// /// Maps `first` at the start of the VMA, and `others` after it.
/// fn map_all(vma: &VmaMixedMap, first: &UserPage, others: &[UserPage]) -> Result {
///     // `first` is the page at offset 0. `vm_insert_pages()` checks the end of the VMA.
///     if vma.pgoff() != 0 {
///         return Err(EINVAL);
///     }
///     vma.vm_insert_page(vma.start(), first)?;
///     vma.vm_insert_pages(vma.start() + PAGE_SIZE, others)
/// }
/// # let first = UserPage::alloc_page(GFP_KERNEL)?;
/// # let others = [UserPage::alloc_page(GFP_KERNEL)?, UserPage::alloc_page(GFP_KERNEL)?];
/// # kernel::mm::kunit::with_vma_new(|vma| map_all(vma.set_mixedmap(), &first, &others))?;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct VmaMixedMap {
    vma: VmaRef,
}

impl Deref for VmaMixedMap {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.vma
    }
}

impl VmaMixedMap {
    /// Creates a reference from a C pointer.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Safety
    ///
    /// - The requirements of [`VmaRef::from_raw`] must be met.
    /// - `VM_MIXEDMAP` must be set in the flags of the VMA.
    /// - No PUD of the VMA may map a huge page.
    /// - The VMA must belong to the driver that gets the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaMixedMap;
    ///
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// let vma = vma.set_mixedmap();
    /// // SAFETY: `vma` is a valid reference to a `VmaMixedMap`, and `same` is not used after it.
    /// let same = unsafe { VmaMixedMap::from_raw(vma.as_ptr()) };
    /// assert_eq!(same.start(), vma.start());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // CAST: `VmaMixedMap` is `repr(transparent)` over `VmaRef`, which is `repr(transparent)`
        // over `Opaque<vm_area_struct>`.
        let vma: *const Self = vma.cast();

        // SAFETY: The caller guarantees that `vma` points to a VMA, which is not freed during `'a`,
        // as a lock is held.
        // INVARIANT: The caller guarantees the invariants of `VmaRef`, the flag, the PUDs and the
        // owner.
        unsafe { &*vma }
    }

    /// Maps `page` in place of the virtual page that contains `address`.
    ///
    /// The mapping holds its own reference to the page, so `page` may be dropped first.
    ///
    /// If the VMA is writable, userspace may change the page at any time.
    ///
    /// # Errors
    ///
    /// - `EFAULT`: `address` is outside of the VMA.
    /// - `EBUSY`: a page is mapped there already.
    /// - `ENOMEM`: a page table could not be allocated, or the page is mapped too often for its
    ///   refcount (2^30 times).
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::UserPage;
    ///
    /// let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// let vma = vma.set_mixedmap();
    ///
    /// vma.vm_insert_page(vma.start(), &page)?;
    /// // A page is mapped there now.
    /// assert_eq!(vma.vm_insert_page(vma.start(), &page), Err(EBUSY));
    /// assert_eq!(vma.vm_insert_page(vma.end(), &page), Err(EFAULT));
    /// # for address in [0, vma.start() - 1, vma.end() + 1, usize::MAX & !4095, usize::MAX] {
    /// #     assert_eq!(vma.vm_insert_page(address, &page), Err(EFAULT));
    /// # }
    /// # // An address within a page stands for the page.
    /// # assert_eq!(vma.vm_insert_page(vma.start() + 1, &page), Err(EBUSY));
    /// # vma.vm_insert_page(vma.end() - 1, &page)?;
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vm_insert_page(
        &self,
        address: usize,
        #[cfg(not(CONFIG_RUST_VMA_OF_ANY_OWNER))] page: &UserPage,
        // Drivers that were written for the kernel's own abstractions have a `Page`. Their pages
        // must meet the invariants of `UserPage`.
        #[cfg(CONFIG_RUST_VMA_OF_ANY_OWNER)] page: &crate::page::Page,
    ) -> Result {
        if is_full(page) {
            return Err(ENOMEM);
        }

        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held and `VM_MIXEDMAP`
        // is set, so `vm_insert_page()` does not change the flags, for which it would need the mmap
        // lock for writing. A `Page` is a single page with a reference. The function takes its own
        // reference, which the refcount has room for, and refuses pages of anonymous memory and of
        // the slab allocator. By the invariants of `UserPage`, userspace may read and write it.
        match unsafe { bindings::vm_insert_page(self.as_ptr(), address, page.as_ptr()) } {
            // This avoids the call of `to_result()`.
            0 => Ok(()),
            err => to_result(err),
        }
    }

    /// Maps `pages` at consecutive addresses, the first page at `address`.
    ///
    /// This does for each page what [`vm_insert_page`](Self::vm_insert_page) does, but takes the
    /// page table lock less often. If it fails, it may have mapped some of the
    /// pages; the caller cannot tell how many. Without pages it succeeds, whatever `address` is.
    ///
    /// # Errors
    ///
    /// - `EFAULT`: a part of the range is outside of the VMA.
    /// - `EBUSY`, `ENOMEM`: as for [`vm_insert_page`](Self::vm_insert_page).
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::UserPage;
    ///
    /// let pages = [UserPage::alloc_page(GFP_KERNEL)?, UserPage::alloc_page(GFP_KERNEL)?];
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// let vma = vma.set_mixedmap();
    /// vma.vm_insert_pages(vma.start(), &pages)?;
    /// # vma.vm_insert_pages(vma.end(), &[])?;
    /// # // The end of each of these ranges is outside of the VMA, or wraps around.
    /// # use kernel::page::PAGE_SIZE;
    /// # let last = usize::MAX & !(PAGE_SIZE - 1);
    /// # let (start, end) = (vma.start(), vma.end());
    /// # let near = [0, start - PAGE_SIZE, end - PAGE_SIZE, end];
    /// # let at_the_end = [last - PAGE_SIZE, last, last + 1, usize::MAX];
    /// # for start in [near, at_the_end].into_iter().flatten() {
    /// #     assert_eq!(vma.vm_insert_pages(start, &pages), Err(EFAULT));
    /// # }
    /// # // An address within a page stands for the page, but the range must end in the VMA.
    /// # assert_eq!(vma.vm_insert_pages(vma.start() + 2 * PAGE_SIZE + 1, &pages), Err(EFAULT));
    /// # assert_eq!(vma.vm_insert_pages(vma.start() - 1, &pages), Err(EFAULT));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vm_insert_pages(&self, address: usize, pages: &[UserPage]) -> Result {
        // For no pages, `vm_insert_pages()` would still allocate a page table for `address`, which
        // may be the exclusive end address of the VMA.
        if pages.is_empty() {
            return Ok(());
        }
        // `vm_insert_pages()` computes the end of the range without a check for overflow.
        let room = self.end().saturating_sub(address) >> PAGE_SHIFT;
        if address < self.start() || pages.len() > room {
            return Err(EFAULT);
        }
        // Each page owns its reference, so no page is there twice.
        if pages.iter().any(|page| is_full(page)) {
            return Err(ENOMEM);
        }
        let array = as_page_array(pages);
        let mut left = pages.len();

        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held and `VM_MIXEDMAP`
        // is set, so the flags do not change. `array` is valid for reads of `left` pointers to
        // single pages with a reference, by the invariants of `UserPage`. The function takes its
        // own reference to each, which the refcount has room for. The range lies within the VMA,
        // which was checked above. The function refuses pages of anonymous memory and of the slab
        // allocator. By the invariants of `UserPage`, userspace may read and write the pages.
        to_result(unsafe { bindings::vm_insert_pages(self.as_ptr(), address, array, &mut left) })
    }
}
