// SPDX-License-Identifier: GPL-2.0

//! Iteration over the VMAs of an address space.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    mm::{
        virt::VmaRef,
        MmWithUser, //
    },
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Range, //
};

/// An iterator over the VMAs that overlap a range of addresses, in ascending order.
///
/// # Invariants
///
/// For the duration of `'a`, the mmap lock of the address space that `vmi` walks is held, for
/// reading or for writing, and `mm_users` is not zero.
///
/// # Examples
///
/// ```
/// use kernel::mm::{
///     virt::VmaRef,
///     MmWithUser, //
/// };
///
/// /// Returns how many pages all VMAs together have.
/// fn total_vm(mm: &MmWithUser) -> usize {
///     let guard = mm.mmap_read_lock();
///     guard.vmas(0..usize::MAX).map(VmaRef::vma_pages).sum()
/// }
/// # kernel::mm::kunit::with_user_mm(|mm, _| {
/// # assert_eq!(total_vm(mm), 1);
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("vma_iterator", "for_each_vma", "for_each_vma_range"))]
pub struct VmaIter<'a> {
    vmi: bindings::vma_iterator,
    /// The last address of the range, inclusive.
    last: usize,
    vmas: PhantomData<&'a VmaRef>,
}

impl VmaIter<'_> {
    /// Creates an iterator over the VMAs of `mm` that overlap `range`.
    ///
    /// # Safety
    ///
    /// The mmap lock of `mm` must be held, and `mm_users` must not be zero, for the lifetime of the
    /// result.
    #[inline]
    pub(super) unsafe fn new(mm: &MmWithUser, range: Range<usize>) -> Self {
        // An empty range has no last address. With `last` below the start, `mas_find()` returns
        // null.
        let range = if range.is_empty() { 1..1 } else { range };
        let mut vmi = MaybeUninit::uninit();

        // SAFETY: `vma_iter_init()` initializes all of `vmi`, and stores no pointer to it. The
        // `mm_struct` is allocated, as `mm` is borrowed.
        unsafe { bindings::vma_iter_init(vmi.as_mut_ptr(), mm.as_raw(), range.start) };
        // INVARIANT: The caller guarantees that the lock is held and that `mm_users` is not zero.
        Self {
            // SAFETY: It was initialized above.
            vmi: unsafe { vmi.assume_init() },
            last: range.end - 1,
            vmas: PhantomData,
        }
    }
}

impl<'a> Iterator for VmaIter<'a> {
    type Item = &'a VmaRef;

    #[inline]
    fn next(&mut self) -> Option<&'a VmaRef> {
        // SAFETY: The mmap lock is held by the type invariant. The maple tree is changed under the
        // mmap write lock only, so the position in `vmi` is valid from one call to the next. The
        // entries of the tree are VMAs: `vma_find()` of C makes the same call.
        let vma = unsafe { bindings::mas_find(&mut self.vmi.mas, self.last) };
        let vma: *mut bindings::vm_area_struct = vma.cast();

        if vma.is_null() {
            return None;
        }
        // SAFETY: The mmap lock is held, and `mm_users` is not zero, for the duration of `'a`, by
        // the type invariant. So the VMA is stable for as long.
        Some(unsafe { VmaRef::from_raw(vma) })
    }
}
