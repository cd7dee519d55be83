// SPDX-License-Identifier: GPL-2.0

//! A misc device that tells a program about itself.
//!
//! All that it knows of tasks and areas it asks for in safe Rust. The one `unsafe` fills a page.
//! `rust_task_info_abi.rs` has its ioctls.

use kernel::{
    c_str,
    fs::File,
    ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        virt::{
            flags,
            VmaNew,
            VmaRef, //
        },
        MmWithUser,
    },
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*,
    task::Kuid,
    uaccess::{
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    },
};

#[path = "rust_task_info_abi.rs"]
mod abi;

module! {
    type: TaskInfoModule,
    name: "rust_task_info",
    description: "Facts about the calling process",
    license: "GPL",
}

const GET_INFO: u32 = ioctl::_IOR::<abi::TaskInfo>(abi::MAGIC, abi::GET_INFO);
const GET_VMA: u32 = ioctl::_IOWR::<abi::VmaInfo>(abi::MAGIC, abi::GET_VMA);
const ZAP: u32 = ioctl::_IOW::<abi::ZapRange>(abi::MAGIC, abi::ZAP);

struct TaskInfoModule {
    _device: Pin<KBox<MiscDeviceRegistration<TaskInfo>>>,
}

impl kernel::Module for TaskInfoModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("rust_task_info");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// The data of an open file: the pages that it has to map.
struct TaskInfo {
    pages: KVec<Page>,
}

#[vtable]
impl MiscDevice for TaskInfo {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let mut pages = KVec::with_capacity(abi::PAGES, GFP_KERNEL)?;
        for i in 0..abi::PAGES {
            pages.push(new_page(i)?, GFP_KERNEL)?;
        }

        Ok(KBox::new(Self { pages }, GFP_KERNEL)?)
    }

    fn mmap(me: &Self, _file: &File, vma: &VmaNew) -> Result {
        // The pages are the device's own: who may not share them may only read them.
        if vma.flags() & flags::SHARED == 0 {
            vma.try_clear_maywrite()?;
        }

        let pages = (vma.end() - vma.start()) / PAGE_SIZE;
        let pages = me.pages.get(..pages).ok_or(EINVAL)?;

        vma.set_dontexpand();
        vma.set_mixedmap().vm_insert_pages(vma.start(), pages)
    }

    fn ioctl(_me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            GET_INFO => get_info(user.writer())?,
            GET_VMA => {
                let (reader, writer) = user.reader_writer();
                get_vma(reader, writer)?;
            }
            ZAP => zap(user.reader())?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

/// Makes the page of number `i`.
fn new_page(i: usize) -> Result<Page> {
    let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
    let head = (abi::PAGE_MAGIC + i as u64).to_ne_bytes();

    // SAFETY: The bytes are there to be read, and nobody else has seen the page yet.
    unsafe { page.write_raw(head.as_ptr(), 0, head.len())? };
    Ok(page)
}

/// Answers [`abi::GET_INFO`].
fn get_info(mut out: UserSliceWriter) -> Result {
    let task = current!();

    // In the order of `abi::TaskInfo`, whose fields have 32 bits each.
    out.write(&[
        task.pid() as u32,
        task.tgid() as u32,
        task.uid().into_uid_in_current_ns(),
        Kuid::current_euid().into_uid_in_current_ns(),
        task.group_leader().pid() as u32,
        task.tgid_nr_ns(task.active_pid_ns()) as u32,
        task.mm().is_some().into(),
        task.signal_pending().into(),
    ])
}

/// Answers [`abi::GET_VMA`].
fn get_vma(mut question: UserSliceReader, mut out: UserSliceWriter) -> Result {
    let addr = question.read::<u64>()?;
    let task = current!();
    let mm = task.mm().ok_or(ESRCH)?;

    let (area, lock) = find_area(mm, addr as usize).ok_or(ENOENT)?;

    // Both locks are dropped: writing to user space may fault, and a fault takes them.
    out.write(&addr)?;
    out.write(&(area.start as u64))?;
    out.write(&(area.end as u64))?;
    out.write(&area.flags)?;
    out.write(&lock)?;
    out.write(&0u32)
}

/// What is told of an area.
struct Area {
    start: usize,
    end: usize,
    flags: u64,
}

impl Area {
    fn of(vma: &VmaRef) -> Self {
        let map = [
            (flags::READ, abi::READ),
            (flags::WRITE, abi::WRITE),
            (flags::EXEC, abi::EXEC),
            (flags::SHARED, abi::SHARED),
        ];
        let set = vma.flags();

        Self {
            start: vma.start(),
            end: vma.end(),
            flags: map
                .iter()
                .filter(|(flag, _)| set & flag != 0)
                .fold(0, |all, (_, bit)| all | bit),
        }
    }
}

/// Finds the area that holds `addr`, and tells the lock that it was read under.
fn find_area(mm: &MmWithUser, addr: usize) -> Option<(Area, u32)> {
    if let Some(vma) = mm.lock_vma_under_rcu(addr) {
        return Some((Area::of(&vma), abi::VMA_LOCK));
    }

    // There is none, or somebody is writing: the larger lock tells which.
    let guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(addr)?;
    Some((Area::of(vma), abi::MMAP_LOCK))
}

/// Answers [`abi::ZAP`].
fn zap(mut question: UserSliceReader) -> Result {
    let addr = question.read::<u64>()? as usize;
    let len = question.read::<u64>()? as usize;

    let end = addr.checked_add(len).ok_or(EINVAL)?;
    if (addr | len) % PAGE_SIZE != 0 || len == 0 {
        return Err(EINVAL);
    }

    let task = current!();
    let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(ENOENT)?;
    if end > vma.end() {
        return Err(EINVAL);
    }

    vma.as_mixedmap_vma()
        .ok_or(EINVAL)?
        .zap_vma_range(addr, len);
    Ok(())
}
