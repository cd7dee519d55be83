// SPDX-License-Identifier: GPL-2.0

//! Two misc devices for the selftests. `test_rust_vma` sets up VMAs in `->mmap()`, and
//! `test_rust_vma_prepare` in `->mmap_prepare()`. A character device, `test_rust_char`, has results
//! that are wrong, and a queue that is freed with its file. It also creates anonymous inode files.
//!
//! `test_rust_vma_abi.rs` describes the kinds of VMAs.

use core::{
    ptr::addr_of_mut,
    slice, //
};
use kernel::{
    anon_inode::{
        self,
        anon_inode_getfile,
        AnonFile, //
    },
    bindings, c_str,
    cdev::{
        CharDevice,
        CharDeviceOptions,
        CharDeviceRegistration, //
    },
    error::to_result,
    fs::file::{
        flags,
        File,
        FileDescriptorReservation,
        LocalFile, //
    },
    impl_has_anon_file_ops, impl_has_vm_ops, ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        fault::{
            FaultResult,
            VmFault, //
        },
        pfnmap::Caching,
        virt::{
            VmaNew,
            VmaRef, //
        },
        vm_ops::{
            Access,
            DriverVma,
            InactiveVma,
            MmapHook,
            MmapPrepareHook,
            VmOperations,
            VmaOrigin, //
        },
        vma_desc::VmaDesc,
        MemRegion,
        UserPage, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    task::{
        poll_events,
        FilePollTable,
        TaskState,
        WaitError,
        WaitQueue,
        MAX_SCHEDULE_TIMEOUT, //
    },
    time::msecs_to_jiffies,
    uaccess::{
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    },
};

#[path = "test_rust_vma_abi.rs"]
mod abi;

module! {
    type: TestModule,
    name: "test_rust_vma",
    description: "Operations on VMAs, for the selftests",
    license: "GPL",
}

const EVENTS: u32 = ioctl::_IOR::<abi::Events>(abi::MAGIC, abi::EVENTS);
const KIND: u32 = ioctl::_IOWR::<u64>(abi::MAGIC, abi::KIND);
const MAP_WITHOUT_OWNER: u32 = ioctl::_IOW::<i32>(abi::MAGIC, abi::MAP_WITHOUT_OWNER);
const WAKE: u32 = ioctl::_IO(abi::MAGIC, abi::WAKE);
const ANON_FILE: u32 = ioctl::_IO(abi::MAGIC, abi::ANON_FILE);
const NUMBER_OF: u32 = ioctl::_IO(abi::MAGIC, abi::NUMBER_OF);
const DROPPED_BY_EXIT: u32 = ioctl::_IO(abi::MAGIC, abi::DROPPED_BY_EXIT);

/// How often each event has occurred, in the order of [`abi::Events`].
static EVENT: [Atomic<u64>; 14] = [const { Atomic::new(0) }; 14];
const ALLOCATED: usize = 0;
const DROPPED: usize = 1;
const OPENED: usize = 2;
const CLOSED: usize = 3;
const FAULTS: usize = 4;
const RETRIED: usize = 5;
const WRITTEN: usize = 6;
const MOVED: usize = 7;
const RELEASED: usize = 8;
const MAPPED: usize = 9;
const FORKED: usize = 10;
const REMAPPED: usize = 11;
const SPLIT: usize = 12;
const PAGES: usize = 13;

fn count(event: usize) {
    EVENT[event].fetch_add(1, Relaxed);
}

/// Keeps the account of all pages that are mapped.
fn count_opened<T>(vma: &InactiveVma<T>, origin: VmaOrigin) {
    let (event, pages) = match origin {
        VmaOrigin::Mmap => (MAPPED, vma.vma_pages()),
        VmaOrigin::Fork => (FORKED, vma.vma_pages()),
        VmaOrigin::Mremap => (REMAPPED, vma.vma_pages()),
        VmaOrigin::Split => (SPLIT, 0),
    };
    count(event);
    if origin != VmaOrigin::Mmap {
        count(OPENED);
    }
    EVENT[PAGES].fetch_add(pages as u64, Relaxed);
}

fn count_closed<T>(vma: &InactiveVma<T>) {
    count(CLOSED);
    EVENT[PAGES].fetch_sub(vma.vma_pages() as u64, Relaxed);
}

/// Implements [`abi::MAP_WITHOUT_OWNER`].
fn map_without_owner(fd: i32) -> Result {
    // SAFETY: `fget()` may be called with any number.
    let file = unsafe { bindings::fget(fd as u32) };
    if file.is_null() {
        return Err(EBADF);
    }
    // SAFETY: The file is open. The test does not use it otherwise during the call.
    let result = unsafe {
        let ops = (*file).f_op;
        let mut copy = core::ptr::read(ops);
        copy.owner = core::ptr::null_mut();
        (*file).f_op = &copy;
        let addr = bindings::vm_mmap(
            file,
            0,
            PAGE_SIZE,
            (bindings::PROT_READ | bindings::PROT_WRITE) as usize,
            bindings::MAP_SHARED as usize,
            0,
        );
        (*file).f_op = ops;
        // `vm_mmap()` returns an address or an errno.
        let result = to_result((addr as isize).min(0) as c_int);
        if result.is_ok() {
            bindings::vm_munmap(addr, PAGE_SIZE);
        }
        result
    };
    // SAFETY: This is the reference of `fget()`.
    unsafe { bindings::fput(file) };
    result
}

struct TestModule {
    _device: Pin<KBox<MiscDeviceRegistration<TestDevice>>>,
    _prepare_device: Pin<KBox<MiscDeviceRegistration<PrepareDevice>>>,
    _char_device: Pin<KBox<CharDeviceRegistration<CharTest>>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("test_rust_vma");
        let prepare_name = c_str!("test_rust_vma_prepare");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
            _prepare_device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name: prepare_name }),
                GFP_KERNEL,
            )?,
            _char_device: KBox::pin_init(
                CharDeviceRegistration::register(
                    CharDeviceOptions {
                        name: c_str!("test_rust_char"),
                        class: None,
                        minors: 3,
                    },
                    (),
                ),
                GFP_KERNEL,
            )?,
        })
    }
}

/// The `vm_private_data` of a VMA of `test_rust_vma`. Each `mmap()` allocates one.
struct VmaData {
    kind: u64,
    /// How many faults of [`abi::FULL_PAGE`] there were.
    full: Atomic<u32>,
    page: UserPage,
}

/// Calls `function` while the refcount of `page` is that of a page with 2^30 mappings more.
fn with_full<R>(page: &UserPage, function: impl FnOnce() -> R) -> R {
    const MAPPINGS: i32 = 1 << 30;

    // SAFETY: The page is allocated while it is borrowed, and its refcount is an aligned `int`,
    // which is only accessed by atomic operations.
    let refcount = unsafe { Atomic::from_ptr(addr_of_mut!((*page.as_ptr())._refcount.counter)) };
    refcount.add(MAPPINGS, Relaxed);
    let result = function();
    refcount.add(-MAPPINGS, Relaxed);
    result
}

fn pfn_of(page: &UserPage) -> usize {
    // SAFETY: `page_to_pfn()` computes the PFN from the page's address, which is valid.
    unsafe { bindings::page_to_pfn(page.as_ptr()) }
}

impl VmaData {
    fn pfn(&self) -> usize {
        pfn_of(&self.page)
    }
}

impl Drop for VmaData {
    fn drop(&mut self) {
        count(DROPPED);
    }
}

impl_has_vm_ops!(VmaData);

#[vtable]
impl VmOperations for VmaData {
    type Hook = MmapHook;

    fn open(vma: &InactiveVma<Self>, origin: VmaOrigin) {
        count_opened(vma, origin);
    }

    fn close(vma: &InactiveVma<Self>) {
        // Freed data would probably not pass this check.
        if vma.data().kind % 16 == 0 && vma.start() < vma.end() {
            count_closed(vma);
        }
    }

    fn may_split(vma: &DriverVma<Self>, address: usize) -> Result {
        if vma.data().kind == abi::SPLIT_FAILS || !(vma.start()..vma.end()).contains(&address) {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn mremap(vma: &DriverVma<Self>) -> Result {
        if vma.data().kind == abi::MREMAP_FAILS {
            return Err(EINVAL);
        }
        count(MOVED);
        Ok(())
    }

    fn fault<'a>(mut vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        count(FAULTS);

        if vmf.data().kind == abi::RETRY {
            vmf = match vmf.retry_after(|| count(RETRIED)) {
                Ok(result) => return result,
                Err(vmf) => vmf,
            };
        }
        if vmf.data().kind == abi::WAIT {
            let timeout = msecs_to_jiffies(abi::WAIT_MS) as c_long;
            let wait = current!().wait_until(vmf.wait_state(), timeout, || None::<()>);
            if let Some(err) = wait.err().filter(|err| *err != WaitError::Timeout) {
                return vmf.return_error(err.into());
            }
        }
        if vmf.data().kind == abi::NO_MEMORY {
            return vmf.return_error(ENOMEM);
        }
        if vmf.data().kind == abi::NO_PAGE {
            return vmf.return_nopage();
        }
        if vmf.data().kind == abi::FULL_PAGE && vmf.data().full.fetch_add(1, Relaxed) == 0 {
            let page = &vmf.data().page;
            return with_full(page, || vmf.return_page(page));
        }
        if vmf.data().kind == abi::FAULT_PFN {
            // SAFETY: The PFN is that of a page whose content only userspace accesses. The VMA
            // holds a reference to the `VmaData`, which owns the page.
            return unsafe { vmf.vmf_insert_pfn(vmf.data().pfn()) };
        }
        if vmf.data().kind == abi::MIXED {
            if vmf.pgoff() % 2 == 1 {
                return vmf.vmf_insert_page(&vmf.data().page);
            }
            // SAFETY: The PFN is that of a page whose content only userspace accesses. The VMA
            // holds a reference to the `VmaData`, which owns the page.
            return unsafe { vmf.vmf_insert_mixed(vmf.data().pfn()) };
        }
        // A result that is dropped releases its page.
        drop(vmf.return_page(&vmf.data().page));
        vmf.return_page(&vmf.data().page)
    }

    fn page_mkwrite(vma: &DriverVma<Self>, _pgoff: usize) -> Result {
        if vma.data().kind == abi::MKWRITE_FAILS {
            return Err(EPERM);
        }
        count(WRITTEN);
        Ok(())
    }

    fn access(vma: &DriverVma<Self>, address: usize, access: Access<'_>) -> Result<usize> {
        // Each page of the VMA maps the same PFN.
        let offset = address % PAGE_SIZE;
        let data = vma.data();
        let done = match access {
            Access::Read(to) => {
                let len = to.len().min(PAGE_SIZE - offset);
                // SAFETY: `to` is valid for writes of `len` bytes. Only userspace writes to the
                // page.
                unsafe { data.page.read_raw(to.as_mut_ptr(), offset, len)? };
                len
            }
            Access::Write(from) => {
                let len = from.len().min(PAGE_SIZE - offset);
                // SAFETY: `from` is valid for reads of `len` bytes. Only userspace accesses the
                // page.
                unsafe { data.page.write_raw(from.as_ptr(), offset, len)? };
                len
            }
        };
        // The caller must limit the result to the requested length.
        Ok(if data.kind == abi::FAULT_PFN {
            usize::MAX
        } else {
            done
        })
    }
}

/// An open file.
struct TestDevice;

impl Drop for TestDevice {
    fn drop(&mut self) {
        count(RELEASED);
    }
}

#[vtable]
impl MiscDevice for TestDevice {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }

    fn mmap(_me: &Self, file: &File, vma: &VmaNew) -> Result {
        if vma.file().map(|file| file.as_ptr()) != Some(file.as_ptr()) {
            return Err(EIO);
        }
        let kind = vma.pgoff() as u64 / 16 * 16;
        let new_data = || -> Result<Arc<VmaData>> {
            let page = UserPage::alloc_page(GFP_KERNEL)?;
            count(ALLOCATED);
            let full = Atomic::new(0);
            Ok(Arc::new(VmaData { kind, full, page }, GFP_KERNEL)?)
        };

        let owned = vma.set_ops(new_data()?)?;
        if owned.data().kind != kind || owned.downcast::<VmaData>().is_none() {
            return Err(EIO);
        }
        match kind {
            abi::HOOK_FAILS => return Err(ENODEV),
            abi::SET_OPS_TWICE => return vma.set_ops(new_data()?).map(drop),
            abi::CHANGE_FLAGS => vma.set_dontdump(),
            abi::NO_READ => vma.try_clear_mayread()?,
            abi::MAP_PFN | abi::CONFLICT => {
                if vma.vma_pages() != 1 {
                    return Err(EINVAL);
                }
                if kind == abi::CONFLICT {
                    vma.set_mixedmap();
                }
                let pfn = owned.data().pfn();
                // SAFETY: The PFN is that of a page whose content only userspace accesses. The VMA
                // holds a reference to the `VmaData`, which owns the page. For `CONFLICT`, the call
                // fails.
                let fill = || unsafe { vma.remap_pfn_range(pfn, Caching::Normal) };
                fill()?;
                if fill() != Err(EBUSY) {
                    return Err(EIO);
                }
            }
            abi::MIXED => drop(vma.set_mixedmap()),
            abi::FULL_PAGE => {
                let vma = vma.set_mixedmap();
                let page = &owned.data().page;
                let mapped = with_full(page, || {
                    let pages = slice::from_ref(page);
                    [
                        vma.vm_insert_page(vma.start(), page),
                        vma.vm_insert_pages(vma.start(), pages),
                    ]
                });
                if mapped != [Err(ENOMEM); 2] {
                    return Err(EIO);
                }
            }
            // SAFETY: `set_mixedmap()` is not called for this VMA.
            abi::FAULT_PFN => unsafe { vma.set_pfnmap(Caching::Normal)? },
            _ => (),
        }
        Ok(())
    }

    fn ioctl(_me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            EVENTS => {
                let mut out = user.writer();
                for event in &EVENT {
                    out.write(&event.load(Relaxed))?;
                }
            }
            KIND => {
                let (mut input, mut out) = user.reader_writer();
                let addr = input.read::<u64>()? as usize;
                let task = current!();
                // Only the type of the data is checked.
                let kind = |vma: &VmaRef| match vma.downcast::<VmaData>() {
                    Some(vma) => Some(vma.data().kind),
                    None => vma.downcast::<FileData>().map(|vma| vma.data().kind()),
                };
                let kind = task.mm().ok_or(ESRCH)?.with_vma(addr, kind);
                out.write(&kind.flatten().ok_or(ENOENT)?)?;
            }
            MAP_WITHOUT_OWNER => map_without_owner(user.reader().read::<i32>()?)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

/// The `vm_private_data` of all VMAs of an open file of `test_rust_vma_prepare`.
struct FileData {
    pages: KVec<UserPage>,
}

impl FileData {
    /// A value that no [`VmaData`] has as its kind.
    fn kind(&self) -> u64 {
        1
    }
}

impl Drop for FileData {
    fn drop(&mut self) {
        count(DROPPED);
    }
}

impl_has_vm_ops!(FileData);

#[vtable]
impl VmOperations for FileData {
    type Hook = MmapPrepareHook;

    fn open(vma: &InactiveVma<Self>, origin: VmaOrigin) {
        count_opened(vma, origin);
    }

    fn close(vma: &InactiveVma<Self>) {
        if vma.data().kind() == 1 && vma.start() < vma.end() {
            count_closed(vma);
        }
    }

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        count(FAULTS);

        let page = &vmf.data().pages[0];
        match vmf.pgoff() as u64 / 16 * 16 {
            // SAFETY: The PFN is that of a page whose content only userspace accesses. The VMA
            // holds a reference to the `FileData`, which owns the page.
            abi::FAULT_PFN => unsafe { vmf.vmf_insert_pfn(pfn_of(page)) },
            abi::MIXED => vmf.vmf_insert_page(page),
            _ => vmf.return_page(page),
        }
    }
}

/// An open file of `test_rust_vma_prepare`. The queue is freed when the file is released.
#[pin_data(PinnedDrop)]
struct PrepareDevice {
    data: Arc<FileData>,
    woken: Atomic<bool>,
    #[pin]
    queue: WaitQueue,
}

#[pinned_drop]
impl PinnedDrop for PrepareDevice {
    fn drop(self: Pin<&mut Self>) {
        count(RELEASED);
    }
}

#[vtable]
impl MiscDevice for PrepareDevice {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let mut pages = KVec::with_capacity(2, GFP_KERNEL)?;
        for _ in 0..2 {
            pages.push(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
        }
        count(ALLOCATED);
        let data = Arc::new(FileData { pages }, GFP_KERNEL)?;
        let file = try_pin_init!(Self {
            data,
            woken: Atomic::new(false),
            queue <- WaitQueue::new(),
        });
        Arc::pin_init(file, GFP_KERNEL)
    }

    fn poll<'a>(me: ArcBorrow<'a, Self>, _file: &'a File, table: &mut FilePollTable<'a>) -> u32 {
        table.poll_wait(&me.get_ref().queue);
        // The bit that is no event must be ignored.
        match me.woken.load(Relaxed) {
            true => poll_events::EPOLLIN | 1 << 30,
            false => 1 << 30,
        }
    }

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != WAKE {
            return Err(ENOTTY);
        }
        me.woken.store(true, Relaxed);
        me.queue.wake_up_poll(arg as u32);
        Ok(0)
    }

    fn mmap_prepare<'a>(
        me: ArcBorrow<'a, Self>,
        _file: &'a File,
        desc: &mut VmaDesc<'a>,
    ) -> Result {
        let me = me.get_ref();
        let data: ArcBorrow<'a, FileData> = me.data.as_arc_borrow();
        let pages: &'a KVec<UserPage> = &me.data.pages;

        match desc.pgoff() as u64 / 16 * 16 {
            abi::HOOK_FAILS => {
                desc.set_ops(data)?;
                Err(ENODEV)
            }
            abi::SET_OPS_TWICE => {
                desc.set_ops(data)?;
                desc.set_ops(data)
            }
            abi::CHANGE_FLAGS => {
                desc.try_clear_maywrite()?;
                desc.set_dontcopy();
                desc.set_dontdump();
                desc.set_io();
                desc.set_ops(data)
            }
            abi::MAP_PFN => {
                if desc.vma_pages() != 1 || desc.end() - desc.start() != PAGE_SIZE {
                    return Err(EINVAL);
                }
                // SAFETY: The PFN is that of a page whose content only userspace accesses. The VMA
                // holds a reference to the file, which owns the page.
                let fill = |desc: &mut VmaDesc<'a>| unsafe {
                    desc.remap_pfn_range(pfn_of(&pages[0]), Caching::Normal)
                };
                fill(desc)?;
                // Nothing can be combined with it.
                let others = [
                    fill(desc),
                    desc.set_ops(data),
                    desc.set_mixedmap(),
                    desc.set_pfnmap(Caching::Normal),
                    desc.map_kernel_pages(pages),
                ];
                if others != [Err(EBUSY); 5] {
                    return Err(EIO);
                }
                Ok(())
            }
            abi::FAULT_PFN => {
                desc.set_pfnmap(Caching::Normal)?;
                desc.set_ops(data)
            }
            abi::CONFLICT => {
                desc.set_ops(data)?;
                desc.map_kernel_pages(pages)
            }
            abi::MIXED => {
                desc.set_mixedmap()?;
                if desc.set_pfnmap(Caching::Normal) != Err(EBUSY) {
                    return Err(EIO);
                }
                desc.set_ops(data)
            }
            abi::MAP_PAGES => {
                if with_full(&pages[1], || desc.map_kernel_pages(pages)).is_ok() {
                    return Err(EIO);
                }
                desc.map_kernel_pages(pages)
            }
            _ => desc.set_ops(data),
        }
    }
}

/// An open file of `test_rust_char0`, or of `test_rust_char2`, which has a region. That of
/// `test_rust_char1` cannot be opened.
#[pin_data]
struct CharTest {
    pages: KVec<UserPage>,
    region: Option<MemRegion>,
    written: Atomic<bool>,
    /// The queue is freed when the file is released.
    #[pin]
    own: WaitQueue,
}

#[vtable]
impl CharDevice for CharTest {
    type Ptr = Pin<KBox<Self>>;
    type Data = ();

    const NOOP_LLSEEK: bool = true;

    fn open(
        _file: &File,
        _device: &CharDeviceRegistration<Self>,
        minor: u32,
    ) -> Result<Pin<KBox<Self>>> {
        if minor == 1 {
            return Err(EBUSY);
        }
        let mut pages = KVec::with_capacity(2, GFP_KERNEL)?;
        for _ in 0..2 {
            pages.push(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let region = match minor {
            2 => {
                let size = abi::REGION_PAGES * PAGE_SIZE;
                // SAFETY: No device of the test machine has these addresses, and no RAM has them.
                Some(unsafe { MemRegion::request(abi::REGION, size, c_str!("test_rust_char"))? })
            }
            _ => None,
        };
        let file = try_pin_init!(Self {
            pages,
            region,
            written: Atomic::new(false),
            own <- WaitQueue::new(),
        });
        KBox::pin_init(file, GFP_KERNEL)
    }

    /// Returns results that are wrong.
    fn read(
        _me: Pin<&Self>,
        _file: &File,
        out: &mut UserSliceWriter,
        offset: &mut i64,
    ) -> Result<usize> {
        match offset {
            0 => Ok(out.len() + 1),
            1 => Ok(usize::MAX),
            _ => Err(EIOCBQUEUED),
        }
    }

    fn write(
        me: Pin<&Self>,
        _file: &File,
        input: &mut UserSliceReader,
        _offset: &mut i64,
    ) -> Result<usize> {
        me.written.store(true, Relaxed);
        me.own.wake_up();
        Ok(input.len())
    }

    fn poll<'a>(me: Pin<&'a Self>, _file: &'a File, table: &mut FilePollTable<'a>) -> u32 {
        table.poll_wait(&me.get_ref().own);
        // The bits that are no events must be ignored.
        match me.written.load(Relaxed) {
            true => poll_events::EPOLLIN | 1 << 30,
            false => 1 << 30,
        }
    }

    fn mmap_prepare<'a>(me: Pin<&'a Self>, _file: &'a File, desc: &mut VmaDesc<'a>) -> Result {
        match &me.get_ref().region {
            Some(region) => desc.io_remap_region(region, desc.pgoff(), Caching::Noncached),
            None => desc.map_kernel_pages(&me.get_ref().pages),
        }
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            WAKE => me.own.wake_up_poll(arg as u32),
            ANON_FILE => return AnonTest::create(arg as u32),
            NUMBER_OF => {
                let file = LocalFile::fget(arg as u32)?;
                let data = anon_inode::downcast::<AnonTest>(&file).ok_or(EINVAL)?;
                return Ok(data.number as isize);
            }
            DROPPED_BY_EXIT => return Ok(BY_EXIT.load(Relaxed) as isize),
            _ => (),
        }
        Ok((arg & 1) as isize)
    }

    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(_me: Pin<&Self>, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        Ok(2)
    }
}

/// The number of [`AnonTest`] that tasks have dropped in `do_exit()`, after `exit_files()`.
static BY_EXIT: Atomic<u32> = Atomic::new(0);

/// The data of an anonymous inode file: a number that is written and read.
#[pin_data(PinnedDrop)]
struct AnonTest {
    number: u32,
    pages: KVec<UserPage>,
    written: Atomic<u32>,
    #[pin]
    readers: WaitQueue,
}

#[pinned_drop]
impl PinnedDrop for AnonTest {
    fn drop(self: Pin<&mut Self>) {
        let found = LocalFile::fget(0).is_ok();
        let reserved = FileDescriptorReservation::get_unused_fd_flags(0).is_ok();
        if current!().is_exiting() && !found && !reserved {
            BY_EXIT.add(1, Relaxed);
        }
    }
}

impl AnonTest {
    /// Installs a new file. Returns the descriptor.
    fn create(number: u32) -> Result<isize> {
        let mut pages = KVec::with_capacity(1, GFP_KERNEL)?;
        pages.push(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
        let init = try_pin_init!(Self {
            number,
            pages,
            written: Atomic::new(0),
            readers <- WaitQueue::new(),
        }? Error);
        let data = Arc::pin_init(init, GFP_KERNEL)?;
        let fd = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
        let access = match number {
            abi::READ_ONLY => flags::O_RDONLY,
            _ => flags::O_RDWR,
        };
        let file = anon_inode_getfile::<Self>(c_str!("[test_rust]"), data, access)?;
        let number = fd.reserved_fd();
        fd.fd_install(file);
        Ok(number as isize)
    }
}

impl_has_anon_file_ops!(AnonTest);

#[vtable]
impl AnonFile for AnonTest {
    type Ptr = Arc<Self>;

    /// Waits until the number is not 0, and sets it to 0.
    fn read(
        me: ArcBorrow<'_, Self>,
        file: &File,
        out: &mut UserSliceWriter,
        _offset: &mut i64,
    ) -> Result<usize> {
        let take = || match me.written.xchg(0, Relaxed) {
            0 => None,
            number => Some(number),
        };
        let number = if file.flags() & flags::O_NONBLOCK != 0 {
            take().ok_or(EAGAIN)?
        } else {
            let (state, timeout) = (TaskState::Interruptible, MAX_SCHEDULE_TIMEOUT);
            me.readers.wait_event(state, timeout, take)?
        };
        out.write(&number)?;
        Ok(size_of::<u32>())
    }

    fn write(
        me: ArcBorrow<'_, Self>,
        _file: &File,
        input: &mut UserSliceReader,
        _offset: &mut i64,
    ) -> Result<usize> {
        me.written.store(input.read()?, Relaxed);
        me.readers.wake_up_poll(poll_events::EPOLLIN);
        Ok(size_of::<u32>())
    }

    fn poll<'a>(me: ArcBorrow<'a, Self>, _file: &'a File, table: &mut FilePollTable<'a>) -> u32 {
        table.poll_wait(&me.get_ref().readers);
        match me.written.load(Relaxed) {
            0 => poll_events::EPOLLOUT,
            _ => poll_events::EPOLLIN | poll_events::EPOLLOUT,
        }
    }

    fn mmap_prepare<'a>(
        me: ArcBorrow<'a, Self>,
        _file: &'a File,
        desc: &mut VmaDesc<'a>,
    ) -> Result {
        desc.map_kernel_pages(&me.get_ref().pages)
    }

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        Ok(me.number as isize)
    }
}
