// SPDX-License-Identifier: GPL-2.0

//! Operations of a driver's VMAs: `vm_ops` and `vm_private_data`.
//!
//! A driver attaches an `Arc<T>` to a VMA in its `->mmap()` hook ([`VmaNew::set_ops`]) or its
//! `->mmap_prepare()` hook ([`VmaDesc::set_ops`]). The VMA then has the `vm_operations_struct` of
//! `T`, and holds a reference to the data in `vm_private_data`. Each `T` has its own `vm_ops`, so
//! [`VmaRef::downcast`] compares `vma->vm_ops` to find out whether a VMA has a `T`. The address is
//! not enough: userspace may have unmapped the VMA and mapped something else there.
//!
//! [`VmaDesc::set_ops`]: super::vma_desc::VmaDesc::set_ops
//!
//! Each VMA that `fork()`, `mremap()` or a split makes of such a VMA holds its own reference, and
//! drops it when it is unmapped. Such a VMA does not grow and is not merged: it maps the range of
//! the file for which the hook was called, or a part of that range.
//!
//! [`VmOperations::open`] is called for each of these VMAs, also for that of the hook, and
//! [`VmOperations::close`] once for each of them. What a driver counts belongs there, not into the
//! hook.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     alloc::KVec,
//!     mm::{
//!         fault::{FaultResult, VmFault},
//!         virt::VmaNew,
//!         vm_ops::{MmapHook, VmOperations},
//!         UserPage,
//!     },
//!     prelude::*,
//!     sync::Arc,
//!     impl_has_vm_ops,
//! };
//!
//! /// Memory that is mapped by page faults.
//! struct Buffer {
//!     pages: KVec<UserPage>,
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
//! /// The `->mmap()` hook of the driver.
//! fn mmap(buffer: Arc<Buffer>, vma: &VmaNew) -> Result {
//!     vma.set_ops(buffer)?;
//!     Ok(())
//! }
//! # use kernel::mm::kunit::{read_page, write_page};
//! # let mut pages = KVec::new();
//! # for _ in 0..2 {
//! #     pages.push(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
//! # }
//! # let buffer = Arc::new(Buffer { pages }, GFP_KERNEL)?;
//! # write_page(1, |vma| mmap(buffer.clone(), vma))?;
//! # assert_eq!(read_page(0, |vma| mmap(buffer.clone(), vma)), Ok(0));
//! # assert_eq!(read_page(1, |vma| mmap(buffer.clone(), vma)), Ok(1));
//! # assert_eq!(read_page(2, |vma| mmap(buffer.clone(), vma)), Err(EFAULT));
//! # // The VMAs have dropped their references.
//! # assert!(Arc::into_unique_or_drop(buffer).is_some());
//! # Ok::<(), Error>(())
//! ```
//!
//! Guide: [choosing a hook](srctree/Documentation/rust/task-mm/guide/choosing-a-hook.rst),
//! [a first fault handler](srctree/Documentation/rust/task-mm/guide/first-fault-handler.rst)
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
    module::this_module,
    module_going::module_of,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};
use core::{
    marker::PhantomData,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref,
    ptr,
    slice, //
};

mod mapped;
use mapped::Mapped;

/// An access by another task (ptrace, `/proc/PID/mem`) to memory that `get_user_pages()` cannot
/// return.
///
/// # Examples
///
/// ```
/// use core::cell::Cell;
/// use kernel::{mm::vm_ops::Access, prelude::*};
///
/// /// Copies between the driver's memory and the buffer. Returns the number of bytes.
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
    /// The other task reads. The callback fills this buffer, which is zeroed.
    Read(&'a mut [u8]),
    /// The other task writes. The callback copies this buffer to the memory.
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

/// How a VMA has come into being.
///
/// # Examples
///
/// ```
/// use kernel::mm::vm_ops::{InactiveVma, VmaOrigin};
///
/// /// Returns by how many pages the call of `open()` has increased what is mapped.
/// fn pages_added<T>(vma: &InactiveVma<T>, origin: VmaOrigin) -> usize {
///     match origin {
///         VmaOrigin::Mmap | VmaOrigin::Fork | VmaOrigin::Mremap => vma.vma_pages(),
///         VmaOrigin::Split => 0,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmaOrigin {
    /// `mmap()` has called the hook of the driver for it.
    Mmap,
    /// `fork()` has copied it for the child. The VMA of the parent stays.
    Fork,
    /// `mremap()` moves pages to it. The range from which they are moved is unmapped afterwards,
    /// with a call of [`close`](VmOperations::close). If `mremap()` fails, the new VMA is unmapped
    /// instead.
    Mremap,
    /// It is a part of an existing VMA, which shrinks by this part when
    /// [`open`](VmOperations::open) has returned. The pages that are mapped stay the same.
    Split,
}

/// The operations of a driver's VMAs.
///
/// `Self` is the type of the data in `vm_private_data`. Several VMAs, of several mms, may share one
/// value. The mm of the current task need not be that of the VMA.
///
/// C code holds these locks when it calls a callback:
///
/// | Callback | Lock |
/// |----------|------|
/// | [`open`](Self::open) | mmap lock, for writing (`dup_mmap()`: of both mms) |
/// | [`close`](Self::close) | mmap lock, for writing or for reading |
/// | [`may_split`](Self::may_split), [`mremap`](Self::mremap) | mmap lock, for writing |
/// | [`access`](Self::access) | mmap lock, for reading |
/// | [`fault`](Self::fault) | mmap lock or VMA lock, for reading |
/// | [`page_mkwrite`](Self::page_mkwrite) | mmap lock or VMA lock, for reading |
///
/// `munmap()` and a shrinking `mremap()` or `brk()` hold the lock for reading when they call
/// `close`. Two calls of `close` for VMAs of one mm may then run at the same time, and page faults
/// of other VMAs of that mm as well. On Linux 7.3, a `fork()` that fails calls `close` for the VMAs
/// of the child with the locks of both mms held.
///
/// The lock may also be held when the last reference to `Self` is dropped. The callbacks and the
/// `Drop` implementation of `Self` must therefore
///
/// - not take the mmap lock, not even by [`MmWithUser::with_vma`],
/// - not wait for a thread that takes the mmap lock, and
/// - not access userspace memory: a page fault takes the mmap lock, or calls the same callback
///   again.
///
/// The same holds for a lock that a callback takes. A function that holds it elsewhere, for example
/// `ioctl()`, must not access userspace memory meanwhile. The memory may be a page of this driver
/// that is not mapped yet, and the page fault then waits for the lock. Copy the arguments first and
/// the results last.
///
/// `Self` must not own an `ARef<MmWithUser>`, nor the file that is mapped: see [`MmWithUser`].
///
/// [`impl_has_vm_ops!`](crate::impl_has_vm_ops) completes the implementation.
///
/// [`MmWithUser`]: crate::mm::MmWithUser
/// [`MmWithUser::with_vma`]: crate::mm::MmWithUser::with_vma
/// [`MmWithUserAsync`]: crate::mm::MmWithUserAsync
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     impl_has_vm_ops,
///     mm::vm_ops::{InactiveVma, MmapHook, VmaOrigin, VmOperations},
///     sync::atomic::{Atomic, Relaxed},
/// };
///
/// /// A queue with an account of the pages that are mapped, by all processes.
/// struct Queue {
///     pages: Atomic<usize>,
/// }
///
/// impl_has_vm_ops!(Queue);
///
/// #[vtable]
/// impl VmOperations for Queue {
///     type Hook = MmapHook;
///
///     fn open(vma: &InactiveVma<Self>, origin: VmaOrigin) {
///         // The pages of a part are in the account since its whole was opened.
///         if origin != VmaOrigin::Split {
///             vma.data().pages.fetch_add(vma.vma_pages(), Relaxed);
///         }
///     }
///
///     fn close(vma: &InactiveVma<Self>) {
///         vma.data().pages.fetch_sub(vma.vma_pages(), Relaxed);
///     }
/// }
///
/// # use kernel::{mm::kunit::with_vma_new, sync::Arc};
/// let queue = Arc::new(Queue { pages: Atomic::new(0) }, GFP_KERNEL)?;
/// # with_vma_new(|vma| {
/// // In the `->mmap()` hook:
/// vma.set_ops(queue.clone())?;
/// assert_eq!(queue.pages.load(Relaxed), vma.vma_pages());
/// # Ok(())
/// # })?;
/// // After `munmap()`:
/// assert_eq!(queue.pages.load(Relaxed), 0);
/// # // A hook that fails later.
/// # assert_eq!(
/// #     with_vma_new(|vma| vma.set_ops(queue.clone()).and(Err(ENODEV))),
/// #     Err(ENODEV)
/// # );
/// # assert_eq!(queue.pages.load(Relaxed), 0);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "vm_operations_struct")]
#[vtable]
pub trait VmOperations: HasVmOps + Send + Sync + Sized + 'static {
    /// The hook in which a VMA gets this data: [`MmapHook`] for [`VmaNew::set_ops`],
    /// [`MmapPrepareHook`] for [`VmaDesc::set_ops`].
    ///
    /// [`VmaDesc::set_ops`]: crate::mm::vma_desc::VmaDesc::set_ops
    type Hook: Hook;

    /// Called for each VMA with this data when it comes into being.
    ///
    /// Unlike the C function, this is also called for the VMA of a hook: by
    /// [`VmaNew::set_ops`], or after `->mmap_prepare()` when the core mm has created the VMA.
    /// [`close`](Self::close) is called once for each VMA for which this was called, also if the
    /// hook or the system call fails later.
    ///
    /// `origin` says where the pages of the VMA come from. An account of VMAs grows by one in any
    /// case. An account of pages must not grow by those of a [`VmaOrigin::Split`].
    fn open(_vma: &InactiveVma<Self>, _origin: VmaOrigin) {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each VMA before it is freed.
    ///
    /// Its range is what is left of it after splits. None of its pages is mapped any more. Its
    /// reference to `Self` is dropped after this returns.
    fn close(_vma: &InactiveVma<Self>) {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Decides whether the VMA may be split at `address`, which is page-aligned and inside the VMA.
    ///
    /// `Ok(())` permits the split, which may fail later. Page faults of the VMA may run
    /// concurrently. An error is returned to the caller of `munmap()`, `mprotect()` or another
    /// system call that splits the VMA.
    fn may_split(_vma: &DriverVma<Self>, _address: usize) -> Result {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for the new VMA after `mremap()` has moved the page tables to it.
    ///
    /// After an error, `mremap()` moves them back and returns the error.
    fn mremap(_vma: &DriverVma<Self>) -> Result {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles a page fault.
    ///
    /// If it is not implemented, page faults raise `SIGBUS`.
    fn fault<'a>(_vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called before the page at page offset `pgoff` in the file becomes writable in a shared VMA.
    ///
    /// The page is not locked. After `Ok(())` the core mm makes it writable. Not called for PFN
    /// mappings.
    ///
    /// A wait must be [`Killable`](crate::task::TaskState::Killable): the callback does not know
    /// whether userspace or the kernel accesses the page, so an interrupted wait raises `SIGBUS`.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: the fault returns `VM_FAULT_OOM`. For a limit of the driver's own, another error
    ///   is right: see [`VmFault::return_error`].
    /// - `EHWPOISON`: the fault returns `VM_FAULT_HWPOISON`.
    /// - All others raise `SIGBUS`. On User-Mode Linux, each error does.
    fn page_mkwrite(_vma: &DriverVma<Self>, _pgoff: usize) -> Result {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles an access by `__access_remote_vm()` where `get_user_pages()` has failed, in
    /// particular to a `VM_IO` or `VM_PFNMAP` VMA.
    ///
    /// Returns the number of bytes transferred, starting at `address`. The range lies within the
    /// VMA. Reads are passed on only if [`flags::MAYREAD`] is set, writes only if [`flags::WRITE`]
    /// and [`flags::SHARED`] are set. After an error, or if this is not implemented, the remote
    /// access is short or fails with `EIO`. Needs `CONFIG_HAVE_IOREMAP_PROT`.
    fn access(_vma: &DriverVma<Self>, _address: usize, _what: Access<'_>) -> Result<usize> {
        crate::build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A type with its own `vm_ops`.
///
/// # Safety
///
/// [`table`](Self::table) must always return the same table. [`VmOpsTable::new`] must have made it
/// for `Self`, and no other type may return it.
pub unsafe trait HasVmOps {
    /// Returns the table.
    fn table() -> &'static VmOpsTable;
}

/// Implements [`HasVmOps`] for a type that implements [`VmOperations`].
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
/// # use kernel::{mm::kunit::with_vma_new, sync::Arc};
/// # let registers = Arc::new(Registers, GFP_KERNEL)?;
/// # with_vma_new(|vma| {
/// #     assert!(!is_ours(vma));
/// #     vma.set_ops(registers.clone())?;
/// #     assert!(is_ours(vma));
/// #     Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! impl_has_vm_ops {
    ($type:ty) => {
        // SAFETY: `table()` returns a `static` that `VmOpsTable::new()` makes for `$type`. Each use
        // of the macro defines its own `static`. A type can implement the trait only once, so no
        // two types share a table.
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

/// The `vm_operations_struct` for one type of data.
#[repr(C)]
pub struct VmOpsTable {
    ops: bindings::vm_operations_struct,
    /// Sets up a VMA after `->mmap_prepare()`, where C code does not.
    #[allow(dead_code, reason = "only some kernels need it")]
    mapped: Mapped,
    /// The operations of a file that holds a reference on the module of the table.
    file_ops: FileOps,
}

/// The `file_operations` of a file that has none, with the module of their memory as `owner`.
pub(super) struct FileOps(bindings::file_operations);

// SAFETY: The structure is never written, and `owner` is not used to access the module.
unsafe impl Sync for FileOps {}

impl FileOps {
    pub(super) const fn new(owner: *mut bindings::module) -> Self {
        Self(bindings::file_operations {
            owner,
            // SAFETY: All fields are integers or nullable pointers, for which zero is a valid
            // value.
            ..unsafe { MaybeUninit::zeroed().assume_init() }
        })
    }

    pub(super) fn owner(&self) -> *mut bindings::module {
        self.0.owner
    }

    pub(super) fn as_ptr(&'static self) -> *const bindings::file_operations {
        &self.0
    }
}

// SAFETY: Rust code writes no field of a table after `new()`, and no method returns a mutable
// pointer or reference to one. C code only reads the table, as `vma->vm_ops` points to `const`. All
// fields are pointers to functions, which any thread may call, except `uffd_ops` of 7.3 with
// `CONFIG_USERFAULTFD`. `new()` sets that field to null.
unsafe impl Sync for VmOpsTable {}

impl VmOpsTable {
    /// Creates the table of `T`.
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
            mapped: Mapped::new::<T>(),
            file_ops: FileOps::new(this_module::<T::OwnerModule>().as_ptr()),
        }
    }

    /// Returns the pointer for `vma->vm_ops`.
    #[inline]
    pub(super) fn as_ptr(&self) -> *const bindings::vm_operations_struct {
        &self.ops
    }

    /// Returns the table of a VMA that is being set up, if its `vm_ops` is a [`VmOpsTable`].
    #[inline]
    pub(super) fn of(vma: &VmaNew) -> Option<&'static Self> {
        // SAFETY: The VMA is allocated and not yet in the maple tree of its mm, by the type
        // invariant of `VmaNew`, so only this thread accesses the field.
        let ops = unsafe { (*vma.as_ptr()).vm_ops };
        if ops.is_null() {
            return None;
        }

        // SAFETY: `vm_ops` is in the kernel image or in a module that `vma->vm_file` pins.
        let known = unsafe { (*ops).name };
        if !known.is_some_and(|known| ptr::eq(known as *const (), name as *const ())) {
            return None;
        }
        // SAFETY: Only `new()` uses the private `name()`, so `ops` is the first field of a
        // `VmOpsTable`, which is `repr(C)`. Only `set_ops()` stores its address in a VMA, and that
        // table is a `static` by the requirements of `HasVmOps`.
        Some(unsafe { &*ops.cast::<Self>() })
    }

    /// Returns whether the code of this table stays loaded for as long as `file` is open.
    ///
    /// `table()` is a `static` of the object that the functions of the table are in. An open file
    /// holds a reference on the module of its `file_operations`. So the object must be that module,
    /// or not be in a module at all.
    ///
    /// # Safety
    ///
    /// `file` must be null, or a valid pointer to an open file.
    pub(super) unsafe fn is_kept_by(&'static self, file: *const bindings::file) -> bool {
        let owner = if file.is_null() {
            ptr::null_mut()
        } else {
            // SAFETY: The caller guarantees that the file is open, so it has `file_operations`.
            unsafe { (*(*file).f_op).owner }
        };

        self.is_kept_by_module(owner)
    }

    /// Returns the operations of a file that keeps the code of this table loaded if
    /// [`is_kept_by_module`](Self::is_kept_by_module) returns true for their owner.
    pub(super) fn file_ops(&'static self) -> &'static FileOps {
        &self.file_ops
    }

    /// Returns whether the code of this table stays loaded for as long as a reference on `owner` is
    /// held.
    pub(super) fn is_kept_by_module(&'static self, owner: *mut bindings::module) -> bool {
        let module = module_of(ptr::from_ref(self) as usize);

        module.is_null() || module == owner
    }

    /// Clears `vm_ops` and `vm_private_data` of a VMA whose `->mmap()` hook failed, after a call of
    /// `->close()`. May sleep.
    ///
    /// # Safety
    ///
    /// [`VmaNew::set_ops`] must have set this table for `vma`, and no borrow of the VMA's data may
    /// be live.
    pub(super) unsafe fn clear(&self, vma: &VmaNew) {
        let vma = vma.as_ptr();

        if let Some(close) = self.ops.close {
            // SAFETY: The VMA is allocated and not yet in the maple tree of its mm, by the type
            // invariant of `VmaNew`, so no other thread can reach it. It has this table by the
            // caller's guarantee. `vm_ops` is cleared below, so C code does not call the function
            // again. The hook's caller holds the mmap lock for writing.
            unsafe { close(vma) };
        }
        // SAFETY: As above, only this thread accesses the fields.
        unsafe {
            (*vma).vm_ops = ptr::null();
            (*vma).vm_private_data = ptr::null_mut();
        }
    }
}

/// A VMA with a `T` as `vm_private_data`, locked for reading.
///
/// # Invariants
///
/// - The invariants of [`VmaRef`] hold.
/// - The VMA has the `vm_ops` of `T`. So its `vm_private_data` is a pointer of [`Arc::into_raw`],
///   and the VMA holds that reference to the `T`.
///
/// # Examples
///
/// ```
/// use kernel::{
///     impl_has_vm_ops,
///     mm::{virt::VmaRef, vm_ops::{DriverVma, MmapHook, VmOperations}},
///     prelude::*,
/// };
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
/// # use kernel::{mm::kunit::with_vma_new, sync::Arc};
/// # let window = Arc::new(Window { id: 7 }, GFP_KERNEL)?;
/// # with_vma_new(|vma| {
/// #     vma.set_ops(window.clone())?;
/// #     assert_eq!(id_of(vma), Some(7));
/// #     assert_eq!(vma.set_ops(window.clone()).err(), Some(EBUSY));
/// #     Ok(())
/// # })?;
/// # kernel::mm::kunit::with_vma(|vma| {
/// // Anonymous memory is not a VMA of this driver.
/// assert_eq!(id_of(vma), None);
/// # Ok(())
/// # })?;
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
    /// Borrows a VMA from a C pointer.
    ///
    /// # Safety
    ///
    /// The requirements of [`VmaRef::from_raw`] must be met for the duration of `'a`, and the VMA
    /// must have the `vm_ops` of `T`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // INVARIANT: The caller guarantees both parts.
        // CAST: `Self` is transparent over `VmaRef`, which is transparent over `vm_area_struct`.
        // SAFETY: The caller guarantees that the VMA is valid and locked for the duration of `'a`.
        unsafe { &*vma.cast() }
    }

    /// Borrows the `vm_private_data` of this VMA.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::vm_ops::{VmOperations, DriverVma}, sync::Arc};
    ///
    /// /// The reference keeps the data valid after the VMA is unmapped.
    /// fn keep<T: VmOperations>(vma: &DriverVma<T>) -> Arc<T> {
    ///     vma.data().into()
    /// }
    /// ```
    #[doc(alias = "vm_private_data")]
    #[inline]
    pub fn data(&self) -> ArcBorrow<'_, T> {
        // SAFETY: By the type invariant the VMA has the `vm_ops` of `T` and holds a reference.
        // `close()` drops it after the VMA is detached from its mm. Detaching takes the mmap lock
        // and the VMA lock for writing, and so waits for the lock of `self`. For the VMA of an
        // `->mmap()` hook, only `clear()` drops it, whose caller guarantees that no borrow is live.
        unsafe { borrow_data(self.as_ptr()) }
    }
}

/// Borrows the `vm_private_data` of a VMA.
///
/// # Safety
///
/// The VMA must have the `vm_ops` of `T` and hold a reference to its data for the duration of `'a`.
#[inline]
unsafe fn borrow_data<'a, T>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, T> {
    // SAFETY: `VmaNew::set_ops()` or `VmaDesc::set_ops()` has stored a pointer of `Arc::into_raw()`
    // there, along with the `vm_ops` of `T`. Only `clear()` changes it. The caller guarantees the
    // reference for the duration of `'a`.
    unsafe { ArcBorrow::from_raw((*vma).vm_private_data.cast::<T>()) }
}

/// The VMA that is passed to [`VmOperations::open`] and [`VmOperations::close`].
///
/// The mm may be incomplete (`dup_mmap()`) or may be torn down (`exit_mmap()`). This type therefore
/// has the VMA's range and data, and gives access neither to the mm nor to the page tables.
///
/// # Examples
///
/// ```
/// use kernel::mm::vm_ops::InactiveVma;
///
/// /// Returns the size of the VMA in bytes.
/// fn size<T>(vma: &InactiveVma<T>) -> usize {
///     vma.end() - vma.start()
/// }
/// ```
pub struct InactiveVma<T> {
    start: usize,
    end: usize,
    pgoff: usize,
    /// The reference that the VMA holds in `vm_private_data`.
    data: Arc<T>,
}

impl<T> InactiveVma<T> {
    /// Reads a VMA.
    ///
    /// # Safety
    ///
    /// The VMA must be allocated and have the `vm_ops` of `T`, and no other thread may write to it
    /// during the call. It must hold a reference to its data. The returned value owns that
    /// reference: either it is not dropped, or the VMA's `vm_private_data` is not used afterwards.
    unsafe fn from_raw(vma: *mut bindings::vm_area_struct) -> Self {
        // SAFETY: The caller guarantees that the VMA is valid for reads. `vm_private_data` is the
        // pointer of an `Arc<T>`, as `vm_ops` is that of `T`. The caller passes on the reference.
        unsafe {
            Self {
                start: (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_start,
                end: (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_end,
                pgoff: (*vma).vm_pgoff,
                data: Arc::from_raw((*vma).vm_private_data.cast_const().cast::<T>()),
            }
        }
    }

    /// Borrows the `vm_private_data` of this VMA.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::vm_ops::InactiveVma, sync::Arc};
    ///
    /// /// Keeps the data valid after `close()`, for work without the mmap lock.
    /// fn keep<T>(vma: &InactiveVma<T>) -> Arc<T> {
    ///     vma.data().into()
    /// }
    /// ```
    #[inline]
    pub fn data(&self) -> ArcBorrow<'_, T> {
        self.data.as_arc_borrow()
    }

    /// Returns the start address.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vm_ops::InactiveVma;
    ///
    /// /// Returns whether the VMA starts at the address `first`.
    /// fn is_front<T>(vma: &InactiveVma<T>, first: usize) -> bool {
    ///     vma.start() == first
    /// }
    /// ```
    #[inline]
    pub fn start(&self) -> usize {
        self.start
    }

    /// Returns the exclusive end address.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vm_ops::InactiveVma;
    ///
    /// /// Returns whether the VMA ends at the exclusive end address `end`.
    /// fn is_back<T>(vma: &InactiveVma<T>, end: usize) -> bool {
    ///     vma.end() == end
    /// }
    /// ```
    #[inline]
    pub fn end(&self) -> usize {
        self.end
    }

    /// Returns the length in pages.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::vm_ops::{InactiveVma, VmaOrigin};
    ///
    /// /// Prints the changes of what is mapped.
    /// fn log<T>(vma: &InactiveVma<T>, origin: VmaOrigin) {
    ///     pr_info!("{:?}: {} pages\n", origin, vma.vma_pages());
    /// }
    /// ```
    #[inline]
    pub fn vma_pages(&self) -> usize {
        // The end is greater than the start, so the subtraction does not wrap.
        self.end.wrapping_sub(self.start) >> PAGE_SHIFT
    }

    /// Returns the page offset of the start in the file.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::ops::Range;
    /// use kernel::mm::vm_ops::InactiveVma;
    ///
    /// /// Returns the range of page offsets that the VMA maps.
    /// fn pages<T>(vma: &InactiveVma<T>) -> Range<usize> {
    ///     vma.pgoff()..vma.pgoff() + vma.vma_pages()
    /// }
    /// ```
    #[inline]
    pub fn pgoff(&self) -> usize {
        self.pgoff
    }
}

/// Tells the driver about a VMA to which [`VmaNew::set_ops`] has attached data.
///
/// # Safety
///
/// The VMA must have the `vm_ops` of `T` and hold a reference to its data, and no other thread may
/// have a pointer to it.
#[inline]
pub(super) unsafe fn opened_by_hook<T: VmOperations>(vma: *mut bindings::vm_area_struct) {
    if T::HAS_OPEN {
        // SAFETY: The caller guarantees the data and that no other thread writes to the VMA. The
        // value is not dropped.
        let vma = ManuallyDrop::new(unsafe { InactiveVma::<T>::from_raw(vma) });
        T::open(&vma, VmaOrigin::Mmap);
    }
}

/// Takes the reference of a VMA that an `->mmap_prepare()` hook has described, and tells the driver
/// about the VMA.
///
/// # Safety
///
/// `data` must be a pointer from [`Arc::into_raw`] for a `T`, whose refcount must not be zero for
/// the duration of the call.
unsafe fn opened_by_prepare<T: VmOperations>(
    start: usize,
    end: usize,
    pgoff: usize,
    data: *mut c_void,
) {
    // SAFETY: The caller guarantees the pointer, and a reference for the duration of the call.
    unsafe { acquire::<T>(data) };

    if T::HAS_OPEN {
        let vma = ManuallyDrop::new(InactiveVma {
            start,
            end,
            pgoff,
            // SAFETY: `acquire()` has taken the reference of the VMA. This value is not dropped.
            data: unsafe { Arc::from_raw(data.cast_const().cast::<T>()) },
        });
        T::open(&vma, VmaOrigin::Mmap);
    }
}

/// Returns what the copy of a VMA was made for.
///
/// - `dup_mmap()` has stored the copy in the tree of the child, by `vma_iter_bulk_store()`.
/// - `copy_vma()` of `mremap()` has found the range of the copy empty, and stores the copy later,
///   by `vma_link()`.
/// - `__split_vma()` stores the copy later, by `vma_complete()`. Until then, the original VMA,
///   which has not been shrunk yet, is in the tree for the whole range.
///
/// # Safety
///
/// The requirements of [`open`] must be met.
unsafe fn origin_of(vma: *mut bindings::vm_area_struct) -> VmaOrigin {
    // SAFETY: The caller holds the mmap lock of the VMA's mm for writing, so the tree does not
    // change during the walk. `dup_mmap()` holds it for the mm of the child, whose tree
    // `__mt_dup()` has made. The VMA is allocated.
    let found = unsafe {
        bindings::vma_lookup(
            (*vma).vm_mm,
            (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_start,
        )
    };

    if found.is_null() {
        VmaOrigin::Mremap
    } else if ptr::eq(found, vma) {
        VmaOrigin::Fork
    } else {
        VmaOrigin::Split
    }
}

/// `->open()`.
///
/// # Safety
///
/// Must only be called by `__split_vma()`, `copy_vma()` or `dup_mmap()`, for the copy of a VMA with
/// the `vm_ops` of `T`, with the mmap lock of the mm of each of the two VMAs held for writing.
unsafe extern "C" fn open<T: VmOperations>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: The copy has the `vm_private_data` of the original VMA. That VMA holds a reference,
    // and is not unmapped during the call, as the mmap lock of its mm is held for writing.
    unsafe { acquire::<T>((*vma).vm_private_data) };

    if T::HAS_OPEN {
        // SAFETY: The caller meets the requirements of this function.
        let origin = unsafe { origin_of(vma) };
        // SAFETY: `acquire()` has taken the VMA's reference. The VMA is written to with the mmap
        // lock held for writing, which the caller holds. The value is not dropped.
        let vma = ManuallyDrop::new(unsafe { InactiveVma::<T>::from_raw(vma) });
        T::open(&vma, origin);
    }
}

/// `->close()`.
///
/// # Safety
///
/// Must only be called by `vma_close()` or by [`VmOpsTable::clear`], for a VMA with the `vm_ops` of
/// `T` that no other thread can reach. The mmap lock is held, for reading or for writing: see
/// [`VmOperations`]. Both callers replace `vm_ops` afterwards, and so call this once for a VMA.
unsafe extern "C" fn close<T: VmOperations>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: No other thread can reach the VMA, which holds a reference. This is not called again
    // for the VMA, so `vm_private_data` is not used afterwards.
    let vma = unsafe { InactiveVma::<T>::from_raw(vma) };

    if T::HAS_CLOSE {
        T::close(&vma);
    }
    // This drops the reference of the VMA.
    drop(vma);
}

/// Takes a reference for a VMA.
///
/// # Safety
///
/// `data` must be a pointer from [`Arc::into_raw`] for a `T`, whose refcount must not be zero for
/// the duration of the call.
unsafe fn acquire<T>(data: *mut c_void) {
    // SAFETY: The caller guarantees the pointer, and a reference for the duration of the call.
    let data = unsafe { ArcBorrow::from_raw(data.cast_const().cast::<T>()) };
    let _ = Arc::into_raw(Arc::from(data));
}

/// `->may_split()`.
///
/// # Safety
///
/// Must only be called by `__split_vma()` or `mremap()`, with the mmap lock held for writing, for a
/// VMA with the `vm_ops` of `T`.
unsafe extern "C" fn may_split<T: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    address: c_ulong,
) -> c_int {
    // SAFETY: The caller holds the mmap lock for writing. VMAs are only split in an mm whose
    // `mm_users` is not zero. The VMA has the `vm_ops` of `T`.
    let vma = unsafe { DriverVma::from_raw(vma) };
    errno(T::may_split(vma, address))
}

/// `->mremap()`.
///
/// # Safety
///
/// Must only be called by `mremap()`, with the mmap lock held for writing, for the new VMA of a VMA
/// with the `vm_ops` of `T`.
unsafe extern "C" fn mremap<T: VmOperations>(vma: *mut bindings::vm_area_struct) -> c_int {
    // SAFETY: `mremap()` holds the mmap lock for writing. The mm is that of the current task, so
    // its `mm_users` is not zero.
    let vma = unsafe { VmaRef::from_raw(vma) };
    // `copy_vma()` may merge the new range into a neighbour, which may have other data. `set_ops()`
    // prevents that, but type safety does not depend on it here: `downcast()` checks `vm_ops`.
    vma.downcast().map_or(0, |vma| errno(T::mremap(vma)))
}

/// `->fault()`.
///
/// # Safety
///
/// Must only be called by `__do_fault()`, for a VMA with the `vm_ops` of `T`, with the mmap lock or
/// the VMA lock held for reading.
unsafe extern "C" fn fault<T: VmOperations>(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: The caller of `handle_mm_fault()` holds the mmap lock or the VMA lock for reading,
    // and `mm_users` of the mm is not zero. This function returns what the `FaultResult` contains.
    let mut fault = unsafe { VmFault::from_raw(vmf) };
    let (result, page) = T::fault(&mut fault).into_raw();
    if let Some(page) = page {
        // SAFETY: `vmf` is valid, and `->fault()` is to set the field. The reference to the page
        // passes to `__do_fault()`.
        unsafe { (*vmf).page = page.as_ptr() };
    }
    result
}

/// `->map_pages()`: maps no pages around the page of the fault.
///
/// If a `vm_ops` has it, `vmf_can_call_fault()` allows `->fault()` and `->page_mkwrite()` with the
/// VMA lock. Otherwise each fault would release the VMA lock and be repeated with the mmap lock.
///
/// # Safety
///
/// No requirements. The type of the C field is an unsafe function.
unsafe extern "C" fn map_pages(
    _vmf: *mut bindings::vm_fault,
    _first: c_ulong,
    _last: c_ulong,
) -> bindings::vm_fault_t {
    0
}

/// `->page_mkwrite()`.
///
/// # Safety
///
/// Must only be called by `do_page_mkwrite()`, for a VMA with the `vm_ops` of `T`, with the mmap
/// lock or the VMA lock held for reading.
unsafe extern "C" fn page_mkwrite<T: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    // SAFETY: The mmap lock or the VMA lock is held for reading, and `mm_users` of the mm is not
    // zero. (`do_page_mkwrite()` replaces the flags of `vmf`, so they do not tell which lock it
    // is.) Only the current task accesses `vmf`, and its callers write to these fields only before
    // the call.
    let (vma, pgoff, page) = unsafe {
        (
            DriverVma::from_raw((*vmf).__bindgen_anon_1.vma),
            (*vmf).__bindgen_anon_1.pgoff,
            (*vmf).page,
        )
    };
    match T::page_mkwrite(vma, pgoff) {
        Ok(()) => {
            // SAFETY: The caller of `do_page_mkwrite()` holds a reference to the page. It unlocks
            // the page, as `VM_FAULT_LOCKED` is returned.
            unsafe { bindings::lock_page(page) };
            bindings::vm_fault_reason_VM_FAULT_LOCKED
        }
        Err(err) => fault::vm_fault_from_errno(err),
    }
}

/// `->access()`.
///
/// # Safety
///
/// Must only be called by `__access_remote_vm()`, with the mmap lock held for reading, for a VMA
/// with the `vm_ops` of `T`. `address` must be in the VMA, and `len` must not be negative. `buffer`
/// must be exclusive to the call. If `write` is zero, it must be valid for writes of `len` bytes.
/// Otherwise it must be initialized and valid for reads of `len` bytes.
unsafe extern "C" fn access<T: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    address: c_ulong,
    buffer: *mut c_void,
    len: c_int,
    write: c_int,
) -> c_int {
    // SAFETY: `__access_remote_vm()` holds the mmap lock for reading. Its caller holds an
    // `mm_users` reference. The VMA has the `vm_ops` of `T`.
    let vma = unsafe { DriverVma::from_raw(vma) };
    // `len` is the rest of the remote access, which may exceed the VMA.
    let len = (len as usize).min(vma.end() - address);
    let buffer = buffer.cast::<u8>();

    // A write to a private VMA must not change the driver's memory.
    let needed = match write {
        0 => flags::MAYREAD,
        _ => flags::WRITE | flags::SHARED,
    };
    let done = if vma.flags() & needed != needed {
        Err(EACCES)
    } else if write == 0 {
        // SAFETY: The caller guarantees that the buffer is exclusive to the call and valid for
        // writes of `len` bytes. It may be uninitialized, so it is zeroed first.
        let buffer = unsafe {
            buffer.write_bytes(0, len);
            slice::from_raw_parts_mut(buffer, len)
        };
        T::access(vma, address, Access::Read(buffer))
    } else {
        // SAFETY: The caller guarantees that the buffer is initialized, exclusive to the call and
        // valid for reads of `len` bytes.
        let buffer = unsafe { slice::from_raw_parts(buffer, len) };
        T::access(vma, address, Access::Write(buffer))
    };
    // `__access_remote_vm()` advances by the returned number, which must not exceed `len`.
    done.map_or_else(|err| err.to_errno(), |done| done.min(len) as c_int)
}

/// `->name()`: its address marks a `vm_operations_struct` as part of a [`VmOpsTable`].
///
/// C code calls `->name()` only for VMAs without a file, and falls back to another name after null.
/// `inline(never)` keeps one copy of the function, whose address is compared.
///
/// # Safety
///
/// No requirements. The type of the C field is an unsafe function.
#[inline(never)]
unsafe extern "C" fn name(_vma: *mut bindings::vm_area_struct) -> *const c_char {
    ptr::null()
}

/// Converts a result to the return value of a C function.
#[inline]
fn errno(result: Result) -> c_int {
    result.err().map_or(0, |err| err.to_errno())
}
