// SPDX-License-Identifier: GPL-2.0

//! Fixtures for the examples of this module: an mm, a VMA, or a hook of a file that is mapped.
//!
//! KUnit runs an example in a kthread, which has no mm. A fixture gives it a new one for the
//! duration of a closure.

use crate::{
    bindings,
    error::{
        from_err_ptr,
        Result, //
    },
    mm::{
        fault::{
            FaultResult,
            VmFault, //
        },
        virt::{
            VmaNew,
            VmaRef,
            VmaWriteLocked, //
        },
        vm_ops::{
            MmapHook,
            VmOperations, //
        },
        vma_desc::VmaDesc,
        MmWithUser,
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    uaccess::UserSlice,
    ModuleMetadata, //
};
use core::{
    mem::MaybeUninit,
    ptr::{
        self,
        NonNull, //
    },
};

mod hook;

/// The name of the fixtures' file, for C.
const FILE_NAME: &[u8] = b"[kunit]\0";

/// The number of pages that the fixtures map of a file.
const FILE_PAGES: usize = 4;

/// Runs `f` with a new mm that the current kthread uses, and the address of its only page.
fn with_new_mm<R: Send>(f: impl FnOnce(&MmWithUser, usize) -> Result<R> + Send) -> Result<R> {
    // SAFETY: Reads a field of the current task, which no other task writes.
    let test = unsafe { bindings::kunit_get_current_test() };
    if test.is_null() || !crate::current!().is_kthread() {
        return Err(EINVAL);
    }
    if crate::current!().mm().is_some() {
        return Err(EBUSY);
    }

    // SAFETY: `test` is the test that the current kthread runs. The kthread has no mm, so
    // `kunit_vm_mmap()` allocates one by `mm_alloc()` and passes it to `kthread_use_mm()`. An
    // anonymous mapping has no file. No reference that depends on `current->mm` exists, as there
    // was no mm.
    let addr = unsafe {
        bindings::kunit_vm_mmap(
            test,
            ptr::null_mut(),
            0,
            PAGE_SIZE,
            (bindings::PROT_READ | bindings::PROT_WRITE) as usize,
            (bindings::MAP_PRIVATE | bindings::MAP_ANONYMOUS) as usize,
            0,
        )
    };

    let task = crate::current!().as_ptr();
    // SAFETY: Only the current task writes its own `mm`.
    let mm = unsafe { (*task).mm };
    let mm = NonNull::new(mm).ok_or(ENOMEM)?;
    // SAFETY: The current kthread uses `mm` since `kunit_vm_mmap()`. No reference to it was derived
    // from `current!()`. KUnit does not use it again: when the test ends, it frees only its own
    // record of the mapping.
    unsafe { bindings::kthread_unuse_mm(mm.as_ptr()) };
    // SAFETY: `mm_alloc()` set `mm_users` to one, and the kthread, whose exit would have released
    // that reference, does not have the mm any more. CAST: `MmWithUser` is transparent.
    let mm: ARef<MmWithUser> = unsafe { ARef::from_raw(mm.cast()) };

    // `kunit_vm_mmap()` returns zero if it could not allocate its record, and what `vm_mmap()`
    // returned otherwise: an address or an errno.
    if addr == 0 {
        return Err(ENOMEM);
    }
    let addr = from_err_ptr(addr as *mut c_void)? as usize;

    let result = {
        let mm = &*mm;
        mm.kthread_use_mm(|| f(mm, addr))?
    };
    // `mm_alloc()` has made the current task the owner of the mm. `f` may have stored a reference
    // that outlives the task, and `exit_mm()` does not look at an mm that the task does not use.
    #[cfg(CONFIG_MEMCG)]
    // SAFETY: `mm` is allocated. No lock is held that comes after `tasklist_lock`.
    unsafe {
        bindings::mm_update_next_owner(mm.as_raw())
    };
    // Not by the drop, which leaves it to a work item: tests check that the VMAs are gone.
    // CAST: `MmWithUser` is transparent.
    // SAFETY: The reference that `mm` held is released once. `mm` and all borrows are gone.
    unsafe {
        bindings::mmput(ARef::into_raw(mm).as_ptr().cast())
    };
    result
}

/// Runs `f` in a KUnit kthread that uses a new mm with one private, writable, anonymous page.
///
/// The second argument of `f` is the address of the page. When `f` has returned, the mm is torn
/// down unless `f` has stored a reference.
///
/// # Errors
///
/// - `EINVAL`: the current task is not a KUnit kthread.
/// - `EBUSY`: the current task uses an mm.
/// - What `f` returns.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::mm::kunit::with_user_mm;
///
/// with_user_mm(|mm, addr| {
///     assert!(mm.mmap_read_lock().vma_lookup(addr).is_some());
///     // The kthread has only one mm.
///     assert_eq!(with_user_mm(|_, _| Ok(())), Err(EBUSY));
///     Ok(())
/// })?;
/// assert!(current!().mm().is_none());
/// # Ok::<(), Error>(())
/// ```
pub fn with_user_mm(f: impl FnOnce(&MmWithUser, usize) -> Result + Send) -> Result {
    with_new_mm(f)
}

/// Unmaps the page at an address of [`with_user_mm`], but not its VMA.
///
/// # Errors
///
/// - `EFAULT`: there is no VMA, or it is not anonymous.
///
/// # Context
///
/// Process context; may sleep. The caller must not hold the mmap lock.
///
/// # Examples
///
/// ```
/// use kernel::mm::kunit::{with_user_mm, zap};
///
/// with_user_mm(|mm, addr| {
///     zap(mm, addr)?;
///     assert!(mm.mmap_read_lock().vma_lookup(addr).is_some());
///     assert_eq!(zap(mm, 0), Err(EFAULT));
///     Ok(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub fn zap(mm: &MmWithUser, addr: usize) -> Result {
    let guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    // SAFETY: The field of a VMA in the tree does not change.
    if !unsafe { ptr::addr_of!((*vma.as_ptr()).vm_ops).read() }.is_null() {
        return Err(EFAULT);
    }
    let start = addr / PAGE_SIZE * PAGE_SIZE;
    // SAFETY: The mmap lock is held, and the page is in the VMA, which is anonymous: it is neither
    // tracked nor of hugetlbfs, and no PUD maps a huge page.
    unsafe { bindings::zap_vma_range(vma.as_ptr(), start, PAGE_SIZE) };
    Ok(())
}

/// Runs `f` with the VMA of [`with_user_mm`]'s page, under the mmap read lock.
///
/// # Errors
///
/// Those of [`with_user_mm`].
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// kernel::mm::kunit::with_vma(|vma| {
///     assert_eq!(vma.vma_pages(), 1);
///     Ok(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub fn with_vma(f: impl FnOnce(&VmaRef) -> Result + Send) -> Result {
    with_new_mm(|mm, addr| f(mm.mmap_read_lock().vma_lookup(addr).ok_or(EFAULT)?))
}

/// Runs `f` with the VMA of [`with_user_mm`]'s page, under the mmap write lock.
///
/// # Errors
///
/// Those of [`with_user_mm`].
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// kernel::mm::kunit::with_vma_write_locked(|vma| {
///     vma.set_dontcopy();
///     Ok(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub fn with_vma_write_locked(f: impl FnOnce(&VmaWriteLocked) -> Result + Send) -> Result {
    with_new_mm(|mm, addr| f(mm.mmap_write_lock().vma_lookup(addr).ok_or(EFAULT)?))
}

/// A hook of a file, with the argument that describes the VMA.
type Hook<'a, T> = dyn FnMut(*mut T) -> c_int + Send + 'a;

/// The `file_operations` of a file that is to be mapped.
struct FileOps(bindings::file_operations);

// SAFETY: No function changes it.
unsafe impl Sync for FileOps {}

impl FileOps {
    /// Returns the `file_operations` of which all is null.
    const fn zeroed() -> bindings::file_operations {
        // SAFETY: All fields are integers or nullable pointers, for which zero is a valid value.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    fn as_ptr(&self) -> *const bindings::file_operations {
        &self.0
    }
}

/// Maps a new file with `fops` in a new mm, and then runs `f` with the address of the mapping.
///
/// # Safety
///
/// The mmap hook in `fops` must call [`call_hook`] with the file and a `*mut T`, and must do
/// nothing else. `fops` must have no other functions.
unsafe fn map_file<T, R: Send>(
    fops: &'static FileOps,
    hook: &mut Hook<'_, T>,
    f: impl FnOnce(usize) -> Result<R> + Send,
) -> Result<R> {
    with_new_mm(|_, _| {
        let mut hook = hook;
        let data: *mut &mut Hook<'_, T> = ptr::addr_of_mut!(hook);

        // SAFETY: The name is a string, and `fops` is valid permanently. The file does not use
        // `data` by itself.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_getfile(
                FILE_NAME.as_ptr().cast(),
                fops.as_ptr(),
                data.cast(),
                bindings::O_RDWR as c_int,
            )
        })?;
        // SAFETY: The reference on `file` is held until below, and the current task uses the new
        // mm. The hook that this calls finds `data`, which points to `hook` and is not used
        // otherwise meanwhile.
        let addr = unsafe {
            bindings::vm_mmap(
                file,
                0,
                FILE_PAGES * PAGE_SIZE,
                (bindings::PROT_READ | bindings::PROT_WRITE) as usize,
                bindings::MAP_SHARED as usize,
                0,
            )
        };

        // `vm_mmap()` returns an address or an errno.
        let result = from_err_ptr(addr as *mut c_void).and_then(|addr| {
            let result = f(addr as usize);
            // The hook may have kept the mm, and what it has lent must outlast the VMA. This fails
            // if an allocation does.
            //
            // SAFETY: The current task uses the new mm, in which the range was mapped above.
            while unsafe { bindings::vm_munmap(addr as usize, FILE_PAGES * PAGE_SIZE) } != 0 {}
            result
        });
        // SAFETY: The file is open, and only `call_hook()` reads the field. The VMA, and whatever
        // the hook has stored, may have references of their own: a later call of the hook finds
        // null.
        unsafe { (*file).private_data = ptr::null_mut() };
        // SAFETY: This is the reference of `anon_inode_getfile()`.
        unsafe { bindings::fput(file) };
        result
    })
}

/// Calls the hook that [`map_file`] got.
///
/// # Safety
///
/// `vm_mmap()` of `map_file::<T>` must have called the mmap hook of `file`, which calls this once.
unsafe fn call_hook<T>(file: *const bindings::file, vma: *mut T) -> c_int {
    // SAFETY: The file is open.
    let data = unsafe { (*file).private_data };
    if data.is_null() {
        return EINVAL.to_errno();
    }
    // SAFETY: `map_file()` has set the field to a pointer to its `&mut Hook`, which is valid and
    // not used otherwise until `map_file()` sets the field to null.
    let hook = unsafe { &mut *data.cast::<&mut Hook<'_, T>>() };

    hook(vma)
}

static MMAP: FileOps = FileOps(bindings::file_operations {
    mmap: Some(mmap),
    ..FileOps::zeroed()
});

/// # Safety
///
/// Must be called by `vm_mmap()` of `map_file::<vm_area_struct>`.
unsafe extern "C" fn mmap(file: *mut bindings::file, vma: *mut bindings::vm_area_struct) -> c_int {
    // SAFETY: Guaranteed by the caller.
    unsafe { call_hook(file, vma) }
}

/// Maps a file whose `->mmap()` hook runs `setup`, and then runs `f` with the address.
fn map_by_mmap<R: Send>(
    setup: impl FnOnce(&VmaNew) -> Result + Send,
    f: impl FnOnce(usize) -> Result<R> + Send,
) -> Result<R> {
    let mut setup = Some(setup);
    let mut hook = |vma: *mut bindings::vm_area_struct| {
        let body = |vma: &VmaNew| setup.take().ok_or(EINVAL)?(vma);
        // SAFETY: `mmap_region()` has called `mmap()` with `vma`, and `mmap()` returns what this
        // returns. `mmap_region()` does not set `VM_PFNMAP` before it calls the hook.
        unsafe { VmaNew::run_mmap_hook(vma, body) }
    };

    // SAFETY: `mmap()` calls `call_hook()` only, with a `vm_area_struct`.
    unsafe { map_file(&MMAP, &mut hook, f) }
}

/// Runs `f` as the `->mmap()` hook of a real file, and returns what `mmap()` returned.
///
/// The VMA is shared, readable and writable. It has four pages, and its page offset is zero.
///
/// # Errors
///
/// - Those of [`with_user_mm`].
/// - What `f` returns.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::mm::kunit::with_vma_new;
///
/// let mut pages = 0;
/// with_vma_new(|vma| {
///     pages = vma.vma_pages();
///     Ok(())
/// })?;
/// assert_eq!(pages, 4);
/// assert_eq!(with_vma_new(|_| Err(EPERM)), Err(EPERM));
/// # Ok::<(), Error>(())
/// ```
pub fn with_vma_new(f: impl FnOnce(&VmaNew) -> Result + Send) -> Result {
    map_by_mmap(f, |_| Ok(()))
}

/// Runs `f` as the `->mmap_prepare()` hook of a real file, and returns what `mmap()` returned.
///
/// The mapping is that of [`with_vma_new`]. `f` may lend it what lives for `'a`, which is longer
/// than the call.
///
/// # Errors
///
/// - Those of [`with_user_mm`].
/// - What `f` returns.
/// - What the core mm returns when it maps what `f` has asked for.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     alloc::KVec,
///     mm::{
///         kunit::with_vma_desc,
///         UserPage, //
///     }, //
/// };
///
/// let mut pages: KVec<UserPage> = KVec::new();
/// pages.push(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
/// with_vma_desc(|desc| {
///     assert_eq!((desc.vma_pages(), desc.pgoff()), (4, 0));
///     desc.map_kernel_pages(&pages)
/// })?;
/// assert_eq!(with_vma_desc(|_| Err(EPERM)), Err(EPERM));
/// # Ok::<(), Error>(())
/// ```
pub fn with_vma_desc<'a>(f: impl FnOnce(&mut VmaDesc<'a>) -> Result + Send) -> Result {
    hook::map_by_mmap_prepare(f, |_| Ok(()))
}

/// Returns the address of a page of the mapping at `addr`.
fn page_address(addr: usize, page: usize) -> Result<UserPtr> {
    if page >= FILE_PAGES {
        return Err(EINVAL);
    }
    Ok(UserPtr::from_addr(addr + page * PAGE_SIZE))
}

/// Maps a real file whose `->mmap()` hook runs `setup`, and reads the first byte of page `page`
/// from userspace memory.
///
/// # Errors
///
/// - Those of [`with_vma_new`].
/// - `EINVAL`: the mapping has no such page.
/// - `EFAULT`: the page fault failed.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::kunit::read_page,
///     mm::UserPage, //
/// };
///
/// let page = UserPage::alloc_page(GFP_KERNEL)?;
/// let insert = |vma: &kernel::mm::virt::VmaNew| {
///     vma.set_mixedmap().vm_insert_page(vma.start(), &page)
/// };
/// assert_eq!(read_page(0, insert), Ok(0));
/// assert_eq!(read_page(1, insert), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
pub fn read_page(page: usize, setup: impl FnOnce(&VmaNew) -> Result + Send) -> Result<u8> {
    map_by_mmap(setup, |addr| {
        UserSlice::new(page_address(addr, page)?, 1)
            .reader()
            .read::<u8>()
    })
}

/// Maps a real file whose `->mmap()` hook runs `setup`, and writes 1 to the first byte of page
/// `page` in userspace memory.
///
/// # Errors
///
/// Those of [`read_page`].
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{
///         kunit::write_page,
///         virt::VmaNew,
///         UserPage, //
///     }, //
/// };
///
/// let page = UserPage::alloc_page(GFP_KERNEL)?;
/// let insert = |vma: &VmaNew| vma.set_mixedmap().vm_insert_page(vma.start(), &page);
/// write_page(0, insert)?;
/// let mut byte = 0;
/// // SAFETY: `byte` is valid for writes of one byte. The page is not mapped any more.
/// unsafe { page.read_raw(&mut byte, 0, 1) }?;
/// assert_eq!(byte, 1);
/// assert_eq!(write_page(1, insert), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
pub fn write_page(page: usize, setup: impl FnOnce(&VmaNew) -> Result + Send) -> Result {
    map_by_mmap(setup, |addr| {
        UserSlice::new(page_address(addr, page)?, 1)
            .writer()
            .write::<u8>(&1)
    })
}

/// The closure of [`fault_by_read`].
type Handle =
    dyn for<'a> Fn(&'a mut VmFault<'a, FaultHandler>) -> FaultResult<'a> + Send + Sync + 'static;

/// The `vm_private_data` of a VMA whose page faults a closure handles.
pub struct FaultHandler {
    handle: Arc<Handle>,
}

crate::impl_has_vm_ops!(FaultHandler);

impl ModuleMetadata for FaultHandler {
    const NAME: &'static CStr = crate::c_str!("kernel");
    // SAFETY: `THIS_MODULE` of code that is built into the kernel is null.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(ptr::null_mut()) };
}

// `#[vtable]` would name the crate's own `LocalModule`, which is private.
impl VmOperations for FaultHandler {
    const USE_VTABLE_ATTR: () = ();
    const HAS_FAULT: bool = true;

    type OwnerModule = Self;
    type Hook = MmapHook;

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        let handle = vmf.data().handle.clone();

        handle(vmf)
    }
}

/// Maps a real file, reads the first byte of its first page from userspace memory, and has `handle`
/// handle the page fault.
///
/// The VMA is that of [`with_vma_new`], with [`flags::MIXEDMAP`](super::virt::flags::MIXEDMAP).
///
/// # Errors
///
/// - Those of [`with_vma_new`].
/// - `EFAULT`: the page fault failed.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::mm::{kunit::fault_by_read, UserPage};
///
/// let page = UserPage::alloc_page(GFP_KERNEL)?;
/// assert_eq!(fault_by_read(move |vmf| vmf.return_page(&page)), Ok(0));
/// assert_eq!(fault_by_read(|vmf| vmf.return_error(EINVAL)), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
pub fn fault_by_read(
    handle: impl for<'a> Fn(&'a mut VmFault<'a, FaultHandler>) -> FaultResult<'a>
        + Send
        + Sync
        + 'static,
) -> Result<u8> {
    let handle = FaultHandler::new(handle)?;
    read_page(0, |vma| FaultHandler::map(handle, vma))
}

/// The same for a write of 1.
///
/// # Errors
///
/// Those of [`fault_by_read`].
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::mm::{kunit::fault_by_write, UserPage};
///
/// let page = UserPage::alloc_page(GFP_KERNEL)?;
/// fault_by_write(move |vmf| {
///     assert!(vmf.is_write());
///     vmf.return_page(&page)
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub fn fault_by_write(
    handle: impl for<'a> Fn(&'a mut VmFault<'a, FaultHandler>) -> FaultResult<'a>
        + Send
        + Sync
        + 'static,
) -> Result {
    let handle = FaultHandler::new(handle)?;
    write_page(0, |vma| FaultHandler::map(handle, vma))
}

impl FaultHandler {
    fn new(
        handle: impl for<'a> Fn(&'a mut VmFault<'a, FaultHandler>) -> FaultResult<'a>
            + Send
            + Sync
            + 'static,
    ) -> Result<Arc<Self>> {
        let handle: Arc<Handle> = Arc::new(handle, GFP_KERNEL)?;

        Ok(Arc::new(Self { handle }, GFP_KERNEL)?)
    }

    /// Runs as the `->mmap()` hook.
    fn map(me: Arc<Self>, vma: &VmaNew) -> Result {
        vma.set_ops(me)?;
        vma.set_mixedmap();
        Ok(())
    }
}
