// SPDX-License-Identifier: GPL-2.0

//! Areas of an address space (VMAs).
//!
//! Each type here is C's `struct vm_area_struct`, seen by somebody with certain rights:
//!
//! - [`VmaRef`]: somebody who holds a lock for reading. The area stays as it is.
//! - [`VmaMixedMap`]: the same, and the area takes single pages ([`flags::MIXEDMAP`]).
//! - [`VmaLocked`]: somebody who holds the mmap lock for writing, and may change the area.
//! - [`VmaNew`]: an `mmap` hook, which sets up an area that nobody else can see yet.
//!
//! Addresses and sizes are in bytes.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    error::{
        code::{
            EBUSY,
            EINVAL, //
        },
        to_result,
        Result, //
    },
    fs::File,
    mm::{
        vm_ops::{
            VmOperations,
            VmOperationsTable,
            VmaOf, //
        },
        MmWithUser,
    },
    page::{
        Page,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    sync::Arc,
    types::Opaque,
};
use core::{
    ffi::c_int,
    mem::{
        align_of,
        size_of, //
    },
    ops::Deref,
    ptr, //
};

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
    _vma: Opaque<bindings::vm_area_struct>,
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
        // `Opaque::get()` would be a call in a kernel that is optimized for size. CAST: `Self` is
        // transparent around it.
        ptr::from_ref(self).cast_mut().cast()
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
    pub fn downcast<T: VmOperations>(&self) -> Option<&VmaOf<T>> {
        if !ptr::eq(self.vm_ops(), T::table().as_ptr()) {
            return None;
        }

        // SAFETY: The area has the table of `T`. The rest is the invariant of `VmaRef`, which holds
        // for the lifetime of `self`.
        Some(unsafe { VmaOf::from_raw(self.as_ptr()) })
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
    /// use kernel::{mm::virt::VmaMixedMap, page::Page};
    ///
    /// fn all(vma: &VmaMixedMap, pages: &[Page]) -> Result {
    ///     vma.vm_insert_pages(vma.start(), pages)
    /// }
    /// ```
    #[inline]
    pub fn vm_insert_pages(&self, address: usize, pages: &[Page]) -> Result {
        // Otherwise the C side makes a table for the address, which may be that behind the area.
        if pages.is_empty() {
            return Ok(());
        }
        let array = array_of(pages);
        let mut left = pages.len();

        // SAFETY: As for `vm_insert_page()`. The function refuses a range that is not in the area,
        // and reads so many pointers.
        to_result(unsafe { bindings::vm_insert_pages(self.as_ptr(), address, array, &mut left) })
    }
}

/// Returns the array of pointers that C functions want, which only read it.
#[inline]
pub(super) fn array_of(pages: &[Page]) -> *mut *mut bindings::page {
    // A `Page` is a pointer, and nothing else.
    const {
        assert!(size_of::<Page>() == size_of::<*mut bindings::page>());
        assert!(align_of::<Page>() == align_of::<*mut bindings::page>());
    }
    pages.as_ptr().cast_mut().cast()
}

/// An area that is locked for writing.
///
/// # Invariants
///
/// As for [`VmaRef`], and the mmap lock is held for writing.
///
/// # Examples
///
/// ```
/// use kernel::mm::virt::VmaLocked;
///
/// /// Makes a secret of an area: neither children nor core dumps have it.
/// fn hide(vma: &VmaLocked) {
///     vma.set_dontcopy();
///     vma.set_dontdump();
/// }
/// ```
#[repr(transparent)]
pub struct VmaLocked {
    vma: VmaRef,
}

impl Deref for VmaLocked {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.vma
    }
}

// Each waits until nobody holds the area's own lock for reading, as the C side does.
impl VmaLocked {
    /// # Safety
    ///
    /// The type invariant holds for the whole of `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The caller vouches for the type invariant. CAST: `Self` is transparent around it.
        unsafe { &*vma.cast() }
    }

    /// # Safety
    ///
    /// `flags` are such as a driver may set on any area.
    #[inline]
    unsafe fn set_flags(&self, flags: vm_flags_t) {
        // SAFETY: The mmap lock is held for writing, by the type invariant.
        unsafe { bindings::vm_flags_set(self.as_ptr(), flags) };
    }

    /// Sets [`flags::DONTCOPY`]: the area is not passed on by `fork()`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::flags;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_write_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // The device is to write here for this process, and not for a child with a copy.
    /// vma.set_dontcopy();
    /// assert!(vma.flags() & flags::DONTCOPY != 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set_dontcopy(&self) {
        // SAFETY: `madvise(MADV_DONTFORK)` sets it on any area.
        unsafe { self.set_flags(flags::DONTCOPY) };
    }

    /// Sets [`flags::DONTDUMP`]: the area is left out of core dumps.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::flags;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_write_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // What is decrypted here is not for a file.
    /// vma.set_dontdump();
    /// assert!(vma.flags() & flags::DONTDUMP != 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set_dontdump(&self) {
        // SAFETY: `madvise(MADV_DONTDUMP)` sets it on any area.
        unsafe { self.set_flags(flags::DONTDUMP) };
    }

    /// Sets [`flags::DONTEXPAND`]: `mremap()` cannot make the area larger.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::flags;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let guard = task.mm().ok_or(EINVAL)?.mmap_write_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    ///
    /// // The device has been told how large it is.
    /// vma.set_dontexpand();
    /// assert!(vma.flags() & flags::DONTEXPAND != 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set_dontexpand(&self) {
        // SAFETY: The flag only forbids; areas of all kinds have it.
        unsafe { self.set_flags(flags::DONTEXPAND) };
    }
}

/// An area that an `mmap` hook is setting up.
///
/// Nobody else can find it yet, so the hook may decide what it is. When the hook has returned, the
/// kernel may go on with the area, or merge it with its neighbour and free it.
///
/// # Invariants
///
/// As for [`VmaRef`]; the mmap lock is held for writing, the area is not in the tree of its address
/// space, and no other thread has a pointer to it.
///
/// # Examples
///
/// The hook of a device whose memory is for reading by everyone:
///
/// ```
/// use kernel::mm::virt::VmaNew;
///
/// fn mmap(vma: &VmaNew) -> Result {
///     // Not writable now, nor by `mprotect()` later.
///     vma.try_clear_maywrite()?;
///     vma.set_dontexpand();
///     let _area = vma.set_mixedmap();
///     // ... `_area.vm_insert_page(...)` ...
///     Ok(())
/// }
/// ```
#[repr(transparent)]
pub struct VmaNew {
    vma: VmaRef,
}

impl Deref for VmaNew {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.vma
    }
}

impl VmaNew {
    /// Borrows an area that C code points to.
    ///
    /// # Safety
    ///
    /// For the whole of `'a`, `vma` is being set up by an `mmap` hook: `mmap_region()` has called
    /// the hook with it, and the hook has not returned. `VM_PFNMAP` is not set in its flags.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{bindings, mm::virt::VmaNew};
    ///
    /// type Area = bindings::vm_area_struct;
    ///
    /// unsafe extern "C" fn mmap(_file: *mut bindings::file, vma: *mut Area) -> i32 {
    ///     // SAFETY: This is the hook that sets up the area.
    ///     let vma = unsafe { VmaNew::from_raw(vma) };
    ///     vma.set_dontexpand();
    ///     0
    /// }
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *mut bindings::vm_area_struct) -> &'a Self {
        // SAFETY: `mmap_region()` holds the mmap lock of the current task for writing, and has
        // just allocated the area, so the type invariant holds. CAST: `Self` is transparent.
        unsafe { &*vma.cast() }
    }

    /// Runs the body of an `mmap` hook, and returns what the hook has to return.
    ///
    /// The C side forgets an area's operations when its hook fails. This gives back the data that
    /// it got by [`set_ops`](Self::set_ops).
    ///
    /// # Safety
    ///
    /// As for [`from_raw`](Self::from_raw), for the time of the call; and the hook goes on to
    /// return what this does.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{bindings, mm::virt::VmaNew};
    ///
    /// type Area = bindings::vm_area_struct;
    ///
    /// unsafe extern "C" fn mmap(_file: *mut bindings::file, vma: *mut Area) -> i32 {
    ///     // SAFETY: This is the hook that sets up the area.
    ///     unsafe { VmaNew::set_up(vma, |vma| vma.try_clear_maywrite()) }
    /// }
    /// ```
    pub unsafe fn set_up(
        vma: *mut bindings::vm_area_struct,
        hook: impl FnOnce(&Self) -> Result,
    ) -> c_int {
        // SAFETY: As the caller says.
        let vma = unsafe { Self::from_raw(vma) };

        match hook(vma) {
            Ok(()) => 0,
            Err(err) => {
                if let Some(table) = VmOperationsTable::of(vma) {
                    // Other threads can reach what is mapped already, though they cannot find the
                    // area. Pages have counts of their own, but frames may be those of the data.
                    if vma.flags() & flags::PFNMAP != 0 {
                        vma.zap_vma_range(vma.start(), vma.end() - vma.start());
                    }
                    // SAFETY: The table is that of `set_ops()`, and what the hook has borrowed from
                    // the area has ended with it.
                    unsafe { table.clear(vma) };
                }
                err.to_errno()
            }
        }
    }

    /// Gives the area `data`, and the operations of its type.
    ///
    /// The area owns a count on the data until it is unmapped, and so does each area that is made
    /// from it later: see [`vm_ops`](crate::mm::vm_ops). If the hook fails after this, the count is
    /// given back. (If the hook got the area from [`from_raw`](Self::from_raw), it is lost.)
    ///
    /// This sets [`flags::DONTEXPAND`]. Otherwise the kernel would merge areas of one file without
    /// a look at their data.
    ///
    /// `EBUSY` if the area has some already.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{virt::VmaNew, vm_ops::VmOperations}, sync::Arc};
    ///
    /// fn mmap<T: VmOperations>(data: &Arc<T>, vma: &VmaNew) -> Result {
    ///     vma.set_ops(data.clone())?;
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias("vm_ops", "vm_private_data"))]
    #[inline]
    pub fn set_ops<T: VmOperations>(&self, data: Arc<T>) -> Result<&VmaOf<T>> {
        const { assert!(!T::PREPARED, "this type is for `mmap_prepare` hooks") };

        if VmOperationsTable::of(self).is_some() {
            return Err(EBUSY);
        }

        self.set_dontexpand();
        // SAFETY: The area is allocated, and nobody else has a pointer to it by the type invariant.
        // As it had no data, nothing refers to it. The two fields belong to the hook.
        unsafe {
            (*self.as_ptr()).vm_private_data = Arc::into_raw(data).cast_mut().cast();
            (*self.as_ptr()).vm_ops = T::table().as_ptr();
        }
        // SAFETY: The area has the table of `T`, and the count that was in `data`.
        Ok(unsafe { VmaOf::from_raw(self.as_ptr()) })
    }

    /// Sets the flags in `set` and clears those in `unset`.
    ///
    /// # Safety
    ///
    /// The result is a combination that a driver may give to an area.
    #[inline]
    pub(super) unsafe fn update_flags(&self, set: vm_flags_t, unset: vm_flags_t) {
        let flags = (self.flags() | set) & !unset;

        // SAFETY: The area is allocated, and nobody else has a pointer to it by the type
        // invariant. `VmaNew` is not `Sync`, so this is not called twice at a time either. Like
        // `vm_flags_init()`, a store is enough before the area is in the tree.
        unsafe { ptr::addr_of_mut!((*self.as_ptr()).__bindgen_anon_2.vm_flags).write(flags) };
    }

    /// Sets [`flags::MIXEDMAP`]: the area takes single pages.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn mmap(vma: &VmaNew, page: &kernel::page::Page) -> Result {
    ///     vma.set_mixedmap().vm_insert_page(vma.start(), page)
    /// }
    /// ```
    #[inline]
    pub fn set_mixedmap(&self) -> &VmaMixedMap {
        // SAFETY: The flag excludes `VM_PFNMAP`, which was not set when the hook began, and which
        // nothing here sets.
        unsafe { self.update_flags(flags::MIXEDMAP, 0) };

        // SAFETY: The flag was set above, and only single pages are mapped in a new area. The rest
        // is the invariant of `VmaNew`.
        unsafe { VmaMixedMap::from_raw(self.as_ptr()) }
    }

    /// Sets [`flags::IO`]: nobody but the user's own code is to touch the pages.
    ///
    /// For memory of a device, where reading has effects: it is left out of core dumps, and
    /// `ptrace()` reaches it through the driver only
    /// ([`access`](super::vm_ops::VmOperations::access)).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn registers(vma: &VmaNew) {
    ///     vma.set_io();
    /// }
    /// ```
    #[inline]
    pub fn set_io(&self) {
        // SAFETY: A driver may set this flag on any area.
        unsafe { self.update_flags(flags::IO, 0) };
    }

    /// Sets [`flags::DONTEXPAND`]: `mremap()` cannot make the area larger.
    ///
    /// It also keeps the area from being merged with a neighbour.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn of_fixed_size(vma: &VmaNew) {
    ///     vma.set_dontexpand();
    /// }
    /// ```
    #[inline]
    pub fn set_dontexpand(&self) {
        // SAFETY: A driver may set this flag on any area.
        unsafe { self.update_flags(flags::DONTEXPAND, 0) };
    }

    /// Sets [`flags::DONTCOPY`]: the area is not passed on by `fork()`.
    ///
    /// User space can undo this by `madvise()`, but not where [`flags::IO`] is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn not_for_children(vma: &VmaNew) {
    ///     vma.set_dontcopy();
    ///     // For good.
    ///     vma.set_io();
    /// }
    /// ```
    #[inline]
    pub fn set_dontcopy(&self) {
        // SAFETY: A driver may set this flag on any area.
        unsafe { self.update_flags(flags::DONTCOPY, 0) };
    }

    /// Sets [`flags::DONTDUMP`]: the area is left out of core dumps.
    ///
    /// User space can undo this by `madvise()`, but not where [`flags::IO`] or
    /// [`flags::DONTEXPAND`] is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn secret(vma: &VmaNew) {
    ///     vma.set_dontdump();
    /// }
    /// ```
    #[inline]
    pub fn set_dontdump(&self) {
        // SAFETY: A driver may set this flag on any area.
        unsafe { self.update_flags(flags::DONTDUMP, 0) };
    }

    /// Returns whether user space may read the area.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn no_peeking(vma: &VmaNew) -> Result {
    ///     if vma.readable() {
    ///         return Err(EPERM);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn readable(&self) -> bool {
        self.flags() & flags::READ != 0
    }

    /// Returns whether user space may write to the area.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn for_reading(vma: &VmaNew) -> Result {
    ///     if vma.writable() {
    ///         return Err(EPERM);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn writable(&self) -> bool {
        self.flags() & flags::WRITE != 0
    }

    /// Returns whether user space may execute the area.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn data_only(vma: &VmaNew) -> Result {
    ///     if vma.executable() {
    ///         return Err(EPERM);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn executable(&self) -> bool {
        self.flags() & flags::EXEC != 0
    }

    /// Forbids for ever that `mprotect()` makes the area readable.
    ///
    /// `EINVAL` if it is readable now.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn write_only(vma: &VmaNew) -> Result {
    ///     vma.try_clear_mayread()
    /// }
    /// ```
    #[inline]
    pub fn try_clear_mayread(&self) -> Result {
        self.try_clear(flags::READ, flags::MAYREAD)
    }

    /// Forbids for ever that `mprotect()` makes the area writable.
    ///
    /// `EINVAL` if it is writable now.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn read_only(vma: &VmaNew) -> Result {
    ///     vma.try_clear_maywrite()
    /// }
    /// ```
    #[inline]
    pub fn try_clear_maywrite(&self) -> Result {
        self.try_clear(flags::WRITE, flags::MAYWRITE)
    }

    /// Forbids for ever that `mprotect()` makes the area executable.
    ///
    /// `EINVAL` if it is executable now.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn no_code(vma: &VmaNew) -> Result {
    ///     vma.try_clear_mayexec()
    /// }
    /// ```
    #[inline]
    pub fn try_clear_mayexec(&self) -> Result {
        self.try_clear(flags::EXEC, flags::MAYEXEC)
    }

    /// Clears `may`, which goes with `now`, unless `now` is set.
    #[inline]
    fn try_clear(&self, now: vm_flags_t, may: vm_flags_t) -> Result {
        if self.flags() & now != 0 {
            return Err(EINVAL);
        }

        // SAFETY: An area may lack any right that it does not use.
        unsafe { self.update_flags(0, may) };
        Ok(())
    }
}

/// The type of an area's flags.
#[doc(inline)]
pub use bindings::vm_flags_t;

/// What [`VmaRef::flags`] may hold.
///
/// The names are those of C without `VM_`.
pub mod flags {
    use super::vm_flags_t;
    use crate::bindings;

    // What user space may do, now and after `mprotect()`.

    /// No flag.
    pub const NONE: vm_flags_t = bindings::VM_NONE as vm_flags_t;
    /// User space may read.
    pub const READ: vm_flags_t = bindings::VM_READ as vm_flags_t;
    /// `mprotect()` may set [`READ`].
    pub const MAYREAD: vm_flags_t = bindings::VM_MAYREAD as vm_flags_t;
    /// User space may write.
    pub const WRITE: vm_flags_t = bindings::VM_WRITE as vm_flags_t;
    /// `mprotect()` may set [`WRITE`].
    pub const MAYWRITE: vm_flags_t = bindings::VM_MAYWRITE as vm_flags_t;
    /// User space may execute.
    pub const EXEC: vm_flags_t = bindings::VM_EXEC as vm_flags_t;
    /// `mprotect()` may set [`EXEC`].
    pub const MAYEXEC: vm_flags_t = bindings::VM_MAYEXEC as vm_flags_t;
    /// A write is seen by everyone who maps the same memory.
    pub const SHARED: vm_flags_t = bindings::VM_SHARED as vm_flags_t;
    /// The memory can be shared.
    pub const MAYSHARE: vm_flags_t = bindings::VM_MAYSHARE as vm_flags_t;

    // What is mapped.

    /// Pages and bare page frames may be mapped side by side.
    pub const MIXEDMAP: vm_flags_t = bindings::VM_MIXEDMAP as vm_flags_t;
    /// Page frames without a `struct page` are mapped.
    pub const PFNMAP: vm_flags_t = bindings::VM_PFNMAP as vm_flags_t;
    /// Memory of a device.
    pub const IO: vm_flags_t = bindings::VM_IO as vm_flags_t;
    /// An area of hugetlbfs.
    pub const HUGETLB: vm_flags_t = bindings::VM_HUGETLB as vm_flags_t;
    /// A page fault waits for the file's metadata (`MAP_SYNC`).
    pub const SYNC: vm_flags_t = bindings::VM_SYNC as vm_flags_t;
    /// Has a meaning of its own on each architecture.
    pub const ARCH_1: vm_flags_t = bindings::VM_ARCH_1 as vm_flags_t;

    // What becomes of it in `fork()`, `mremap()` and core dumps.

    /// `fork()` leaves the area out.
    pub const DONTCOPY: vm_flags_t = bindings::VM_DONTCOPY as vm_flags_t;
    /// After `fork()`, the child finds zeroes here.
    pub const WIPEONFORK: vm_flags_t = bindings::VM_WIPEONFORK as vm_flags_t;
    /// `mremap()` cannot make the area larger.
    pub const DONTEXPAND: vm_flags_t = bindings::VM_DONTEXPAND as vm_flags_t;
    /// Core dumps leave the area out.
    pub const DONTDUMP: vm_flags_t = bindings::VM_DONTDUMP as vm_flags_t;

    // How its memory is counted and kept.

    /// The area was mapped with `MAP_NORESERVE`.
    pub const NORESERVE: vm_flags_t = bindings::VM_NORESERVE as vm_flags_t;
    /// The area counts towards the limit on committed memory.
    pub const ACCOUNT: vm_flags_t = bindings::VM_ACCOUNT as vm_flags_t;
    /// Pages are locked into memory when they are first touched.
    pub const LOCKONFAULT: vm_flags_t = bindings::VM_LOCKONFAULT as vm_flags_t;
    /// The area is tracked, and is new or was written to.
    pub const SOFTDIRTY: vm_flags_t = bindings::VM_SOFTDIRTY as vm_flags_t;
    /// Equal pages may be merged (KSM).
    pub const MERGEABLE: vm_flags_t = bindings::VM_MERGEABLE as vm_flags_t;
    /// `madvise()` has asked for huge pages.
    pub const HUGEPAGE: vm_flags_t = bindings::VM_HUGEPAGE as vm_flags_t;
    /// `madvise()` has asked for none.
    pub const NOHUGEPAGE: vm_flags_t = bindings::VM_NOHUGEPAGE as vm_flags_t;
}
