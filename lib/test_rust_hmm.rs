// SPDX-License-Identifier: GPL-2.0

//! A misc device that mirrors the address space of the process that opens it.
//!
//! It has those ioctls of `lib/test_hmm.c` that need no device memory, so that the kernel's
//! selftest `hmm-tests` can be run on it. `test_rust_hmm_abi.rs` describes the ioctls.

use core::mem::offset_of;
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
        hmm::{
            HmmAccess,
            HmmPages,
            HmmPfn,
            HmmPfns, //
        },
        mmu_notifier::{
            InvalidatedRange,
            MmuIntervalNotifier,
            MmuIntervalRegistration,
            MmuNotifierEvent, //
        },
        virt::VmaNew,
        UserPage, //
    },
    new_mutex, new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Mutex,
        SpinLock, //
    },
    time::msecs_to_jiffies,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

#[path = "test_rust_hmm_abi.rs"]
mod abi;

module! {
    type: TestModule,
    name: "test_rust_hmm",
    description: "Mirrored memory, for the kernel's selftests",
    license: "GPL",
}

const READ: u32 = ioctl::_IOWR::<abi::Command>(abi::MAGIC, abi::READ);
const WRITE: u32 = ioctl::_IOWR::<abi::Command>(abi::MAGIC, abi::WRITE);
const SNAPSHOT: u32 = ioctl::_IOWR::<abi::Command>(abi::MAGIC, abi::SNAPSHOT);
const READ_UNLOCKED: u32 = ioctl::_IOWR::<abi::Command>(abi::MAGIC, abi::READ_UNLOCKED);
const TABLE: u32 = ioctl::_IOWR::<abi::Command>(abi::MAGIC, abi::TABLE);
const EVENTS: u32 = ioctl::_IOWR::<abi::Events>(abi::MAGIC, abi::EVENTS);
const STOP_ATOMIC: u32 = ioctl::_IO(abi::MAGIC, abi::STOP_ATOMIC);

/// The offset of `cpages` in [`abi::Command`], whose fields before it are read.
const CPAGES: usize = offset_of!(abi::Command, cpages);
/// The greatest number of pages of a request.
const MAX_PAGES: usize = 8192;
/// How many pages are looked up at once.
const CHUNK: usize = 32;
/// How often a chunk is tried again.
const TRIES: usize = 10_000;

struct TestModule {
    _device: Pin<KBox<MiscDeviceRegistration<TestDevice>>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("test_rust_hmm");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// The number of entries of the device's page table. It is a cache: a page has a fixed entry.
const ENTRIES: usize = 4096;

/// An entry of the device's page table.
#[derive(Copy, Clone, Default)]
struct Entry {
    /// The address of the page, divided by the page size.
    page: usize,
    pfn: HmmPfn,
}

/// What the device has about the address space.
struct Table {
    entries: KVVec<Entry>,
    events: abi::Events,
}

impl Table {
    fn new() -> Result<Self> {
        Ok(Self {
            entries: KVVec::from_elem(Entry::default(), ENTRIES, GFP_KERNEL)?,
            events: abi::Events::default(),
        })
    }

    fn get(&self, page: usize) -> HmmPfn {
        let entry = self.entries[page % ENTRIES];
        if entry.page == page {
            entry.pfn
        } else {
            HmmPfn::default()
        }
    }

    fn set(&mut self, page: usize, pfn: HmmPfn) {
        self.entries[page % ENTRIES] = Entry { page, pfn };
    }
}

struct Mirror;

impl MmuIntervalNotifier for Mirror {
    type State = Table;

    fn invalidate(&self, table: &mut Table, range: &InvalidatedRange<'_>) {
        let (start, end) = (range.range().start, range.range().end);
        let pages = start / PAGE_SIZE..end.div_ceil(PAGE_SIZE);
        if pages.len() < ENTRIES {
            for page in pages {
                if table.get(page).is_valid() {
                    table.set(page, HmmPfn::default());
                }
            }
        } else {
            for entry in &mut *table.entries {
                if pages.contains(&entry.page) {
                    *entry = Entry::default();
                }
            }
        }
        let events = &mut table.events;
        *match range.event() {
            MmuNotifierEvent::Unmap => &mut events.unmap,
            MmuNotifierEvent::Clear => &mut events.clear,
            MmuNotifierEvent::ProtectionVma | MmuNotifierEvent::ProtectionPage => {
                &mut events.protection
            }
            MmuNotifierEvent::Release => &mut events.release,
            _ => &mut events.other,
        } += 1;
    }

    fn try_invalidate(&self, table: &mut Table, range: &InvalidatedRange<'_>) -> bool {
        // Nothing waits here.
        self.invalidate(table, range);
        true
    }
}

/// An open file.
#[pin_data]
struct TestDevice {
    #[pin]
    mirror: Mutex<Option<MmuIntervalRegistration<Mirror>>>,
    #[pin]
    lock: SpinLock<()>,
}

/// The fields of [`abi::Command`] that are read.
struct Command {
    addr: usize,
    ptr: usize,
    pages: usize,
}

/// What is done with pages.
enum Job {
    Read,
    Write,
    Snapshot,
}

#[vtable]
impl MiscDevice for TestDevice {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let task = current!();
        let mm = task.mm().ok_or(EINVAL)?;
        // All addresses but the last page.
        let len = usize::MAX - PAGE_SIZE + 1;
        let mirror = mm.mmu_interval_notifier_insert(0, len, Mirror, Table::new()?)?;
        KBox::try_pin_init(
            try_pin_init!(Self {
                mirror <- new_mutex!(Some(mirror)),
                lock <- new_spinlock!(()),
            }),
            GFP_KERNEL,
        )
    }

    /// Maps new pages, each of which is zero.
    fn mmap(_me: Pin<&Self>, _file: &File, vma: &VmaNew) -> Result {
        let vma = vma.set_mixedmap();
        for page in 0..vma.vma_pages() {
            let zero = UserPage::alloc_page(GFP_KERNEL)?;
            vma.vm_insert_page(vma.start() + page * PAGE_SIZE, &zero)?;
        }
        Ok(())
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let mut mirror = me.mirror.lock();
        if cmd == STOP_ATOMIC {
            let mirror = mirror.take();
            let guard = me.lock.lock();
            drop(mirror);
            drop(guard);
            return Ok(0);
        }
        let mirror = mirror.as_ref().ok_or(EINVAL)?;
        match cmd {
            READ | READ_UNLOCKED => access(mirror, arg, Job::Read)?,
            WRITE => access(mirror, arg, Job::Write)?,
            SNAPSHOT => access(mirror, arg, Job::Snapshot)?,
            TABLE => show_table(mirror, arg)?,
            EVENTS => {
                let events = mirror.read_begin()?.commit(|table| table.events)?;
                let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(EVENTS));
                let mut writer = user.writer();
                for number in [
                    events.unmap,
                    events.clear,
                    events.protection,
                    events.release,
                    events.other,
                ] {
                    writer.write(&number)?;
                }
            }
            _ => return Err(EINVAL),
        }
        Ok(0)
    }
}

impl Command {
    fn read(arg: usize) -> Result<Self> {
        let mut reader = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(READ)).reader();
        let command = Self {
            addr: reader.read::<u64>()? as usize,
            ptr: reader.read::<u64>()? as usize,
            pages: reader.read::<u64>()? as usize,
        };
        if command.pages == 0 || command.addr % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        if command.pages > MAX_PAGES {
            return Err(ENOMEM);
        }
        command
            .addr
            .checked_add(command.pages * PAGE_SIZE)
            .ok_or(EINVAL)?;
        Ok(command)
    }

    /// Writes the results.
    fn finish(&self, arg: usize, faults: u64) -> Result {
        let arg = arg.checked_add(CPAGES).ok_or(EFAULT)?;
        let mut writer = UserSlice::new(UserPtr::from_addr(arg), 16).writer();
        writer.write(&(self.pages as u64))?;
        writer.write(&faults)
    }
}

/// Calls `f` with the table, and tries again after an invalidation.
fn with_table<R>(
    mirror: &MmuIntervalRegistration<Mirror>,
    mut f: impl FnMut(&Table) -> R,
) -> Result<R> {
    for _ in 0..TRIES {
        match mirror.read_begin()?.commit(|table| f(table)) {
            Err(EAGAIN) => continue,
            result => return result,
        }
    }
    Err(EBUSY)
}

fn show_table(mirror: &MmuIntervalRegistration<Mirror>, arg: usize) -> Result {
    let command = Command::read(arg)?;
    let mut list = KVVec::from_elem(0u64, command.pages, GFP_KERNEL)?;
    with_table(mirror, |table| {
        for (i, entry) in list.iter_mut().enumerate() {
            let pfn = table.get(command.addr / PAGE_SIZE + i);
            *entry = match pfn.pfn() {
                Some(number) => 2 * number as u64 + u64::from(pfn.is_writable()),
                None => 0,
            };
        }
    })?;
    let mut writer = UserSlice::new(UserPtr::from_addr(command.ptr), command.pages * 8).writer();
    for entry in &*list {
        writer.write(entry)?;
    }
    command.finish(arg, 0)
}

/// Returns the byte of [`abi::SNAPSHOT`] for a page.
fn protection(pfn: HmmPfn) -> u8 {
    if pfn.is_error() {
        return abi::PROT_ERROR;
    }
    if !pfn.is_valid() {
        return abi::PROT_NONE;
    }
    let access = if pfn.is_writable() {
        abi::PROT_WRITE
    } else {
        abi::PROT_READ
    };
    match PAGE_SIZE << pfn.map_order() {
        0x20_0000 => access | abi::PROT_PMD,
        _ => access,
    }
}

/// Reads or writes pages, or finds out which there are.
fn access(mirror: &MmuIntervalRegistration<Mirror>, arg: usize, job: Job) -> Result {
    let command = Command::read(arg)?;
    let (unit, mode) = match job {
        Job::Read => (PAGE_SIZE, HmmAccess::Read),
        Job::Write => (PAGE_SIZE, HmmAccess::Write),
        Job::Snapshot => (1, HmmAccess::Snapshot),
    };
    let mut bytes = KVVec::from_elem(0, command.pages * unit, GFP_KERNEL)?;
    let user = UserSlice::new(UserPtr::from_addr(command.ptr), command.pages * unit);
    let (mut reader, mut writer) = user.reader_writer();
    if matches!(job, Job::Write) {
        reader.read_slice(&mut bytes)?;
    }

    let first = command.addr / PAGE_SIZE;
    let is_missing = |pfn: HmmPfn| match job {
        Job::Read => !pfn.is_valid(),
        Job::Write => !pfn.is_writable(),
        Job::Snapshot => false,
    };
    let faults = with_table(mirror, |table| {
        (first..first + command.pages).any(|page| is_missing(table.get(page)))
    })?;

    let mut pfns = HmmPfns::new(CHUNK)?;
    let mut done = 0;
    while done < command.pages {
        let count = CHUNK.min(command.pages - done);
        let part = &mut bytes[done * unit..(done + count) * unit];
        let visit = |table: &mut Table, pages: &HmmPages<'_>| -> Result {
            if matches!(job, Job::Snapshot) {
                for (byte, pfn) in part.iter_mut().zip(pages.pfns()) {
                    *byte = protection(*pfn);
                }
                return Ok(());
            }
            for (i, pfn) in pages.pfns().iter().enumerate() {
                table.set(first + done + i, *pfn);
            }
            match job {
                Job::Write => pages.write(0, part),
                _ => pages.read(0, part),
            }
        };
        look_up(mirror, &mut pfns, (first + done, count), mode, visit)?;
        done += count;
    }
    if !matches!(job, Job::Write) {
        writer.write_slice(&bytes)?;
    }
    command.finish(arg, faults.into())
}

/// Looks up pages and calls `f` with them under the mutex. Tries again after an invalidation.
fn look_up(
    mirror: &MmuIntervalRegistration<Mirror>,
    pfns: &mut HmmPfns,
    (first, count): (usize, usize),
    access: HmmAccess,
    mut f: impl FnMut(&mut Table, &HmmPages<'_>) -> Result,
) -> Result {
    let timeout = msecs_to_jiffies(1000);
    for _ in 0..TRIES {
        let (addr, len) = (first * PAGE_SIZE, count * PAGE_SIZE);
        let range = mirror.hmm_range_fault(addr, len, pfns, access, timeout)?;
        match range.commit(&mut f) {
            Err(EAGAIN) if current!().fatal_signal_pending() => return Err(EINTR),
            Err(EAGAIN) => continue,
            result => return result?,
        }
    }
    Err(EBUSY)
}
