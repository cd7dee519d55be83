// SPDX-License-Identifier: GPL-2.0

//! A misc device for the selftests: references that outlive what they refer to.
//!
//! `test_rust_lifetime_abi.rs` describes the ioctls.

use core::{
    mem,
    ptr::{
        addr_of_mut,
        NonNull, //
    }, //
};
use kernel::{
    c_str,
    cred::Credential,
    fs::File,
    impl_has_vm_ops,
    ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        virt::VmaNew,
        vm_ops::{
            InactiveVma,
            MmapHook,
            VmOperations, //
        },
        Mm,
        MmWithUser, //
    },
    new_condvar,
    new_mutex,
    pid::{
        Pid,
        PidType, //
    },
    prelude::*,
    shrinker::{
        ShrinkControl,
        Shrinker,
        ShrinkerRegistration, //
    },
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        CondVar,
        Mutex, //
    },
    task::Task,
    time::msecs_to_jiffies,
    uaccess::UserSlice, //
};

#[path = "test_rust_lifetime_abi.rs"]
mod abi;

module! {
    type: TestModule,
    name: "test_rust_lifetime",
    description: "References that outlive what they refer to, for the selftests",
    license: "GPL",
}

const WALK: u32 = ioctl::_IOWR::<abi::Walk>(abi::MAGIC, abi::WALK);
const SATURATION: u32 = ioctl::_IOWR::<abi::Saturation>(abi::MAGIC, abi::SATURATION);
const DROP_LAST: u32 = ioctl::_IO(abi::MAGIC, abi::DROP_LAST);
const RELEASED: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::RELEASED);
const SIGNAL_AS_OPENER: u32 = ioctl::_IOW::<i32>(abi::MAGIC, abi::SIGNAL_AS_OPENER);
const SHRINKER: u32 = ioctl::_IOW::<i64>(abi::MAGIC, abi::SHRINKER);
const SHRUNK: u32 = ioctl::_IOR::<abi::Shrunk>(abi::MAGIC, abi::SHRUNK);

struct TestModule {
    _device: Pin<KBox<MiscDeviceRegistration<TestDevice>>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("test_rust_lifetime");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// An open file.
#[pin_data]
struct TestDevice {
    opener: ARef<Pid>,
    cred: ARef<Credential>,
    /// The address space that mapped the file last.
    #[pin]
    last: Mutex<Option<ARef<MmWithUser>>>,
    #[pin]
    never: CondVar,
    released: Atomic<u32>,
    #[pin]
    shrinker: Mutex<Option<Pin<KBox<ShrinkerRegistration<TestShrinker>>>>>,
    counters: Arc<Counters>,
}

/// The atomic fields of [`abi::Shrunk`].
struct Counters {
    objects: Atomic<i64>,
    calls: Atomic<i64>,
    late: Atomic<i64>,
    dropped: Atomic<i64>,
    full: Atomic<i64>,
}

/// The data of a shrinker.
struct TestShrinker {
    counters: Arc<Counters>,
    is_stubborn: bool,
    is_picky: bool,
    is_valid: Atomic<bool>,
}

impl TestShrinker {
    /// Two tasks that free objects at the same time may leave a negative number.
    fn objects(&self) -> usize {
        self.counters.objects.load(Relaxed).max(0) as usize
    }

    fn called(&self, control: &ShrinkControl) {
        self.counters.calls.fetch_add(1, Relaxed);
        let flags = [
            control.allows_fs(),
            control.allows_io(),
            control.allows_direct_reclaim(),
            // Each node has memory, and the machine of the tests has no more of them than this.
            control.nid() < 8,
        ];
        if flags == [true; 4] {
            self.counters.full.fetch_add(1, Relaxed);
        }
        if !self.is_valid.load(Relaxed) {
            self.counters.late.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for TestShrinker {
    fn drop(&mut self) {
        self.is_valid.store(false, Relaxed);
        self.counters.dropped.fetch_add(1, Relaxed);
    }
}

impl Shrinker for TestShrinker {
    type Ptr = KBox<Self>;
    const BATCH: u16 = 10;
    const NUMA_AWARE: bool = true;

    fn count_objects(me: &Self, control: &ShrinkControl) -> usize {
        me.called(control);
        match me.is_stubborn {
            true => usize::MAX,
            false => me.objects(),
        }
    }

    fn scan_objects(me: &Self, control: &mut ShrinkControl) -> Option<usize> {
        me.called(control);
        if me.is_stubborn {
            return None;
        }
        let wanted = match me.is_picky {
            true => {
                control.set_nr_scanned(usize::MAX);
                1
            }
            false => control.nr_to_scan(),
        };
        let freed = wanted.min(me.objects());
        me.counters.objects.fetch_add(-(freed as i64), Relaxed);
        Some(freed)
    }
}

/// The `vm_private_data` of a VMA. It owns the address space that mapped the file before.
struct Link {
    device: Arc<TestDevice>,
    _previous: Option<ARef<MmWithUser>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.device.released.fetch_add(1, Relaxed);
    }
}

impl_has_vm_ops!(Link);

#[vtable]
impl VmOperations for Link {
    type Hook = MmapHook;

    fn close(vma: &InactiveVma<Self>) {
        drop(vma.data().device.last.lock());
    }
}

#[vtable]
impl MiscDevice for TestDevice {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let task = current!();
        let opener = task.get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
        let cred = ARef::from(task.cred());
        let counters = Counters {
            objects: Atomic::new(0),
            calls: Atomic::new(0),
            late: Atomic::new(0),
            dropped: Atomic::new(0),
            full: Atomic::new(0),
        };
        let counters = Arc::new(counters, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                opener,
                cred,
                last <- new_mutex!(None),
                never <- new_condvar!(),
                released: Atomic::new(0),
                shrinker <- new_mutex!(None),
                counters,
            }),
            GFP_KERNEL,
        )
    }

    fn mmap(me: ArcBorrow<'_, Self>, _file: &File, vma: &VmaNew) -> Result {
        let mm = ARef::from(current!().mm().ok_or(ESRCH)?);
        let previous = me.last.lock().replace(mm);
        let link = Link {
            device: me.into(),
            _previous: previous,
        };
        vma.set_ops(Arc::new(link, GFP_KERNEL)?).map(drop)
    }

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            WALK => {
                let (mut reader, mut writer) = user.reader_writer();
                let (kind, pause) = (reader.read::<u32>()?, reader.read::<u32>()?);
                let pids = me.walk(kind, pause)?;
                writer.write(&[kind, pause, pids.len() as u32])?;
                for pid in pids.iter().take(abi::Walk::MAX) {
                    writer.write(pid)?;
                }
            }
            SATURATION => {
                let (mut reader, mut writer) = user.reader_writer();
                let kind = reader.read::<u32>()?;
                writer.write(&kind)?;
                writer.write(&saturation(kind)?)?;
            }
            DROP_LAST => {
                let mut last = me.last.lock();
                *last = None;
            }
            RELEASED => user.writer().write(&me.released.load(Relaxed))?,
            SHRINKER => {
                let number = user.reader().read::<i64>()?;
                let new = me.register_shrinker(number)?;
                let old = core::mem::replace(&mut *me.shrinker.lock(), new);
                drop(old);
            }
            SHRUNK => {
                let (counters, mut writer) = (&me.counters, user.writer());
                for value in [
                    &counters.objects,
                    &counters.calls,
                    &counters.late,
                    &counters.dropped,
                    &counters.full,
                ] {
                    writer.write(&value.load(Relaxed))?;
                }
            }
            SIGNAL_AS_OPENER => {
                let signal = user.reader().read::<i32>()?;
                me.opener.kill_pid_as_cred(signal, &me.cred)?;
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl TestDevice {
    /// Registers a shrinker, see [`abi::SHRINKER`].
    fn register_shrinker(
        &self,
        number: i64,
    ) -> Result<Option<Pin<KBox<ShrinkerRegistration<TestShrinker>>>>> {
        if number == 0 {
            return Ok(None);
        }
        self.counters.objects.store(number.abs(), Relaxed);
        let objects = TestShrinker {
            counters: self.counters.clone(),
            is_stubborn: number == abi::STUBBORN,
            is_picky: number < 0,
            is_valid: Atomic::new(true),
        };
        let objects = KBox::new(objects, GFP_KERNEL)?;
        let name = format_args!("test_rust_lifetime:{number}");
        KBox::pin_init(ShrinkerRegistration::register(name, objects), GFP_KERNEL).map(Some)
    }

    /// Returns the PIDs of the tasks of a walk that sleeps after the first task.
    fn walk(&self, kind: u32, pause: u32) -> Result<KVec<i32>> {
        let task = current!();
        match kind {
            abi::THREADS => self.pids(task.threads(), pause),
            abi::PROCESSES => {
                let ns = task.active_pid_ns().ok_or(ESRCH)?;
                self.pids(ns.processes(), pause)
            }
            _ => Err(EINVAL),
        }
    }

    fn pids(&self, tasks: impl Iterator<Item = ARef<Task>>, pause: u32) -> Result<KVec<i32>> {
        let mut pids = KVec::new();
        for task in tasks {
            pids.push(task.pid(), GFP_KERNEL)?;
            if pids.len() == 1 {
                let mut guard = self.last.lock();
                let pause = msecs_to_jiffies(pause);
                // Nothing wakes it.
                let _ = self.never.wait_interruptible_timeout(&mut guard, pause);
            }
        }
        Ok(pids)
    }
}

/// Has a refcount reach the limit above which it saturates. Returns the result fields of
/// [`abi::Saturation`].
fn saturation(kind: u32) -> Result<[u32; 3]> {
    let task = current!();
    let mm = task.mm().ok_or(ESRCH)?;
    // CAST: An `atomic_t` consists of an `int`.
    // SAFETY: `mm` is valid, so `mm_users` is valid. C code accesses it by atomic operations only.
    let users = unsafe {
        Atomic::from_ptr(addr_of_mut!((*mm.as_raw()).__bindgen_anon_1.mm_users).cast::<i32>())
    };
    // SAFETY: As above, for `mm_count`.
    let count = unsafe {
        let unnamed = addr_of_mut!((*mm.as_raw()).__bindgen_anon_1.__bindgen_anon_1);
        Atomic::from_ptr(addr_of_mut!((*unnamed).mm_count).cast::<i32>())
    };

    match kind {
        abi::MM_USERS => Ok(leak::<MmWithUser>(users, || Some(ARef::from(mm)))),
        abi::MM_COUNT => Ok(leak::<Mm>(count, || Some(ARef::from(&**mm)))),
        abi::MM_NOT_ZERO => Ok(leak::<MmWithUser>(users, || mm.mmget_not_zero())),
        _ => Err(EINVAL),
    }
}

/// Sets a refcount close to its limit, leaks references, and drops as many. Then it sets the
/// refcount back, so that the object can be freed.
fn leak<T: AlwaysRefCounted>(
    refcount: &Atomic<i32>,
    get: impl Fn() -> Option<ARef<T>>,
) -> [u32; 3] {
    const NEAR: i32 = (1 << 30) - 4;
    const LEAKS: usize = 8;

    let real = refcount.load(Relaxed);
    refcount.add(NEAR - real, Relaxed);
    let mut object: Option<NonNull<T>> = None;
    for _ in 0..LEAKS {
        let reference = get();
        object = reference.as_deref().map(NonNull::from);
        mem::forget(reference);
    }
    let leaked = refcount.load(Relaxed);
    for _ in 0..LEAKS {
        // SAFETY: As many references have been leaked above.
        drop(object.map(|object| unsafe { ARef::from_raw(object) }));
    }
    let dropped = refcount.load(Relaxed);
    refcount.add(real - dropped, Relaxed);

    [NEAR as u32, leaked as u32, dropped as u32]
}
