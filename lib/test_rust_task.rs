// SPDX-License-Identifier: GPL-2.0

//! A misc device for the selftests: what they need and no driver should offer.
//!
//! It is built into the kernel or not at all: a workqueue item of a module could still be running
//! when the module is unloaded, as there is no way yet to wait for it.

use core::{
    mem::{
        self,
        size_of, //
    },
    sync::atomic::{
        compiler_fence,
        AtomicI32,
        AtomicU32,
        Ordering::{
            Relaxed,
            SeqCst, //
        }, //
    },
};
use kernel::{
    c_str,
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
        rcu,
        Arc,
        CondVar,
        Mutex, //
    },
    task::{
        ExitState,
        Rlimit,
        Task,
        TaskWork,
        TaskWorkItem, //
    },
    uaccess::UserSlice,
    user_namespace::UserNamespace,
    workqueue::{
        self,
        Work,
        WorkItem, //
    },
};

#[path = "test_rust_task_abi.rs"]
mod abi;
// It is in backport/, where rustfmt cannot follow.
#[rustfmt::skip]
#[path = "test_rust_task_ns.rs"]
mod ns;

module! {
    type: TestModule,
    name: "test_rust_task",
    description: "Reference counts of tasks and address spaces, for the selftests",
    license: "GPL",
}

const COUNTS: u32 = ioctl::_IOWR::<abi::Counts>(abi::MAGIC, abi::COUNTS);
const OPENER: u32 = ioctl::_IOR::<abi::Opener>(abi::MAGIC, abi::OPENER);
const ZAP: u32 = ioctl::_IOW::<abi::Zap>(abi::MAGIC, abi::ZAP);
const WATCH: u32 = ioctl::_IOWR::<i32>(abi::MAGIC, abi::WATCH);
const RELATIVES: u32 = ioctl::_IOWR::<abi::Relatives>(abi::MAGIC, abi::RELATIVES);
const POPULATION: u32 = ioctl::_IOR::<abi::Population>(abi::MAGIC, abi::POPULATION);
const KILL: u32 = ioctl::_IOWR::<abi::Kill>(abi::MAGIC, abi::KILL);
const BORROW: u32 = ioctl::_IOWR::<abi::Borrow>(abi::MAGIC, abi::BORROW);
const SPAWN: u32 = ioctl::_IOWR::<abi::Spawn>(abi::MAGIC, abi::SPAWN);
const LATER: u32 = ioctl::_IOWR::<abi::Later>(abi::MAGIC, abi::LATER);
const WORKER_HAS_MM: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::WORKER_HAS_MM);

/// How often [`WATCH`] looks. Nothing else is read meanwhile, so KCSAN hardly misses a change.
const LOOKS: usize = 1 << 14;

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

/// An open file, which remembers who has opened it.
struct TestDevice {
    task: ARef<Task>,
    mm: ARef<Mm>,
    ns: ARef<PidNamespace>,
    pid: ARef<Pid>,
    errands: Arc<Errands>,
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
            errands: Arc::new(Errands::default(), GFP_KERNEL)?,
        };

        Ok(KBox::new(opener, GFP_KERNEL)?)
    }

    fn ioctl(me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            COUNTS => {
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
                writer.write(&found(&me.task))?;
            }
            RELATIVES => {
                let (mut reader, mut writer) = user.reader_writer();
                let nr = reader.read::<i32>()?;
                let (numbers, facts, task) = relatives(nr)?;
                let (large, small) = more(&task);
                let there = there(&task)?;
                writer.write(&nr)?;
                writer.write(&numbers)?;
                writer.write(&facts)?;
                writer.write(&task.comm())?;
                writer.write(&large)?;
                writer.write(&small)?;
                writer.write(&there)?;
            }
            POPULATION => user.writer().write(&population()?)?,
            KILL => {
                let (mut reader, mut writer) = user.reader_writer();
                let signal = reader.read::<i32>()?;
                let privileged = reader.read::<u32>()? != 0;
                let to_thread = reader.read::<u32>()?;
                if to_thread != 0 {
                    me.task.send_sig(signal, privileged)?;
                } else {
                    me.pid.kill_pid(signal, privileged)?;
                }
                writer.write(&signal)?;
                writer.write(&[privileged.into(), to_thread])?;
                writer.write(&u32::from(me.task.fatal_signal_pending()))?;
            }
            ZAP => {
                let mut question = user.reader();
                let mut number = || Ok::<_, Error>(question.read::<u64>()? as usize);
                let (area, addr, len) = (number()?, number()?, number()?);

                let task = current!();
                let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock();
                let vma = guard.vma_lookup(area).ok_or(ENOENT)?;
                vma.zap_vma_range(addr, len);
            }
            WATCH => {
                let (mut reader, mut writer) = user.reader_writer();
                let known = reader.read::<i32>()?;
                let task: &Task = &me.task;
                let mut looks = (0..LOOKS).map(|_| {
                    // Else a plain read in `pid()` is moved out of the loop, and races only once.
                    compiler_fence(SeqCst);
                    task.pid()
                });
                let new = looks.find(|pid| *pid != known);
                writer.write(&new.unwrap_or(known))?;
            }
            BORROW => {
                let (mut reader, mut writer) = user.reader_writer();
                let (addr, rounds) = (reader.read::<u64>()?, reader.read::<u32>()?);
                let (counts, errors) = borrow(addr as usize, rounds)?;
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
            LATER => {
                let (mut reader, mut writer) = user.reader_writer();
                let (rounds, again) = (reader.read::<u32>()?, reader.read::<u32>()?);
                for _ in 0..rounds {
                    Errand::leave(&me.errands, again)?;
                }
                let Errands { done, wrong } = &*me.errands;
                writer.write(&rounds)?;
                writer.write(&again)?;
                writer.write(&[done.load(Relaxed), wrong.load(Relaxed)])?;
            }
            WORKER_HAS_MM => user.writer().write(&u32::from(worker_has_mm()?))?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

/// What a thread of the kernel counts and is refused with.
#[derive(Default)]
struct Borrowed {
    done: AtomicU32,
    wrong: AtomicU32,
    nested: AtomicI32,
}

/// Has a thread of the kernel add one to a number of the caller, in a scope for each round. Returns
/// the rest of [`abi::Borrow`].
fn borrow(addr: usize, rounds: u32) -> Result<([u32; 2], [i32; 3])> {
    let task = current!();
    let mm = ARef::from(task.mm().ok_or(ESRCH)?);
    let caller = mm.kthread_use_mm(|| ());

    let all = Arc::new(Borrowed::default(), GFP_KERNEL)?;
    let counts = all.clone();
    let ended = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    let over = ended.clone();
    let thread = KThread::spawn(format_args!("borrow/{}", task.pid()), move |_this| {
        let wrong = |is: bool| counts.wrong.fetch_add(is.into(), Relaxed);
        for _ in 0..rounds {
            wrong(current!().mm().is_some());
            let added = mm.kthread_use_mm(|| {
                let own = current!().mm().map(|own| own.as_raw());
                wrong(own != Some(mm.as_raw()));
                let nested = mm.kthread_use_mm(|| ());
                counts.nested.store(errno(nested), Relaxed);
                add_one(addr)
            });
            counts
                .done
                .fetch_add(added.and_then(|added| added).is_ok().into(), Relaxed);
        }
        wrong(current!().mm().is_some());
        over.tell();
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

/// Adds one to a number in the memory of the current address space.
fn add_one(addr: usize) -> Result {
    let memory = || UserSlice::new(UserPtr::from_addr(addr), size_of::<u64>());
    let old = memory().reader().read::<u64>()?;
    memory().writer().write(&(old + 1))
}

/// How many errands were done, and how many of them wrongly.
#[derive(Default)]
struct Errands {
    done: AtomicU32,
    wrong: AtomicU32,
}

/// What a task does before it returns to user space.
struct Errand {
    all: Arc<Errands>,
    again: u32,
    pid: Option<i32>,
}

impl Errand {
    /// Leaves one for the current task, which is told later whose it is.
    fn leave(all: &Arc<Errands>, again: u32) -> Result {
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
impl TaskWorkItem for Errand {
    fn run(self) {
        let right = self.pid == Some(current!().pid());
        self.all.wrong.fetch_add((!right).into(), Relaxed);
        self.all.done.fetch_add(1, Relaxed);
        // Without memory for it, the next one is left out.
        if let Some(again) = self.again.checked_sub(1) {
            let _ = Self::leave(&self.all, again);
        }
    }
}

/// What somebody waits for.
#[pin_data]
struct Event {
    #[pin]
    is: Mutex<bool>,
    #[pin]
    told: CondVar,
}

impl Event {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            is <- new_mutex!(false),
            told <- new_condvar!(),
        })
    }

    fn tell(&self) {
        *self.is.lock() = true;
        self.told.notify_all();
    }

    fn wait(&self) {
        let mut is = self.is.lock();
        while !*is {
            self.told.wait(&mut is);
        }
    }
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Starts threads and stops them, every other one at once, which may be before it runs. Returns the
/// rest of [`abi::Spawn`].
fn spawn(rounds: u32) -> Result<[u32; 3]> {
    let dropped = Arc::new(AtomicU32::new(0), GFP_KERNEL)?;
    let (mut ran, mut wrong) = (0, 0);
    for round in 0..rounds {
        let counted = Counted(dropped.clone());
        let begun = Arc::pin_init(Event::new(), GFP_KERNEL)?;
        let tell = begun.clone();
        let bound = round % 4 == 1;
        let mut thread = KThread::create(format_args!("spawn/{round}"), move |this| {
            let _counted = counted;
            let elsewhere = bound && current!().cpu() != 0;
            tell.tell();
            // Some sleep until they are to end.
            while round % 3 == 0 && !this.sleep(HOUR) {}
            if elsewhere {
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
            // This one is not started at all.
            continue;
        }
        let mut thread = thread.start();
        if !at_once {
            begun.wait();
        }
        if round % 5 == 3 {
            // It has not begun, sleeps, or has ended.
            match thread.park() {
                // Whoever stops it lets it go.
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

/// In jiffies, or longer.
const HOUR: c_long = 3600 * 1000;

/// Returns what is known of a thread, in the order of [`abi::Relatives`].
fn relatives(nr: i32) -> Result<([i32; 2], [u32; 9], ARef<Task>)> {
    let me = current!();
    let mine = me.active_pid_ns().ok_or(ESRCH)?;
    let pid = Pid::find_get_pid(nr).ok_or(ESRCH)?;
    let own = pid.ns_of_pid();
    let task = pid.get_pid_task(PidType::Pid).ok_or(ESRCH)?;
    let number = |kind| {
        task.get_task_pid(kind)
            .map_or(0, |pid| pid.pid_vnr() as u32)
    };

    let guard = rcu::read_lock();
    let again = mine.find_pid(nr, &guard).ok_or(ESRCH)?;
    let found = again.pid_task(PidType::Pid, &guard).ok_or(ESRCH)?;
    if found != &*task || task.task_active_pid_ns(&guard).ok_or(ESRCH)? != own {
        return Err(EIO);
    }
    let leader = task.group_leader_rcu(&guard).ok_or(ESRCH)?;
    let parent = task.real_parent(&guard).ok_or(ESRCH)?;
    let facts = [
        own.level(),
        task.tgid_nr_ns(None) as u32,
        leader.tgid_nr_ns(None) as u32,
        parent.tgid_nr_ns(None) as u32,
        number(PidType::Pgid),
        number(PidType::Sid),
        task.threads(&guard).count() as u32,
        task.is_kthread().into(),
        mine.is_ancestor_of(own).into(),
    ];
    drop(guard);

    // There are three ways to each of these numbers.
    let numbers = [pid.pid_nr(), pid.pid_nr_ns(own)];
    if mine.translate(nr, PidNamespace::init()) != Some(numbers[0])
        || mine.translate(nr, own) != Some(numbers[1])
        || own.translate(numbers[1], mine) != Some(nr)
    {
        // It may have been reaped meanwhile.
        return Err(ESRCH);
    }
    Ok((numbers, facts, task))
}

/// Returns the rest of what is known of it, in that order.
fn more(task: &Task) -> ([u64; 2], [i32; 4]) {
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

/// Returns its user and group in its own user namespace.
fn there(task: &Task) -> Result<[u32; 2]> {
    let cred = task.get_task_cred();
    let ns = cred.user_ns();
    let (uid, gid) = (cred.euid().into_uid(ns), cred.egid().into_gid(ns));
    // There and back again.
    if uid.is_some_and(|uid| ns.make_kuid(uid) != Some(cred.euid()))
        || gid.is_some_and(|gid| ns.make_kgid(gid) != Some(cred.egid()))
    {
        return Err(EIO);
    }
    Ok([uid.unwrap_or(u32::MAX), gid.unwrap_or(u32::MAX)])
}

/// Returns how many of a task's parent, leader and namespace are found.
fn found(task: &Task) -> u32 {
    let guard = rcu::read_lock();
    u32::from(task.real_parent(&guard).is_some())
        + u32::from(task.group_leader_rcu(&guard).is_some())
        + u32::from(task.task_active_pid_ns(&guard).is_some())
}

/// Returns how many processes and threads the caller's namespace and those below it have.
fn population() -> Result<[u32; 2]> {
    let me = current!();
    let mine = me.active_pid_ns().ok_or(ESRCH)?;

    let guard = rcu::read_lock();
    let is_here = |task: &&Task| {
        let ns = task.task_active_pid_ns(&guard);
        ns.is_some_and(|ns| mine.is_ancestor_of(ns))
    };
    let (mut processes, mut threads) = (0, 0);
    for process in Task::processes(&guard).filter(is_here) {
        processes += 1;
        threads += process.threads(&guard).count() as u32;
    }
    Ok([processes, threads])
}

/// Takes and drops `rounds` references of one kind; returns the count before and after.
fn counts(kind: u32, rounds: u32) -> Result<(u32, u32)> {
    let task = current!();
    let mm = || task.mm().ok_or(ESRCH);

    match kind {
        abi::TASK => Ok(clones::<Task>(task, rounds, |task| {
            // SAFETY: The task is allocated, and `usage` is read as an atomic counter may be.
            unsafe { read(core::ptr::addr_of!((*task.as_ptr()).usage).cast()) }
        })),
        abi::MM_USERS => Ok(clones::<MmWithUser>(mm()?, rounds, |mm| users(mm))),
        abi::MM_COUNT => Ok(clones::<Mm>(mm()?, rounds, |mm| {
            // SAFETY: As for `usage`.
            unsafe {
                let unnamed = core::ptr::addr_of!((*mm.as_raw()).__bindgen_anon_1.__bindgen_anon_1);
                read(core::ptr::addr_of!((*unnamed).mm_count).cast())
            }
        })),
        abi::PID_NS => {
            let ns = task.active_pid_ns().ok_or(ESRCH)?;
            Ok(clones::<PidNamespace>(ns, rounds, |ns| {
                // SAFETY: As for `usage`.
                unsafe { read(ns::count_of(ns.as_ptr())) }
            }))
        }
        abi::USER_NS => Ok(clones::<UserNamespace>(task.user_ns(), rounds, |ns| {
            // SAFETY: As for `usage`.
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
                // SAFETY: As for `usage`. It is a long, of which the low half will do.
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

/// Counts, takes and clones and drops references to `object`, and counts again.
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
    // SAFETY: The `mm_struct` is allocated, and the counter is read as an atomic one may be.
    unsafe { read(core::ptr::addr_of!((*mm.as_raw()).__bindgen_anon_1.mm_users).cast()) }
}

/// Reads a C `refcount_t` or `atomic_t`, which is an `int` and nothing else.
///
/// # Safety
///
/// `counter` points to one that is allocated.
unsafe fn read(counter: *const c_int) -> u32 {
    // SAFETY: The caller has it allocated. Others change it meanwhile, atomically, so a volatile
    // read sees one value or another.
    unsafe { counter.read_volatile() as u32 }
}

/// Looks at `current` from a workqueue's thread.
#[pin_data]
struct Look {
    #[pin]
    has_mm: Mutex<Option<bool>>,
    #[pin]
    done: CondVar,
    #[pin]
    work: Work<Look>,
}

impl_has_work! {
    impl HasWork<Self> for Look { self.work }
}

impl WorkItem for Look {
    type Pointer = Arc<Look>;

    fn run(this: Arc<Look>) {
        *this.has_mm.lock() = Some(current!().mm().is_some());
        this.done.notify_all();
    }
}

/// Returns whether a workqueue's thread has an address space.
fn worker_has_mm() -> Result<bool> {
    let look = Arc::pin_init(
        pin_init!(Look {
            has_mm <- new_mutex!(None),
            done <- new_condvar!(),
            work <- new_work!(),
        }),
        GFP_KERNEL,
    )?;

    // The work is new, so it is not queued already.
    let _ = workqueue::system().enqueue(look.clone());

    let mut has_mm = look.has_mm.lock();
    loop {
        if let Some(answer) = *has_mm {
            return Ok(answer);
        }
        look.done.wait(&mut has_mm);
    }
}
