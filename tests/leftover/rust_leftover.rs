// SPDX-License-Identifier: GPL-2.0

//! A module in safe Rust that leaves kthreads, workers and devices behind when it goes.
//!
//! The name of the task that loads it selects what it does.

use core::mem::forget;
use kernel::{
    anon_inode::{
        anon_inode_getfile,
        AnonFile, //
    },
    c_str,
    cdev::{
        CharDevice,
        CharDeviceNode,
        CharDeviceOptions,
        CharDeviceRegion,
        CharDeviceRegistration, //
    },
    fs::File,
    impl_has_anon_file_ops, impl_has_kthread_work,
    kthread::{
        CurrentKThread,
        KThread,
        KThreadWork,
        KThreadWorkItem,
        KThreadWorker, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    new_mutex,
    prelude::*,
    shrinker::{
        ShrinkControl,
        Shrinker,
        ShrinkerRegistration, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    task::{
        TaskState,
        TaskWork,
        TaskWorkItem, //
    },
    time::msecs_to_jiffies,
};
#[cfg(CONFIG_MMU_NOTIFIER)]
use kernel::{
    mm::mmu_notifier::{
        InvalidatedRange,
        MmuIntervalNotifier,
        MmuIntervalRegistration, //
    },
    new_spinlock,
    page::PAGE_SIZE,
    sync::SpinLock,
};

module! {
    type: LeftoverModule,
    name: "rust_leftover",
    description: "Leaves kthreads and devices behind when it goes",
    license: "GPL",
}

/// Counts the rounds of the kthreads, so that they return to the code of the module all the time.
static ROUNDS: Atomic<u32> = Atomic::new(0);

/// The address of a [`KThread`].
static SLOT: Atomic<usize> = Atomic::new(0);

struct LeftoverModule {
    _device: Option<Pin<KBox<MiscDeviceRegistration<Device>>>>,
    _char_device: Option<Pin<KBox<CharDeviceRegistration<Device>>>>,
    _slot: Option<Arc<Slot>>,
}

type Slot = Mutex<Option<KThread>>;

impl kernel::Module for LeftoverModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mut module = Self {
            _device: None,
            _char_device: None,
            _slot: None,
        };
        let comm = current!().comm();
        let len = comm.iter().position(|&byte| byte == 0);
        match &comm[..len.unwrap_or(comm.len())] {
            b"cycle" => module._slot = Some(cycle()?),
            b"session" => forget(device::<Session>()?),
            b"static" => {
                let thread = KThread::spawn(format_args!("left/static"), run)?;
                let thread = KBox::into_raw(KBox::new(thread, GFP_KERNEL)?);
                SLOT.store(thread as usize, Relaxed);
            }
            b"forgotten" => forget(KThread::spawn(format_args!("left/forgotten"), run)?),
            b"new" => forget(KThread::create(format_args!("left/new"), run)?),
            b"parked" => {
                let mut thread = KThread::spawn(format_args!("left/parked"), run)?;
                forget(thread.park()?);
                forget(thread);
            }
            b"owner" => {
                let inner = KThread::spawn(format_args!("left/inner"), run)?;
                forget(KThread::spawn(format_args!("left/owner"), move |this| {
                    let _inner = inner;
                    run(this)
                })?);
            }
            b"chain" => forget(KThread::spawn(format_args!("left/chain"), |this| {
                chain(this, 3)
            })?),
            b"own handle" => own_handle()?,
            b"each other" => each_other()?,
            b"early" => early()?,
            b"worker" => forget(worker("left/worker")?),
            b"workers" => workers()?,
            b"task work" => task_work()?,
            b"shrinker" => forget(shrinker()?),
            #[cfg(CONFIG_MMU_NOTIFIER)]
            b"notifier" => forget(notifier()?),
            #[cfg(CONFIG_MMU_NOTIFIER)]
            b"notifier, work" => drop_in_atomic_context(notifier()?)?,
            #[cfg(not(CONFIG_MMU_NOTIFIER))]
            b"notifier" | b"notifier, work" => return Err(EOPNOTSUPP),
            b"device" => forget(device::<Device>()?),
            // The device keeps itself, until the ioctl.
            b"char, dropped" => drop(by_ioctl()?),
            b"char device" => forget(char_device::<Device>()?),
            b"char region" => region()?,
            b"char nodes" => nodes()?,
            b"char, no nodes" => without_nodes()?,
            b"char, slow" => {
                module._char_device = Some(char_device()?);
                one_second();
            }
            b"char, failing" => {
                forget(char_device::<Device>()?);
                one_second();
                return Err(ENODEV);
            }
            b"failing" => {
                forget(cycle()?);
                forget(KThread::create(format_args!("left/new"), run)?);
                forget(device::<Device>()?);
                forget(shrinker()?);
                #[cfg(CONFIG_MMU_NOTIFIER)]
                forget(notifier()?);
                return Err(ENODEV);
            }
            b"anonymous file" => anonymous_file::<Device>()?,
            b"foreign owner" => foreign_device()?,
            b"bad names" => bad_names()?,
            b"slow" => {
                module._device = Some(device()?);
                one_second();
            }
            b"slow, failing" => {
                let _device = device::<Device>()?;
                one_second();
                return Err(ENODEV);
            }
            _ => return Err(EINVAL),
        }
        Ok(module)
    }
}

fn run(this: &CurrentKThread) -> c_int {
    while !this.sleep(1) {
        ROUNDS.add(1, Relaxed);
    }
    0
}

fn one_second() {
    // This condition never becomes true.
    let _ = current!().wait_until(TaskState::Idle, msecs_to_jiffies(1000) as c_long, || {
        None::<()>
    });
}

/// The closure owns a reference to the owner of the handle.
fn cycle() -> Result<Arc<Slot>> {
    let slot = Arc::pin_init(new_mutex!(None), GFP_KERNEL)?;
    let theirs: Arc<Slot> = slot.clone();
    *slot.lock() = Some(KThread::spawn(format_args!("left/cycle"), move |this| {
        let _slot = theirs;
        run(this)
    })?);
    Ok(slot)
}

/// Starts another kthread when this one must stop.
fn chain(this: &CurrentKThread, rest: u32) -> c_int {
    run(this);
    if rest > 0 {
        if let Ok(thread) = KThread::spawn(format_args!("left/chain"), move |this| {
            chain(this, rest - 1)
        }) {
            forget(thread);
        }
    }
    0
}

/// The kthread drops its own handle, and then ends.
fn own_handle() -> Result {
    let slot: Arc<Slot> = Arc::pin_init(new_mutex!(None), GFP_KERNEL)?;
    let theirs = slot.clone();
    let thread = KThread::create(format_args!("left/own"), move |this| {
        let own = theirs.lock().take();
        drop(own);
        run(this)
    })?;
    // The kthread waits until the handle is there.
    let mut slot = slot.lock();
    *slot = Some(thread.start());
    Ok(())
}

/// Each kthread owns the handle of the other one.
fn each_other() -> Result {
    let new_slot = || Arc::pin_init(new_mutex!(None), GFP_KERNEL);
    let (first, second): (Arc<Slot>, Arc<Slot>) = (new_slot()?, new_slot()?);
    for (own, other) in [(&first, &second), (&second, &first)] {
        let other = other.clone();
        *own.lock() = Some(KThread::spawn(format_args!("left/other"), move |this| {
            let _other = other;
            run(this)
        })?);
    }
    Ok(())
}

/// Two kthreads drop each other's handle: one of them before the module goes, and the other one
/// because of that.
fn early() -> Result {
    let new_slot = || Arc::pin_init(new_mutex!(None), GFP_KERNEL);
    let (first, second): (Arc<Slot>, Arc<Slot>) = (new_slot()?, new_slot()?);
    let of_second = second.clone();
    *first.lock() = Some(KThread::spawn(format_args!("left/early"), move |this| {
        while of_second.lock().is_none() {
            this.sleep(1);
        }
        this.sleep(2);
        drop(of_second.lock().take());
        0
    })?);
    let of_first = first;
    let thread = KThread::spawn(format_args!("left/early"), move |this| {
        let _other = of_first.lock().take();
        run(this)
    })?;
    *second.lock() = Some(thread);
    // The handles are dropped meanwhile.
    one_second();
    Ok(())
}

/// An item whose work queues itself again, and that can own the worker of another.
#[pin_data]
struct Item {
    #[pin]
    other: Mutex<Option<KThreadWorker>>,
    #[pin]
    work: KThreadWork<Item>,
}

impl_has_kthread_work! {
    impl HasKThreadWork<0> for Item { self.work }
}

impl KThreadWorkItem for Item {
    fn run(this: Arc<Self>, worker: &CurrentKThread) {
        ROUNDS.add(1, Relaxed);
        worker.sleep(1);
        let _ = KThreadWork::queue(this);
    }
}

impl Item {
    fn new(worker: &KThreadWorker) -> Result<Arc<Self>> {
        let init = try_pin_init!(Self {
            other <- new_mutex!(None),
            work <- KThreadWork::new(worker),
        });
        let item = Arc::pin_init(init, GFP_KERNEL)?;
        KThreadWork::queue(item.clone()).map_err(|_| EBUSY)?;
        Ok(item)
    }
}

/// A worker whose work queues itself again, so that there always is one.
fn worker(name: &str) -> Result<KThreadWorker> {
    let worker = KThreadWorker::spawn(format_args!("{name}"), |_| ())?;
    Item::new(&worker)?;
    Ok(worker)
}

/// The work of each worker owns the other worker.
fn workers() -> Result {
    let (first, second) = (worker("left/worker")?, worker("left/worker")?);
    let (of_first, of_second) = (Item::new(&first)?, Item::new(&second)?);
    *of_first.other.lock() = Some(second);
    *of_second.other.lock() = Some(first);
    Ok(())
}

/// A work item whose `OwnerModule` is that of code that is built into the kernel.
#[cfg(CONFIG_KUNIT)]
struct Work;

#[cfg(CONFIG_KUNIT)]
impl TaskWorkItem for Work {
    const USE_VTABLE_ATTR: () = ();

    type OwnerModule = kernel::mm::kunit::FaultHandler;

    fn run(self) {
        ROUNDS.add(1, Relaxed);
    }
}

/// Adds the work item. If that succeeds, it would run after this `init()` has failed.
fn task_work() -> Result {
    #[cfg(CONFIG_KUNIT)]
    if current!()
        .task_work_add(TaskWork::new(Work, GFP_KERNEL)?)
        .is_ok()
    {
        return Err(EEXIST);
    }
    Ok(())
}

/// A shrinker that always has something to free.
struct Endless;

impl Shrinker for Endless {
    type Ptr = ();

    fn count_objects((): (), _control: &ShrinkControl) -> usize {
        ROUNDS.add(1, Relaxed);
        1
    }

    fn scan_objects((): (), _control: &mut ShrinkControl) -> Option<usize> {
        ROUNDS.add(1, Relaxed);
        None
    }
}

fn shrinker() -> Result<Pin<KBox<ShrinkerRegistration<Endless>>>> {
    KBox::pin_init(
        ShrinkerRegistration::register(format_args!("rust_leftover"), ()),
        GFP_KERNEL,
    )
}

/// A notifier that counts the invalidations.
#[cfg(CONFIG_MMU_NOTIFIER)]
struct Counter;

#[cfg(CONFIG_MMU_NOTIFIER)]
impl MmuIntervalNotifier for Counter {
    type State = usize;

    fn invalidate(&self, count: &mut usize, _range: &InvalidatedRange<'_>) {
        ROUNDS.add(1, Relaxed);
        *count += 1;
    }
}

#[cfg(CONFIG_MMU_NOTIFIER)]
impl Drop for Counter {
    fn drop(&mut self) {
        ROUNDS.add(1, Relaxed);
    }
}

/// Mirrors the process that loads the module: all addresses but the last page.
#[cfg(CONFIG_MMU_NOTIFIER)]
fn notifier() -> Result<MmuIntervalRegistration<Counter>> {
    let task = current!();
    let mm = task.mm().ok_or(EINVAL)?;
    mm.mmu_interval_notifier_insert(0, usize::MAX - PAGE_SIZE + 1, Counter, 0)
}

#[cfg(CONFIG_MMU_NOTIFIER)]
#[pin_data]
struct Lock {
    #[pin]
    lock: SpinLock<()>,
}

/// Has a work item drop the registration, which may run when the module has gone.
#[cfg(CONFIG_MMU_NOTIFIER)]
fn drop_in_atomic_context(registration: MmuIntervalRegistration<Counter>) -> Result {
    let init = pin_init!(Lock { lock <- new_spinlock!(()) });
    let lock = KBox::pin_init(init, GFP_KERNEL)?;
    let guard = lock.lock.lock();
    drop(registration);
    drop(guard);
    Ok(())
}

fn device<T: MiscDevice>() -> Result<Pin<KBox<MiscDeviceRegistration<T>>>> {
    let name = c_str!("rust_leftover");

    KBox::pin_init(
        MiscDeviceRegistration::register(MiscDeviceOptions { name }),
        GFP_KERNEL,
    )
}

fn char_device<T: CharDevice<Data = ()>>() -> Result<Pin<KBox<CharDeviceRegistration<T>>>> {
    let options = CharDeviceOptions {
        name: c_str!("rust_leftover"),
        class: None,
        minors: 1,
    };

    KBox::pin_init(CharDeviceRegistration::register(options, ()), GFP_KERNEL)
}

/// Leaves a region behind, and its two devices.
fn region() -> Result {
    let region = CharDeviceRegion::<Device>::new(CharDeviceOptions {
        name: c_str!("rust_leftover"),
        class: None,
        minors: 2,
    })?;
    let add = || {
        let node = CharDeviceNode::default();
        let device = CharDeviceRegistration::register_in(&region, node, ());
        KBox::pin_init(device, GFP_KERNEL)
    };
    let (first, second) = (add()?, add()?);
    if add().err() != Some(ENOSPC) {
        return Err(EEXIST);
    }
    drop(first);
    let third = add()?;
    if third.minor() != 0 || second.minor() != 1 {
        return Err(EEXIST);
    }
    forget((second, third));
    forget(region);
    Ok(())
}

/// Leaves a region with a fixed major number behind, and two devices with different nodes.
fn nodes() -> Result {
    let options = CharDeviceOptions {
        name: c_str!("rust_leftover"),
        class: Some(c_str!("rust_leftover_class")),
        minors: 2,
    };
    let region = CharDeviceRegion::<Device>::with_major(options, 242, 8)?;
    let add = |node| {
        let device = CharDeviceRegistration::register_in(&region, node, ());
        KBox::pin_init(device, GFP_KERNEL).map(forget)
    };
    add(CharDeviceNode {
        minor: Some(9),
        name: Some(c_str!("rust_leftover/nine")),
        path: None,
        mode: Some(0o640),
    })?;
    add(CharDeviceNode {
        path: Some(c_str!("rust_leftover/eight")),
        ..CharDeviceNode::default()
    })
}

/// Leaves a device behind that has no node, with the second of two major numbers.
fn without_nodes() -> Result {
    let options = CharDeviceOptions {
        name: c_str!("rust_leftover"),
        class: None,
        minors: 256,
    };
    let register = || {
        let device = CharDeviceRegistration::<Device>::register_without_nodes(options, ());
        KBox::pin_init(device, GFP_KERNEL)
    };
    let first = register()?;
    forget(register()?);
    drop(first);
    Ok(())
}

/// Registers devices with an empty and a long name, which must fail.
fn bad_names() -> Result {
    static LONG: [u8; 257] = {
        let mut name = [b'a'; 257];
        name[256] = 0;
        name
    };
    let long = CStr::from_bytes_with_nul(&LONG).map_err(|_| EINVAL)?;
    for name in [c_str!(""), long] {
        let device = MiscDeviceRegistration::<Device>::register(MiscDeviceOptions { name });
        if KBox::pin_init(device, GFP_KERNEL).err() != Some(EINVAL) {
            return Err(EEXIST);
        }
        let options = CharDeviceOptions {
            name,
            class: None,
            minors: 1,
        };
        let device = CharDeviceRegistration::<Device>::register(options, ());
        if KBox::pin_init(device, GFP_KERNEL).err() != Some(EINVAL) {
            return Err(EEXIST);
        }
        if CharDeviceRegion::<Device>::new(options).err() != Some(EINVAL) {
            return Err(EEXIST);
        }
    }
    match create::<Device>(long) {
        Some(EINVAL) => Ok(()),
        _ => Err(EEXIST),
    }
}

/// Creates a file, and returns the error.
fn create<T: AnonFile<Ptr = KBox<Device>>>(name: &CStr) -> Option<Error> {
    let data = KBox::new(Device, GFP_KERNEL).ok()?;
    anon_inode_getfile::<T>(name, data, 0).err()
}

/// Creates a file, which must fail: if this `init()` failed as well, the file would not keep the
/// module.
fn anonymous_file<T: AnonFile<Ptr = KBox<Device>>>() -> Result {
    match create::<T>(c_str!("rust_leftover")) {
        Some(EAGAIN) => Ok(()),
        _ => Err(EEXIST),
    }
}

/// Registers devices, which must fail.
fn foreign_device() -> Result {
    #[cfg(CONFIG_KUNIT)]
    {
        let name = c_str!("rust_leftover");
        let device = MiscDeviceRegistration::<ForeignDevice>::register(MiscDeviceOptions { name });
        if KBox::pin_init(device, GFP_KERNEL).err() != Some(EINVAL) {
            return Err(EEXIST);
        }
        if char_device::<ForeignDevice>().err() != Some(EINVAL) {
            return Err(EEXIST);
        }
        let options = CharDeviceOptions {
            name,
            class: None,
            minors: 1,
        };
        if CharDeviceRegion::<ForeignDevice>::new(options).err() != Some(EINVAL) {
            return Err(EEXIST);
        }
        if create::<ForeignDevice>(name) != Some(EINVAL) {
            return Err(EEXIST);
        }
    }
    Ok(())
}

struct Device;

#[vtable]
impl MiscDevice for Device {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }

    fn ioctl(_me: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        Ok(ROUNDS.load(Relaxed) as isize & 0xff)
    }
}

#[vtable]
impl CharDevice for Device {
    type Ptr = KBox<Self>;
    type Data = ();

    fn open(
        _file: &File,
        _device: &CharDeviceRegistration<Self>,
        minor: u32,
    ) -> Result<KBox<Self>> {
        // Each device has one node.
        if minor != 0 {
            return Err(ERANGE);
        }
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }

    fn ioctl(_me: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        Ok(ROUNDS.load(Relaxed) as isize & 0xff)
    }
}

impl_has_anon_file_ops!(Device);

#[vtable]
impl AnonFile for Device {
    type Ptr = KBox<Self>;
}

/// A character device that an ioctl deregisters. It owns itself.
struct ByIoctl;

type OwnSlot = Mutex<Option<Pin<KBox<CharDeviceRegistration<ByIoctl>>>>>;

#[vtable]
impl CharDevice for ByIoctl {
    type Ptr = Arc<OwnSlot>;
    type Data = Arc<OwnSlot>;

    fn open(
        _file: &File,
        device: &CharDeviceRegistration<Self>,
        _minor: u32,
    ) -> Result<Arc<OwnSlot>> {
        Ok(device.data().clone())
    }

    fn ioctl(me: ArcBorrow<'_, OwnSlot>, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        let device = me.lock().take();
        Ok(device.is_some().into())
    }
}

fn by_ioctl() -> Result<Arc<OwnSlot>> {
    let slot = Arc::pin_init(new_mutex!(None), GFP_KERNEL)?;
    let options = CharDeviceOptions {
        name: c_str!("rust_leftover"),
        class: None,
        minors: 1,
    };
    let device = CharDeviceRegistration::register(options, slot.clone());
    *slot.lock() = Some(KBox::pin_init(device, GFP_KERNEL)?);
    Ok(slot)
}

/// Each open file has a kthread that is part of a cycle.
struct Session;

#[vtable]
impl MiscDevice for Session {
    type Ptr = Arc<Slot>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Slot>> {
        cycle()
    }
}

/// A device whose operations would not keep this module: `OwnerModule` is that of code that is
/// built into the kernel.
#[cfg(CONFIG_KUNIT)]
struct ForeignDevice;

#[cfg(CONFIG_KUNIT)]
impl MiscDevice for ForeignDevice {
    const USE_VTABLE_ATTR: () = ();

    type OwnerModule = kernel::mm::kunit::FaultHandler;
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }
}

#[cfg(CONFIG_KUNIT)]
impl CharDevice for ForeignDevice {
    const USE_VTABLE_ATTR: () = ();

    type OwnerModule = kernel::mm::kunit::FaultHandler;
    type Ptr = KBox<Self>;
    type Data = ();

    fn open(
        _file: &File,
        _device: &CharDeviceRegistration<Self>,
        _minor: u32,
    ) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }
}

#[cfg(CONFIG_KUNIT)]
impl_has_anon_file_ops!(ForeignDevice);

#[cfg(CONFIG_KUNIT)]
impl AnonFile for ForeignDevice {
    const USE_VTABLE_ATTR: () = ();

    type OwnerModule = kernel::mm::kunit::FaultHandler;
    type Ptr = KBox<Device>;
}
