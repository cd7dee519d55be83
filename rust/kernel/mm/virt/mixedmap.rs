// SPDX-License-Identifier: GPL-2.0

//! VMAs in which a driver may map its pages (`VM_MIXEDMAP`).

use super::VmaRef;
use crate::{
    bindings,
    error::{
        to_result,
        Result, //
    },
    mm::OwnedPage,
    page::Page,
};
use core::{
    mem::{
        align_of,
        size_of, //
    },
    ops::Deref, //
};

/// A [`flags::MIXEDMAP`](super::flags::MIXEDMAP) VMA that is locked for reading.
///
/// # Invariants
///
/// - The invariants of [`VmaRef`] hold.
/// - `VM_MIXEDMAP` is set.
/// - No PUD of the VMA maps a huge page.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::virt::VmaMixedMap,
///     page::{Page, PAGE_SIZE}, //
/// };
///
/// /// Maps `first` at the start of the VMA, and `others` after it.
/// fn map_all(vma: &VmaMixedMap, first: &Page, others: &[Page]) -> Result {
///     vma.vm_insert_page(vma.start(), first)?;
///     vma.vm_insert_pages(vma.start() + PAGE_SIZE, others)
/// }
/// # let first = Page::alloc_page(GFP_KERNEL)?;
/// # let others = [Page::alloc_page(GFP_KERNEL)?, Page::alloc_page(GFP_KERNEL)?];
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
        // INVARIANT: The caller guarantees the invariants of `VmaRef`, the flag and the PUDs.
        unsafe { &*vma }
    }

    /// Maps `page` in place of the virtual page that contains `address`.
    ///
    /// The mapping holds its own reference to the page, so `page` may be dropped first.
    ///
    /// If the VMA is writable, userspace may change the page at any time. The kernel must not
    /// assume that its content is stable or valid. A page of a `VBox` must not be mapped, because
    /// userspace could change the Rust value in it.
    ///
    /// # Errors
    ///
    /// - `EFAULT`: `address` is outside of the VMA.
    /// - `EBUSY`: a page is mapped there already.
    /// - `EINVAL`: `page` is anonymous memory, belongs to the slab allocator or has a page type.
    /// - `ENOMEM`: a page table could not be allocated.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::page::Page;
    ///
    /// let page = Page::alloc_page(GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// let vma = vma.set_mixedmap();
    ///
    /// vma.vm_insert_page(vma.start(), &page)?;
    /// // A page is mapped there now.
    /// assert_eq!(vma.vm_insert_page(vma.start(), &page), Err(EBUSY));
    /// assert_eq!(vma.vm_insert_page(vma.end(), &page), Err(EFAULT));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vm_insert_page(&self, address: usize, page: &Page) -> Result {
        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held and `VM_MIXEDMAP`
        // is set, so `vm_insert_page()` does not change the flags, for which it would need the mmap
        // lock for writing. A `Page` is a single page with a reference. The function takes its own
        // reference, and refuses pages of anonymous memory and of the slab allocator.
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
    /// - `EBUSY`, `EINVAL`, `ENOMEM`: as for [`vm_insert_page`](Self::vm_insert_page).
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::page::Page;
    ///
    /// let pages = [Page::alloc_page(GFP_KERNEL)?, Page::alloc_page(GFP_KERNEL)?];
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// let vma = vma.set_mixedmap();
    /// vma.vm_insert_pages(vma.start(), &pages)?;
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vm_insert_pages(&self, address: usize, pages: &[OwnedPage]) -> Result {
        // For no pages, `vm_insert_pages()` would still allocate a page table for `address`, which
        // may be the exclusive end address of the VMA.
        if pages.is_empty() {
            return Ok(());
        }
        let array = as_page_array(pages);
        let mut left = pages.len();

        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held and `VM_MIXEDMAP`
        // is set, so the flags do not change. `array` is valid for reads of `left` pointers to
        // single pages with a reference. The function takes its own reference to each. It refuses a
        // range that is not within the VMA, pages of anonymous memory and of the slab allocator.
        to_result(unsafe { bindings::vm_insert_pages(self.as_ptr(), address, array, &mut left) })
    }
}

/// Returns `pages` as the array of pointers that C functions take.
///
/// The caller must pass the pointer only to C functions that do not write to the array.
#[inline]
pub(in crate::mm) fn as_page_array(pages: &[OwnedPage]) -> *mut *mut bindings::page {
    const {
        assert!(size_of::<OwnedPage>() == size_of::<*mut bindings::page>());
        assert!(align_of::<OwnedPage>() == align_of::<*mut bindings::page>());
    }
    // CAST: The only field of an `OwnedPage` with a size is a pointer to the page, see above.
    pages.as_ptr().cast_mut().cast()
}
