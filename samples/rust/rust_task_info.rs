// SPDX-License-Identifier: GPL-2.0

//! A misc device that returns information about the calling process.
//!
//! The driver is written in safe Rust. `rust_task_info_abi.rs` has the ioctls.

use kernel::{
    c_str,
    fs::File,
    impl_has_vm_ops, ioctl,
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
        vm_ops::{
            MmapHook,
            VmOperations, //
        },
        MmWithUser,
        UserPage, //
    },
    prelude::*,
    sync::Arc,
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
    description: "Information about the calling process",
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

/// The data of an open file: its pages.
struct TaskInfo {
    pages: KVec<UserPage>,
}

/// The `vm_private_data` of each VMA, which identifies the VMAs of this driver.
struct Mapping;

impl_has_vm_ops!(Mapping);

#[vtable]
impl VmOperations for Mapping {
    type Hook = MmapHook;
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
        // The pages belong to the device, so they must not be written in a private mapping.
        if vma.flags() & flags::SHARED == 0 {
            vma.try_clear_maywrite()?;
        }

        let end = vma.pgoff().checked_add(vma.vma_pages()).ok_or(EINVAL)?;
        let pages = me.pages.get(vma.pgoff()..end).ok_or(EINVAL)?;

        vma.set_ops(Arc::new(Mapping, GFP_KERNEL)?)?;
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

/// Allocates page `i`.
fn new_page(i: usize) -> Result<UserPage> {
    let head = (abi::PAGE_MAGIC + i as u64).to_ne_bytes();

    UserPage::with_bytes(&head, GFP_KERNEL)
}

/// Implements [`abi::GET_INFO`].
fn get_info(mut out: UserSliceWriter) -> Result {
    let task = current!();

    // In the order of the fields of `abi::TaskInfo`, which have 32 bits each.
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

/// Implements [`abi::GET_VMA`].
fn get_vma(mut input: UserSliceReader, mut out: UserSliceWriter) -> Result {
    let addr = input.read::<u64>()?;
    let task = current!();
    let mm = task.mm().ok_or(ESRCH)?;

    let (vma, lock) = find_vma(mm, addr as usize).ok_or(ENOENT)?;

    // Both locks have been released, as a write to userspace may fault, and a page fault takes
    // them.
    out.write(&addr)?;
    out.write(&(vma.start as u64))?;
    out.write(&(vma.end as u64))?;
    out.write(&vma.flags)?;
    out.write(&lock)?;
    out.write(&0u32)
}

/// The information about a VMA.
struct VmaInfo {
    start: usize,
    end: usize,
    flags: u64,
}

impl VmaInfo {
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

/// Returns the VMA at `addr`, and the lock it was read under.
fn find_vma(mm: &MmWithUser, addr: usize) -> Option<(VmaInfo, u32)> {
    if let Some(vma) = mm.lock_vma_under_rcu(addr) {
        return Some((VmaInfo::of(&vma), abi::VMA_LOCK));
    }

    // There is no VMA, or a writer holds the mmap lock or the VMA lock. The mmap lock tells which.
    let guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(addr)?;
    Some((VmaInfo::of(vma), abi::MMAP_LOCK))
}

/// Implements [`abi::ZAP`].
fn zap(mut input: UserSliceReader) -> Result {
    let addr = input.read::<u64>()? as usize;
    let len = input.read::<u64>()? as usize;

    let task = current!();
    let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(ENOENT)?;

    vma.downcast::<Mapping>()
        .ok_or(EINVAL)?
        .zap_vma_range(addr, len)
}
