// SPDX-License-Identifier: GPL-2.0

//! `/dev/ntsync`: semaphores, mutexes and events of Windows NT.
//!
//! It has the interface of drivers/misc/ntsync.c of Linux 6.14 and later, which
//! Documentation/userspace-api/ntsync.rst describes there, and is written in safe Rust. The
//! selftest of that driver runs on both. Unlike the node of C, only root can open this one: a misc
//! device of the crate has no mode. `rust_ntsync_abi.rs` has the ioctls.
//!
//! Each object is an anonymous inode file. A wait names objects by their descriptors. One mutex of
//! an open device protects all objects that were created by it, so a wait for several of them takes
//! them at the same time.

use kernel::{
    anon_inode::{
        anon_inode_getfile,
        downcast,
        AnonFile, //
    },
    c_str,
    fs::file::{
        flags,
        File,
        FileDescriptorReservation,
        LocalFile, //
    },
    impl_has_anon_file_ops, ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        ArcBorrow,
        LockedBy,
        Mutex, //
    },
    task::{
        Expires,
        Task,
        TaskState,
        WaitError,
        MAX_SCHEDULE_TIMEOUT, //
    },
    uaccess::UserSlice,
};

#[path = "rust_ntsync_abi.rs"]
mod abi;

module! {
    type: NtSync,
    name: "rust_ntsync",
    description: "Semaphores, mutexes and events of Windows NT",
    license: "GPL",
}

const CREATE_SEM: u32 = ioctl::_IOW::<abi::State>(abi::MAGIC, abi::CREATE_SEM);
const CREATE_MUTEX: u32 = ioctl::_IOW::<abi::State>(abi::MAGIC, abi::CREATE_MUTEX);
const CREATE_EVENT: u32 = ioctl::_IOW::<abi::State>(abi::MAGIC, abi::CREATE_EVENT);
const WAIT_ANY: u32 = ioctl::_IOWR::<abi::Wait>(abi::MAGIC, abi::WAIT_ANY);
const WAIT_ALL: u32 = ioctl::_IOWR::<abi::Wait>(abi::MAGIC, abi::WAIT_ALL);
const SEM_RELEASE: u32 = ioctl::_IOWR::<u32>(abi::MAGIC, abi::SEM_RELEASE);
const SEM_READ: u32 = ioctl::_IOR::<abi::State>(abi::MAGIC, abi::SEM_READ);
const MUTEX_UNLOCK: u32 = ioctl::_IOWR::<abi::State>(abi::MAGIC, abi::MUTEX_UNLOCK);
const MUTEX_KILL: u32 = ioctl::_IOW::<u32>(abi::MAGIC, abi::MUTEX_KILL);
const MUTEX_READ: u32 = ioctl::_IOR::<abi::State>(abi::MAGIC, abi::MUTEX_READ);
const EVENT_SET: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::EVENT_SET);
const EVENT_RESET: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::EVENT_RESET);
const EVENT_PULSE: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::EVENT_PULSE);
const EVENT_READ: u32 = ioctl::_IOR::<abi::State>(abi::MAGIC, abi::EVENT_READ);

struct NtSync {
    _device: Pin<KBox<MiscDeviceRegistration<Instance>>>,
}

impl kernel::Module for NtSync {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("ntsync");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// An open device. Objects of different ones cannot be waited for together.
#[pin_data]
struct Instance {
    #[pin]
    lock: Mutex<Locked>,
}

/// What the mutex of an [`Instance`] protects, apart from its objects.
struct Locked {
    /// The ticket of the next wait. An object serves the waits in the order of their tickets.
    next_ticket: u64,
}

#[vtable]
impl MiscDevice for Instance {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let init = pin_init!(Self {
            lock <- new_mutex!(Locked { next_ticket: 0 }),
        });
        Arc::pin_init(init, GFP_KERNEL)
    }

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            CREATE_SEM => {
                let [count, max] = read_state(arg)?;
                if count > max {
                    return Err(EINVAL);
                }
                let count = Atomic::new(count);
                Object::create(me, Kind::Semaphore { count, max })
            }
            CREATE_MUTEX => {
                let [owner, count] = read_state(arg)?;
                if (owner == 0) != (count == 0) {
                    return Err(EINVAL);
                }
                let kind = Kind::Mutex {
                    owner: Atomic::new(owner),
                    count: Atomic::new(count),
                    abandoned: Atomic::new(false),
                };
                Object::create(me, kind)
            }
            CREATE_EVENT => {
                let [manual, signaled] = read_state(arg)?;
                let kind = Kind::Event {
                    manual: manual != 0,
                    signaled: Atomic::new(signaled != 0),
                };
                Object::create(me, kind)
            }
            WAIT_ANY => wait(me, arg, false),
            WAIT_ALL => wait(me, arg, true),
            _ => Err(ENOTTY),
        }
    }
}

fn user(addr: usize, size: usize) -> UserSlice {
    UserSlice::new(UserPtr::from_addr(addr), size)
}

fn read_u32(addr: usize) -> Result<u32> {
    user(addr, size_of::<u32>()).reader().read()
}

fn write_u32(addr: usize, value: u32) -> Result {
    user(addr, size_of::<u32>()).writer().write(&value)
}

fn read_state(addr: usize) -> Result<abi::State> {
    let mut reader = user(addr, size_of::<abi::State>()).reader();
    Ok([reader.read()?, reader.read()?])
}

fn write_state(addr: usize, state: abi::State) -> Result {
    let mut writer = user(addr, size_of::<abi::State>()).writer();
    writer.write(&state[0])?;
    writer.write(&state[1])
}

/// The kind and state of an object.
///
/// The mutex of the [`Instance`] is held for each access, so the atomic operations need no order.
enum Kind {
    Semaphore {
        count: Atomic<u32>,
        max: u32,
    },
    Mutex {
        owner: Atomic<u32>,
        count: Atomic<u32>,
        abandoned: Atomic<bool>,
    },
    Event {
        manual: bool,
        signaled: Atomic<bool>,
    },
}

impl Kind {
    /// Returns whether `waiter` can take the object.
    fn is_signaled(&self, waiter: u32) -> bool {
        match self {
            Self::Semaphore { count, .. } => count.load(Relaxed) != 0,
            Self::Mutex { owner, count, .. } => {
                let owner = owner.load(Relaxed);
                (owner == 0 || owner == waiter) && count.load(Relaxed) < u32::MAX
            }
            Self::Event { signaled, .. } => signaled.load(Relaxed),
        }
    }

    /// Takes the object, which is signaled. Returns whether it is an abandoned mutex.
    fn take(&self, waiter: u32) -> bool {
        match self {
            Self::Semaphore { count, .. } => {
                count.store(count.load(Relaxed) - 1, Relaxed);
                false
            }
            Self::Mutex {
                owner,
                count,
                abandoned,
            } => {
                owner.store(waiter, Relaxed);
                count.store(count.load(Relaxed) + 1, Relaxed);
                let was_abandoned = abandoned.load(Relaxed);
                abandoned.store(false, Relaxed);
                was_abandoned
            }
            Self::Event { manual, signaled } => {
                if !manual {
                    signaled.store(false, Relaxed);
                }
                false
            }
        }
    }
}

/// An object, which is the data of a file.
struct Object {
    instance: Arc<Instance>,
    kind: Kind,
    /// The waits for this object, by their ticket and the index of the object in the wait.
    waiters: LockedBy<RBTree<(u64, usize), Waiter>, Locked>,
}

/// A wait for an object.
struct Waiter {
    wait: Arc<Wait>,
    index: usize,
    /// Whether the wait needs this object and others at the same time.
    all: bool,
}

impl Object {
    /// Returns the descriptor of a new object.
    fn create(instance: ArcBorrow<'_, Instance>, kind: Kind) -> Result<isize> {
        let waiters = LockedBy::new(&instance.lock, RBTree::new());
        let instance = instance.into();
        let object = Self {
            instance,
            kind,
            waiters,
        };
        let object = Arc::new(object, GFP_KERNEL)?;
        let fd = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
        let file = anon_inode_getfile::<Self>(c_str!("ntsync"), object, flags::O_RDWR)?;
        let number = fd.reserved_fd();
        fd.fd_install(file);
        Ok(number as isize)
    }

    /// Lets the waits take the object, in their order, after its state has changed. Those that need
    /// other objects, too, come first.
    fn wake(&self, locked: &Locked) {
        let waiters = self.waiters.access(locked);
        for waiter in waiters.values().filter(|waiter| waiter.all) {
            waiter.wait.try_all();
        }
        for waiter in waiters.values().filter(|waiter| !waiter.all) {
            waiter.wait.try_one(waiter.index);
        }
    }

    /// Changes the state, and lets the waits take the object.
    fn change<R>(&self, change: impl FnOnce() -> Result<R>) -> Result<R> {
        let locked = self.instance.lock.lock();
        let result = change()?;
        self.wake(&locked);
        Ok(result)
    }

    /// Reads the state.
    fn read<R>(&self, read: impl FnOnce() -> R) -> R {
        let _locked = self.instance.lock.lock();
        read()
    }

    fn release_semaphore(&self, count: &Atomic<u32>, max: u32, add: u32) -> Result<u32> {
        self.change(|| {
            let before = count.load(Relaxed);
            let sum = before.checked_add(add).filter(|sum| *sum <= max);
            count.store(sum.ok_or(EOVERFLOW)?, Relaxed);
            Ok(before)
        })
    }

    fn unlock_mutex(&self, by: u32) -> Result<u32> {
        let Kind::Mutex { owner, count, .. } = &self.kind else {
            return Err(EINVAL);
        };
        self.change(|| {
            if owner.load(Relaxed) != by {
                return Err(EPERM);
            }
            let before = count.load(Relaxed);
            count.store(before - 1, Relaxed);
            if before == 1 {
                owner.store(0, Relaxed);
            }
            Ok(before)
        })
    }

    /// Marks the mutex as abandoned and free: userspace says that its owner has died.
    fn abandon_mutex(&self, by: u32) -> Result {
        let Kind::Mutex {
            owner,
            count,
            abandoned,
        } = &self.kind
        else {
            return Err(EINVAL);
        };
        self.change(|| {
            if owner.load(Relaxed) != by {
                return Err(EPERM);
            }
            abandoned.store(true, Relaxed);
            owner.store(0, Relaxed);
            count.store(0, Relaxed);
            Ok(())
        })
    }

    /// Sets an event. With `pulse`, it is reset after those that wait have taken it.
    fn set_event(&self, pulse: bool) -> Result<bool> {
        let Kind::Event { signaled, .. } = &self.kind else {
            return Err(EINVAL);
        };
        let locked = self.instance.lock.lock();
        let before = signaled.load(Relaxed);
        signaled.store(true, Relaxed);
        self.wake(&locked);
        if pulse {
            signaled.store(false, Relaxed);
        }
        Ok(before)
    }

    fn reset_event(&self) -> Result<bool> {
        let Kind::Event { signaled, .. } = &self.kind else {
            return Err(EINVAL);
        };
        Ok(self.read(|| {
            let before = signaled.load(Relaxed);
            signaled.store(false, Relaxed);
            before
        }))
    }
}

impl_has_anon_file_ops!(Object);

#[vtable]
impl AnonFile for Object {
    type Ptr = Arc<Self>;

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match (cmd, &me.kind) {
            (SEM_RELEASE, kind) => {
                let add = read_u32(arg)?;
                let Kind::Semaphore { count, max } = kind else {
                    return Err(EINVAL);
                };
                write_u32(arg, me.release_semaphore(count, *max, add)?)?;
            }
            (SEM_READ, Kind::Semaphore { count, max }) => {
                write_state(arg, [me.read(|| count.load(Relaxed)), *max])?;
            }
            (MUTEX_UNLOCK, _) => {
                let [owner, _] = read_state(arg)?;
                if owner == 0 {
                    return Err(EINVAL);
                }
                let count = me.unlock_mutex(owner)?;
                write_u32(arg + size_of::<u32>(), count)?;
            }
            (MUTEX_KILL, _) => {
                let owner = read_u32(arg)?;
                if owner == 0 {
                    return Err(EINVAL);
                }
                me.abandon_mutex(owner)?;
            }
            (
                MUTEX_READ,
                Kind::Mutex {
                    owner,
                    count,
                    abandoned,
                },
            ) => {
                let (state, abandoned) = me.read(|| {
                    let state = [owner.load(Relaxed), count.load(Relaxed)];
                    (state, abandoned.load(Relaxed))
                });
                write_state(arg, state)?;
                if abandoned {
                    return Err(EOWNERDEAD);
                }
            }
            (EVENT_SET, _) => write_u32(arg, me.set_event(false)?.into())?,
            (EVENT_PULSE, _) => write_u32(arg, me.set_event(true)?.into())?,
            (EVENT_RESET, _) => write_u32(arg, me.reset_event()?.into())?,
            (EVENT_READ, Kind::Event { manual, signaled }) => {
                let signaled = me.read(|| signaled.load(Relaxed));
                write_state(arg, [(*manual).into(), signaled.into()])?;
            }
            (SEM_READ | MUTEX_READ | EVENT_READ, _) => return Err(EINVAL),
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

/// A task that waits.
struct Wait {
    task: ARef<Task>,
    owner: u32,
    /// What is waited for, and then the object that ends the wait, if there is one.
    objects: KVec<Arc<Object>>,
    /// The number of objects without the last one.
    count: usize,
    /// The index of the object that was taken, or [`Wait::PENDING`]. The mutex of the instance is
    /// held when it is written.
    taken: Atomic<usize>,
    /// Whether an abandoned mutex was taken.
    abandoned: Atomic<bool>,
}

impl Wait {
    const PENDING: usize = usize::MAX;

    fn result(&self) -> Option<usize> {
        Some(self.taken.load(Acquire)).filter(|index| *index != Self::PENDING)
    }

    /// Takes the object at `index` if it is signaled, which ends the wait.
    fn try_one(&self, index: usize) {
        let kind = &self.objects[index].kind;
        if self.result().is_none() && kind.is_signaled(self.owner) {
            if kind.take(self.owner) {
                self.abandoned.store(true, Relaxed);
            }
            self.end(index);
        }
    }

    /// Takes all objects if all are signaled, which ends the wait.
    fn try_all(&self) {
        let objects = &self.objects[..self.count];
        let signaled = |object: &Arc<Object>| object.kind.is_signaled(self.owner);
        if self.result().is_none() && objects.iter().all(signaled) {
            for object in objects {
                if object.kind.take(self.owner) {
                    self.abandoned.store(true, Relaxed);
                }
            }
            self.end(0);
        }
    }

    fn end(&self, index: usize) {
        // The task looks at this before it sleeps, and after it was woken.
        self.taken.store(index, Release);
        self.task.wake_up();
    }
}

/// Implements [`abi::WAIT_ANY`] and [`abi::WAIT_ALL`].
fn wait(instance: ArcBorrow<'_, Instance>, arg: usize, all: bool) -> Result<isize> {
    let mut args = user(arg, size_of::<abi::Wait>()).reader();
    let timeout: u64 = args.read()?;
    let objs: u64 = args.read()?;
    let count: u32 = args.read()?;
    let _index: u32 = args.read()?;
    let flags: u32 = args.read()?;
    let owner: u32 = args.read()?;
    let alert: u32 = args.read()?;
    let pad: u32 = args.read()?;
    if pad != 0 || flags & !abi::WAIT_REALTIME != 0 || owner == 0 || count > abi::MAX_WAIT_COUNT {
        return Err(EINVAL);
    }

    let count = count as usize;
    let mut reader = user(objs as usize, count * size_of::<u32>()).reader();
    let mut fds = [alert; abi::MAX_WAIT_COUNT as usize + 1];
    for fd in &mut fds[..count] {
        *fd = reader.read()?;
    }
    let fds = match alert {
        0 => &fds[..count],
        _ => &fds[..=count],
    };
    let mut objects = KVec::with_capacity(fds.len(), GFP_KERNEL)?;
    for fd in fds {
        let object = object(instance, *fd)?;
        // An object cannot be taken twice at the same time.
        if all && objects.iter().any(|other| Arc::ptr_eq(other, &object)) {
            return Err(EINVAL);
        }
        objects.push(object, GFP_KERNEL)?;
    }
    let wait = Wait {
        task: ARef::from(&**current!()),
        owner,
        objects,
        count,
        taken: Atomic::new(Wait::PENDING),
        abandoned: Atomic::new(false),
    };
    let wait = Arc::new(wait, GFP_KERNEL)?;

    let (ticket, begun) = begin(instance, &wait, all);
    let waited = begun.and_then(|()| sleep(&wait, timeout, flags));
    if let Some(ticket) = ticket {
        end(instance, &wait, ticket);
    }

    // An object may have been taken after the wait has ended for another reason.
    let Some(index) = wait.result() else {
        return Err(waited.err().unwrap_or(EINVAL));
    };
    write_u32(arg + abi::INDEX, index as u32)?;
    match wait.abandoned.load(Relaxed) {
        true => Err(EOWNERDEAD),
        false => Ok(0),
    }
}

/// Returns the object of a descriptor, if it belongs to `instance`.
fn object(instance: ArcBorrow<'_, Instance>, fd: u32) -> Result<Arc<Object>> {
    let file = LocalFile::fget(fd).map_err(|_| EINVAL)?;
    let object = downcast::<Object>(&file).ok_or(EINVAL)?;
    match core::ptr::eq(&*object.instance, &*instance) {
        true => Ok(object.into()),
        false => Err(EINVAL),
    }
}

/// Ends the wait if what it needs is signaled. Otherwise adds it to its objects, and returns its
/// ticket.
fn begin(instance: ArcBorrow<'_, Instance>, wait: &Arc<Wait>, all: bool) -> (Option<u64>, Result) {
    let mut locked = instance.lock.lock();

    // No queued wait can take what is signaled: each change of an object calls `wake()`, and a take
    // never lets another wait succeed. So this one need not queue behind them. The object that ends
    // the wait is the last.
    let first = if all {
        wait.try_all();
        wait.count
    } else {
        0
    };
    for index in first..wait.objects.len() {
        wait.try_one(index);
    }
    if wait.result().is_some() {
        return (None, Ok(()));
    }

    let ticket = locked.next_ticket;
    locked.next_ticket += 1;
    for (index, object) in wait.objects.iter().enumerate() {
        let waiter = Waiter {
            wait: wait.clone(),
            index,
            all: all && index < wait.count,
        };
        let waiters = object.waiters.access_mut(&mut locked);
        if let Err(err) = waiters.try_create_and_insert((ticket, index), waiter, GFP_KERNEL) {
            return (Some(ticket), Err(err));
        }
    }
    (Some(ticket), Ok(()))
}

/// Removes the wait from its objects.
fn end(instance: ArcBorrow<'_, Instance>, wait: &Arc<Wait>, ticket: u64) {
    let mut locked = instance.lock.lock();
    for (index, object) in wait.objects.iter().enumerate() {
        object
            .waiters
            .access_mut(&mut locked)
            .remove(&(ticket, index));
    }
}

fn sleep(wait: &Wait, timeout: u64, flags: u32) -> Result {
    let (task, state) = (current!(), TaskState::Interruptible);
    let ended = || wait.result().map(|_| ());
    let waited = match i64::try_from(timeout) {
        Ok(timeout) => {
            let expires = match flags & abi::WAIT_REALTIME {
                0 => Expires::from_timens(timeout),
                _ => Expires::Realtime(timeout),
            };
            task.wait_until_expires(state, expires, ended)
        }
        // `u64::MAX`, or a time that does not come.
        Err(_) => task.wait_until(state, MAX_SCHEDULE_TIMEOUT, ended),
    };
    waited.map_err(|err| match err {
        WaitError::Timeout => ETIMEDOUT,
        other => other.into(),
    })
}
