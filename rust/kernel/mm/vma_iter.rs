// SPDX-License-Identifier: GPL-2.0

//! One area after the other.

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

/// The areas of a range of addresses, from low to high.
///
/// # Invariants
///
/// The mmap lock of the address space that `vmi` walks is held, and the address space is alive, for
/// the whole of `'a`.
///
/// # Examples
///
/// ```
/// use kernel::mm::{virt::VmaRef, MmWithUser};
///
/// /// Returns how many pages a process has mapped.
/// fn pages(mm: &MmWithUser) -> usize {
///     let guard = mm.mmap_read_lock();
///     guard.vmas(0..usize::MAX).map(VmaRef::vma_pages).sum()
/// }
/// # // SAFETY: No `current!()` is in use yet.
/// # unsafe { kernel::mm::kunit::user_page() }?;
/// # let task = current!();
/// # assert!(pages(task.mm().ok_or(EINVAL)?) >= 1);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("vma_iterator", "for_each_vma", "for_each_vma_range"))]
pub struct VmaIter<'a> {
    vmi: bindings::vma_iterator,
    /// The last address of the range.
    last: usize,
    areas: PhantomData<&'a VmaRef>,
}

impl VmaIter<'_> {
    /// # Safety
    ///
    /// The mmap lock of `mm` is held for the whole of the result's lifetime.
    #[inline]
    pub(super) unsafe fn new(mm: &MmWithUser, range: Range<usize>) -> Self {
        // An empty range has no last address. Nothing is found if it comes before the first.
        let range = if range.is_empty() { 1..1 } else { range };
        let mut vmi = MaybeUninit::uninit();

        // SAFETY: It fills in the whole of `vmi`, which has no pointers into itself.
        unsafe { bindings::vma_iter_init(vmi.as_mut_ptr(), mm.as_raw(), range.start) };
        // INVARIANT: As the caller says.
        Self {
            // SAFETY: It was filled in.
            vmi: unsafe { vmi.assume_init() },
            last: range.end - 1,
            areas: PhantomData,
        }
    }
}

impl<'a> Iterator for VmaIter<'a> {
    type Item = &'a VmaRef;

    #[inline]
    fn next(&mut self) -> Option<&'a VmaRef> {
        // SAFETY: The tree of areas does not change while the lock is held, which is what `vmi`
        // relies on from one call to the next. What the tree holds is areas, as `vma_find()` knows.
        let vma = unsafe { bindings::mas_find(&mut self.vmi.mas, self.last) };
        let vma: *mut bindings::vm_area_struct = vma.cast();

        if vma.is_null() {
            return None;
        }
        // SAFETY: The area is there, and stays as it is, for as long as the lock is held.
        Some(unsafe { VmaRef::from_raw(vma) })
    }
}
