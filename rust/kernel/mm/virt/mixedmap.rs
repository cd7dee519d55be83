// SPDX-License-Identifier: GPL-2.0

//! VMAs that may hold pages of a driver (`VM_MIXEDMAP`).

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

/// An area that takes single pages, locked for reading.
///
/// # Invariants
///
/// As for [`VmaRef`], [`flags::MIXEDMAP`] is set, and no PUD of the area maps a huge page.
///
/// # Examples
///
/// ```
/// use kernel::{mm::virt::VmaMixedMap, page::{Page, PAGE_SIZE}};
///
/// /// Maps `page` at the front, and `others` behind it.
/// fn map_all(vma: &VmaMixedMap, page: &Page, others: &[Page]) -> Result {
///     vma.vm_insert_page(vma.start(), page)?;
///     vma.vm_insert_pages(vma.start() + PAGE_SIZE, others)
/// }
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
    /// Borrows an area that C code points to.
    ///
    /// # Safety
    ///
    /// As for [`VmaRef::from_raw`], `VM_MIXEDMAP` is set in the area's flags, and no PUD of it maps
    /// a huge page.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::{VmaMixedMap, VmaRef};
    ///
    /// fn same(vma: &VmaMixedMap) -> &VmaRef {
    ///     // SAFETY: `vma` is borrowed for as long as the result, and has the flag.
    ///     unsafe { VmaMixedMap::from_raw(vma.as_ptr()) }
    /// }
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The caller vouches for the type invariant. CAST: `Self` is transparent around it.
        unsafe { &*vma.cast() }
    }

    /// Maps `page` at the page that holds `address`.
    ///
    /// The mapping has a count of its own on the page, so the page may be dropped before it. User
    /// space may write to what it can map, so the page must hold nothing that the kernel relies on;
    /// in particular, none of those behind a `VBox`.
    /// May sleep, as page tables may have to be allocated.
    ///
    /// Errors: `EFAULT` if `address` is outside of the area, `EBUSY` if a page is mapped there,
    /// `ENOMEM` without memory for page tables.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::virt::VmaMixedMap, page::Page};
    ///
    /// fn first(vma: &VmaMixedMap, page: &Page) -> Result {
    ///     vma.vm_insert_page(vma.start(), page)
    /// }
    /// ```
    #[inline]
    pub fn vm_insert_page(&self, address: usize, page: &Page) -> Result {
        // SAFETY: One of the locks is held, which is enough as `VM_MIXEDMAP` is set already; both
        // by the type invariant. A `Page` is a single page with a count, which the function adds
        // its own to, and it refuses those that belong to anonymous memory or to the slab.
        match unsafe { bindings::vm_insert_page(self.as_ptr(), address, page.as_ptr()) } {
            // Without a call.
            0 => Ok(()),
            err => to_result(err),
        }
    }

    /// Maps `pages` one behind the other, the first at `address`.
    ///
    /// As [`vm_insert_page`](Self::vm_insert_page) for each, but with fewer locks taken. If it
    /// fails, some are mapped.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{virt::VmaMixedMap, OwnedPage};
    ///
    /// fn all(vma: &VmaMixedMap, pages: &[OwnedPage]) -> Result {
    ///     vma.vm_insert_pages(vma.start(), pages)
    /// }
    /// ```
    #[inline]
    pub fn vm_insert_pages(&self, address: usize, pages: &[OwnedPage]) -> Result {
        // Otherwise the C side makes a table for the address, which may be that behind the area.
        if pages.is_empty() {
            return Ok(());
        }
        let array = as_page_array(pages);
        let mut left = pages.len();

        // SAFETY: As for `vm_insert_page()`. The function refuses a range that is not in the area,
        // and reads so many pointers.
        to_result(unsafe { bindings::vm_insert_pages(self.as_ptr(), address, array, &mut left) })
    }
}

/// Returns the array of pointers that C functions want, which only read it.
#[inline]
pub(in crate::mm) fn as_page_array(pages: &[OwnedPage]) -> *mut *mut bindings::page {
    // A `Page` is a pointer, and nothing else.
    const {
        assert!(size_of::<Page>() == size_of::<*mut bindings::page>());
        assert!(align_of::<Page>() == align_of::<*mut bindings::page>());
    }
    pages.as_ptr().cast_mut().cast()
}
