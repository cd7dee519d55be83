// SPDX-License-Identifier: GPL-2.0

//! A misc device for the selftests, with operations that no other driver should have.
//!
//! It cannot be a module: a work item could still run when the module is unloaded, as the workqueue
//! abstraction cannot wait for work items.

use core::{
    mem::{
        self,
        size_of, //
    },
    sync::atomic::{
        compiler_fence,
        Ordering::SeqCst, //
    },
};
use kernel::{
    c_str,
    capability::{
        capable,
        file_ns_capable,
        ns_capable,
        ns_capable_noaudit,
        perfmon_capable,
        Capability, //
    },
    fs::File,
    impl_has_work, ioctl,
    kthread::KThread,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        Mm,
        MmWithUser, //
    },
    new_condvar, new_mutex, new_work,
    pid::{
        Pid,
        PidType, //
    },
    pid_namespace::PidNamespace,
    prelude::*,
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
        CondVar,
        Mutex, //
    },
    task::{
        ExitState,
        Kuid,
        Rlimit,
        Task,
        TaskWork,
        TaskWorkItem, //
    },
    uaccess::UserSlice,
    uidgid::Kgid,
    user_namespace::UserNamespace,
    workqueue::{
        self,
        Work,
        WorkItem, //
    },
};

#[path = "test_rust_task_abi.rs"]
mod abi;
// The file is in backport/, where rustfmt does not find it.
#[rustfmt::skip]
#[path = "test_rust_task_ns.rs"]
mod ns;
#[path = "test_rust_task_wait.rs"]
mod wait;

module! {
    type: TestModule,
    name: "test_rust_task",
    description: "Operations on tasks and address spaces, for the selftests",
    license: "GPL",
}

const REFCOUNTS: u32 = ioctl::_IOWR::<abi::Refcounts>(abi::MAGIC, abi::REFCOUNTS);
const OPENER: u32 = ioctl::_IOR::<abi::Opener>(abi::MAGIC, abi::OPENER);
const WATCH_PID: u32 = ioctl::_IOWR::<i32>(abi::MAGIC, abi::WATCH_PID);
const THREAD_INFO: u32 = ioctl::_IOWR::<abi::ThreadInfo>(abi::MAGIC, abi::THREAD_INFO);
const POPULATION: u32 = ioctl::_IOR::<abi::Population>(abi::MAGIC, abi::POPULATION);
const KILL: u32 = ioctl::_IOWR::<abi::Kill>(abi::MAGIC, abi::KILL);
const USE_MM: u32 = ioctl::_IOWR::<abi::UseMm>(abi::MAGIC, abi::USE_MM);
const SPAWN: u32 = ioctl::_IOWR::<abi::Spawn>(abi::MAGIC, abi::SPAWN);
const TASK_WORK: u32 = ioctl::_IOWR::<abi::TaskWorkCounts>(abi::MAGIC, abi::TASK_WORK);
const CAPABILITIES: u32 = ioctl::_IOR::<abi::Capabilities>(abi::MAGIC, abi::CAPABILITIES);
const IDS: u32 = ioctl::_IOR::<abi::Ids>(abi::MAGIC, abi::IDS);
const WORKER_HAS_MM: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::WORKER_HAS_MM);

/// How often [`WATCH_PID`] reads the PID. Nothing else is read in between, so KCSAN is likely to
/// see a data race.
const READS: usize = 1 << 14;

struct TestModule {
    _device: Pin<KBox<MiscDeviceRegistration<TestDevice>>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("test_rust_task");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// An open file, with references to the task that opened it and to what belongs to the task.
struct TestDevice {
    task: ARef<Task>,
    mm: ARef<Mm>,
    ns: ARef<PidNamespace>,
    pid: ARef<Pid>,
    work_counts: Arc<WorkCounts>,
}

#[vtable]
impl MiscDevice for TestDevice {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let task = current!();
        let opener = Self {
            task: ARef::from(&**task),
            mm: ARef::from(&**task.mm().ok_or(ESRCH)?),
            ns: ARef::from(task.active_pid_ns().ok_or(ESRCH)?),
            pid: task.get_task_pid(PidType::Pid).ok_or(ESRCH)?,
            work_counts: Arc::new(WorkCounts::new(), GFP_KERNEL)?,
        };

        Ok(KBox::new(opener, GFP_KERNEL)?)
    }

    fn ioctl(me: &Self, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            REFCOUNTS => {
                let (mut reader, mut writer) = user.reader_writer();
                let rounds = reader.read::<u32>()?;
                let kind = reader.read::<u32>()?;
                let (before, after) = counts(kind, rounds)?;

                writer.write(&rounds)?;
                writer.write(&kind)?;
                writer.write(&before)?;
                writer.write(&after)?;
            }
            OPENER => {
                let mut writer = user.writer();
                writer.write(&me.task.pid())?;
                writer.write(&me.task.tgid_nr_ns(None))?;
                writer.write(&current!().tgid_nr_ns(Some(&me.ns)))?;
                writer.write(&u32::from(me.mm.mmget_not_zero().is_some()))?;
                writer.write(&u32::from(me.task.get_pid_ns().is_some()))?;
                writer.write(&u32::from(current!().active_pid_ns() == Some(&*me.ns)))?;
                writer.write(&me.pid.pid_vnr())?;
                writer.write(&u32::from(me.pid.get_pid_task(PidType::Pid).is_some()))?;
                writer.write(&count_relations(&me.task))?;
            }
            THREAD_INFO => {
                let (mut reader, mut writer) = user.reader_writer();
                let nr = reader.read::<i32>()?;
                let (pids, relations, task) = relations(nr)?;
                let (large, small) = properties(&task);
                let own_ns = own_ns_ids(&task)?;
                writer.write(&nr)?;
                writer.write(&pids)?;
                writer.write(&relations)?;
                writer.write(&task.comm())?;
                writer.write(&large)?;
                writer.write(&small)?;
                writer.write(&own_ns)?;
            }
            CAPABILITIES => user.writer().write(&capabilities(file, &me.task))?,
            IDS => user.writer().write(&ids(&me.task))?,
            POPULATION => user.writer().write(&population()?)?,
            KILL => {
                let (mut reader, mut writer) = user.reader_writer();
                let signal = reader.read::<i32>()?;
                let privileged = reader.read::<u32>()? != 0;
                let target = reader.read::<u32>()?;
                match target {
                    abi::TO_THREAD => me.task.send_sig(signal, privileged)?,
                    abi::TO_PGRP => {
                        let group = me.task.get_task_pid(PidType::Pgid).ok_or(ESRCH)?;
                        group.kill_pgrp(signal, privileged)?;
                    }
                    _ => me.pid.kill_pid(signal, privileged)?,
                }
                writer.write(&signal)?;
                writer.write(&[privileged.into(), target])?;
                writer.write(&u32::from(me.task.fatal_signal_pending()))?;
            }
            WATCH_PID => {
                let (mut reader, mut writer) = user.reader_writer();
                let known = reader.read::<i32>()?;
                let task: &Task = &me.task;
                let mut pids = (0..READS).map(|_| {
                    // Without this, the compiler may move a plain read in `pid()` out of the loop,
                    // and there would be only one data race.
                    compiler_fence(SeqCst);
                    task.pid()
                });
                let new = pids.find(|pid| *pid != known);
                writer.write(&new.unwrap_or(known))?;
            }
            USE_MM => {
                let (mut reader, mut writer) = user.reader_writer();
                let (addr, rounds) = (reader.read::<u64>()?, reader.read::<u32>()?);
                let (counts, errors) = use_mm(addr as usize, rounds)?;
                writer.write(&addr)?;
                writer.write(&rounds)?;
                writer.write(&counts)?;
                writer.write(&errors)?;
            }
            SPAWN => {
                let (mut reader, mut writer) = user.reader_writer();
                let rounds = reader.read::<u32>()?;
                writer.write(&rounds)?;
                writer.write(&spawn(rounds)?)?;
            }
            TASK_WORK => {
                let (mut reader, mut writer) = user.reader_writer();
                let (rounds, again) = (reader.read::<u32>()?, reader.read::<u32>()?);
                for _ in 0..rounds {
                    CountedWork::queue(&me.work_counts, again)?;
                }
                let WorkCounts { done, wrong } = &*me.work_counts;
                writer.write(&rounds)?;
                writer.write(&again)?;
                writer.write(&[done.load(Relaxed), wrong.load(Relaxed)])?;
            }
            WORKER_HAS_MM => user.writer().write(&u32::from(worker_has_mm()?))?,
            cmd => wait::ioctl(cmd, user)?,
        }
        Ok(0)
    }
}

/// The results that the kthread of [`use_mm`] stores.
struct UseMmCounts {
    done: Atomic<u32>,
    wrong: Atomic<u32>,
    nested: Atomic<i32>,
}

impl UseMmCounts {
    const fn new() -> Self {
        Self {
            done: Atomic::new(0),
            wrong: Atomic::new(0),
            nested: Atomic::new(0),
        }
    }
}

/// Starts a kthread that adds one to a `u64` in the caller's memory, with a `kthread_use_mm()` for
/// each round. Returns the result fields of [`abi::UseMm`].
fn use_mm(addr: usize, rounds: u32) -> Result<([u32; 2], [i32; 3])> {
    let task = current!();
    let mm = ARef::from(task.mm().ok_or(ESRCH)?);
    let cred = ARef::from(task.cred());
    let euid = Kuid::current_euid();
    let caller = mm.kthread_use_mm(|| ());

    let all = Arc::new(UseMmCounts::new(), GFP_KERNEL)?;
    let counts = all.clone();
    let ended = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    let end = ended.clone();
    let thread = KThread::spawn(format_args!("use_mm/{}", task.pid()), move |_this| {
        let wrong = |is: bool| counts.wrong.fetch_add(is.into(), Relaxed);
        for _ in 0..rounds {
            wrong(current!().mm().is_some());
            let added = mm.kthread_use_mm(|| {
                let own = current!().mm().map(|own| own.as_raw());
                wrong(own != Some(mm.as_raw()));
                // The kthread acts as root. What the caller may do is in its credentials.
                wrong(current!().cred().euid().into_uid(UserNamespace::init()) != Some(0));
                wrong(cred.euid() != euid);
                let nested = mm.kthread_use_mm(|| ());
                counts.nested.store(errno(nested), Relaxed);
                add_one(addr)
            });
            counts
                .done
                .fetch_add(added.and_then(|added| added).is_ok().into(), Relaxed);
        }
        wrong(current!().mm().is_some());
        end.signal();
        7
    })?;
    ended.wait();
    let result = thread.stop();

    let counts = [all.done.load(Relaxed), all.wrong.load(Relaxed)];
    Ok((counts, [all.nested.load(Relaxed), errno(caller), result]))
}

fn errno(result: Result) -> i32 {
    result.map_or_else(Error::to_errno, |()| 0)
}

/// Adds one to a `u64` at a userspace address of the current task.
fn add_one(addr: usize) -> Result {
    let memory = || UserSlice::new(UserPtr::from_addr(addr), size_of::<u64>());
    let old = memory().reader().read::<u64>()?;
    memory().writer().write(&(old + 1))
}

/// The number of work items that have run, and how many of them ran in a wrong way.
struct WorkCounts {
    done: Atomic<u32>,
    wrong: Atomic<u32>,
}

impl WorkCounts {
    const fn new() -> Self {
        Self {
            done: Atomic::new(0),
            wrong: Atomic::new(0),
        }
    }
}

/// Task work that increments a counter.
struct CountedWork {
    all: Arc<WorkCounts>,
    again: u32,
    pid: Option<i32>,
}

impl CountedWork {
    /// Queues a work item for the current task, and stores the PID in it afterwards.
    fn queue(all: &Arc<WorkCounts>, again: u32) -> Result {
        let all = all.clone();
        let work = TaskWork::new(
            Self {
                all,
                again,
                pid: None,
            },
            GFP_KERNEL,
        )?;
        let task = current!();
        task.task_work_add(work).map_err(|_| ESRCH)?.pid = Some(task.pid());
        Ok(())
    }
}

#[vtable]
impl TaskWorkItem for CountedWork {
    fn run(self) {
        let right = self.pid == Some(current!().pid());
        self.all.wrong.fetch_add((!right).into(), Relaxed);
        self.all.done.fetch_add(1, Relaxed);
        // The next one is not queued if its allocation fails.
        if let Some(again) = self.again.checked_sub(1) {
            let _ = Self::queue(&self.all, again);
        }
    }
}

/// An event that a thread waits for.
#[pin_data]
struct Event {
    #[pin]
    occurred: Mutex<bool>,
    #[pin]
    changed: CondVar,
}

impl Event {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            occurred <- new_mutex!(false),
            changed <- new_condvar!(),
        })
    }

    fn signal(&self) {
        *self.occurred.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut occurred = self.occurred.lock();
        while !*occurred {
            self.changed.wait(&mut occurred);
        }
    }
}

/// Increments a counter when dropped.
struct Counted(Arc<Atomic<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Starts and stops kthreads. Every other one is stopped at once, possibly before it runs. Returns
/// the result fields of [`abi::Spawn`].
fn spawn(rounds: u32) -> Result<[u32; 3]> {
    let dropped = Arc::new(Atomic::new(0), GFP_KERNEL)?;
    let (mut ran, mut wrong) = (0, 0);
    for round in 0..rounds {
        let counted = Counted(dropped.clone());
        let begun = Arc::pin_init(Event::new(), GFP_KERNEL)?;
        let start = begun.clone();
        let bound = round % 4 == 1;
        let mut thread = KThread::create(format_args!("spawn/{round}"), move |this| {
            let _counted = counted;
            let wrong_cpu = bound && current!().cpu() != 0;
            start.signal();
            // Some kthreads sleep until they are stopped.
            while round % 3 == 0 && !this.sleep(HOUR) {}
            if wrong_cpu {
                -1
            } else {
                round as i32
            }
        })?;
        if bound {
            thread.bind(0)?;
        }
        let at_once = round % 2 == 0;
        if round % 10 == 4 {
            // This one is never started.
            continue;
        }
        let mut thread = thread.start();
        if !at_once {
            begun.wait();
        }
        if round % 5 == 3 {
            // The closure has not begun to run, sleeps, or has returned.
            match thread.park() {
                // `stop()` unparks the kthread.
                Ok(parked) if round % 3 == 0 => mem::forget(parked),
                Ok(parked) => drop(parked),
                Err(err) => wrong += u32::from(err != ESRCH),
            }
        }
        match thread.stop() {
            result if result == round as i32 => ran += 1,
            result if result == EINTR.to_errno() && at_once => (),
            _ => wrong += 1,
        }
    }
    Ok([ran, dropped.load(Relaxed), wrong])
}

/// At least an hour, in jiffies.
const HOUR: c_long = 3600 * 1000;

/// Returns the PIDs and the relations of a thread, in the order of [`abi::ThreadInfo`].
fn relations(nr: i32) -> Result<([i32; 2], [u32; 9], ARef<Task>)> {
    let me = current!();
    let mine = me.active_pid_ns().ok_or(ESRCH)?;
    let pid = Pid::find_get_pid(nr).ok_or(ESRCH)?;
    let own = pid.ns_of_pid();
    let task = pid.get_pid_task(PidType::Pid).ok_or(ESRCH)?;
    let vnr = |kind| {
        task.get_task_pid(kind)
            .map_or(0, |pid| pid.pid_vnr() as u32)
    };

    if *task.get_pid_ns().ok_or(ESRCH)? != *own {
        return Err(EIO);
    }
    let leader = task.get_group_leader().ok_or(ESRCH)?;
    let parent = task.real_parent().ok_or(ESRCH)?;
    let relations = [
        own.level(),
        task.tgid_nr_ns(None) as u32,
        leader.tgid_nr_ns(None) as u32,
        parent.tgid_nr_ns(None) as u32,
        vnr(PidType::Pgid),
        vnr(PidType::Sid),
        task.threads().count() as u32,
        task.is_kthread().into(),
        mine.is_ancestor_of(own).into(),
    ];

    // The PIDs must be the same with each of the methods.
    let pids = [pid.pid_nr(), pid.pid_nr_ns(own)];
    if mine.translate(nr, PidNamespace::init()) != Some(pids[0])
        || mine.translate(nr, own) != Some(pids[1])
        || own.translate(pids[1], mine) != Some(nr)
    {
        // The thread may have been reaped in between.
        return Err(ESRCH);
    }
    Ok((pids, relations, task))
}

/// Returns the properties of a task, in the order of [`abi::ThreadInfo`].
fn properties(task: &Task) -> ([u64; 2], [i32; 4]) {
    let euid = task.get_task_cred().euid().into_uid_in_current_ns();
    let exit_state = match task.exit_state() {
        None => 0,
        Some(ExitState::Zombie) => 1,
        Some(ExitState::Dead) => 2,
    };
    (
        [task.start_time(), task.rlimit(Rlimit::Nofile) as u64],
        [task.nice(), task.cpu() as i32, euid as i32, exit_state],
    )
}

/// Returns the effective UID and GID in the user namespace of the task.
fn own_ns_ids(task: &Task) -> Result<[u32; 2]> {
    let cred = task.get_task_cred();
    let ns = cred.user_ns();
    let (uid, gid) = (cred.euid().into_uid(ns), cred.egid().into_gid(ns));
    // The reverse mapping must return the same IDs.
    if uid.is_some_and(|uid| ns.make_kuid(uid) != Some(cred.euid()))
        || gid.is_some_and(|gid| ns.make_kgid(gid) != Some(cred.egid()))
    {
        return Err(EIO);
    }
    Ok([uid.unwrap_or(u32::MAX), gid.unwrap_or(u32::MAX)])
}

/// Returns the IDs of the opener, in the order of [`abi::Ids`].
fn ids(opener: &Task) -> [u32; 10] {
    let cred = opener.get_task_cred();
    let caller = current!();
    let (init, own) = (UserNamespace::init(), caller.user_ns());
    let uid = |user: Kuid| user.into_uid(init).unwrap_or(u32::MAX);
    let gid = |group: Kgid| group.into_gid(init).unwrap_or(u32::MAX);
    [
        uid(cred.uid()),
        uid(cred.euid()),
        uid(cred.suid()),
        uid(cred.fsuid()),
        gid(cred.gid()),
        gid(cred.egid()),
        gid(cred.sgid()),
        gid(cred.fsgid()),
        cred.euid().into_uid_munged(own),
        cred.egid().into_gid_munged(own),
    ]
}

/// Returns the capabilities of the caller and of the opener, in the order of [`abi::Capabilities`].
fn capabilities(file: &File, opener: &Task) -> [u64; 6] {
    const ASKED: [Capability; 6] = [
        Capability::CHOWN,
        Capability::KILL,
        Capability::SYS_ADMIN,
        Capability::SYS_NICE,
        Capability::PERFMON,
        Capability::CHECKPOINT_RESTORE,
    ];
    let init = UserNamespace::init();
    let task = current!();
    let set = |has: &dyn Fn(Capability) -> bool| {
        let numbers = ASKED.iter().zip(abi::ASKED);
        numbers.fold(0, |set, (cap, number)| set | u64::from(has(*cap)) << number)
    };
    [
        set(&capable),
        set(&|cap| ns_capable_noaudit(init, cap)),
        set(&|cap| ns_capable(task.user_ns(), cap)),
        set(&|cap| file_ns_capable(file, init, cap)),
        set(&|cap| opener.has_capability_noaudit(cap)),
        perfmon_capable().into(),
    ]
}

/// Returns how many of the parent, the thread-group leader and the PID namespace are found.
fn count_relations(task: &Task) -> u32 {
    u32::from(task.real_parent().is_some())
        + u32::from(task.get_group_leader().is_some())
        + u32::from(task.get_pid_ns().is_some())
}

/// Returns the number of thread groups and threads in the caller's PID namespace and its
/// descendants.
fn population() -> Result<[u32; 2]> {
    let me = current!();
    let mine = me.active_pid_ns().ok_or(ESRCH)?;

    let (mut groups, mut threads) = (0, 0);
    for leader in mine.processes() {
        groups += 1;
        threads += leader.threads().count() as u32;
    }
    Ok([groups, threads])
}

/// Takes and drops `rounds` references of one kind. Returns the refcount before and after.
fn counts(kind: u32, rounds: u32) -> Result<(u32, u32)> {
    let task = current!();
    let mm = || task.mm().ok_or(ESRCH);

    match kind {
        abi::TASK => Ok(clones::<Task>(task, rounds, |task| {
            // SAFETY: `task` is valid, so `usage` is valid for reads. It is an atomic.
            unsafe { read(core::ptr::addr_of!((*task.as_ptr()).usage).cast()) }
        })),
        abi::MM_USERS => Ok(clones::<MmWithUser>(mm()?, rounds, |mm| users(mm))),
        abi::MM_COUNT => Ok(clones::<Mm>(mm()?, rounds, |mm| {
            // SAFETY: `mm` is valid, so `mm_count` is valid for reads. It is an atomic.
            unsafe {
                let unnamed = core::ptr::addr_of!((*mm.as_raw()).__bindgen_anon_1.__bindgen_anon_1);
                read(core::ptr::addr_of!((*unnamed).mm_count).cast())
            }
        })),
        abi::PID_NS => {
            let ns = task.active_pid_ns().ok_or(ESRCH)?;
            Ok(clones::<PidNamespace>(ns, rounds, |ns| {
                // SAFETY: `ns` is valid, so its refcount is valid for reads. It is an atomic.
                unsafe { read(ns::count_of(ns.as_ptr())) }
            }))
        }
        abi::USER_NS => Ok(clones::<UserNamespace>(task.user_ns(), rounds, |ns| {
            // SAFETY: `ns` is valid, so its refcount is valid for reads. It is an atomic.
            unsafe { read(ns::count_of_user_ns(ns.as_ptr())) }
        })),
        abi::MM_NOT_ZERO => {
            let mm = mm()?;
            let before = users(mm);
            for _ in 0..rounds {
                mm.mmget_not_zero().ok_or(ESRCH)?;
            }
            Ok((before, users(mm)))
        }
        abi::MM_ASYNC => {
            let mm = mm()?;
            let before = users(mm);
            for _ in 0..rounds {
                drop(MmWithUser::into_mmput_async(ARef::from(mm)));
            }
            Ok((before, users(mm)))
        }
        abi::CRED => {
            let cred = task.get_task_cred();
            let count = || {
                // SAFETY: `cred` is valid, so `usage` is valid for reads. It is an `atomic_long_t`,
                // whose low half is read; the machine is little-endian.
                unsafe { read(core::ptr::addr_of!((*cred.as_ptr()).usage).cast()) }
            };
            let before = count();
            for _ in 0..rounds {
                drop(task.get_task_cred());
            }
            Ok((before, count()))
        }
        _ => Err(EINVAL),
    }
}

/// Takes, clones and drops references to `object`. Returns the refcount before and after.
fn clones<T: AlwaysRefCounted>(object: &T, rounds: u32, count: impl Fn(&T) -> u32) -> (u32, u32) {
    let before = count(object);
    for _ in 0..rounds {
        let first: ARef<T> = object.into();
        let second = first.clone();
        drop(first);
        drop(second);
    }
    (before, count(object))
}

/// Returns `mm_users`.
fn users(mm: &Mm) -> u32 {
    // SAFETY: `mm` is valid, so `mm_users` is valid for reads. It is an atomic.
    unsafe { read(core::ptr::addr_of!((*mm.as_raw()).__bindgen_anon_1.mm_users).cast()) }
}

/// Reads a `refcount_t` or `atomic_t` of C, which consists of an `int`.
///
/// # Safety
///
/// `counter` must be valid for reads, and only be written by atomic operations.
unsafe fn read(counter: *const c_int) -> u32 {
    // SAFETY: `counter` is valid for reads by the safety requirements of this function. Concurrent
    // writes are atomic, and the volatile read is a `READ_ONCE()`, so there is no data race.
    unsafe { counter.read_volatile() as u32 }
}

/// A work item that reads `current->mm` of the kworker.
#[pin_data]
struct CheckMm {
    #[pin]
    has_mm: Mutex<Option<bool>>,
    #[pin]
    done: CondVar,
    #[pin]
    work: Work<CheckMm>,
}

impl_has_work! {
    impl HasWork<Self> for CheckMm { self.work }
}

impl WorkItem for CheckMm {
    type Pointer = Arc<CheckMm>;

    fn run(this: Arc<CheckMm>) {
        *this.has_mm.lock() = Some(current!().mm().is_some());
        this.done.notify_all();
    }
}

/// Returns whether a kworker has an `mm_struct`.
fn worker_has_mm() -> Result<bool> {
    let check = Arc::pin_init(
        pin_init!(CheckMm {
            has_mm <- new_mutex!(None),
            done <- new_condvar!(),
            work <- new_work!(),
        }),
        GFP_KERNEL,
    )?;

    // The work item is new, so it cannot be queued already.
    let _ = workqueue::system().enqueue(check.clone());

    let mut has_mm = check.has_mm.lock();
    loop {
        if let Some(answer) = *has_mm {
            return Ok(answer);
        }
        check.done.wait(&mut has_mm);
    }
}
