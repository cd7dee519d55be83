// SPDX-License-Identifier: GPL-2.0

//! Pages that a driver takes back from all processes that have mapped them.
//!
//! Userspace may map a file in several places, and `fork()` copies the mappings. To take a page
//! back, a driver has to unmap it in all of these VMAs, and to keep page faults that are being
//! handled from mapping it again. A [`RevocableMapping`] does both. It has
//!
//! - an `address_space` of its own, to which all VMAs are linked that
//!   [`VmaNew::set_revocable_ops`] has set up, and all copies of them, and
//! - a lock, with the driver's state in it. Pages are mapped with the lock held
//!   ([`RevocableMapping::fault`], [`RevocableMapping::insert`]), and the state says which page.
//!   [`RevocableMapping::revoke`] unmaps all pages and changes the state before it releases the
//!   lock. So a concurrent page fault maps a page either before that, or with the new state.
//!
//! It revokes pages, not PFNs. [`VmaNew::set_revocable_ops`] fails for a VMA with
//! [`flags::PFNMAP`], and no method of a [`RevocableMapping`] maps a PFN: a page fault could map
//! one of [`VmFault::vmf_insert_mixed`] again. A PFN must stay valid for as long as
//! [`pfnmap`](crate::mm::pfnmap) says.
//!
//! Guide: [taking pages back](srctree/Documentation/rust/task-mm/guide/revocable-page.rst)
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings, c_str,
    error::from_err_ptr,
    mm::{
        fault::{
            FaultResult,
            VmFault, //
        },
        virt::{
            flags,
            VmaMixedMap,
            VmaNew,
            VmaRef, //
        },
        vm_ops::{
            DriverVma,
            FileOps,
            MmapHook,
            VmOperations,
            VmOpsTable, //
        },
        UserPage, //
    },
    prelude::*,
    static_lock_class,
    str::BStr,
    sync::{
        Arc,
        Mutex, //
    },
};
use core::ptr::{
    self,
    NonNull, //
};

/// A state that decides which pages userspace reaches, and the VMAs in which they are mapped.
///
/// # Examples
///
/// A page that a driver lends to userspace, until it takes it back:
///
/// ```
/// use kernel::{
///     c_str,
///     impl_has_vm_ops,
///     mm::{
///         fault::{FaultResult, VmFault},
///         revoke::RevocableMapping,
///         virt::VmaNew,
///         vm_ops::{MmapHook, VmOperations},
///         UserPage, //
///     },
///     prelude::*,
///     sync::Arc,
/// };
///
/// #[pin_data]
/// struct Lent {
///     #[pin]
///     page: RevocableMapping<Option<UserPage>>,
/// }
///
/// impl_has_vm_ops!(Lent);
///
/// #[vtable]
/// impl VmOperations for Lent {
///     type Hook = MmapHook;
///
///     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
///         if vmf.pgoff() != 0 {
///             return vmf.return_error(EINVAL);
///         }
///         vmf.data().page.fault(vmf, |page| page.as_ref().ok_or(EIO))
///     }
/// }
///
/// impl Lent {
///     fn new() -> Result<Arc<Self>> {
///         let page = UserPage::alloc_page(GFP_KERNEL)?;
///         let page = RevocableMapping::new(c_str!("lent"), Some(page));
///         Arc::pin_init(try_pin_init!(Self { page <- page }), GFP_KERNEL)
///     }
///
///     /// The `->mmap()` hook.
///     fn mmap(me: &Arc<Self>, vma: &VmaNew) -> Result {
///         vma.set_revocable_ops(me.clone(), &me.page)?;
///         Ok(())
///     }
///
///     /// Accesses of userspace raise `SIGBUS` after this. Returns whether there was a page.
///     ///
///     /// The page is dropped, and not used for anything else: another driver may have pinned it,
///     /// and goes on writing to it, or lets userspace read it.
///     fn take_back(&self) -> bool {
///         self.page.revoke(Option::take).is_some()
///     }
/// }
/// # use kernel::mm::kunit::read_page;
/// # let lent = Lent::new()?;
/// # assert_eq!(read_page(0, |vma| Lent::mmap(&lent, vma)), Ok(0));
/// # assert!(lent.take_back());
/// # assert_eq!(read_page(0, |vma| Lent::mmap(&lent, vma)), Err(EFAULT));
/// # assert!(Arc::into_unique_or_drop(lent).is_some());
/// #
/// # // Names of 52 and 53 bytes.
/// # let name = c_str!("0123456789012345678901234567890123456789012345678901");
/// # assert!(Arc::pin_init(RevocableMapping::new(name, ()), GFP_KERNEL).is_ok());
/// # let name = c_str!("01234567890123456789012345678901234567890123456789012");
/// # let result = Arc::pin_init(RevocableMapping::new(name, ()), GFP_KERNEL);
/// # assert_eq!(result.err(), Some(EINVAL));
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct RevocableMapping<S> {
    base: BaseFile,
    #[pin]
    state: Mutex<S>,
}

impl<S> RevocableMapping<S> {
    /// Returns an initializer.
    ///
    /// `name` is what `/proc/PID/maps` shows for the VMAs, after `anon_inode:`. It has at most 52
    /// bytes.
    ///
    /// # Errors
    ///
    /// The initializer returns:
    ///
    /// - `EINVAL`: `name` is too long.
    /// - `ENOMEM`: an allocation failed.
    /// - `ENFILE`: there are too many open files.
    /// - The errors of a security module.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn new(name: &'static CStr, state: S) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            base: BaseFile::new(name)?,
            state <- Mutex::new(state, lock_name(), static_lock_class!()),
        })
    }

    /// Unmaps all pages in all VMAs of all processes, and changes the state.
    ///
    /// No process has a page mapped while `change` runs. What is mapped afterwards was mapped by a
    /// later call of [`fault`](Self::fault) or [`insert`](Self::insert), with the new state. If
    /// `change` does nothing, the next access calls the fault handler again.
    ///
    /// These pages stay:
    ///
    /// - the copies that userspace has made by writing to a private VMA,
    /// - those that C code or a [`PinnedPages`](crate::mm::pin::PinnedPages) has pinned, until it
    ///   unpins them: for a transfer that has been started, in a pipe (`vmsplice()`), or in an
    ///   IOMMU (VFIO). Such a page stays allocated, but a driver must not use it again for what
    ///   userspace must not see or change. Allocate another one.
    /// - those that the driver has mapped by other methods than these two. An `->mmap()` hook maps
    ///   a page before `revoke` finds the VMA, and [`VmFault::return_page`] has it mapped when the
    ///   handler has returned.
    ///
    /// This waits for calls of the other methods, and so must not be called by their closures, nor
    /// by `change`.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn revoke<R>(&self, change: impl FnOnce(&mut S) -> R) -> R
    where
        S: Unpin,
    {
        let mut state = self.state.lock();

        // A length of zero means up to the end. The last argument excludes private copies.
        // SAFETY: The file is open by the type invariant of `BaseFile`, so its `address_space` is
        // valid. `unmap_mapping_range()` takes `i_mmap_rwsem` and page table locks, neither of
        // which is held by Rust code. It waits for page table changes of others and flushes the
        // TLBs.
        unsafe { bindings::unmap_mapping_range(self.base.mapping(), 0, 0, 0) };
        // No page is mapped until the lock is released.
        change(&mut state)
    }

    /// Reads the state.
    ///
    /// Page faults wait meanwhile. `f` must not access userspace memory: the access may fault, and
    /// wait for itself.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{revoke::RevocableMapping, UserPage};
    ///
    /// fn is_lent(mapping: &RevocableMapping<Option<UserPage>>) -> bool {
    ///     mapping.with(|page| page.is_some())
    /// }
    /// ```
    pub fn with<R>(&self, f: impl FnOnce(&S) -> R) -> R {
        f(&self.state.lock())
    }

    /// Handles a page fault with a page of the state.
    ///
    /// The page that `page` returns is mapped as by [`VmFault::vmf_insert_page`], an error is
    /// handled as by [`VmFault::return_error`]. If [`VmaNew::set_revocable_ops`] was not called for
    /// the VMA with this mapping, `page` is not called, and the access raises `SIGBUS`.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// Two pages that are taken back independently of each other:
    ///
    /// ```
    /// use kernel::{
    ///     c_str,
    ///     impl_has_vm_ops,
    ///     mm::{
    ///         fault::{FaultResult, VmFault},
    ///         revoke::RevocableMapping,
    ///         vm_ops::{DriverVma, MmapHook, VmOperations},
    ///         UserPage, //
    ///     },
    ///     prelude::*,
    ///     sync::Arc,
    /// };
    ///
    /// #[pin_data]
    /// struct Two {
    ///     #[pin]
    ///     even: RevocableMapping<UserPage>,
    ///     #[pin]
    ///     odd: RevocableMapping<UserPage>,
    /// }
    ///
    /// impl_has_vm_ops!(Two);
    ///
    /// #[vtable]
    /// impl VmOperations for Two {
    ///     type Hook = MmapHook;
    ///
    ///     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
    ///         let two = vmf.data();
    ///         // A VMA is linked to one of the mappings. The other one does not map pages in it.
    ///         let mapping = if vmf.pgoff() % 2 == 0 { &two.even } else { &two.odd };
    ///         mapping.fault(vmf, |page| Ok(page))
    ///     }
    ///
    ///     fn page_mkwrite(_vma: &DriverVma<Self>, _pgoff: usize) -> Result {
    ///         Err(EPERM)
    ///     }
    /// }
    ///
    /// # use kernel::mm::kunit::{read_page, write_page};
    /// let even = RevocableMapping::new(c_str!("even"), UserPage::alloc_page(GFP_KERNEL)?);
    /// let odd = RevocableMapping::new(c_str!("odd"), UserPage::alloc_page(GFP_KERNEL)?);
    /// let two = Arc::pin_init(try_pin_init!(Two { even <- even, odd <- odd }), GFP_KERNEL)?;
    /// # let hook = |vma: &kernel::mm::virt::VmaNew| {
    /// // In the `->mmap()` hook:
    /// vma.set_revocable_ops(two.clone(), &two.even).map(drop)
    /// # };
    /// # assert_eq!(read_page(0, hook), Ok(0));
    /// # assert_eq!(read_page(1, hook), Err(EFAULT));
    /// # assert_eq!(write_page(0, hook), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fault<'a, T: VmOperations>(
        &self,
        vmf: &'a VmFault<'a, T>,
        page: impl FnOnce(&S) -> Result<&UserPage>,
    ) -> FaultResult<'a> {
        if !self.base.is_mapping_of(vmf.vma()) {
            return vmf.return_error(EINVAL);
        }
        let state = self.state.lock();

        // The page is mapped before the lock is released. The VMA is linked to this mapping, as
        // page faults are handled after that.
        match page(&state) {
            Ok(page) => vmf.vmf_insert_page(page),
            Err(err) => vmf.return_error(err),
        }
    }

    /// Maps a page of the state at `address`, as [`VmaMixedMap::vm_insert_page`].
    ///
    /// # Errors
    ///
    /// - `EINVAL`: [`VmaNew::set_revocable_ops`] was not called for the VMA with this mapping, or
    ///   the VMA is that of an `->mmap()` hook. [`revoke`](Self::revoke) does not find such a VMA.
    /// - The errors of `page`, and those of [`VmaMixedMap::vm_insert_page`].
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock or the VMA lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{revoke::RevocableMapping, virt::VmaMixedMap, UserPage};
    ///
    /// /// Maps the page before it is accessed.
    /// fn populate(mapping: &RevocableMapping<Option<UserPage>>, vma: &VmaMixedMap) -> Result {
    ///     mapping.insert(vma, vma.start(), |page| page.as_ref().ok_or(EIO))
    /// }
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # let mapping = RevocableMapping::new(kernel::c_str!("populate"), Some(page));
    /// # let mapping = KBox::pin_init(mapping, GFP_KERNEL)?;
    /// # kernel::mm::kunit::with_vma_new(|vma| {
    /// #     assert_eq!(populate(&mapping, vma.set_mixedmap()), Err(EINVAL));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn insert(
        &self,
        vma: &VmaMixedMap,
        address: usize,
        page: impl FnOnce(&S) -> Result<&UserPage>,
    ) -> Result {
        if !self.base.is_mapping_of(vma) {
            return Err(EINVAL);
        }
        // A VMA that is in the tree and not write-locked is linked to its file as well: the
        // functions that insert it do both with the mmap lock and the VMA lock held for writing.
        // SAFETY: The mmap lock or the VMA lock is held by the type invariants of `VmaRef`, and
        // `mm_users` is not zero. `vma_lookup()` walks the tree under RCU. Its result is compared
        // only.
        let found = unsafe { bindings::vma_lookup((*vma.as_ptr()).vm_mm, vma.start()) };
        if !ptr::eq(found, vma.as_ptr()) {
            return Err(EINVAL);
        }

        let state = self.state.lock();
        vma.vm_insert_page(address, page(&state)?)
    }
}

impl VmaNew {
    /// Attaches `data` to the VMA, as [`set_ops`](Self::set_ops), and links the VMA to `mapping`.
    ///
    /// The VMA then has [`flags::MIXEDMAP`]. Its file is a new one, which shares the
    /// `address_space` with all VMAs of `mapping` and holds a reference on the module of `T`. The
    /// file that userspace has mapped is not kept by the VMA.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `T` is in a module, and not in that of `T::OwnerModule`.
    /// - `EBUSY`: the VMA has data or PFN mappings already, or `T` has
    ///   [`page_mkwrite`](VmOperations::page_mkwrite) and [`set_mixedmap`](Self::set_mixedmap) was
    ///   called before.
    /// - `ENODEV`: the module of `T` is being unloaded.
    /// - `ENFILE`, `ENOMEM`: the file could not be allocated.
    /// - The errors of a security module.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    ///
    /// # Examples
    ///
    /// See [`RevocableMapping`].
    pub fn set_revocable_ops<T, S>(
        &self,
        data: Arc<T>,
        mapping: &RevocableMapping<S>,
    ) -> Result<&DriverVma<T>>
    where
        T: VmOperations<Hook = MmapHook>,
    {
        // With `page_mkwrite`, pages must not have been mapped before: see `set_ops()`.
        let unset = match T::HAS_PAGE_MKWRITE {
            true => flags::PFNMAP | flags::MIXEDMAP,
            false => flags::PFNMAP,
        };
        if VmOpsTable::of(self).is_some() || self.flags() & unset != 0 {
            return Err(EBUSY);
        }
        mapping.base.set_file_of(self, T::table())?;
        // This does not fail after the checks above, and those in `set_file_of()`. So the VMA has
        // data when its file has been replaced, and the file is replaced once.
        let vma = self.set_ops(data)?;
        self.set_mixedmap();
        Ok(vma)
    }
}

/// Returns the name of the lock's class.
///
/// Lockdep compares the addresses of the names of a class. A string in `RevocableMapping::new()`,
/// which is generic, would have an address of its own in each module. So would one in an inlined
/// function.
#[inline(never)]
fn lock_name() -> &'static CStr {
    c_str!("RevocableMapping::state")
}

/// A file with an `address_space` of its own, which has no operations and no file descriptor.
///
/// # Invariants
///
/// The pointer is that of an open file, made by `anon_inode_create_getfile()`, to which a reference
/// is held.
struct BaseFile(NonNull<bindings::file>);

// SAFETY: Any thread may drop the reference.
unsafe impl Send for BaseFile {}
// SAFETY: The methods read fields that do not change while the file is open, and pass the file to
// functions that may be called by several threads.
unsafe impl Sync for BaseFile {}

/// The operations of a [`BaseFile`].
static NO_OPERATIONS: FileOps = FileOps::new(ptr::null_mut());

/// The size of the buffer in which `dynamic_dname()` of Linux 6.12 writes `anon_inode:`, the name
/// and a NUL byte. With a longer name, a read of `/proc/PID/maps` fails after it has allocated a
/// buffer of 1 GiB.
const DNAME_SIZE: usize = 64;

impl BaseFile {
    fn new(name: &'static CStr) -> Result<Self> {
        let bytes: &BStr = name.as_ref();
        if "anon_inode:".len() + bytes.len() >= DNAME_SIZE {
            return Err(EINVAL);
        }
        // SAFETY: The name is a string, and the operations are valid permanently. They have no
        // owner, as they are built into the kernel. There is no context inode.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_create_getfile(
                name.as_char_ptr(),
                NO_OPERATIONS.as_ptr(),
                ptr::null_mut(),
                bindings::O_RDWR as c_int,
                ptr::null(),
            )
        })?;
        // INVARIANT: The function has returned a new file, with an inode of its own, and the
        // reference.
        Ok(Self(NonNull::new(file).ok_or(ENOMEM)?))
    }

    fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: The file is open by the type invariant. `f_mapping` of such a file is that of its
        // inode, and does not change.
        unsafe { (*self.0.as_ptr()).f_mapping }
    }

    /// Returns whether this is the `address_space` of a VMA.
    fn is_mapping_of(&self, vma: &VmaRef) -> bool {
        // SAFETY: The VMA exists by the type invariants of `VmaRef`. Only an `->mmap()` hook, which
        // runs in the task that owns the `VmaNew`, changes the field.
        let file = unsafe { (*vma.as_ptr()).vm_file };

        // SAFETY: The VMA holds a reference on its file, so it is open, unless it is null.
        !file.is_null() && ptr::eq(unsafe { (*file).f_mapping }, self.mapping())
    }

    /// Replaces the file of a VMA by one with the same `address_space`, which holds a reference on
    /// the module of `table`.
    fn set_file_of(&self, vma: &VmaNew, table: &'static VmOpsTable) -> Result {
        let ops = table.file_ops();
        if !table.is_kept_by_module(ops.owner()) {
            return Err(EINVAL);
        }
        // SAFETY: `owner()` is null, or the module of the table, whose code calls this.
        if !unsafe { bindings::try_module_get(ops.owner()) } {
            return Err(ENODEV);
        }

        // SAFETY: The base file is open by the type invariant. `ops` is in the same object as the
        // table, which the reference on the module keeps loaded. `__fput()` drops that reference.
        let file = from_err_ptr(unsafe {
            bindings::alloc_file_clone(self.0.as_ptr(), bindings::O_RDWR as c_int, ops.as_ptr())
        });
        let file = file.inspect_err(|_| {
            // SAFETY: `try_module_get()` took this reference above, and no file holds it.
            unsafe { bindings::module_put(ops.owner()) }
        })?;

        // SAFETY: An `->mmap()` hook may replace the file of its VMA, which has not been linked to
        // the `address_space` of the file yet: by the type invariant of `VmaNew`, it is not in the
        // tree. The VMA takes a reference on the new file and drops that on the old file, on which
        // the caller of the hook holds another one.
        unsafe { bindings::vma_set_file(vma.as_ptr(), file) };
        // SAFETY: This is the reference of `alloc_file_clone()`.
        unsafe { bindings::fput(file) };
        Ok(())
    }
}

impl Drop for BaseFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, a reference is held. VMAs that are still linked to the
        // `address_space` hold files of their own, which keep the inode.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}
