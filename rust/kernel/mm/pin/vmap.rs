// SPDX-License-Identifier: GPL-2.0

//! Pinned pages that are mapped in the kernel.

use super::{
    LongtermPages,
    PinAccess,
    PinnedPages,
    Pins,
    ReadWrite, //
};
use crate::{
    bindings,
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType, //
    },
    task::may_sleep, //
};
use core::{
    mem::{
        align_of,
        size_of, //
    },
    ops::Deref,
    ptr::NonNull, //
};

/// A mapping of the pages of a [`Pins`].
///
/// # Invariants
///
/// `vmap()` has returned the address for all pages of the [`Pins`] that this is a field of, and it
/// has not been unmapped.
pub(super) struct Mapping(NonNull<u8>);

// SAFETY: The mapping is one of the kernel's address space. Any task may access and unmap it.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `vmap()` has returned this address, and it is unmapped
        // here only. This is not an interrupt, and the task may sleep: a `Pins` is dropped where
        // `may_sleep()` is true, or by a work item.
        unsafe { bindings::vunmap(self.0.as_ptr().cast()) };
    }
}

impl Pins {
    /// Maps all pages at consecutive addresses, and returns that of the first one.
    ///
    /// # Safety
    ///
    /// The pages must not be mapped yet. The task must be allowed to sleep.
    // Not inlined, so that the driver has one call.
    #[inline(never)]
    unsafe fn vmap(self: Pin<&mut Self>) -> Result<NonNull<u8>> {
        // SAFETY: Nothing is moved out of the struct. The fields that are used are not pinned.
        let me = unsafe { self.get_unchecked_mut() };
        let prot = match me.array.write {
            // SAFETY: The value has no preconditions.
            true => unsafe { bindings::PAGE_KERNEL() },
            // SAFETY: As above.
            false => unsafe { bindings::PAGE_KERNEL_RO() },
        };
        // CAST: `MAX_PAGES` is less than `c_uint::MAX`.
        let count = me.array.pinned as c_uint;
        // SAFETY: The array has `pinned` pages, see the type invariants of `PageArray`, which are
        // allocated while they are pinned. C does not change the array. The caller guarantees the
        // context.
        let addr = unsafe {
            bindings::vmap(
                me.array.list.as_mut_ptr(),
                count,
                bindings::VM_MAP as c_ulong,
                prot,
            )
        };
        let addr = NonNull::new(addr.cast()).ok_or(ENOMEM)?;
        // INVARIANT: `vmap()` has returned the address above. The field was `None`, as the pages
        // were not mapped.
        me.mapping = Some(Mapping(addr));
        Ok(addr)
    }
}

/// Copies bytes, of which the source or the destination may be accessed by other code meanwhile.
///
/// # Safety
///
/// The pointers must be valid for an access of `len` bytes, and must not overlap.
// Not inlined: LLVM knows `memcpy()`. Of a call that it sees, it may make an access that must not
// race, or have later code read the source instead of the copy.
#[inline(never)]
unsafe fn copy_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: The caller guarantees the requirements.
    unsafe { bindings::memcpy(to.cast(), from.cast(), len) };
}

/// The owner of [`LongtermPages`] that are mapped in the kernel, at consecutive addresses.
///
/// A driver maps pages that it accesses often, such as a ring that it shares with a process. The
/// process, a device and other drivers may change the pages at any time, so there is no reference
/// to the bytes. They are copied by [`read`](Self::read) and [`write`](Self::write), and words are
/// accessed as an [`Atomic`]. Pages of [`ReadOnly`](super::ReadOnly) are mapped without the right
/// to write to them.
///
/// Dropping it unmaps the pages before it unpins them. Where the task may not sleep, a work item
/// does both. If it is leaked, the pages stay mapped, pinned and charged. The context below is that
/// of the drop.
///
/// On an architecture with `CONFIG_ARCH_HAS_CPU_CACHE_ALIASING`, the process may see old bytes, as
/// `flush_kernel_vmap_range()` is not called. Neither x86 nor arm64 is one.
///
/// # Context
///
/// Any context except NMI.
///
/// # Invariants
///
/// The pages are mapped in the kernel, and their mapping is not removed before they are dropped.
/// `addr` is the address of the first byte of the range, which begins at the offset in the first
/// page.
///
/// # Examples
///
/// A ring of which the process and the driver each advance an index:
///
/// ```
/// use kernel::{
///     mm::pin::{Accounting, ReadWrite, VmapPages},
///     page::PAGE_SIZE,
///     sync::atomic::{Acquire, Release}, //
/// };
///
/// const HEAD: usize = 0;
/// const TAIL: usize = 4;
///
/// struct Ring {
///     pages: VmapPages<ReadWrite>,
/// }
///
/// impl Ring {
///     fn register(addr: usize) -> Result<Self> {
///         let accounting = Accounting::PinnedVm;
///         let pages = current!().pin_user_pages_longterm(addr, PAGE_SIZE, accounting)?.vmap()?;
///         Ok(Self { pages })
///     }
///
///     /// Takes the next byte that the process has put there. The indices are those of the
///     /// process, so they may have any value.
///     fn take(&self) -> Result<Option<u8>> {
///         let (head, tail) = (self.pages.atomic_u32(HEAD)?, self.pages.atomic_u32(TAIL)?);
///         let at = tail.load(Acquire);
///         if at == head.load(Acquire) {
///             return Ok(None);
///         }
///         let mut byte = [0];
///         self.pages.read(8 + at as usize % 64, &mut byte)?;
///         tail.store(at.wrapping_add(1), Release);
///         Ok(Some(byte[0]))
///     }
/// }
/// # kernel::mm::kunit::with_user_mm(|mm, addr| {
/// let ring = Ring::register(addr)?;
/// # assert_eq!(ring.take()?, None);
/// # let put = |pages: &kernel::mm::pin::PinnedPages<ReadWrite>| -> Result {
/// #     pages.write(8, &[7, 8])?;
/// #     pages.write(HEAD, &2u32.to_ne_bytes())
/// # };
/// # mm.with_pinned_user_pages_remote(addr, PAGE_SIZE, put)??;
/// assert_eq!(ring.take()?, Some(7));
/// # assert_eq!(ring.take()?, Some(8));
/// # assert_eq!(ring.take()?, None);
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
pub struct VmapPages<A: PinAccess> {
    addr: NonNull<u8>,
    pages: LongtermPages<A>,
}

// SAFETY: The address is one of the kernel's address space, which all tasks have.
unsafe impl<A: PinAccess> Send for VmapPages<A> {}
// SAFETY: The methods with `&self` access bytes that other code changes anyway.
unsafe impl<A: PinAccess> Sync for VmapPages<A> {}

impl<A: PinAccess> LongtermPages<A> {
    /// Maps the pages in the kernel, until the result is dropped.
    ///
    /// # Errors
    ///
    /// The pages are unpinned if this returns:
    ///
    /// - `ENOMEM`: There are more pages than memory, or an allocation failed.
    /// - `EBUSY`: The task may not sleep here.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::pin::{Accounting, LongtermPages, ReadOnly};
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let pages: LongtermPages<ReadOnly> =
    ///     current!().pin_user_pages_longterm(addr + 8, 16, Accounting::LockedVm)?;
    /// let pages = pages.vmap()?;
    /// assert_eq!((pages.len(), pages.offset()), (16, 8));
    /// # drop(pages);
    /// # assert_eq!(mm.locked_vm(), 0);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn vmap(mut self) -> Result<VmapPages<A>> {
        if !may_sleep() {
            return Err(EBUSY);
        }
        let offset = self.pages.offset;
        // SAFETY: Only this function maps the pages of a `LongtermPages`, and puts it into a
        // `VmapPages`, which lends it as a `PinnedPages`. The task may sleep, as checked above.
        let addr = unsafe { self.pages.pins.as_mut().vmap()? };
        // INVARIANT: The first page is mapped at the address above, and the mapping is a field of
        // what the pages own.
        Ok(VmapPages {
            // SAFETY: The offset is less than the size of the first page, so the address is mapped,
            // and not null.
            addr: unsafe { NonNull::new_unchecked(addr.as_ptr().add(offset)) },
            pages: self,
        })
    }
}

impl<A: PinAccess> Deref for VmapPages<A> {
    type Target = PinnedPages<A>;

    fn deref(&self) -> &PinnedPages<A> {
        &self.pages
    }
}

impl<A: PinAccess> VmapPages<A> {
    /// Returns the address of the first byte.
    ///
    /// All bytes of the range follow. They are mapped until the value is dropped, and may change at
    /// any time. Pages of [`ReadOnly`](super::ReadOnly) must not be written.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    pub fn as_ptr(&self) -> *mut u8 {
        self.addr.as_ptr()
    }

    /// Returns the address of the byte at `offset`, if the range has `len` bytes from there on.
    fn part(&self, offset: usize, len: usize) -> Result<*mut u8> {
        match offset.checked_add(len) {
            // SAFETY: The byte is in the range, or the first one after it. By the type invariants,
            // all of the range is mapped.
            Some(end) if end <= self.len() => Ok(unsafe { self.as_ptr().add(offset) }),
            _ => Err(EINVAL),
        }
    }

    /// Copies bytes of the range, beginning with that at `offset`.
    ///
    /// A concurrent write may be seen in part.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::pin::{Accounting, LongtermPages, ReadOnly},
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// # kernel::mm::kunit::with_user_mm(|_, addr| {
    /// let pages: LongtermPages<ReadOnly> =
    ///     current!().pin_user_pages_longterm(addr, PAGE_SIZE, Accounting::PinnedVm)?;
    /// let pages = pages.vmap()?;
    /// let mut first = [1; 8];
    /// pages.read(0, &mut first)?;
    /// assert_eq!(first, [0; 8]);
    /// # pages.read(PAGE_SIZE - 8, &mut first)?;
    /// # assert_eq!(pages.read(PAGE_SIZE - 7, &mut first), Err(EINVAL));
    /// # assert_eq!(pages.read(usize::MAX, &mut first), Err(EINVAL));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result {
        let from = self.part(offset, out.len())?;
        // SAFETY: The bytes are mapped while this is borrowed. `out` is borrowed exclusively, and
        // is not in the pages, of which Rust code has no reference to bytes.
        unsafe { copy_shared(out.as_mut_ptr(), from, out.len()) };
        Ok(())
    }
}

impl VmapPages<ReadWrite> {
    /// Copies bytes to the range, beginning with that at `offset`.
    ///
    /// A concurrent read may see a part of them.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::pin::{Accounting, LongtermPages, ReadWrite},
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// # kernel::mm::kunit::with_user_mm(|_, addr| {
    /// let pages: LongtermPages<ReadWrite> =
    ///     current!().pin_user_pages_longterm(addr, PAGE_SIZE, Accounting::PinnedVm)?;
    /// let pages = pages.vmap()?;
    /// pages.write(4, b"done")?;
    /// # let mut bytes = [1; 12];
    /// # pages.read(0, &mut bytes)?;
    /// # assert_eq!(&bytes, b"\0\0\0\0done\0\0\0\0");
    /// # assert_eq!(pages.write(PAGE_SIZE - 3, b"done"), Err(EINVAL));
    /// # assert_eq!(pages.write(usize::MAX, b"done"), Err(EINVAL));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        let to = self.part(offset, bytes.len())?;
        // SAFETY: As in `read()`. The pages of `ReadWrite` are mapped with the right to write. The
        // process had it, too, when they were pinned.
        unsafe { copy_shared(to, bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Returns a word of the range.
    ///
    /// # Safety
    ///
    /// Each value of `T` must be valid.
    unsafe fn atomic<T: AtomicType>(&self, offset: usize) -> Result<&Atomic<T>> {
        // CAST: The alignment is checked below.
        let word: *mut T = self.part(offset, size_of::<T>())?.cast();
        if word as usize % align_of::<T>() != 0 {
            return Err(EINVAL);
        }
        // SAFETY: The word is aligned, as checked above, and mapped for reading and writing while
        // this is borrowed. The caller guarantees that it holds a valid `T`. Other code of the
        // kernel accesses it by C's `memcpy()` or as an `Atomic`, and userspace and devices are not
        // subject to the rules for data races.
        Ok(unsafe { Atomic::from_ptr(word) })
    }

    /// Returns the 32-bit word at `offset`, which the process may access at the same time.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range, or the word is not aligned.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::pin::{Accounting, LongtermPages, ReadWrite},
    ///     sync::atomic::{Acquire, Relaxed}, //
    /// };
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let pages: LongtermPages<ReadWrite> =
    ///     current!().pin_user_pages_longterm(addr + 4, 8, Accounting::PinnedVm)?;
    /// let pages = pages.vmap()?;
    /// let word = pages.atomic_u32(4)?;
    /// assert_eq!(word.fetch_add(3, Relaxed), 0);
    /// assert_eq!(word.load(Acquire), 3);
    /// # let mut bytes = [0; 4];
    /// # let read = |same: &kernel::mm::pin::PinnedPages<ReadWrite>| same.read(0, &mut bytes);
    /// # mm.with_pinned_user_pages_remote(addr + 8, 4, read)??;
    /// # assert_eq!(u32::from_ne_bytes(bytes), 3);
    /// # for offset in [1, 2, 5, 8, usize::MAX, usize::MAX - 3] {
    /// #     assert_eq!(pages.atomic_u32(offset).err(), Some(EINVAL));
    /// # }
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("READ_ONCE", "WRITE_ONCE", "smp_load_acquire", "smp_store_release"))]
    pub fn atomic_u32(&self, offset: usize) -> Result<&Atomic<u32>> {
        // SAFETY: Each value of the type is valid.
        unsafe { self.atomic(offset) }
    }

    /// Returns the 64-bit word at `offset`, which the process may access at the same time.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range, or the word is not aligned.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::pin::{Accounting, LongtermPages, ReadWrite},
    ///     sync::atomic::{Relaxed, Release}, //
    /// };
    ///
    /// # kernel::mm::kunit::with_user_mm(|_, addr| {
    /// let pages: LongtermPages<ReadWrite> =
    ///     current!().pin_user_pages_longterm(addr, 16, Accounting::PinnedVm)?;
    /// let pages = pages.vmap()?;
    /// pages.atomic_u64(8)?.store(u64::MAX, Release);
    /// # assert_eq!(pages.atomic_u64(0)?.load(Relaxed), 0);
    /// # for offset in [4, 9, 12, 16, usize::MAX - 7] {
    /// #     assert_eq!(pages.atomic_u64(offset).err(), Some(EINVAL));
    /// # }
    /// # let mut bytes = [0; 8];
    /// # pages.read(8, &mut bytes)?;
    /// # assert_eq!(bytes, [0xff; 8]);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    // Elsewhere, an `Atomic<u64>` may be an integer and a lock, of which userspace has no part.
    #[cfg(CONFIG_64BIT)]
    pub fn atomic_u64(&self, offset: usize) -> Result<&Atomic<u64>> {
        // SAFETY: Each value of the type is valid.
        unsafe { self.atomic(offset) }
    }
}
