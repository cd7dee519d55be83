// SPDX-License-Identifier: GPL-2.0

//! A misc device with those ioctls of `mm/gup_test.c` that pin pages, on `kernel::mm::pin`.
//!
//! So the kernel's selftests `gup_test` and `gup_longterm` can be run on it. `test_rust_gup_abi.rs`
//! describes the ioctls.

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
        pin::{
            Accounting,
            LongtermPages,
            PinAccess,
            PinnedPages,
            ReadOnly,
            ReadWrite,
            VmapPages, //
        },
        remote::PtraceMode,
        virt::VmaNew,
        vm_mmap::{
            MapFlags,
            Prot, //
        },
        vm_ops::{
            InactiveVma,
            MmapHook,
            VmOperations, //
        },
        LockedVm,
        Mm, //
    },
    new_mutex, new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLock, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

#[path = "test_rust_gup_abi.rs"]
mod abi;
#[path = "test_rust_gup_dma.rs"]
mod dma;

module! {
    type: TestModule,
    name: "test_rust_gup",
    description: "Pinned pages, for the kernel's selftests",
    license: "GPL",
}

const PIN_FAST_BENCHMARK: u32 = ioctl::_IOWR::<abi::Test>(abi::MAGIC, abi::PIN_FAST_BENCHMARK);
const PIN_LONGTERM_BENCHMARK: u32 =
    ioctl::_IOWR::<abi::Test>(abi::MAGIC, abi::PIN_LONGTERM_BENCHMARK);
const PIN_BASIC_TEST: u32 = ioctl::_IOWR::<abi::Test>(abi::MAGIC, abi::PIN_BASIC_TEST);
const START: u32 = ioctl::_IOW::<abi::LongtermTest>(abi::MAGIC, abi::PIN_LONGTERM_TEST_START);
const STOP: u32 = ioctl::_IO(abi::MAGIC, abi::PIN_LONGTERM_TEST_STOP);
const READ: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::PIN_LONGTERM_TEST_READ);
const WRITE: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::WRITE);
const STOP_ATOMIC: u32 = ioctl::_IO(abi::MAGIC, abi::STOP_ATOMIC);
const MAP: u32 = ioctl::_IOWR::<abi::Map>(abi::MAGIC, abi::MAP);
const UNMAP: u32 = ioctl::_IOW::<abi::Map>(abi::MAGIC, abi::UNMAP);
const LAST_UNMAP: u32 = ioctl::_IOR::<i32>(abi::MAGIC, abi::LAST_UNMAP);
const ADD: u32 = ioctl::_IOWR::<abi::Add>(abi::MAGIC, abi::ADD);
const CHARGE: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::CHARGE);
const DMA_MAP: u32 = ioctl::_IOWR::<abi::Dma>(abi::MAGIC, abi::DMA_MAP);
const DMA_UNBIND: u32 = ioctl::_IO(abi::MAGIC, abi::DMA_UNBIND);
const DMA_UNMAP: u32 = ioctl::_IO(abi::MAGIC, abi::DMA_UNMAP);
const USAGE: u32 = ioctl::_IOWR::<abi::Usage>(abi::MAGIC, abi::USAGE);

/// The offset of `addr` in `struct gup_test`, whose fields before it are written only.
const DELTAS: usize = 16;

struct TestModule {
    _device: Pin<KBox<MiscDeviceRegistration<TestDevice>>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("test_rust_gup");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// What an open file has pinned.
enum Pinned {
    ReadOnly(LongtermPages<ReadOnly>),
    ReadWrite(LongtermPages<ReadWrite>),
    VmapReadOnly(VmapPages<ReadOnly>),
    VmapReadWrite(VmapPages<ReadWrite>),
}

impl Pinned {
    fn len(&self) -> usize {
        match self {
            Self::ReadOnly(pages) => pages.len(),
            Self::ReadWrite(pages) => pages.len(),
            Self::VmapReadOnly(pages) => pages.len(),
            Self::VmapReadWrite(pages) => pages.len(),
        }
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> Result {
        match self {
            Self::ReadOnly(pages) => pages.read(offset, out),
            Self::ReadWrite(pages) => pages.read(offset, out),
            Self::VmapReadOnly(pages) => pages.read(offset, out),
            Self::VmapReadWrite(pages) => pages.read(offset, out),
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        match self {
            Self::ReadOnly(_) | Self::VmapReadOnly(_) => Err(EPERM),
            Self::ReadWrite(pages) => pages.write(offset, bytes),
            Self::VmapReadWrite(pages) => pages.write(offset, bytes),
        }
    }
}

/// An open file.
#[pin_data]
struct TestDevice {
    #[pin]
    pinned: Mutex<Option<Pinned>>,
    #[pin]
    charge: Mutex<Option<LockedVm>>,
    #[pin]
    dma: Mutex<Option<dma::Mapped>>,
    #[pin]
    lock: SpinLock<()>,
}

#[vtable]
impl MiscDevice for TestDevice {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                pinned <- new_mutex!(None),
                charge <- new_mutex!(None),
                dma <- new_mutex!(None),
                lock <- new_spinlock!(()),
            }),
            GFP_KERNEL,
        )
    }

    fn mmap(_me: Pin<&Self>, _file: &File, vma: &VmaNew) -> Result {
        let task = current!();
        let mm = task.mm().ok_or(EFAULT)?;
        let mapped = Mapped {
            mm: ARef::from(&**mm),
        };
        // A child has another address space, as after `execve()`, and may hold its mmap lock.
        vma.set_dontcopy();
        vma.set_ops(Arc::new(mapped, GFP_KERNEL)?)?;
        Ok(())
    }

    fn ioctl(me: Pin<&Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            PIN_FAST_BENCHMARK | PIN_BASIC_TEST => benchmark(arg, false)?,
            PIN_LONGTERM_BENCHMARK => benchmark(arg, true)?,
            START => me.start(arg)?,
            STOP => *me.pinned.lock() = None,
            READ => me.read(arg)?,
            WRITE => me.write(arg)?,
            STOP_ATOMIC => {
                let (pinned, charge) = (me.pinned.lock().take(), me.charge.lock().take());
                let guard = me.lock.lock();
                drop(pinned);
                drop(charge);
                drop(guard);
            }
            ADD => me.add(arg)?,
            CHARGE => me.charge(arg)?,
            DMA_MAP => *me.dma.lock() = Some(dma::Mapped::new(arg)?),
            DMA_UNBIND => match &mut *me.dma.lock() {
                Some(mapped) => mapped.unbind()?,
                None => return Err(EINVAL),
            },
            DMA_UNMAP => *me.dma.lock() = None,
            USAGE => usage(arg)?,
            MAP => map(file, arg)?,
            UNMAP => {
                let request = Map::read(arg, UNMAP)?;
                current!().vm_munmap(request.addr, request.len)?;
            }
            LAST_UNMAP => {
                let size = ioctl::_IOC_SIZE(LAST_UNMAP);
                let mut writer = UserSlice::new(UserPtr::from_addr(arg), size).writer();
                writer.write(&LAST.xchg(0, Relaxed))?;
            }
            _ => return Err(EINVAL),
        }
        Ok(0)
    }
}

/// The result of the last attempt to unmap memory during `execve()`, as an error number.
static LAST: Atomic<i32> = Atomic::new(0);

/// The `vm_private_data` of a VMA.
struct Mapped {
    mm: ARef<Mm>,
}

impl_has_vm_ops!(Mapped);

#[vtable]
impl VmOperations for Mapped {
    type Hook = MmapHook;

    fn close(vma: &InactiveVma<Self>) {
        let task = current!();
        match task.mm() {
            Some(mm) if **mm != *vma.data().mm => {}
            _ => return,
        }
        // The task executes `execve()`, and has the new address space. With 47 bits of addresses,
        // this would unmap all of it, with the stack. With others, only the error matters.
        let start = 16 * PAGE_SIZE;
        let len = (usize::MAX >> 17).saturating_sub(2 * start);
        let error = task
            .vm_munmap(start, len)
            .map_or_else(Error::to_errno, |()| 0);
        LAST.store(-error, Relaxed);
    }
}

/// [`abi::Map`], with addresses and lengths of this kernel.
struct Map {
    addr: usize,
    len: usize,
    offset: usize,
    prot: u32,
    flags: u32,
}

impl Map {
    fn read(arg: usize, cmd: u32) -> Result<Self> {
        let mut reader = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd)).reader();
        Ok(Self {
            addr: reader.read::<u64>()? as usize,
            len: reader.read::<u64>()? as usize,
            offset: reader.read::<u64>()? as usize,
            prot: reader.read()?,
            flags: reader.read()?,
        })
    }
}

/// Implements [`abi::MAP`].
fn map(file: &File, arg: usize) -> Result {
    let request = Map::read(arg, MAP)?;
    let has = |flag| request.flags & flag != 0;
    let mut prot = Prot::NONE;
    for (bit, value) in [(1, Prot::READ), (2, Prot::WRITE), (4, Prot::EXEC)] {
        if request.prot & bit != 0 {
            prot = prot | value;
        }
    }
    let mut flags = match has(abi::MAP_SHARED) {
        true => MapFlags::SHARED,
        false => MapFlags::PRIVATE,
    };
    if has(abi::MAP_FIXED) {
        flags = flags.fixed();
    }
    if has(abi::MAP_FIXED_NOREPLACE) {
        flags = flags.fixed_noreplace();
    }
    if has(abi::MAP_POPULATE) {
        flags = flags.populate();
    }
    if has(abi::MAP_NORESERVE) {
        flags = flags.noreserve();
    }
    let file = has(abi::MAP_DEVICE).then_some(file);
    let (addr, len, offset) = (request.addr, request.len, request.offset);
    let addr = current!().vm_mmap(file, addr, len, prot, flags, offset)?;

    let size = ioctl::_IOC_SIZE(MAP);
    let mut writer = UserSlice::new(UserPtr::from_addr(arg), size).writer();
    writer.write(&(addr as u64))
}

impl TestDevice {
    fn start(&self, arg: usize) -> Result {
        let mut reader = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(START)).reader();
        let (addr, size) = (
            reader.read::<u64>()? as usize,
            reader.read::<u64>()? as usize,
        );
        let flags = reader.read::<u32>()?;
        let is_aligned = (addr | size) % PAGE_SIZE == 0;
        let known = abi::USE_WRITE | abi::USE_FAST | abi::USE_LOCKED_VM | abi::USE_VMAP;
        if flags & !known != 0 || !is_aligned {
            return Err(EINVAL);
        }
        let mut pinned = self.pinned.lock();
        if pinned.is_some() {
            return Err(EINVAL);
        }
        *pinned = Some(match (flags & abi::USE_WRITE, flags & abi::USE_VMAP) {
            (0, 0) => Pinned::ReadOnly(pin(addr, size, flags)?),
            (_, 0) => Pinned::ReadWrite(pin(addr, size, flags)?),
            (0, _) => Pinned::VmapReadOnly(pin(addr, size, flags)?.vmap()?),
            _ => Pinned::VmapReadWrite(pin(addr, size, flags)?.vmap()?),
        });
        Ok(())
    }

    fn read(&self, arg: usize) -> Result {
        let to = address(arg, READ)?;
        let pinned = self.pinned.lock();
        let pinned = pinned.as_ref().ok_or(EINVAL)?;
        let mut bytes = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        let mut writer = UserSlice::new(UserPtr::from_addr(to), pinned.len()).writer();
        for offset in (0..pinned.len()).step_by(PAGE_SIZE) {
            pinned.read(offset, &mut bytes)?;
            writer.write_slice(&bytes)?;
        }
        Ok(())
    }

    fn write(&self, arg: usize) -> Result {
        let from = address(arg, WRITE)?;
        let pinned = self.pinned.lock();
        let pages = pinned.as_ref().ok_or(EINVAL)?;
        let mut bytes = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        let mut reader = UserSlice::new(UserPtr::from_addr(from), pages.len()).reader();
        for offset in (0..pages.len()).step_by(PAGE_SIZE) {
            reader.read_slice(&mut bytes)?;
            pages.write(offset, &bytes)?;
        }
        Ok(())
    }

    /// Implements [`abi::ADD`].
    fn add(&self, arg: usize) -> Result {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(ADD));
        let (mut reader, mut writer) = user.reader_writer();
        let offset = reader.read::<u64>()? as usize;
        let (value, bytes) = (reader.read::<u64>()?, reader.read::<u64>()?);
        let pinned = self.pinned.lock();
        let Some(Pinned::VmapReadWrite(pages)) = pinned.as_ref() else {
            return Err(EINVAL);
        };
        let before = match bytes {
            4 => u64::from(pages.atomic_u32(offset)?.fetch_add(value as u32, Relaxed)),
            #[cfg(CONFIG_64BIT)]
            8 => pages.atomic_u64(offset)?.fetch_add(value, Relaxed),
            _ => return Err(EINVAL),
        };
        writer.write(&(offset as u64))?;
        writer.write(&before)
    }

    /// Implements [`abi::CHARGE`].
    fn charge(&self, arg: usize) -> Result {
        let pages = address(arg, CHARGE)?;
        let mut charge = self.charge.lock();
        *charge = None;
        if pages != 0 {
            let task = current!();
            *charge = Some(task.mm().ok_or(EFAULT)?.account_locked_vm(pages)?);
        }
        Ok(())
    }
}

/// Reads the address, or the number, that the argument of an ioctl points to.
fn address(arg: usize, cmd: u32) -> Result<usize> {
    let mut reader = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd)).reader();
    Ok(reader.read::<u64>()? as usize)
}

/// Pins pages of the calling process for a long time, in one of two ways.
fn pin<A: PinAccess>(addr: usize, size: usize, flags: u32) -> Result<LongtermPages<A>> {
    let accounting = match flags & abi::USE_LOCKED_VM {
        0 => Accounting::PinnedVm,
        _ => Accounting::LockedVm,
    };
    let task = current!();
    if flags & abi::USE_FAST != 0 {
        return task.pin_user_pages_longterm(addr, size, accounting);
    }
    let mm = task.mm().ok_or(EFAULT)?;
    mm.pin_user_pages_remote_longterm(addr, size, accounting)
}

/// Implements [`abi::USAGE`].
fn usage(arg: usize) -> Result {
    let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(USAGE));
    let (mut reader, mut writer) = user.reader_writer();
    let pidfd = reader.read::<i32>()?;
    let task = current!();
    let mm = task
        .pidfd_get_task(pidfd)?
        .mm_access(PtraceMode::ReadFsCreds)?;
    let own = task.mm().ok_or(EFAULT)?;
    let program = |mm: &Mm| Some(mm.get_mm_exe_file()?.as_ptr());
    let same_program = program(&mm).is_some() && program(&mm) == program(own);

    writer.write(&pidfd)?;
    writer.write(&u32::from(same_program))?;
    writer.write(&(mm.get_mm_rss() as u64))?;
    writer.write(&(mm.total_vm() as u64))?;
    writer.write(&(mm.locked_vm() as u64))?;
    writer.write(&(mm.pinned_vm() as u64))
}

/// The fields of [`abi::Test`] that are read.
struct Test {
    addr: usize,
    size: usize,
    per_call: usize,
}

/// Returns the time in microseconds.
fn now() -> i64 {
    // SAFETY: This function can be called in any context.
    (unsafe { kernel::bindings::ktime_get() }) / 1000
}

/// Pins the pages of a range, unpins them, and returns how long that has taken, and how many bytes
/// have been pinned.
fn benchmark(arg: usize, is_long: bool) -> Result {
    let size = ioctl::_IOC_SIZE(PIN_BASIC_TEST);
    let (mut reader, mut writer) = UserSlice::new(UserPtr::from_addr(arg), size).reader_writer();
    reader.skip(DELTAS)?;
    let test = Test {
        addr: reader.read::<u64>()? as usize,
        size: reader.read::<u64>()? as usize,
        per_call: reader.read::<u32>()? as usize,
    };
    if test.size == 0 || test.per_call == 0 {
        return Err(EINVAL);
    }
    let is_write = reader.read::<u32>()? & abi::FOLL_WRITE != 0;
    let (get, put, done) = match (is_long, is_write) {
        (true, false) => long::<ReadOnly>(&test)?,
        (true, true) => long::<ReadWrite>(&test)?,
        (false, false) => short::<ReadOnly>(&test),
        (false, true) => short::<ReadWrite>(&test),
    };
    writer.write(&(get as u64))?;
    writer.write(&(put as u64))?;
    writer.write(&(test.addr as u64))?;
    writer.write(&(done as u64))
}

/// Pins as many pages at a time as the request says.
fn long<A: PinAccess>(test: &Test) -> Result<(i64, i64, usize)> {
    let mut pinned = KVVec::new();
    let mut done = 0;
    let begin = now();
    while done < test.size {
        let step = test
            .per_call
            .saturating_mul(PAGE_SIZE)
            .min(test.size - done);
        match current!().pin_user_pages_longterm::<A>(test.addr + done, step, Accounting::None) {
            Ok(pages) => pinned.push(pages, GFP_KERNEL)?,
            Err(_) => break,
        }
        done += step;
    }
    let middle = now();
    drop(pinned);
    Ok((middle - begin, now() - middle, done))
}

/// Pins all pages at once, as they stay pinned for the time of one closure.
fn short<A: PinAccess>(test: &Test) -> (i64, i64, usize) {
    let begin = now();
    let middle =
        current!().with_pinned_user_pages(test.addr, test.size, |_: &PinnedPages<A>| now());
    match middle {
        Ok(middle) => (middle - begin, now() - middle, test.size),
        Err(_) => (now() - begin, 0, 0),
    }
}
