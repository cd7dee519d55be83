// SPDX-License-Identifier: GPL-2.0

//! Pages for userspace.

use crate::{
    alloc::{
        flags::{
            __GFP_HIGHMEM,
            __GFP_NOWARN,
            __GFP_ZERO, //
            GFP_ATOMIC,
            GFP_KERNEL_ACCOUNT,
            GFP_NOWAIT,
        },
        AllocError,
        Flags, //
    },
    bindings,
    error::Result,
    page::Page,
    sync::atomic::{
        atomic_load,
        Relaxed, //
    },
    uaccess::UserSliceReader,
};
use core::{
    mem::{
        align_of,
        size_of, //
    },
    ops::Deref,
    ptr, //
};

/// A page that may be mapped to userspace.
///
/// It is zeroed when it is allocated, so userspace does not see what the memory was used for
/// before. The value is the only owner of the page in Rust code: nothing else, such as a `VBox`,
/// stores its data there. A mapping of the page holds a reference of its own, so the page may
/// outlive the value.
///
/// Userspace may change the page at any time while it is mapped in a writable VMA. The kernel must
/// not assume that its content is stable or valid.
///
/// # Invariants
///
/// - The value owns a reference on an order-0 page. No other value owns that reference, and no Rust
///   value other than a `UserPage` is stored in the page.
/// - Each byte of the page is initialized.
///
/// # Examples
///
/// ```
/// use kernel::{mm::UserPage, page::PAGE_SIZE};
///
/// let page = UserPage::alloc_page(GFP_KERNEL)?;
/// let mut bytes = KVec::from_elem(1u8, PAGE_SIZE, GFP_KERNEL)?;
/// // SAFETY: `bytes` is valid for writes of its length. No other code accesses the page.
/// unsafe { page.read_raw(bytes.as_mut_ptr(), 0, PAGE_SIZE)? };
/// assert!(bytes.iter().all(|byte| *byte == 0));
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct UserPage {
    page: Page,
}

impl UserPage {
    /// Allocates a zeroed page.
    ///
    /// `flags` is a combination of the constants in [`flags`](crate::alloc::flags). Other bits are
    /// ignored, because `__GFP_SKIP_ZERO` disables the zeroing.
    ///
    /// With `GFP_KERNEL` this may sleep, with `GFP_ATOMIC` or `GFP_NOWAIT` it does not.
    ///
    /// # Errors
    ///
    /// - `AllocError`: the allocation failed.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::UserPage;
    ///
    /// /// Allocates `n` pages for a buffer that userspace maps. The driver limits `n`. The pages
    /// /// are charged to the cgroup of the current task.
    /// fn alloc_pages(n: usize) -> Result<KVec<UserPage>> {
    ///     let mut pages = KVec::with_capacity(n, GFP_KERNEL)?;
    ///     for _ in 0..n {
    ///         pages.push(UserPage::alloc_page(GFP_KERNEL_ACCOUNT)?, GFP_KERNEL)?;
    ///     }
    ///     Ok(pages)
    /// }
    /// assert_eq!(alloc_pages(4)?.len(), 4);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "get_zeroed_page")]
    #[inline]
    pub fn alloc_page(flags: Flags) -> Result<Self, AllocError> {
        let known = GFP_KERNEL_ACCOUNT | GFP_ATOMIC | GFP_NOWAIT | __GFP_HIGHMEM | __GFP_NOWARN;
        let page = Page::alloc_page((flags & known) | __GFP_ZERO)?;

        // INVARIANT: The page is new, so nothing is stored in it, and with `__GFP_ZERO` and without
        // `__GFP_SKIP_ZERO` the allocator has zeroed it.
        Ok(Self { page })
    }

    /// Allocates a page that begins with `bytes`. The rest is zeroed.
    ///
    /// `flags` is that of [`alloc_page`](Self::alloc_page).
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `bytes` is longer than a page.
    /// - `ENOMEM`: The allocation failed.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::UserPage, page::PAGE_SIZE};
    ///
    /// let page = UserPage::with_bytes(b"version 1", GFP_KERNEL)?;
    /// let mut bytes = [1; 10];
    /// // SAFETY: `bytes` is valid for writes of its length. No other code accesses the page.
    /// unsafe { page.read_raw(bytes.as_mut_ptr(), 0, bytes.len())? };
    /// assert_eq!(&bytes, b"version 1\0");
    /// # let long = KVec::from_elem(0u8, PAGE_SIZE + 1, GFP_KERNEL)?;
    /// # assert_eq!(UserPage::with_bytes(&long, GFP_KERNEL).err(), Some(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_bytes(bytes: &[u8], flags: Flags) -> Result<Self> {
        let page = Self::alloc_page(flags)?;
        // SAFETY: `bytes` is valid for reads of its length. The page is new, so nothing else
        // accesses it.
        unsafe { page.write_raw(bytes.as_ptr(), 0, bytes.len())? };
        Ok(page)
    }

    /// Copies `len` bytes of userspace memory to the page, beginning with the byte at `offset`.
    ///
    /// The page may be mapped: a process that reads it meanwhile sees a part of them. The exclusive
    /// borrow keeps other code of the driver from using the page. This needs no buffer in the
    /// kernel, so each byte is copied once.
    ///
    /// The copy may wait for a page fault, and the page fault for any lock that the handler of that
    /// memory takes. So the caller must not hold such a lock.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the range is not within the page.
    /// - `EFAULT`: `from` has less than `len` bytes, or a part of them is not mapped. Some bytes
    ///   may have been copied.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::UserPage, page::PAGE_SIZE, uaccess::UserSlice};
    ///
    /// /// Returns a page with a message of the calling process, which has at most a page.
    /// fn message(addr: usize, len: usize) -> Result<UserPage> {
    ///     let mut from = UserSlice::new(UserPtr::from_addr(addr), len).reader();
    ///     let mut page = UserPage::alloc_page(GFP_KERNEL)?;
    ///     page.copy_from_user(0, &mut from, len)?;
    ///     Ok(page)
    /// }
    /// # kernel::mm::kunit::with_user_mm(|_, addr| {
    /// #     let to = || UserSlice::new(UserPtr::from_addr(addr), 5).writer();
    /// #     to().write_slice(b"hello")?;
    /// #     let mut page = message(addr, 5)?;
    /// #     let mut from = UserSlice::new(UserPtr::from_addr(addr + 1), 2).reader();
    /// #     page.copy_from_user(PAGE_SIZE - 2, &mut from, 2)?;
    /// #     for (at, expected) in [(0, b"he"), (3, b"lo"), (5, b"\0\0"), (PAGE_SIZE - 2, b"el")] {
    /// #         let mut bytes = [1; 2];
    /// #         // SAFETY: `bytes` is valid for writes of its length. No other code accesses the
    /// #         // page.
    /// #         unsafe { page.read_raw(bytes.as_mut_ptr(), at, 2)? };
    /// #         assert_eq!(&bytes, expected);
    /// #     }
    /// #     let mut from = UserSlice::new(UserPtr::from_addr(addr), PAGE_SIZE).reader();
    /// #     let wrong = [(PAGE_SIZE, 1), (1, PAGE_SIZE), (usize::MAX, 1), (0, PAGE_SIZE + 1)];
    /// #     for (at, len) in wrong {
    /// #         assert_eq!(page.copy_from_user(at, &mut from, len), Err(EINVAL));
    /// #     }
    /// #     page.copy_from_user(PAGE_SIZE, &mut from, 0)?;
    /// #     // Longer than the rest of the slice, and not mapped.
    /// #     let mut short = UserSlice::new(UserPtr::from_addr(addr), 1).reader();
    /// #     assert_eq!(page.copy_from_user(0, &mut short, 2), Err(EFAULT));
    /// #     assert_eq!(message(0, 1).err(), Some(EFAULT));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn copy_from_user(
        &mut self,
        offset: usize,
        from: &mut UserSliceReader,
        len: usize,
    ) -> Result {
        // SAFETY: The exclusive borrow excludes other accesses by Rust code that owns the page. The
        // accesses of userspace, and those of C code that has pinned the page, are no accesses of
        // Rust code: `raw_copy_from_user()` writes the bytes, and Rust code reads none of them. No
        // value is stored in the page, and all bytes stay initialized, by the type invariants.
        unsafe { self.page.copy_from_user_slice_raw(from, offset, len) }
    }

    /// Zeros `len` bytes of the page, beginning with that at `offset`.
    ///
    /// This is for a page that is used again: userspace must not see what it has held before.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the range is not within the page.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::UserPage, page::PAGE_SIZE, uaccess::UserSliceReader};
    ///
    /// /// Replaces the message in a page by one of `len` bytes.
    /// fn replace(page: &mut UserPage, from: &mut UserSliceReader, len: usize) -> Result {
    ///     page.copy_from_user(0, from, len)?;
    ///     page.zero_range(len, PAGE_SIZE - len)
    /// }
    /// # let mut page = UserPage::with_bytes(b"message", GFP_KERNEL)?;
    /// # page.zero_range(1, 3)?;
    /// # page.zero_range(PAGE_SIZE, 0)?;
    /// # let mut bytes = [1; 8];
    /// # // SAFETY: `bytes` is valid for writes of its length. No other code accesses the page.
    /// # unsafe { page.read_raw(bytes.as_mut_ptr(), 0, bytes.len())? };
    /// # assert_eq!(&bytes, b"m\0\0\0age\0");
    /// # for (at, len) in [(PAGE_SIZE, 1), (1, PAGE_SIZE), (usize::MAX, 1), (0, usize::MAX)] {
    /// #     assert_eq!(page.zero_range(at, len), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("memzero_page", "zero_user"))]
    pub fn zero_range(&mut self, offset: usize, len: usize) -> Result {
        // SAFETY: As in `copy_from_user()`. Other code that has pinned the page, or maps it, has it
        // at another address, and no reference to its bytes.
        unsafe { self.page.fill_zero_raw(offset, len) }
    }
}

impl Deref for UserPage {
    type Target = Page;

    #[inline]
    fn deref(&self) -> &Page {
        &self.page
    }
}

/// Returns `pages` as the array of pointers that C functions take.
///
/// The caller must pass the pointer only to C functions that do not write to the array.
#[inline]
pub(in crate::mm) fn as_page_array(pages: &[UserPage]) -> *mut *mut bindings::page {
    const {
        assert!(size_of::<UserPage>() == size_of::<*mut bindings::page>());
        assert!(align_of::<UserPage>() == align_of::<*mut bindings::page>());
    }
    // CAST: The only field of a `UserPage` with a size is a pointer to the page, see above.
    pages.as_ptr().cast_mut().cast()
}

/// Returns whether the refcount of the page is so high that no further mapping may be made.
///
/// The refcount is an `int`, and `get_page()` does not check for overflow. Each mapping holds a
/// reference and takes a page table entry, so a page that is full takes 8 GiB of page tables. The
/// rest of the range is for references that are taken after this check by several tasks at a time,
/// or without it: `fork()` copies mappings without a check.
#[inline]
pub(in crate::mm) fn is_full(page: &Page) -> bool {
    // SAFETY: A `Page` is allocated. This reads one aligned word of its `struct page`, which C code
    // only changes by atomic operations while the page is allocated.
    let refs = unsafe {
        atomic_load(
            ptr::addr_of!((*page.as_ptr())._refcount.counter).cast_mut(),
            Relaxed,
        )
    };
    // A negative value is a refcount that `fork()` has taken beyond `i32::MAX`.
    refs as u32 > i32::MAX as u32 / 2
}
