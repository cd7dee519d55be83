// SPDX-License-Identifier: GPL-2.0

//! The idioms of `c-to-rust.rst` in Rust. `idioms_c.c` has the same in C, and a test compares the
//! results.

use kernel::{
    c_str,
    fs::File,
    impl_has_vm_ops,
    ioctl,
    kthread::KThread,
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
        pin::{
            PinnedPages,
            ReadOnly, //
        },
        virt::VmaNew,
        vm_ops::{
            MmapHook,
            VmOperations, //
        },
        Mm,
        UserPage, //
    },
    new_mutex,
    pid::{
        Pid,
        PidType, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    task::{
        Kuid,
        TaskState,
        WaitQueue,
        MAX_SCHEDULE_TIMEOUT, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: IdiomsModule,
    name: "idioms",
    description: "The idioms of c-to-rust.rst in Rust",
    license: "GPL",
}

struct IdiomsModule {
    _device: Pin<KBox<MiscDeviceRegistration<Idioms>>>,
}

impl kernel::Module for IdiomsModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("idioms");
        let device = MiscDeviceRegistration::register(MiscDeviceOptions { name });
        let _device = KBox::pin_init(device, GFP_KERNEL)?;
        Ok(Self { _device })
    }
}

// begin file
#[pin_data]
struct Idioms {
    page: UserPage,
    #[pin]
    total: Mutex<u32>,
    #[pin]
    waiters: WaitQueue,
    ready: Atomic<bool>,
}

impl Idioms {
    fn new() -> Result<Arc<Self>> {
        let page = UserPage::alloc_page(GFP_KERNEL)?;
        let me = pin_init!(Self {
            page,
            total <- new_mutex!(0),
            waiters <- WaitQueue::new(),
            ready: Atomic::new(false),
        });
        Arc::pin_init(me, GFP_KERNEL)
    }
}
// end

// begin tgid
fn tgid() -> Result<isize> {
    Ok(current!().tgid_nr_ns(None) as isize)
}
// end

// begin parent
fn parent() -> Result<isize> {
    let task = current!().real_parent().ok_or(ESRCH)?;
    Ok(task.tgid_nr_ns(None) as isize)
}
// end

// begin find
fn is_kthread(nr: i32) -> Result<isize> {
    let pid = Pid::find_get_pid(nr).ok_or(ESRCH)?;
    let task = pid.get_pid_task(PidType::Pid).ok_or(ESRCH)?;
    Ok(task.is_kthread().into())
}
// end

// begin euid
fn euid() -> Result<isize> {
    Ok(Kuid::current_euid().into_uid_in_current_ns() as isize)
}
// end

// begin vmas
fn count_vmas() -> Result<isize> {
    let task = current!();
    let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock_killable()?;
    Ok(guard.vmas(0..usize::MAX).count() as isize)
}
// end

// begin fault
impl_has_vm_ops!(Idioms);

#[vtable]
impl VmOperations for Idioms {
    type Hook = MmapHook;

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        if vmf.pgoff() != 0 {
            return vmf.return_error(EINVAL);
        }
        vmf.return_page(&vmf.data().page)
    }
}

fn mmap(me: ArcBorrow<'_, Idioms>, vma: &VmaNew) -> Result {
    if vma.pgoff() != 0 || vma.vma_pages() != 1 {
        return Err(EINVAL);
    }
    vma.set_ops(Arc::from(me))?;
    Ok(())
}
// end

// begin own
fn is_own(me: &Idioms, addr: usize) -> Result<isize> {
    let task = current!();
    let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock_killable()?;
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    let own = vma.downcast::<Idioms>();
    let is_own = own.is_some_and(|vma| core::ptr::eq(&*vma.data(), me));
    Ok(is_own.into())
}
// end

// begin mm
fn later() -> Result<isize> {
    // Can be stored: the process may exit, and its memory is freed.
    let kept: ARef<Mm> = ARef::from(&**current!().mm().ok_or(ESRCH)?);
    // Later, when the memory is needed.
    let mm = kept.mmget_not_zero().ok_or(ESRCH)?;
    Ok(mm.total_vm() as isize)
}
// end

// begin pin
fn first_byte(addr: usize) -> Result<isize> {
    let mut byte = [0];
    let read = |pages: &PinnedPages<ReadOnly>| pages.read(0, &mut byte);
    current!().with_pinned_user_pages(addr, 1, read)??;
    Ok(byte[0].into())
}
// end

// begin user
fn increment(at: UserPtr) -> Result<isize> {
    let (mut reader, mut writer) = UserSlice::new(at, 4).reader_writer();
    let value: u32 = reader.read()?;
    writer.write(&value.wrapping_add(1))?;
    Ok(0)
}
// end

// begin kthread
fn run_kthread() -> Result<isize> {
    let thread = KThread::spawn(format_args!("idioms"), |this| {
        while !this.sleep(MAX_SCHEDULE_TIMEOUT) {}
        0
    })?;
    // Without this, the drop stops it.
    thread.stop();
    Ok(0)
}
// end

// begin wait
fn wait(me: &Idioms, timeout: isize) -> Result<isize> {
    let ready = || me.ready.load(Acquire).then_some(0);
    Ok(me.waiters.wait_event(TaskState::Killable, timeout, ready)?)
}

fn wake(me: &Idioms) -> Result<isize> {
    me.ready.store(true, Release);
    me.waiters.wake_up();
    Ok(0)
}
// end

// begin mutex
fn add(me: &Idioms, value: u32) -> Result<isize> {
    let mut total = me.total.lock();
    let new = total.checked_add(value).ok_or(EOVERFLOW)?;
    if new > i32::MAX as u32 {
        return Err(EOVERFLOW);
    }
    *total = new;
    Ok(new as isize)
}
// end

#[vtable]
impl MiscDevice for Idioms {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Idioms::new()
    }

    fn mmap(me: ArcBorrow<'_, Self>, _file: &File, vma: &VmaNew) -> Result {
        mmap(me, vma)
    }

    // The numbers of the ioctls are those of `idioms_c.c`.
    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match ioctl::_IOC_NR(cmd) {
            0 => tgid(),
            1 => parent(),
            2 => is_kthread(arg as i32),
            3 => euid(),
            4 => count_vmas(),
            5 => is_own(&me, arg),
            6 => later(),
            7 => first_byte(arg),
            8 => increment(UserPtr::from_addr(arg)),
            9 => run_kthread(),
            10 => wait(&me, arg as isize),
            11 => wake(&me),
            12 => add(&me, arg as u32),
            _ => Err(ENOTTY),
        }
    }
}
