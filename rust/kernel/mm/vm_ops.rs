// SPDX-License-Identifier: GPL-2.0

//! Areas that know their owner.
//!
//! An address is not an identity: a program may unmap an area and map something else in its place.
//! Here the C side's table of operations is the identity. A driver gives an area a piece of its own
//! data in the `mmap` hook ([`VmaNew::set_ops`]) or in the `mmap_prepare` hook
//! ([`VmaDesc::set_ops`]); from then on the area holds a count on the data, and everybody who has
//! the area may ask whether it is one of the driver's ([`VmaRef::downcast`]).
//!
//! [`VmaDesc::set_ops`]: super::vma_desc::VmaDesc::set_ops
//!
//! The count follows the area: one for each area that `fork()`, `mremap()` or a split makes of it,
//! and it is given back when that area is unmapped. Such an area never grows, and it is never
//! merged with another: so what it maps is what the hook has seen, or a part of it, and the data is
//! that of all its pages.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     alloc::KVec,
//!     mm::{fault::{FaultResult, VmFault}, virt::VmaNew, vm_ops::{MmapHook, VmOperations}},
//!     page::Page,
//!     prelude::*,
//!     sync::Arc,
//!     impl_has_vm_ops,
//! };
//!
//! /// Memory that is mapped when it is touched.
//! struct Buffer {
//!     pages: KVec<Page>,
//! }
//!
//! impl_has_vm_ops!(Buffer);
//!
//! #[vtable]
//! impl VmOperations for Buffer {
//!     type Hook = MmapHook;
//!
//!     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
//!         let buffer = vmf.data();
//!         match buffer.pages.get(vmf.pgoff()) {
//!             Some(page) => vmf.return_page(page),
//!             None => vmf.return_error(EINVAL),
//!         }
//!     }
//! }
//!
//! /// What the driver does in its `mmap` hook.
//! fn mmap(buffer: Arc<Buffer>, vma: &VmaNew) -> Result {
//!     vma.set_ops(buffer)?;
//!     Ok(())
//! }
//! ```
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    error::{
        Result,
        VTABLE_DEFAULT_ERROR, //
    },
    mm::{
        fault::{
            self,
            FaultResult,
            VmFault, //
        },
        virt::{
            flags,
            VmaNew,
            VmaRef, //
        },
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::Opaque,
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr,
    slice, //
};

mod mapped;
use mapped::Mapped;

/// What somebody wants of memory that has no pages to look at.
///
/// # Examples
///
/// ```
/// use core::cell::Cell;
/// use kernel::{mm::vm_ops::Access, prelude::*};
///
/// /// Serves an access to bytes of the driver, and returns to how many.
/// fn serve(bytes: &[Cell<u8>], what: Access<'_>) -> Result<usize> {
///     match what {
///         Access::Read(to) => {
///             to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte.get());
///             Ok(to.len().min(bytes.len()))
///         }
///         Access::Write(from) => {
///             from.iter().zip(bytes).for_each(|(from, byte)| byte.set(*from));
///             Ok(from.len().min(bytes.len()))
///         }
///     }
/// }
///
/// let bytes = [const { Cell::new(0) }; 2];
/// assert_eq!(serve(&bytes, Access::Write(&[1, 2, 3])), Ok(2));
/// let mut read = [0; 1];
/// assert_eq!(serve(&bytes, Access::Read(&mut read)), Ok(1));
/// assert_eq!(read, [1]);
/// ```
pub enum Access<'a> {
    /// To copy what is there into this.
    Read(&'a mut [u8]),
    /// To have this there.
    Write(&'a [u8]),
}

/// The hook in which a VMA gets its `vm_ops` and `vm_private_data`.
///
/// The trait is sealed: [`MmapHook`] and [`MmapPrepareHook`] are all that implement it.
pub trait Hook: private::Sealed {
    /// Whether this is `->mmap_prepare()`.
    #[doc(hidden)]
    const PREPARE: bool;
}

mod private {
    pub trait Sealed {}
}

/// The `->mmap()` hook.
#[doc(alias = "mmap")]
pub enum MmapHook {}

impl private::Sealed for MmapHook {}

impl Hook for MmapHook {
    const PREPARE: bool = false;
}

/// The `->mmap_prepare()` hook.
#[doc(alias = "mmap_prepare")]
pub enum MmapPrepareHook {}

impl private::Sealed for MmapPrepareHook {}

impl Hook for MmapPrepareHook {
    const PREPARE: bool = true;
}

/// What an area of a driver does.
///
/// An implementation is the data of an area, of which several areas may share one. The areas belong
/// to any number of processes, and each function runs in whichever task makes its event happen.
///
/// All run in process context and may sleep. The mmap lock of the area's address space is held for
/// writing, but in [`access`](Self::access) for reading, and in [`fault`](Self::fault) and
/// [`page_mkwrite`](Self::page_mkwrite) it is that or the area's own lock. It may be held when
/// `Self` is dropped. So none of them takes the mmap lock, not even by [`Mm::with_vma`], nor waits
/// for somebody who does. And none touches user memory: that could be a fault, which waits for the
/// lock or ends up in the same function, again and again.
///
/// [`Mm::with_vma`]: crate::mm::MmWithUser::with_vma
///
/// [`impl_has_vm_ops!`](crate::impl_has_vm_ops) completes the implementation.
///
/// # Examples
///
/// ```
/// use core::sync::atomic::{AtomicUsize, Ordering};
/// use kernel::{mm::vm_ops::{MmapHook, VmOperations, InactiveVma, DriverVma}, impl_has_vm_ops};
///
/// /// A queue that knows in how many areas it is mapped. The first is counted in the `mmap` hook.
/// struct Queue {
///     areas: AtomicUsize,
/// }
///
/// impl_has_vm_ops!(Queue);
///
/// #[vtable]
/// impl VmOperations for Queue {
///     type Hook = MmapHook;
///
///     fn open(vma: &InactiveVma<Self>) {
///         vma.data().areas.fetch_add(1, Ordering::Relaxed);
///     }
///
///     fn close(vma: &InactiveVma<Self>) {
///         vma.data().areas.fetch_sub(1, Ordering::Relaxed);
///     }
///
///     fn may_split(_vma: &DriverVma<Self>, _address: usize) -> Result {
///         // It is mapped as a whole, or not at all.
///         Err(EINVAL)
///     }
/// }
/// ```
#[doc(alias = "vm_operations_struct")]
#[vtable]
pub trait VmOperations: HasVmOps + Send + Sync + Sized + 'static {
    /// The hook in which a VMA gets this data: [`MmapHook`] for [`VmaNew::set_ops`],
    /// [`MmapPrepareHook`] for [`VmaDesc::set_ops`].
    ///
    /// [`VmaDesc::set_ops`]: crate::mm::vma_desc::VmaDesc::set_ops
    type Hook: Hook;

    /// An area has come into being as a copy of one that exists: in a child process, at a new
    /// place, or because a part of it gets another fate. It is not called for the area that came of
    /// a hook, and a child whose `fork()` fails later closes it again.
    fn open(_vma: &InactiveVma<Self>) {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An area goes away. No page of it is mapped any more, and its count on `Self` is given back
    /// when this returns.
    fn close(_vma: &InactiveVma<Self>) {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns whether the area may be split at `address`, which may yet come to nothing. Faults of
    /// the area may be served at the same time. An error is what the caller of `munmap()`,
    /// `mprotect()` or the like gets.
    fn may_split(_vma: &DriverVma<Self>, _address: usize) -> Result {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// `mremap()` has moved an area here. After an error, it moves it back.
    fn mremap(_vma: &DriverVma<Self>) -> Result {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A page is touched that is not mapped.
    ///
    /// Without it, that is `SIGBUS`.
    fn fault<'a>(_vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A page of a shared area, the one of number `pgoff` of the file, is to become writable.
    ///
    /// Errors: `ENOMEM` is out of memory to the program, and all others are `SIGBUS`.
    fn page_mkwrite(_vma: &DriverVma<Self>, _pgoff: usize) -> Result {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A debugger, or who uses `/proc/PID/mem`, is at `address` and finds no page, as areas of bare
    /// page frames have none. Returns how many bytes are done, from the first on.
    ///
    /// All the bytes are those of the area, and only a shared area that the program may write to is
    /// written to. Without it, and after an error, the other gets `EIO` or fewer bytes.
    fn access(_vma: &DriverVma<Self>, _address: usize, _what: Access<'_>) -> Result<usize> {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A type with a table of its own.
///
/// # Safety
///
/// [`table`](Self::table) always returns the same table, one that was made by
/// [`VmOpsTable::new`] for `Self`, and no other type returns it.
pub unsafe trait HasVmOps {
    /// Returns the table.
    fn table() -> &'static VmOpsTable;
}

/// Gives a type that implements [`VmOperations`] its table.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{virt::VmaRef, vm_ops::{MmapHook, VmOperations}}, prelude::*, impl_has_vm_ops};
///
/// struct Registers;
///
/// impl_has_vm_ops!(Registers);
///
/// #[vtable]
/// impl VmOperations for Registers {
///     type Hook = MmapHook;
///
///     fn may_split(_vma: &kernel::mm::vm_ops::DriverVma<Self>, _address: usize) -> Result {
///         Err(EINVAL)
///     }
/// }
///
/// fn is_ours(vma: &VmaRef) -> bool {
///     vma.downcast::<Registers>().is_some()
/// }
/// ```
#[macro_export]
macro_rules! impl_has_vm_ops {
    ($type:ty) => {
        // SAFETY: Each use of the macro has a `static` of its own, and a type has one use, as it
        // implements the trait once.
        unsafe impl $crate::mm::vm_ops::HasVmOps for $type {
            #[inline]
            fn table() -> &'static $crate::mm::vm_ops::VmOpsTable {
                static TABLE: $crate::mm::vm_ops::VmOpsTable =
                    $crate::mm::vm_ops::VmOpsTable::new::<$type>();
                &TABLE
            }
        }
    };
}

/// The C side's table of operations for one type of data.
#[repr(C)]
pub struct VmOpsTable {
    ops: bindings::vm_operations_struct,
    /// Gives back a count that an area had.
    release: unsafe fn(*mut c_void),
    /// What takes the reference of a VMA that `->mmap_prepare()` has described.
    #[allow(dead_code)]
    mapped: Mapped,
}

impl VmOpsTable {
    /// Makes the table of `T`.
    pub const fn new<T: VmOperations>() -> Self {
        Self {
            ops: bindings::vm_operations_struct {
                open: Some(open::<T>),
                close: Some(close::<T>),
                may_split: if T::HAS_MAY_SPLIT {
                    Some(may_split::<T>)
                } else {
                    None
                },
                mremap: if T::HAS_MREMAP {
                    Some(mremap::<T>)
                } else {
                    None
                },
                fault: if T::HAS_FAULT { Some(fault::<T>) } else { None },
                page_mkwrite: if T::HAS_PAGE_MKWRITE {
                    Some(page_mkwrite::<T>)
                } else {
                    None
                },
                map_pages: if T::HAS_FAULT || T::HAS_PAGE_MKWRITE {
                    Some(map_pages)
                } else {
                    None
                },
                access: if T::HAS_ACCESS {
                    Some(access::<T>)
                } else {
                    None
                },
                name: Some(name),
                ..mapped::vm_ops::<T>()
            },
            release: release::<T>,
            mapped: Mapped::new::<T>(),
        }
    }

    /// Returns the C side's pointer to the table.
    #[inline]
    pub(super) fn as_ptr(&self) -> *const bindings::vm_operations_struct {
        &self.ops
    }

    /// Returns the table of an area that is being set up, if it has one of this type.
    #[inline]
    pub(super) fn of(vma: &VmaNew) -> Option<&'static Self> {
        // SAFETY: The area is allocated, and the caller's thread alone has it.
        let ops = unsafe { (*vma.as_ptr()).vm_ops };
        if ops.is_null() {
            return None;
        }

        // SAFETY: A table is part of the kernel or of a module which the area's file keeps.
        let known = unsafe { (*ops).name };
        if !known.is_some_and(|known| ptr::eq(known as *const (), name as *const ())) {
            return None;
        }
        // SAFETY: `name()` is private, so this is the first field of a table that `new()` has made.
        // The only way to one that an area refers to is a `set_ops()`, whose table is a `static`.
        Some(unsafe { &*ops.cast::<Self>() })
    }

    /// Takes the data away from an area whose hook fails.
    ///
    /// # Safety
    ///
    /// The area has this table by [`VmaNew::set_ops`], and nothing that was made from the data of
    /// the area is in use.
    pub(super) unsafe fn clear(&self, vma: &VmaNew) {
        let vma = vma.as_ptr();

        // SAFETY: The area is allocated, and the caller's thread alone has it. The C side calls
        // nothing of the table after an error, so this is where the count ends. It belongs to the
        // type of the table.
        unsafe {
            (*vma).vm_ops = ptr::null();
            (self.release)((*vma).vm_private_data);
            (*vma).vm_private_data = ptr::null_mut();
        }
    }
}

/// An area that holds a `T`, locked for reading.
///
/// # Invariants
///
/// As for [`VmaRef`], and the area has the table of `T`. So its `vm_private_data` is that of an
/// `Arc<T>`, of which the area owns a count.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{virt::VmaRef, vm_ops::{MmapHook, VmOperations, DriverVma}}, prelude::*, impl_has_vm_ops};
///
/// struct Window {
///     id: u32,
/// }
///
/// impl_has_vm_ops!(Window);
///
/// #[vtable]
/// impl VmOperations for Window {
///     type Hook = MmapHook;
/// }
///
/// fn id_of(vma: &VmaRef) -> Option<u32> {
///     let window: &DriverVma<Window> = vma.downcast()?;
///     Some(window.data().id)
/// }
/// # // SAFETY: No `current!()` is in use yet.
/// # let addr = unsafe { kernel::mm::kunit::user_page() }?;
/// # let task = current!();
/// # let guard = task.mm().ok_or(EINVAL)?.mmap_read_lock();
/// # assert_eq!(id_of(guard.vma_lookup(addr).ok_or(EFAULT)?), None);
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct DriverVma<T> {
    vma: VmaRef,
    data: PhantomData<Arc<T>>,
}

impl<T> Deref for DriverVma<T> {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.vma
    }
}

impl<T: VmOperations> DriverVma<T> {
    /// Borrows an area that C code points to.
    ///
    /// # Safety
    ///
    /// As for [`VmaRef::from_raw`], and the area has the table of `T`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The caller vouches for the type invariant. CAST: `Self` is transparent around it.
        unsafe { &*vma.cast() }
    }

    /// Borrows the data of this area.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::vm_ops::{VmOperations, DriverVma}, sync::Arc};
    ///
    /// /// The data lives on, whatever becomes of the area.
    /// fn keep<T: VmOperations>(vma: &DriverVma<T>) -> Arc<T> {
    ///     vma.data().into()
    /// }
    /// ```
    #[doc(alias = "vm_private_data")]
    #[inline]
    pub fn data(&self) -> ArcBorrow<'_, T> {
        // SAFETY: The area owns a count by the type invariant. It gives it back when it has been
        // taken out of its address space, for which `self`'s lock has to be given back first.
        unsafe { borrow(self.as_ptr()) }
    }
}

/// Borrows the data of an area.
///
/// # Safety
///
/// The area has the table of `T`, and a count of its data for the whole of `'a`.
#[inline]
unsafe fn borrow<'a, T>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, T> {
    // SAFETY: `VmaNew::set_ops()` or `VmaDesc::set_ops()` has put the pointer of an `Arc<T>` there
    // along with the table, and nothing but `clear()` changes it. The caller vouches for the count.
    unsafe { ArcBorrow::from_raw((*vma).vm_private_data.cast::<T>()) }
}

/// An area of a `T` that nobody uses yet, or nobody any more.
///
/// Its address space may be coming into being or going away, so there is no way to it from here,
/// and to the pages of the area neither.
///
/// # Invariants
///
/// The area is allocated, it has the table of `T` and a count of its data, and no other thread
/// changes its bounds.
///
/// # Examples
///
/// ```
/// use kernel::mm::vm_ops::InactiveVma;
///
/// /// The bytes that no program has from now on.
/// fn size<T>(vma: &InactiveVma<T>) -> usize {
///     vma.end() - vma.start()
/// }
/// ```
#[repr(transparent)]
pub struct InactiveVma<T> {
    vma: Opaque<bindings::vm_area_struct>,
    data: PhantomData<Arc<T>>,
}

impl<T> InactiveVma<T> {
    /// # Safety
    ///
    /// The type invariant holds for the whole of `'a`.
    unsafe fn from_raw<'a>(vma: *mut bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The caller vouches for it. CAST: `Opaque` is transparent, and the other field has
        // no size.
        unsafe { &*vma.cast() }
    }

    /// Borrows the data of this area.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::vm_ops::InactiveVma, sync::Arc};
    ///
    /// /// Keeps the data beyond `close`, for what must be done without the lock.
    /// fn keep<T>(vma: &InactiveVma<T>) -> Arc<T> {
    ///     vma.data().into()
    /// }
    /// ```
    #[inline]
    pub fn data(&self) -> ArcBorrow<'_, T> {
        // SAFETY: The area has a count by the type invariant.
        unsafe { borrow(self.vma.get()) }
    }

    /// Returns the address of the first byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vm_ops::InactiveVma;
    ///
    /// /// Returns whether this is the front of what was mapped at `first`.
    /// fn is_front<T>(vma: &InactiveVma<T>, first: usize) -> bool {
    ///     vma.start() == first
    /// }
    /// ```
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: The area is allocated, and nobody changes this, both by the type invariant.
        unsafe { (*self.vma.get()).__bindgen_anon_1.__bindgen_anon_1.vm_start }
    }

    /// Returns the address behind the last byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::vm_ops::InactiveVma, page::PAGE_SIZE};
    ///
    /// /// Returns how many pages to take from the account in `close`.
    /// fn pages<T>(vma: &InactiveVma<T>) -> usize {
    ///     (vma.end() - vma.start()) / PAGE_SIZE
    /// }
    /// ```
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: As for `start()`.
        unsafe { (*self.vma.get()).__bindgen_anon_1.__bindgen_anon_1.vm_end }
    }

    /// Returns which page of the file the area begins with.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::ops::Range;
    /// use kernel::{mm::vm_ops::InactiveVma, page::PAGE_SIZE};
    ///
    /// /// Returns which pages of the file are mapped once more, or once less.
    /// fn pages<T>(vma: &InactiveVma<T>) -> Range<usize> {
    ///     vma.pgoff()..vma.pgoff() + (vma.end() - vma.start()) / PAGE_SIZE
    /// }
    /// ```
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: As for `start()`.
        unsafe { (*self.vma.get()).vm_pgoff }
    }
}

/// # Safety
///
/// To be called for a new area that is the copy of another with the table of `T`, by
/// `__split_vma()`, `copy_vma()` or `dup_mmap()`. They hold the mmap locks of both for writing.
unsafe extern "C" fn open<T: VmOperations>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: The copy has the pointer of the other area, which has a count and, by the lock, keeps
    // it for now.
    unsafe { take::<T>((*vma).vm_private_data) };

    if T::HAS_OPEN {
        // SAFETY: The area has its count, and its bounds change under the lock of the caller only.
        T::open(unsafe { InactiveVma::from_raw(vma) });
    }
}

/// # Safety
///
/// To be called by `vma_close()`, which does it once for an area with the table of `T`: it takes
/// the table away from the area then. The area is out of reach for everybody else.
unsafe extern "C" fn close<T: VmOperations>(vma: *mut bindings::vm_area_struct) {
    if T::HAS_CLOSE {
        // SAFETY: The area has a count until the end of this function, and is out of reach.
        T::close(unsafe { InactiveVma::from_raw(vma) });
    }

    // SAFETY: The area has a count, and nothing uses its data after this.
    unsafe { release::<T>((*vma).vm_private_data) };
}

/// Takes a count for an area.
///
/// # Safety
///
/// `data` is the pointer of an `Arc<T>`, of which somebody has a count for the time of the call.
unsafe fn take<T>(data: *mut c_void) {
    // SAFETY: As the caller says.
    let data = unsafe { ArcBorrow::from_raw(data.cast_const().cast::<T>()) };
    let _ = Arc::into_raw(Arc::from(data));
}

/// # Safety
///
/// `data` is the pointer of an `Arc<T>`, with a count that the caller gives away.
unsafe fn release<T>(data: *mut c_void) {
    // SAFETY: As the caller says.
    drop(unsafe { Arc::from_raw(data.cast_const().cast::<T>()) });
}

/// # Safety
///
/// To be called by `__split_vma()`, or by `mremap()` before it, with the mmap lock held for
/// writing, for an area with the table of `T`.
unsafe extern "C" fn may_split<T: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    address: c_ulong,
) -> c_int {
    // SAFETY: The lock is held, and splitting is for areas of living address spaces.
    let vma = unsafe { DriverVma::from_raw(vma) };
    errno(T::may_split(vma, address))
}

/// # Safety
///
/// To be called by `mremap()`, with the mmap lock held for writing, for the new place of an area
/// with the table of `T`.
unsafe extern "C" fn mremap<T: VmOperations>(vma: *mut bindings::vm_area_struct) -> c_int {
    // SAFETY: The lock is held, and the address space is that of the current task.
    let vma = unsafe { VmaRef::from_raw(vma) };
    // `copy_vma()` may have had a neighbour grow instead of making a copy. `set_ops()` has
    // forbidden that, but a type is nothing to be confused about.
    vma.downcast().map_or(0, |vma| errno(T::mremap(vma)))
}

/// # Safety
///
/// To be called by `__do_fault()`, for an area with the table of `T`.
unsafe extern "C" fn fault<T: VmOperations>(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: The caller of `handle_mm_fault()` holds the mmap lock or that of the area, and the
    // address space is alive. The result is what is returned.
    let mut fault = unsafe { VmFault::from_raw(vmf) };
    let (reason, page) = T::fault(&mut fault).into_raw();
    if let Some(page) = page {
        // SAFETY: The field is for the handler to fill in.
        unsafe { (*vmf).page = page.as_ptr() };
    }
    reason
}

/// Maps no pages around the one that is touched.
///
/// `vmf_can_call_fault()` takes it for a sign that the other functions of the table do with the
/// area's own lock. Without it, each fault would give that back, and begin anew with the mmap lock.
///
/// # Safety
///
/// None is needed; the C side's type has it.
unsafe extern "C" fn map_pages(
    _vmf: *mut bindings::vm_fault,
    _first: c_ulong,
    _last: c_ulong,
) -> bindings::vm_fault_t {
    0
}

/// # Safety
///
/// To be called by `do_page_mkwrite()`, for an area with the table of `T`.
unsafe extern "C" fn page_mkwrite<T: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    // SAFETY: As for `fault()`, but the flags do not name the lock here. The caller has a count on
    // the page, and nobody changes these fields.
    let (vma, pgoff, page) = unsafe {
        (
            DriverVma::from_raw((*vmf).__bindgen_anon_1.vma),
            (*vmf).__bindgen_anon_1.pgoff,
            (*vmf).page,
        )
    };
    match T::page_mkwrite(vma, pgoff) {
        Ok(()) => {
            // SAFETY: The caller unlocks the page if it is told that it is locked.
            unsafe { bindings::lock_page(page) };
            bindings::vm_fault_reason_VM_FAULT_LOCKED
        }
        Err(err) => fault::vm_fault_from_errno(err),
    }
}

/// # Safety
///
/// To be called by `__access_remote_vm()`, with the mmap lock held, for an area with the table of
/// `T`, an address in it, and a buffer of `len` bytes.
unsafe extern "C" fn access<T: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    address: c_ulong,
    buffer: *mut c_void,
    len: c_int,
    write: c_int,
) -> c_int {
    // SAFETY: The lock is held, and who looks at an address space keeps it alive.
    let vma = unsafe { DriverVma::from_raw(vma) };
    // The caller asks for all that is left to do, which may go on behind the area.
    let len = (len as usize).min(vma.end() - address);
    let buffer = buffer.cast::<u8>();

    // What is written in a private area is the program's own, and nothing for the driver.
    let needed = match write {
        0 => flags::MAYREAD,
        _ => flags::WRITE | flags::SHARED,
    };
    let done = if vma.flags() & needed != needed {
        Err(EACCES)
    } else if write == 0 {
        // SAFETY: The buffer is the caller's, who lends it for now. It need not be initialized yet.
        let buffer = unsafe {
            buffer.write_bytes(0, len);
            slice::from_raw_parts_mut(buffer, len)
        };
        T::access(vma, address, Access::Read(buffer))
    } else {
        // SAFETY: The buffer is the caller's, who has filled it, and lends it for now.
        let buffer = unsafe { slice::from_raw_parts(buffer, len) };
        T::access(vma, address, Access::Write(buffer))
    };
    // The caller goes on behind so many bytes.
    done.map_or_else(|err| err.to_errno(), |done| done.min(len) as c_int)
}

/// Marks a table as one of [`VmOpsTable`].
///
/// The C side asks areas without a file for a name, and has another if there is none. There must be
/// one of this function, so it is never made a part of others.
///
/// # Safety
///
/// None is needed; the C side's type has it.
#[inline(never)]
unsafe extern "C" fn name(_vma: *mut bindings::vm_area_struct) -> *const c_char {
    ptr::null()
}

/// Returns what a C function returns for a result.
#[inline]
fn errno(result: Result) -> c_int {
    result.err().map_or(0, |err| err.to_errno())
}
