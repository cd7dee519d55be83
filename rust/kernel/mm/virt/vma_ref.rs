// SPDX-License-Identifier: GPL-2.0

//! VMAs that are locked for reading.

use super::{
    flags,
    vm_flags_t,
    VmaMixedMap, //
};
use crate::{
    bindings,
    fs::File,
    mm::{
        vm_ops::{
            DriverVma,
            VmOperations, //
        },
        MmWithUser,
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    types::Opaque,
};
use core::ptr;

/// An area that is locked for reading.
///
/// It is neither `Send` nor `Sync`, as the locks belong to a thread.
///
/// # Invariants
///
/// For as long as a reference exists, its user holds the mmap lock of the area's address space or
/// the area's own lock, for reading or writing, and the address space is alive (`mm_users` is not
/// zero).
///
/// # Examples
///
/// ```
/// use kernel::mm::virt::flags;
/// # // SAFETY: No `current!()` is in use yet.
/// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
///
/// let task = current!();
/// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
/// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
///
/// assert!(vma.flags() & flags::WRITE != 0);
/// assert!(vma.flags() & flags::SHARED == 0);
/// assert!(vma.as_mixedmap_vma().is_none());
/// assert_eq!(vma.vma_pages(), 1);
/// assert!(vma.file().is_none());
/// # assert_eq!(vma.mm().as_raw(), task.mm().ok_or(EINVAL)?.as_raw());
/// # assert_eq!((vma.start(), vma.end()), (addr, addr + kernel::page::PAGE_SIZE));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "vm_area_struct")]
#[repr(transparent)]
pub struct VmaRef {
    vma: Opaque<bindings::vm_area_struct>,
}

// These need one of the locks, whatever the flags are.
impl VmaRef {
    /// Borrows an area that C code points to.
    ///
    /// # Safety
    ///
    /// `vma` points to an area of a living address space (`mm_users` is not zero), and the mmap
    /// lock or the area's own lock is held, for reading at least, for the whole of `'a`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaRef;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // SAFETY: The lock is held for longer than this.
    /// let same = unsafe { VmaRef::from_raw(vma.as_ptr()) };
    /// assert_eq!(same.start(), vma.start());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The caller vouches for the type invariant. CAST: `Self` is transparent around it.
        unsafe { &*vma.cast() }
    }

    /// Returns the C side's pointer to this area.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// assert!(!vma.as_ptr().is_null());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::vm_area_struct {
        self.vma.get()
    }

    /// Returns the address space that this area belongs to.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// assert_eq!(vma.mm().as_raw(), task.mm().ok_or(EINVAL)?.as_raw());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mm(&self) -> &MmWithUser {
        // SAFETY: `vm_mm` is set when the area is allocated and stays. The address space is alive
        // for as long as `self` is borrowed, by the type invariant.
        unsafe { MmWithUser::from_raw((*self.as_ptr()).vm_mm) }
    }

    /// Returns the flags, a combination of those in [`flags`].
    ///
    /// The kernel may set some of them without a lock for writing, so two calls may differ in bits
    /// that the caller does not know. Those that say what the area is do not change under a lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// assert!(vma.flags() & kernel::mm::virt::flags::READ != 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn flags(&self) -> vm_flags_t {
        // SAFETY: The area is allocated by the type invariant, and this is one word of it. Under a
        // read lock, the C side changes single bits of it at most, by an atomic operation or (in
        // 6.12's `untrack_pfn()`) by one store, so a volatile read sees the word before or after.
        unsafe { ptr::addr_of!((*self.as_ptr()).__bindgen_anon_2.vm_flags).read_volatile() }
    }

    /// Returns the address of the first byte.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// assert!(vma.start() <= addr);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: Who moves an end of an area holds the mmap lock and the area's lock for writing.
        // One of them is held here for reading at least, by the type invariant.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_start }
    }

    /// Returns the address behind the last byte.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// assert!(addr < vma.end());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: As for `start()`.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_end }
    }

    /// Returns how many pages the area has.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaRef;
    ///
    /// /// Returns which pages of the file are mapped.
    /// fn pages(vma: &VmaRef) -> core::ops::Range<usize> {
    ///     vma.pgoff()..vma.pgoff() + vma.vma_pages()
    /// }
    /// ```
    #[inline]
    pub fn vma_pages(&self) -> usize {
        // The end is behind the start, so nothing wraps.
        self.end().wrapping_sub(self.start()) >> PAGE_SHIFT
    }

    /// Returns the file that is mapped, or `None` for memory without one.
    ///
    /// It need not be the one that `mmap()` was called with: some drivers put another in its place.
    /// To keep it for longer than the area, count it, with `ARef::from(file)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     fs::File,
    ///     mm::virt::VmaRef,
    ///     sync::aref::ARef, //
    /// };
    ///
    /// fn keep(vma: &VmaRef) -> Option<ARef<File>> {
    ///     vma.file().map(ARef::from)
    /// }
    /// ```
    #[doc(alias = "vm_file")]
    #[inline]
    pub fn file(&self) -> Option<&File> {
        // SAFETY: The `vm_area_struct` is allocated by the type invariants. Only who makes an area
        // stores to the field, before others can find it: `mmap_region()`, `dup_mmap()` and the
        // like, and hooks, mostly through `vma_set_file()`.
        let file = unsafe { (*self.as_ptr()).vm_file };

        if file.is_null() {
            None
        } else {
            // SAFETY: The area holds a count of its file until it is freed, and the borrow ends
            // before that. That count keeps `fdget_pos()` from going without the lock of the file,
            // see `file_needs_f_pos_lock()`.
            Some(unsafe { File::from_raw_file(file) })
        }
    }

    /// Returns which page of the file the area begins with.
    ///
    /// For anonymous memory, it is a number that only the kernel makes sense of.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::virt::VmaRef, page::PAGE_SIZE};
    ///
    /// /// Returns which page of the file is mapped at `address`.
    /// fn page_at(vma: &VmaRef, address: usize) -> usize {
    ///     vma.pgoff() + (address - vma.start()) / PAGE_SIZE
    /// }
    /// ```
    #[doc(alias = "vm_pgoff")]
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: As for `start()`; it changes along with it.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    /// Takes the pages at `address .. address + size` out of the page tables.
    ///
    /// What they hold is lost if nothing else refers to it (anonymous memory), and kept if
    /// something does (a file's pages, or those of a driver). The area stays: the next touch is a
    /// page fault. May sleep.
    ///
    /// The call has no effect unless both numbers are multiples of [`PAGE_SIZE`] and the range lies
    /// within the area, and none on an area of huge pages ([`flags::HUGETLB`]), which the C side
    /// can only zap in units of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // Off a page, longer than the area, or empty: nothing happens.
    /// vma.zap_vma_range(addr + 1, 4096);
    /// vma.zap_vma_range(addr, usize::MAX & !4095);
    /// vma.zap_vma_range(addr, 0);
    /// // The page is given back, and the area stays.
    /// vma.zap_vma_range(vma.start(), vma.end() - vma.start());
    /// assert!(guard.vma_lookup(addr).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn zap_vma_range(&self, address: usize, size: usize) {
        let Some(end) = address.checked_add(size) else {
            return;
        };
        if (address | size) % PAGE_SIZE != 0
            || size == 0
            || address < self.start()
            || self.end() < end
            || self.flags() & flags::HUGETLB != 0
        {
            return;
        }

        // SAFETY: One of the locks is held, by the type invariant, which keeps the page tables of
        // the area from being freed. The walk over them ends where an address equals the end of
        // the range, which is why both must be on a page boundary, and it must not leave the area;
        // `__unmap_hugepage_range()` is a BUG() on a part of a huge page. All were checked.
        unsafe { bindings::zap_vma_range(self.as_ptr(), address, size) };
    }

    /// Returns the area as one that takes single pages, if [`flags::MIXEDMAP`] is set.
    ///
    /// `None` also for an area whose owner may map huge pages there: C's way down to the place of a
    /// single page takes no notice of a huge one in the upper levels.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // Anonymous memory takes no pages of a driver.
    /// assert!(vma.as_mixedmap_vma().is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_mixedmap_vma(&self) -> Option<&VmaMixedMap> {
        if self.flags() & flags::MIXEDMAP == 0 || self.may_map_huge() {
            return None;
        }

        // SAFETY: The flag is set, and nothing in the kernel clears it. The rest is the invariant
        // of `VmaRef`, which holds for the lifetime of `self`, and what was asked above.
        Some(unsafe { VmaMixedMap::from_raw(self.as_ptr()) })
    }

    /// Returns the area as one that holds a `T`, if it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{virt::VmaRef, vm_ops::VmOperations};
    ///
    /// /// Whatever else may be mapped there by now, this has no effect on it.
    /// fn revoke<T: VmOperations>(vma: &VmaRef) {
    ///     if let Some(vma) = vma.downcast::<T>() {
    ///         vma.zap_vma_range(vma.start(), vma.end() - vma.start());
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn downcast<T: VmOperations>(&self) -> Option<&DriverVma<T>> {
        if !ptr::eq(self.vm_ops(), T::table().as_ptr()) {
            return None;
        }

        // SAFETY: The area has the table of `T`. The rest is the invariant of `VmaRef`, which holds
        // for the lifetime of `self`.
        Some(unsafe { DriverVma::from_raw(self.as_ptr()) })
    }

    /// Returns the area's table of operations.
    #[inline]
    fn vm_ops(&self) -> *const bindings::vm_operations_struct {
        // SAFETY: The area is allocated by the type invariant, and this is one word of it. It is
        // set before the area can be found, and whoever changes it later stores one pointer.
        unsafe { ptr::addr_of!((*self.as_ptr()).vm_ops).read_volatile() }
    }

    /// Returns whether the area's operations can fill it with huge pages.
    #[inline]
    fn may_map_huge(&self) -> bool {
        let ops = self.vm_ops();

        // SAFETY: A table that is not null is part of the kernel, or of a module that the area's
        // file keeps for as long as the area is there.
        !ops.is_null() && unsafe { (*ops).huge_fault.is_some() }
    }
}
