// SPDX-License-Identifier: GPL-2.0

//! Pinned pages of userspace.
//!
//! A driver that lets a device access the memory of a process pins its pages. A page that is pinned
//! is neither freed nor moved, and `fork()` copies those of private mappings for the child. The
//! pages stay pinned when the process unmaps them or exits, but they are then no longer its memory.
//!
//! These are cases 1 and 2 of `Documentation/core-api/pin_user_pages.rst`:
//!
//! - A short pin, by [`CurrentTask::with_pinned_user_pages`] or
//!   [`MmWithUser::with_pinned_user_pages_remote`], lasts as long as a closure, which gets the
//!   [`PinnedPages`]. It is for direct I/O.
//! - A long-term pin lasts as long as its owner, [`LongtermPages`]. It is for memory that a device
//!   keeps. The pages are first moved out of memory that must stay movable.
//!
//! Long-term pins can be mapped in the kernel ([`VmapPages`]) and, on 6.18 and later, for DMA
//! (`kernel::scatterlist::PinnedSGTable`).
//!
//! Each call pins all pages of the range, or none, and a pin that is not `FOLL_LONGTERM` cannot be
//! stored. A driver that goes on with a part of the range pins it in several calls.
//!
//! `LongtermPages` does not implement `AsPageIter` of 6.18 and later: see the [soundness
//! argument](srctree/Documentation/rust/task-mm/soundness/pinned-pages.rst).
//!
//! `get_user_pages()` is not provided. It takes a reference, not a pin: after `fork()`, a write may
//! reach a page that the other process has.
//!
//! Guide: [a pinned buffer](srctree/Documentation/rust/task-mm/guide/pinned-buffer.rst)
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    alloc::flags::{
        __GFP_NOWARN,
        GFP_KERNEL_ACCOUNT, //
    },
    bindings,
    capability::{
        capable,
        Capability, //
    },
    impl_has_work,
    mm::{
        locked_vm,
        Mm,
        MmWithUser, //
    },
    new_work,
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef,
    task::{
        may_sleep,
        CurrentTask,
        Rlimit, //
    },
    workqueue::{
        self,
        Work,
        WorkItem, //
    },
};
use core::{
    marker::PhantomData,
    mem::{
        size_of,
        ManuallyDrop, //
    },
    ops::{
        Deref,
        Range, //
    },
    ptr::null_mut,
};

mod vmap;
pub use vmap::VmapPages;

/// The maximum number of pages of a [`PinnedPages`]: `kvmalloc()` fails above `INT_MAX` bytes.
const MAX_PAGES: usize = i32::MAX as usize / size_of::<*mut bindings::page>();

mod private {
    pub trait Sealed {}
}

/// How the pages of a [`PinnedPages`] are accessed: [`ReadOnly`] or [`ReadWrite`].
pub trait PinAccess: private::Sealed + 'static {
    #[doc(hidden)]
    const WRITE: bool;
}

/// The pages are read.
pub enum ReadOnly {}

/// The pages are read and written. The process must have the right to write to them.
#[doc(alias = "FOLL_WRITE")]
pub enum ReadWrite {}

impl private::Sealed for ReadOnly {}
impl private::Sealed for ReadWrite {}

impl PinAccess for ReadOnly {
    const WRITE: bool = false;
}

impl PinAccess for ReadWrite {
    const WRITE: bool = true;
}

/// What long-term pinned pages are charged to.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Accounting {
    /// `pinned_vm` of the address space, the field `VmPin` of `/proc/<pid>/status`.
    ///
    /// With these pages, it must not exceed `RLIMIT_MEMLOCK` of the task that pins them, unless
    /// that has `CAP_IPC_LOCK`. A page that is pinned twice is charged twice.
    PinnedVm,
    /// `locked_vm` of the address space, the field `VmLck` of `/proc/<pid>/status`, which has the
    /// pages of `mlock()` as well.
    ///
    /// The limit is the same. The mmap lock is taken for writing, when the pages are pinned and
    /// when they are unpinned. If it is contended then, a work item unpins the pages, so the drop
    /// may be called with the lock held. For locks that are taken within it, see
    /// [`PinnedPages`].
    #[doc(alias("account_locked_vm", "__account_locked_vm"))]
    LockedVm,
    /// Nothing. The driver limits what a process pins in another way: memory that is pinned can be
    /// neither reclaimed nor moved, and after two million pins of one page, its refcount is full,
    /// about which C warns.
    None,
}

/// An array of pages, of which the first ones are pinned.
///
/// # Invariants
///
/// `list` has at least `pinned` elements. The first `pinned` ones point to pages, each of which has
/// been pinned for this array, and not unpinned.
struct PageArray {
    list: KVVec<*mut bindings::page>,
    pinned: usize,
    write: bool,
}

// SAFETY: Any task may unpin a page. The pointers are not changed.
unsafe impl Send for PageArray {}
// SAFETY: As above. The methods with `&self` only read the array.
unsafe impl Sync for PageArray {}

impl Drop for PageArray {
    fn drop(&mut self) {
        let (list, pinned) = (self.list.as_mut_ptr(), self.pinned);
        if self.write {
            // SAFETY: By the type invariants, these pages are pinned for this array, and they are
            // unpinned here only. This call may sleep, to lock pages that are not dirty yet. The
            // task may: `new()` and the drop of `PinnedPages` have checked `may_sleep()`. Without
            // `CONFIG_PREEMPT_COUNT`, that cannot detect a spinlock or an RCU read-side critical
            // section, where sleeping is the error that it is in C.
            unsafe { bindings::unpin_user_pages_dirty_lock(list, pinned, true) };
        } else {
            // SAFETY: As above, except that this call does not sleep.
            unsafe { bindings::unpin_user_pages(list, pinned) };
        }
    }
}

/// Pages that `pinned_vm` of an address space includes.
///
/// # Invariants
///
/// `pinned_vm` of `mm` includes `pages` for this value.
struct PinnedVm {
    mm: ARef<Mm>,
    pages: usize,
}

impl PinnedVm {
    /// Adds this number of pages, at most `MAX_PAGES`, to `pinned_vm`.
    fn new(mm: &Mm, pages: usize) -> Result<Self> {
        let limit = crate::current!().rlimit(Rlimit::Memlock) / PAGE_SIZE;
        // SAFETY: `mm` is allocated. The field is atomic.
        //
        // CAST: The callers pass at most `MAX_PAGES`.
        let charged = unsafe { bindings::mm_pinned_vm_add(mm.as_raw(), pages as i64) };
        // INVARIANT: The pages have been added above.
        let charge = Self {
            mm: mm.into(),
            pages,
        };
        // CAST: A number of pages is not greater than `i64::MAX`.
        if charged > limit as i64 && !capable(Capability::IPC_LOCK) {
            return Err(ENOMEM);
        }
        Ok(charge)
    }
}

impl Drop for PinnedVm {
    fn drop(&mut self) {
        let (mm, pages) = (self.mm.as_raw(), self.pages);
        // SAFETY: `mm` is allocated, as this has a reference, and its `pinned_vm` includes these
        // pages by the type invariant. The field is atomic.
        //
        // CAST: At most `MAX_PAGES` have been added.
        unsafe { bindings::mm_pinned_vm_add(mm, -(pages as i64)) };
    }
}

/// What an address space is charged for. It is dropped with the pages, see [`PageArray`].
enum Charge {
    PinnedVm { _charge: PinnedVm },
    LockedVm(locked_vm::Charge),
}

/// What a [`PinnedPages`] owns.
///
/// It is not generic, so that `run()` is part of the crate: a module that queues the work may be
/// freed before that is run.
#[pin_data]
struct Pins {
    // Dropped first: the pages are mapped while they are pinned only.
    mapping: Option<vmap::Mapping>,
    array: PageArray,
    charge: Option<Charge>,
    #[pin]
    work: Work<Pins>,
}

impl_has_work! {
    impl HasWork<Self> for Pins { self.work }
}

impl WorkItem for Pins {
    type Pointer = Pin<KBox<Self>>;

    fn run(pins: Pin<KBox<Self>>) {
        drop(pins);
    }
}

impl Pins {
    /// As [`locked_vm::Charge::try_remove`]. The drop never waits for another charge.
    fn try_remove_charge(self: Pin<&mut Self>) -> bool {
        // SAFETY: Nothing is moved out of the struct. The charge is not pinned.
        let charge = unsafe { &mut self.get_unchecked_mut().charge };
        match charge {
            Some(Charge::LockedVm(charge)) => charge.try_remove(),
            _ => true,
        }
    }

    /// Pins pages, from this page address on.
    ///
    /// `pin` gets an address, a number of pages and an array with as many elements. It returns an
    /// error, or how many pages it has pinned and stored.
    ///
    /// # Safety
    ///
    /// `pin` must store the pages that it pins at the beginning of the array, and must return how
    /// many these are.
    // Not inlined: `new_work!()` stores the address of a function, which must be part of the crate,
    // and that of a name.
    #[inline(never)]
    unsafe fn new(
        start: usize,
        count: usize,
        write: bool,
        charge: Option<Charge>,
        pin: &mut dyn FnMut(usize, usize, *mut *mut bindings::page) -> c_long,
    ) -> Result<Pin<KBox<Self>>> {
        let flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
        // INVARIANT: No page is pinned yet.
        let mut array = PageArray {
            list: KVVec::from_elem(null_mut(), count, flags)?,
            pinned: 0,
            write,
        };
        while array.pinned < count {
            let (done, rest) = (array.pinned, count - array.pinned);
            let pinned = pin(
                start + done * PAGE_SIZE,
                rest,
                array.list[done..].as_mut_ptr(),
            );
            // CAST: An error code is an `int`.
            let pinned = usize::try_from(pinned).map_err(|_| Error::from_errno(pinned as c_int))?;
            if pinned == 0 {
                return Err(EFAULT);
            }
            // INVARIANT: The caller guarantees that `pin()` has pinned and stored these.
            array.pinned += pinned;
        }
        KBox::pin_init(
            try_pin_init!(Self {
                mapping: None,
                array,
                charge,
                work <- new_work!("PinnedPages"),
            }? Error),
            GFP_KERNEL,
        )
    }
}

/// Pages that are pinned: a range of the memory of a process, as it was when they were pinned.
///
/// The process, a device and other drivers may change the pages at any time.
///
/// The drop of pages that were pinned for [`ReadWrite`] takes the lock of each folio that is not
/// dirty yet. So it must not be called under a lock that is taken within the folio lock, such as
/// that of an interval notifier.
///
/// # Invariants
///
/// - All elements of the array are pinned.
/// - The range from `offset`, which is less than `PAGE_SIZE`, with `len` bytes ends in the last
///   page.
/// - `pins` is dropped by [`Drop::drop`] only.
pub struct PinnedPages<A: PinAccess> {
    pins: ManuallyDrop<Pin<KBox<Pins>>>,
    offset: usize,
    len: usize,
    _access: PhantomData<fn() -> A>,
}

impl<A: PinAccess> PinnedPages<A> {
    /// Pins the pages of a range.
    ///
    /// `charge` gets the number of pages before they are pinned. `pin` is that of [`Pins::new`]. It
    /// is called where the task may sleep.
    ///
    /// # Safety
    ///
    /// As for [`Pins::new`].
    unsafe fn new(
        addr: usize,
        len: usize,
        charge: impl FnOnce(usize) -> Result<Option<Charge>>,
        mut pin: impl FnMut(usize, usize, *mut *mut bindings::page) -> c_long,
    ) -> Result<Self> {
        if len == 0 {
            return Err(EINVAL);
        }
        if !may_sleep() {
            return Err(EBUSY);
        }
        let end = addr.checked_add(len);
        end.and_then(|end| end.checked_next_multiple_of(PAGE_SIZE))
            .ok_or(EFAULT)?;
        let offset = addr % PAGE_SIZE;
        // This does not overflow, as `offset` is not greater than `addr`.
        let count = (offset + len).div_ceil(PAGE_SIZE);
        if count > MAX_PAGES {
            return Err(ENOMEM);
        }
        let (start, charge) = (addr - offset, charge(count)?);
        // SAFETY: Guaranteed by the caller.
        let pins = unsafe { Pins::new(start, count, A::WRITE, charge, &mut pin)? };
        // INVARIANT: `Pins::new()` has pinned all pages, and `count` is the number of those of the
        // range.
        Ok(Self {
            pins: ManuallyDrop::new(pins),
            offset,
            len,
            _access: PhantomData,
        })
    }

    /// Returns the flags for C functions.
    fn flags(is_long: bool) -> c_uint {
        let write = if A::WRITE { bindings::FOLL_WRITE } else { 0 };
        let longterm = if is_long { bindings::FOLL_LONGTERM } else { 0 };
        write | longterm
    }

    /// Returns the number of bytes, which is not zero.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the offset of the first byte in the first page.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the pages, for C functions such as `sg_alloc_table_from_pages()`.
    ///
    /// They are valid, and stay pinned, until the value is dropped.
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
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let pin = |addr, len| -> Result<LongtermPages<ReadOnly>> {
    ///     mm.pin_user_pages_remote_longterm(addr, len, Accounting::PinnedVm)
    /// };
    /// let pages = pin(addr + 8, 16)?;
    /// assert_eq!((pages.as_raw().len(), pages.offset(), pages.len()), (1, 8, 16));
    /// # assert!(!pages.as_raw()[0].is_null());
    /// # assert_eq!(pin(addr, PAGE_SIZE)?.as_raw().len(), 1);
    /// # // The next page is not mapped.
    /// # assert_eq!(pin(addr + 1, PAGE_SIZE).err(), Some(EFAULT));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn as_raw(&self) -> &[*mut bindings::page] {
        &self.pins.array.list
    }

    /// Calls `f` with each page of a part of the range: the pointer to the page, the offset there,
    /// and the part of `0..len` that it has.
    fn for_each_page(
        &self,
        offset: usize,
        len: usize,
        mut f: impl FnMut(*mut bindings::page, usize, Range<usize>),
    ) -> Result {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if end > self.len {
            return Err(EINVAL);
        }
        let mut done = 0;
        while done < len {
            let at = self.offset + offset + done;
            let in_page = at % PAGE_SIZE;
            let step = (PAGE_SIZE - in_page).min(len - done);
            f(self.as_raw()[at / PAGE_SIZE], in_page, done..done + step);
            done += step;
        }
        Ok(())
    }

    /// Copies bytes of the range, beginning with that at `offset`.
    ///
    /// A concurrent write may be seen in part.
    ///
    /// C: `memcpy_from_page()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range.
    ///
    /// # Context
    ///
    /// Any context except NMI.
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
    #[doc(alias = "memcpy_from_page")]
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result {
        let (len, out) = (out.len(), out.as_mut_ptr());
        self.for_each_page(offset, len, |page, in_page, part| {
            // SAFETY: The page is pinned, so it is allocated. `in_page` and the length of `part`
            // are within it, and `part` is within `out`, which is borrowed exclusively.
            unsafe { copy_from_page(out.add(part.start), page, in_page, part.len()) };
        })
    }
}

impl PinnedPages<ReadWrite> {
    /// Copies bytes to the range, beginning with that at `offset`.
    ///
    /// A concurrent read may see a part of them.
    ///
    /// C: `memcpy_to_page()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: A part is not in the range.
    ///
    /// # Context
    ///
    /// Any context except NMI.
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
    #[doc(alias = "memcpy_to_page")]
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        self.for_each_page(offset, bytes.len(), |page, in_page, part| {
            let bytes = &bytes[part];
            // SAFETY: As in `read()`. The process had the right to write to the page when it was
            // pinned, and Rust code has no reference to its contents.
            unsafe { copy_to_page(page, in_page, bytes.as_ptr(), bytes.len()) };
        })
    }
}

/// Copies bytes of a page, which userspace may change meanwhile.
///
/// # Safety
///
/// The page must be allocated and have the bytes. `to` must be valid for writes of `len` bytes.
// Not inlined: LLVM knows `memcpy()`. Of a call that it sees, it may make an access that must not
// race, or have later code read the bytes of the page instead of the copy.
#[inline(never)]
unsafe fn copy_from_page(to: *mut u8, page: *mut bindings::page, offset: usize, len: usize) {
    // SAFETY: The caller guarantees the requirements.
    unsafe { bindings::memcpy_from_page(to.cast(), page, offset, len) };
}

/// Copies bytes to a page, which userspace may access meanwhile.
///
/// # Safety
///
/// The page must be allocated and have room for the bytes. `from` must be valid for reads of `len`
/// bytes.
// Not inlined, as above.
#[inline(never)]
unsafe fn copy_to_page(page: *mut bindings::page, offset: usize, from: *const u8, len: usize) {
    // SAFETY: The caller guarantees the requirements.
    unsafe { bindings::memcpy_to_page(page, offset, from.cast(), len) };
}

impl<A: PinAccess> Drop for PinnedPages<A> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, nothing else takes it.
        let mut pins = unsafe { ManuallyDrop::take(&mut self.pins) };
        if may_sleep() && pins.as_mut().try_remove_charge() {
            drop(pins);
        } else {
            workqueue::system_long().enqueue(pins);
        }
    }
}

/// The owner of [`PinnedPages`] that are pinned for a long time.
///
/// Dropping it unpins the pages, after it has marked those of [`ReadWrite`] as dirty. Where the
/// task may not sleep, a work item does that; see also [`Accounting::LockedVm`]. Without
/// `CONFIG_PREEMPT_COUNT`, the kernel does not know whether a spinlock is held, and the drop may
/// sleep: the driver must not drop it there. Nor must it drop it while a device may still access
/// the pages. If it is leaked, they stay pinned, and charged. The context below is that of the
/// drop.
///
/// # Context
///
/// Any context except NMI.
///
/// # Examples
///
/// A buffer that a process registers, for a device to write to:
///
/// ```
/// use kernel::mm::pin::{Accounting, LongtermPages, ReadWrite};
///
/// struct Buffer {
///     pages: LongtermPages<ReadWrite>,
/// }
///
/// impl Buffer {
///     fn register(addr: usize, len: usize) -> Result<Self> {
///         let pages = current!().pin_user_pages_longterm(addr, len, Accounting::PinnedVm)?;
///         Ok(Self { pages })
///     }
///
///     /// Writes a header, as the device does.
///     fn complete(&self, length: u32) -> Result {
///         self.pages.write(0, &length.to_ne_bytes())
///     }
/// }
/// # kernel::mm::kunit::with_user_mm(|_, addr| {
/// # let buffer = Buffer::register(addr, 4)?;
/// # buffer.complete(7)?;
/// # let mut bytes = [0; 4];
/// # let user = kernel::uaccess::UserPtr::from_addr(addr);
/// # kernel::uaccess::UserSlice::new(user, 4).reader().read_slice(&mut bytes)?;
/// # assert_eq!(u32::from_ne_bytes(bytes), 7);
/// # Ok(())
/// # })?;
/// # // The kthread uses no address space.
/// # assert_eq!(Buffer::register(0, 4).err(), Some(EFAULT));
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// The pages are pinned with `FOLL_LONGTERM`.
pub struct LongtermPages<A: PinAccess> {
    pages: PinnedPages<A>,
}

impl<A: PinAccess> Deref for LongtermPages<A> {
    type Target = PinnedPages<A>;

    fn deref(&self) -> &PinnedPages<A> {
        &self.pages
    }
}

impl Accounting {
    /// Charges `mm` for pages, if it is to be charged.
    fn charge(self, mm: &Mm, pages: usize) -> Result<Option<Charge>> {
        match self {
            Self::PinnedVm => {
                let _charge = PinnedVm::new(mm, pages)?;
                Ok(Some(Charge::PinnedVm { _charge }))
            }
            // The callers are functions that may sleep, and have checked `may_sleep()`.
            Self::LockedVm => Ok(Some(Charge::LockedVm(locked_vm::Charge::new(mm, pages)?))),
            Self::None => Ok(None),
        }
    }
}

impl CurrentTask {
    /// Pins the pages of a range of the task's memory until the result is dropped.
    ///
    /// The pages are faulted in. Those in memory that must stay movable are moved first.
    ///
    /// A page fault takes the mmap lock, so the caller must not hold it, nor a lock that is taken
    /// within it.
    ///
    /// C: `pin_user_pages_fast()` with `FOLL_LONGTERM`.
    ///
    /// # Errors
    ///
    /// No page stays pinned if this returns:
    ///
    /// - `EINVAL`: `len` is zero.
    /// - `EFAULT`: A part of the range is not mapped, must not be accessed in this way, is device
    ///   memory (`VM_IO`, `VM_PFNMAP`) or that of `memfd_secret()`, could not be faulted in, or,
    ///   for [`ReadWrite`], is a shared mapping of a file that tracks dirty pages. Or the task is a
    ///   kthread outside of `kthread_use_mm()`.
    /// - `EOPNOTSUPP`: A page belongs to a file of a filesystem in persistent memory (fsdax).
    /// - `EEXIST`: A `VM_MIXEDMAP` VMA has a PFN without a `struct page`.
    /// - `EREMOTEIO`: A page is memory of a PCI device.
    /// - `ENOMEM`: The limit of the [`Accounting`] would be exceeded, or an allocation failed.
    /// - `EBUSY`: The task may not sleep here.
    /// - `EINTR`, `EAGAIN`: The task has been killed.
    /// - `EHWPOISON`: A page has a memory error.
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
    /// fn pin(addr: usize, len: usize) -> Result<LongtermPages<ReadOnly>> {
    ///     current!().pin_user_pages_longterm(addr, len, Accounting::PinnedVm)
    /// }
    /// # kernel::mm::kunit::with_user_mm(|_, addr| {
    /// #     assert_eq!(pin(addr, 5)?.len(), 5);
    /// #     assert_eq!(pin(addr, 0).err(), Some(EINVAL));
    /// #     assert_eq!(pin(0, 5).err(), Some(EFAULT));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("pin_user_pages_fast", "pin_user_pages", "FOLL_LONGTERM"))]
    pub fn pin_user_pages_longterm<A: PinAccess>(
        &self,
        addr: usize,
        len: usize,
        accounting: Accounting,
    ) -> Result<LongtermPages<A>> {
        let mm = self.mm().ok_or(EFAULT)?;
        let charge = |count| accounting.charge(mm, count);
        let flags = PinnedPages::<A>::flags(true);
        let pin = |start, count, pages| {
            // SAFETY: The task has an mm, as checked above, and may sleep where this is called. The
            // array has `count` elements.
            unsafe { pin_fast(start, count, flags, pages) }
        };
        // SAFETY: `pin_user_pages_fast()` stores the pages that it pins and returns how many.
        let pages = unsafe { PinnedPages::new(addr, len, charge, pin)? };
        // INVARIANT: `flags(true)` has `FOLL_LONGTERM`.
        Ok(LongtermPages { pages })
    }

    /// Calls `f` with the pages of a range of the task's memory, which stay pinned meanwhile.
    ///
    /// This is for an operation that ends soon, such as a transfer. The pages are neither charged
    /// nor moved.
    ///
    /// A page fault takes the mmap lock, so the caller must not hold it, nor a lock that is taken
    /// within it.
    ///
    /// C: `pin_user_pages_fast()`, and `unpin_user_pages()` or `unpin_user_pages_dirty_lock()`.
    ///
    /// # Errors
    ///
    /// As for [`pin_user_pages_longterm`](Self::pin_user_pages_longterm), except that files of any
    /// kind can be pinned.
    ///
    /// A process whose threads pin the same page several million times at once makes its refcount
    /// overflow. C then warns and fails with `ENOMEM`. A driver limits `len`.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::pin::{PinnedPages, ReadOnly};
    ///
    /// /// Returns the sum of the bytes, as a device would compute it.
    /// fn checksum(addr: usize, len: usize) -> Result<u32> {
    ///     let sum = |pages: &PinnedPages<ReadOnly>| {
    ///         let mut bytes = [0; 64];
    ///         pages.read(0, &mut bytes[..pages.len()])?;
    ///         Ok(bytes.iter().map(|byte| u32::from(*byte)).sum())
    ///     };
    ///     current!().with_pinned_user_pages(addr, len.min(64), sum)?
    /// }
    /// # kernel::mm::kunit::with_user_mm(|_, addr| {
    /// #     assert_eq!(checksum(addr, 8), Ok(0));
    /// #     assert_eq!(checksum(0, 8), Err(EFAULT));
    /// #     Ok(())
    /// # })?;
    /// # assert_eq!(checksum(0, 8), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias(
        "pin_user_pages_fast",
        "unpin_user_pages",
        "unpin_user_pages_dirty_lock"
    ))]
    pub fn with_pinned_user_pages<A: PinAccess, R>(
        &self,
        addr: usize,
        len: usize,
        f: impl FnOnce(&PinnedPages<A>) -> R,
    ) -> Result<R> {
        self.mm().ok_or(EFAULT)?;
        let flags = PinnedPages::<A>::flags(false);
        let pin = |start, count, pages| {
            // SAFETY: As in `pin_user_pages_longterm()`.
            unsafe { pin_fast(start, count, flags, pages) }
        };
        // SAFETY: As in `pin_user_pages_longterm()`.
        let pages = unsafe { PinnedPages::new(addr, len, |_| Ok(None), pin)? };
        Ok(f(&pages))
    }
}

/// Pins pages of the current task by `pin_user_pages_fast()`, and returns its result.
///
/// # Safety
///
/// The task must have a `current->mm`, and may sleep. `pages` must have `count` elements, at most
/// [`MAX_PAGES`].
unsafe fn pin_fast(
    start: usize,
    count: usize,
    flags: c_uint,
    pages: *mut *mut bindings::page,
) -> c_long {
    // SAFETY: The caller guarantees the mm, the context and the array. C checks the addresses.
    //
    // CAST: `MAX_PAGES` is less than `c_int::MAX`.
    let pinned = unsafe { bindings::pin_user_pages_fast(start, count as c_int, flags, pages) };
    pinned as c_long
}

impl MmWithUser {
    /// Pins the pages of a range of this address space until the result is dropped.
    ///
    /// The rights of the current task, such as its protection keys, do not matter: the driver must
    /// have checked that it may access this process. This address space is charged, and the limit
    /// is that of the current task.
    ///
    /// The mmap lock is taken, so the caller must not hold it, nor a lock that is taken within it.
    ///
    /// C: `pin_user_pages_remote()` with `FOLL_LONGTERM`.
    ///
    /// # Errors
    ///
    /// As for [`CurrentTask::pin_user_pages_longterm`]. The current task may be a kthread.
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
    ///     mm.pin_user_pages_remote_longterm(addr, 1, Accounting::PinnedVm)?;
    /// # assert_eq!(pages.len(), 1);
    /// # let refused = |addr, len| {
    /// #     let accounting = Accounting::None;
    /// #     mm.pin_user_pages_remote_longterm::<ReadOnly>(addr, len, accounting).err()
    /// # };
    /// # assert_eq!(refused(addr, 0), Some(EINVAL));
    /// # assert_eq!(refused(0, 1), Some(EFAULT));
    /// # assert_eq!(refused(usize::MAX, 1), Some(EFAULT));
    /// # assert_eq!(refused(usize::MAX - 4096, 4096), Some(EFAULT));
    /// # assert_eq!(refused(addr, usize::MAX / 2), Some(ENOMEM));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("pin_user_pages_remote", "FOLL_LONGTERM"))]
    pub fn pin_user_pages_remote_longterm<A: PinAccess>(
        &self,
        addr: usize,
        len: usize,
        accounting: Accounting,
    ) -> Result<LongtermPages<A>> {
        let charge = |count| accounting.charge(self, count);
        let flags = PinnedPages::<A>::flags(true);
        let pin = |start, count, pages| {
            // SAFETY: The task may sleep where this is called. The array has `count` elements.
            unsafe { pin_remote(self, start, count, flags, pages) }
        };
        // SAFETY: `pin_remote()` stores the pages that it pins and returns how many.
        let pages = unsafe { PinnedPages::new(addr, len, charge, pin)? };
        // INVARIANT: `flags(true)` has `FOLL_LONGTERM`.
        Ok(LongtermPages { pages })
    }

    /// Calls `f` with the pages of a range of this address space, which stay pinned meanwhile.
    ///
    /// As for [`CurrentTask::with_pinned_user_pages`], this is for an operation that ends soon. To
    /// copy bytes, [`UserMemory`](super::remote::UserMemory) is simpler.
    ///
    /// The rights of the current task do not matter, and the mmap lock is taken, as for
    /// [`pin_user_pages_remote_longterm`](Self::pin_user_pages_remote_longterm).
    ///
    /// C: `pin_user_pages_remote()`, and `unpin_user_pages()` or `unpin_user_pages_dirty_lock()`.
    ///
    /// # Errors
    ///
    /// As for [`CurrentTask::with_pinned_user_pages`]. The current task may be a kthread.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     pin::{PinnedPages, ReadWrite},
    ///     MmWithUser, //
    /// };
    ///
    /// /// Increments a counter in the memory of a process, and returns its old value.
    /// fn increment(mm: &MmWithUser, addr: usize) -> Result<u8> {
    ///     let add = |pages: &PinnedPages<ReadWrite>| {
    ///         let mut byte = [0];
    ///         pages.read(0, &mut byte)?;
    ///         pages.write(0, &[byte[0].wrapping_add(1)])?;
    ///         Ok(byte[0])
    ///     };
    ///     mm.with_pinned_user_pages_remote(addr, 1, add)?
    /// }
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// #     assert_eq!(increment(mm, addr + 9), Ok(0));
    /// #     assert_eq!(increment(mm, addr + 9), Ok(1));
    /// #     assert_eq!(increment(mm, addr + 8), Ok(0));
    /// #     assert_eq!(increment(mm, 0), Err(EFAULT));
    /// #     let refused = |len| {
    /// #         let f = |_: &PinnedPages<ReadWrite>| ();
    /// #         mm.with_pinned_user_pages_remote(addr, len, f)
    /// #     };
    /// #     assert_eq!(refused(0), Err(EINVAL));
    /// #     assert_eq!(refused(kernel::page::PAGE_SIZE + 1), Err(EFAULT));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("pin_user_pages_remote", "get_user_pages_remote"))]
    pub fn with_pinned_user_pages_remote<A: PinAccess, R>(
        &self,
        addr: usize,
        len: usize,
        f: impl FnOnce(&PinnedPages<A>) -> R,
    ) -> Result<R> {
        let flags = PinnedPages::<A>::flags(false);
        let pin = |start, count, pages| {
            // SAFETY: As in `pin_user_pages_remote_longterm()`.
            unsafe { pin_remote(self, start, count, flags, pages) }
        };
        // SAFETY: As in `pin_user_pages_remote_longterm()`.
        let pages = unsafe { PinnedPages::new(addr, len, |_| Ok(None), pin)? };
        Ok(f(&pages))
    }
}

/// Pins pages of an address space by `pin_user_pages_remote()`, and returns its result.
///
/// # Safety
///
/// The task must be allowed to sleep. `pages` must have `count` elements.
unsafe fn pin_remote(
    mm: &MmWithUser,
    start: usize,
    count: usize,
    flags: c_uint,
    pages: *mut *mut bindings::page,
) -> c_long {
    let mut locked = 1;
    // SAFETY: The address space is allocated, and the caller guarantees that the task may sleep.
    let result = unsafe { bindings::mmap_read_lock_killable(mm.as_raw()) };
    if result != 0 {
        return result as c_long;
    }
    // SAFETY: `mm_users` is not zero, and this task has taken the mmap lock above. C checks the
    // addresses. The caller guarantees that the array has `count` elements. `locked` says whether
    // the lock is still held after the call.
    let pinned = unsafe {
        bindings::pin_user_pages_remote(mm.as_raw(), start, count, flags, pages, &mut locked)
    };
    if locked != 0 {
        // SAFETY: The lock has been taken above, and has not been released.
        unsafe { bindings::mmap_read_unlock(mm.as_raw()) };
    }
    pinned
}
