// SPDX-License-Identifier: GPL-2.0

//! A driver in safe Rust that shows bugs of Linux 7.3's own abstractions.
//!
//! It is built with mainline's files and with those of this repository, so it only uses what both
//! have.

#[cfg(not(CONFIG_RUST_TASK_BENCH))]
use kernel::page::Page;
use kernel::{
    c_str,
    fs::file::{
        File,
        FileDescriptorReservation,
        LocalFile, //
    },
    impl_has_hr_timer, ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        virt::VmaNew,
        MmWithUser, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
    },
    task::Task,
    time::{
        delay::fsleep,
        hrtimer::{
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerRestart,
            RelativePinnedHardMode,
            ScopedHrTimerPointer, //
        },
        Delta,
        Monotonic, //
    },
};
use pin_init::stack_pin_init;

#[path = "rust_task_known_abi.rs"]
mod abi;

module! {
    type: KnownModule,
    name: "rust_task_known",
    description: "Reproducers of bugs in Linux 7.3",
    license: "GPL",
}

const WATCH_PID: u32 = ioctl::_IO(abi::MAGIC, abi::WATCH_PID);
const WATCH_FLAGS: u32 = ioctl::_IO(abi::MAGIC, abi::WATCH_FLAGS);
const INSERT: u32 = ioctl::_IO(abi::MAGIC, abi::INSERT);
const WATCH_LEADER: u32 = ioctl::_IO(abi::MAGIC, abi::WATCH_LEADER);

/// The number of reads of a loop. The expected change happens before its end.
const READS: usize = 1 << 30;

struct KnownModule {
    _device: Pin<KBox<MiscDeviceRegistration<Known>>>,
    _installs: Pin<KBox<MiscDeviceRegistration<Installs>>>,
    _looks: Pin<KBox<MiscDeviceRegistration<Looks>>>,
}

impl kernel::Module for KnownModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _device: register(c_str!("rust_task_known"))?,
            _installs: register(c_str!("rust_task_installs"))?,
            _looks: register(c_str!("rust_task_looks"))?,
        })
    }
}

fn register<T: MiscDevice>(name: &'static CStr) -> Result<Pin<KBox<MiscDeviceRegistration<T>>>> {
    KBox::pin_init(
        MiscDeviceRegistration::register(MiscDeviceOptions { name }),
        GFP_KERNEL,
    )
}

/// A device whose `open()` gives its file to userspace, before it has any data.
struct Installs {
    fd: u32,
}

#[vtable]
impl MiscDevice for Installs {
    type Ptr = KBox<Self>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let reservation = FileDescriptorReservation::get_unused_fd_flags(0)?;
        let fd = reservation.reserved_fd();
        reservation.fd_install(ARef::from(file));

        Ok(KBox::new(Self { fd }, GFP_KERNEL)?)
    }

    fn ioctl(me: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        Ok(me.fd as isize)
    }
}

/// A device whose data looks for a file when it is dropped.
struct Looks;

#[vtable]
impl MiscDevice for Looks {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        let _ = LocalFile::fget(0);
    }
}

/// An open file, with a reference to the task that opened it.
struct Known {
    opener: ARef<Task>,
}

#[vtable]
impl MiscDevice for Known {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let opener = ARef::from(&**current!());

        Ok(KBox::new(Self { opener }, GFP_KERNEL)?)
    }

    fn mmap(_me: &Self, _file: &File, vma: &VmaNew) -> Result {
        // Mainline's function returns nothing.
        let _ = vma.zap_vma_range(vma.start() + abi::ZAPPED * PAGE_SIZE, PAGE_SIZE / 2);
        Ok(())
    }

    fn ioctl(me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let task = current!();
        let mm = task.mm().ok_or(ESRCH)?;

        match cmd {
            WATCH_PID => Ok(watch(|| me.opener.pid())),
            WATCH_FLAGS => {
                let guard = mm.mmap_read_lock();
                let vma = guard.vma_lookup(arg).ok_or(ENOENT)?;
                Ok(watch(|| vma.flags()))
            }
            WATCH_LEADER => Ok(watch_leader(Delta::from_millis(arg as i64))),
            INSERT => insert(mm, arg),
            _ => Err(ENOTTY),
        }
    }
}

/// Maps a page in the VMA at `addr`, of whatever driver.
#[cfg(not(CONFIG_RUST_TASK_BENCH))]
fn insert(mm: &MmWithUser, addr: usize) -> Result<isize> {
    let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
    let guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(ENOENT)?;
    vma.as_mixedmap_vma()
        .ok_or(EINVAL)?
        .vm_insert_page(addr, &page)?;
    Ok(0)
}

/// The above does not compile with the files of this repository: see
/// tests/ui/vma_mixed_map/other_driver.rs. Only a kernel of this repository has the symbol.
#[cfg(CONFIG_RUST_TASK_BENCH)]
fn insert(_mm: &MmWithUser, _addr: usize) -> Result<isize> {
    Err(EPERM)
}

/// Returns 1 if the result of `read` changes, else 0.
fn watch<T: PartialEq>(read: impl Fn() -> T) -> isize {
    let first = read();
    for _ in 0..READS {
        if read() != first {
            return 1;
        }
    }
    0
}

/// A timer that reads the group leader of the task it interrupts.
#[pin_data]
struct CheckLeader {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    wiped: Atomic<i32>,
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for CheckLeader {
        mode: RelativePinnedHardMode<Monotonic>, field: self.timer
    }
}

impl HrTimerCallback for CheckLeader {
    type Pointer<'a> = Pin<&'a Self>;

    fn run(this: Pin<&Self>, mut ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let task = current!();
        // Only idle tasks have PID 0, and each of them is its own group leader.
        if task.pid() != 0 && task.group_leader().pid() == 0 {
            this.wiped.store(1, Relaxed);
        }
        ctx.forward_now(Delta::from_millis(1));
        HrTimerRestart::Restart
    }
}

/// Returns 1 if the group leader of a task on this CPU was in zeroed memory, else 0.
fn watch_leader(time: Delta) -> isize {
    stack_pin_init!(let check = pin_init!(CheckLeader {
        timer <- HrTimer::new(),
        wiped <- Atomic::new(0),
    }));

    check
        .as_ref()
        .start_scoped(Delta::from_millis(1), || fsleep(time));
    check.wiped.load(Relaxed) as isize
}
