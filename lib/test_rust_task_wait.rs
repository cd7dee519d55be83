// SPDX-License-Identifier: GPL-2.0

//! Waking, waiting and user copies in each context, for the selftests.

use super::HOUR;
use core::{
    cell::Cell,
    hint,
    mem::size_of,
    ptr, //
};
use kernel::{
    bindings,
    c_str,
    capability::{
        capable,
        ns_capable,
        ns_capable_noaudit,
        Capability, //
    },
    error::from_err_ptr,
    ioctl,
    kthread::{
        CurrentKThread,
        KThread,
        NewKThread, //
    },
    mm::{
        Mm,
        MmWithUser, //
    },
    new_mutex,
    new_spinlock,
    pid::{
        Pid,
        PidType, //
    },
    pid_namespace::PidNamespace,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        rcu,
        Arc,
        Mutex, //
    },
    task::{
        cond_resched,
        io_wait,
        memalloc_nofs,
        memalloc_noio,
        memalloc_noreclaim,
        might_sleep,
        need_resched,
        schedule,
        yield_now,
        Rlimit,
        Task,
        TaskState,
        WaitError,
        WaitQueue,
        MAX_SCHEDULE_TIMEOUT, //
    },
    time::msecs_to_jiffies,
    uaccess::UserSlice,
    user_namespace::UserNamespace,
    workqueue::{
        impl_has_work,
        new_work,
        Queue,
        Work,
        WorkItem, //
    }, //
};

#[path = "test_rust_task_wait_abi.rs"]
mod abi;
#[path = "test_rust_task_worker.rs"]
mod worker;

const fn command(number: u32) -> u32 {
    ioctl::_IOWR::<abi::Wait>(abi::MAGIC, number)
}

const UNSTARTED: u32 = command(abi::UNSTARTED);
const CONTEXT: u32 = command(abi::CONTEXT);
const KICK: u32 = command(abi::KICK);
const PARK: u32 = command(abi::PARK);
const BOUNDED: u32 = command(abi::BOUNDED);
const UNBOUNDED: u32 = command(abi::UNBOUNDED);
const USER_COPY: u32 = command(abi::USER_COPY);
const USER_COPY_IN_IRQ: u32 = command(abi::USER_COPY_IN_IRQ);
const COMM: u32 = command(abi::COMM);
const KILL_IDLE: u32 = command(abi::KILL_IDLE);
const MIGHT_SLEEP: u32 = command(abi::MIGHT_SLEEP);
const COMM_CHANGES: u32 = command(abi::COMM_CHANGES);
const FREEZE: u32 = command(abi::FREEZE);
const ANY_CONTEXT: u32 = command(abi::ANY_CONTEXT);
const NEIGHBOR: u32 = command(abi::NEIGHBOR);
const MEMALLOC: u32 = command(abi::MEMALLOC);
const SCHED: u32 = command(abi::SCHED);
const CAPABLE_IN_IRQ: u32 = command(abi::CAPABLE_IN_IRQ);
const ATOMIC: u32 = command(abi::ATOMIC);
const RESTART: u32 = command(abi::RESTART);
const WAIT_QUEUE: u32 = command(abi::WAIT_QUEUE);
const WAIT_QUEUE_TURNS: u32 = command(abi::WAIT_QUEUE_TURNS);
const WAIT_QUEUE_PASS: u32 = command(abi::WAIT_QUEUE_PASS);
const KTHREAD_IN_IRQ: u32 = command(abi::KTHREAD_IN_IRQ);
const EACH_OTHER: u32 = command(abi::EACH_OTHER);
const LEAKED_GUARD: u32 = command(abi::LEAKED_GUARD);
const MMAP_LOCK: u32 = command(abi::MMAP_LOCK);
const WORKER_ORDER: u32 = command(abi::WORKER_ORDER);
const WORKER_RACE: u32 = command(abi::WORKER_RACE);
const WORKER_DELAYED: u32 = command(abi::WORKER_DELAYED);
const WORKER_CONTEXT: u32 = command(abi::WORKER_CONTEXT);
const WORKER_OWN: u32 = command(abi::WORKER_OWN);

type Results = [i64; 4];

/// Handles the ioctls of this file. `ENOTTY` for all others.
pub(super) fn ioctl(cmd: u32, user: UserSlice) -> Result {
    let function = match cmd {
        UNSTARTED => unstarted,
        CONTEXT => context,
        KICK => kick,
        PARK => park,
        BOUNDED => bounded,
        UNBOUNDED => unbounded,
        USER_COPY => user_copy,
        USER_COPY_IN_IRQ => user_copy_in_irq,
        COMM => comm,
        KILL_IDLE => kill_idle,
        MIGHT_SLEEP => might_sleep_in_irq,
        COMM_CHANGES => comm_changes,
        FREEZE => freeze,
        ANY_CONTEXT => any_context,
        NEIGHBOR => neighbor,
        MEMALLOC => memalloc,
        SCHED => sched,
        CAPABLE_IN_IRQ => capable_in_irq,
        ATOMIC => atomic,
        RESTART => restart,
        WAIT_QUEUE => wait_queue,
        WAIT_QUEUE_TURNS => wait_queue_turns,
        WAIT_QUEUE_PASS => wait_queue_pass,
        KTHREAD_IN_IRQ => kthread_in_irq,
        EACH_OTHER => each_other,
        LEAKED_GUARD => leaked_guard,
        MMAP_LOCK => mmap_lock,
        WORKER_ORDER => worker::order,
        WORKER_RACE => worker::race,
        WORKER_DELAYED => worker::delayed,
        WORKER_CONTEXT => worker::context,
        WORKER_OWN => worker::own,
        _ => return Err(ENOTTY),
    };
    let (mut reader, mut writer) = user.reader_writer();
    let args = [reader.read::<i64>()?, reader.read::<i64>()?];
    let results = function(args)?;

    writer.write(&args)?;
    writer.write(&results)
}

fn errno<T, E: Into<Error>>(result: Result<T, E>) -> i64 {
    result.map_or_else(|err| err.into().to_errno().into(), |_| 0)
}

/// Sleeps for some jiffies.
fn pause(jiffies: c_long) {
    let never = || None::<()>;
    // It always fails.
    let _ = current!().wait_until(TaskState::Idle, jiffies, never);
}

/// Waits until `condition` is true. No waker is needed.
fn poll(condition: impl Fn() -> bool) {
    while !condition() {
        pause(1);
    }
}

/// Waits until `condition` is true, for at most ten seconds. Returns whether it is. No waker is
/// needed.
fn within_ten_seconds(condition: impl Fn() -> bool) -> bool {
    let mut jiffies = msecs_to_jiffies(10_000);
    while !condition() && jiffies != 0 {
        pause(1);
        jiffies -= 1;
    }
    condition()
}

/// A value that a function takes on another CPU.
struct Slot<T>(Cell<Option<T>>);

// SAFETY: The value is `Send`. `call_on_cpu()` waits, so only one CPU at a time accesses the slot.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    fn new(value: T) -> Self {
        Self(Cell::new(Some(value)))
    }

    fn take(&self) -> Option<T> {
        self.0.take()
    }
}

fn caller_mm() -> Result<ARef<MmWithUser>> {
    Ok(current!().mm().ok_or(ESRCH)?.into())
}

/// Starts a kthread on a CPU.
fn spawn_on(
    cpu: i64,
    closure: impl FnOnce(&CurrentKThread) -> c_int + Send + 'static,
) -> Result<KThread> {
    let mut thread = KThread::create(format_args!("wait/{cpu}"), closure)?;
    thread.bind(cpu as u32)?;
    Ok(thread.start())
}

fn unstarted([rounds, _]: [i64; 2]) -> Result<Results> {
    static RUN: Atomic<i64> = Atomic::new(0);

    extern "C" fn run(_: *mut c_void) -> c_int {
        RUN.add(1, Relaxed);
        0
    }

    RUN.store(0, Relaxed);
    // SAFETY: `run()` ignores its argument. The name is NUL-terminated and has no conversion.
    let thread = from_err_ptr(unsafe {
        bindings::kthread_create_on_node(
            Some(run),
            ptr::null_mut(),
            bindings::NUMA_NO_NODE,
            c_str!("unstarted").as_char_ptr(),
        )
    })?;
    // SAFETY: The kthread has not been started, so it exists.
    //
    // CAST: `Task` is a transparent wrapper of `task_struct`.
    let task = ARef::from(unsafe { &*thread.cast::<Task>() });
    for _ in 0..rounds {
        task.wake_up();
    }
    pause(5);
    let run = RUN.load(Relaxed);
    // SAFETY: `task` holds a reference on the kthread, which has not been stopped before.
    let result = unsafe { bindings::kthread_stop(thread) };
    Ok([run, result.into(), 0, 0])
}

/// Calls `function` on a CPU: in a hard IRQ, or with interrupts disabled if it is the own one.
fn call_on_cpu(cpu: i64, function: &(dyn Fn() + Sync)) {
    /// # Safety
    ///
    /// `function` must point to a reference to a function, which is valid during the call.
    unsafe extern "C" fn call(function: *mut c_void) {
        // SAFETY: `call_on_cpu()` passes a pointer to its parameter, and waits for this function.
        unsafe { (*function.cast::<&(dyn Fn() + Sync)>())() }
    }

    // SAFETY: `call()` gets a pointer that is valid during the call, which waits for it. The
    // function it calls may run on any CPU, as it is `Sync`.
    unsafe {
        bindings::smp_call_function_single(
            cpu as c_int,
            Some(call),
            ptr::from_ref(&function).cast_mut().cast(),
            truth(),
        )
    };
}

/// Returns true. The argument `wait` of C is an `int` on Linux 6.12 and a `bool` on Linux 7.3.
fn truth<T: From<bool>>() -> T {
    true.into()
}

/// Returns `task_struct::__state` of the current task.
fn current_state() -> c_uint {
    // SAFETY: The current task is valid, and the field is an aligned `unsigned int`.
    unsafe { ptr::addr_of!((*Task::current_raw()).__state).read_volatile() }
}

/// Calls functions in the current context. Returns the results of [`abi::CONTEXT`].
fn probe(mm: &MmWithUser) -> Results {
    let state = current_state();
    // The condition becomes true between the check and the sleep.
    let asked = Cell::new(false);
    let condition = || asked.replace(true).then_some(());
    let waited = current!().wait_until(TaskState::Idle, 1, condition);
    let same_state = current_state() == state;
    [
        errno(waited),
        same_state.into(),
        errno(mm.kthread_use_mm(|| ())),
        current!().mm().is_some().into(),
    ]
}

/// A place for the results of a function that runs elsewhere.
struct Answer {
    results: [Atomic<i64>; 4],
    ready: Atomic<u32>,
}

impl Answer {
    fn new() -> Result<Arc<Self>> {
        let zero = || Atomic::new(0);
        let answer = Self {
            results: [zero(), zero(), zero(), zero()],
            ready: Atomic::new(0),
        };
        Ok(Arc::new(answer, GFP_KERNEL)?)
    }

    fn set(&self, results: Results) {
        for (to, from) in self.results.iter().zip(results) {
            to.store(from, Relaxed);
        }
        self.ready.store(1, Release);
    }

    fn wait(&self) -> Results {
        poll(|| self.ready.load(Acquire) != 0);
        let [a, b, c, d] = &self.results;
        [a, b, c, d].map(|result| result.load(Relaxed))
    }
}

fn context([kind, cpu]: [i64; 2]) -> Result<Results> {
    let mm = caller_mm()?;
    let answer = Answer::new()?;
    let theirs = answer.clone();

    match kind {
        abi::IRQS_DISABLED => {
            let thread = spawn_on(cpu, move |this| {
                // SAFETY: This sets the state of the current task, which does not sleep before it
                // sets `TASK_RUNNING` again.
                unsafe { bindings::set_current_state(bindings::TASK_UNINTERRUPTIBLE) };
                call_on_cpu(cpu, &|| theirs.set(probe(&mm)));
                // SAFETY: As above.
                unsafe { bindings::__set_current_state(bindings::TASK_RUNNING) };
                while !this.sleep(HOUR) {}
                0
            })?;
            let results = answer.wait();
            drop(thread);
            Ok(results)
        }
        abi::HARD_IRQ => {
            let (inside, end) = (Answer::new()?, Answer::new()?);
            let (is_inside, may_end) = (inside.clone(), end.clone());
            let used = mm.clone();
            let thread = spawn_on(cpu, move |this| {
                let _ = used.kthread_use_mm(|| {
                    is_inside.set([0; 4]);
                    while may_end.ready.load(Acquire) == 0 {
                        hint::spin_loop();
                    }
                });
                while !this.sleep(HOUR) {}
                0
            })?;
            inside.wait();
            // A process may have preempted the kthread, and has an mm.
            while answer.ready.load(Acquire) == 0 {
                call_on_cpu(cpu, &|| {
                    if current!().is_kthread() {
                        answer.set(probe(&mm));
                    }
                });
            }
            end.set([0; 4]);
            drop(thread);
            Ok(answer.wait())
        }
        abi::SOFTIRQ => {
            // SAFETY: `system_bh_wq` is initialized at boot and is never freed.
            let queue = unsafe { Queue::from_raw(bindings::system_bh_wq) };
            // Its drop does not sleep.
            let mm = MmWithUser::into_mmput_async(mm);
            queue.try_spawn(GFP_KERNEL, move || theirs.set(probe(&mm)))?;
            Ok(answer.wait())
        }
        _ => Err(EINVAL),
    }
}

fn mmap_lock([caller_cpu, cpu]: [i64; 2]) -> Result<Results> {
    /// Set by the holder of the lock before it releases it.
    static RELEASES: Atomic<u32> = Atomic::new(0);

    let mm = caller_mm()?;
    let (held, asked) = (Answer::new()?, Answer::new()?);
    let (is_held, may_release) = (held.clone(), asked.clone());
    let theirs = mm.clone();
    RELEASES.store(0, Relaxed);
    let preemption = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;
    let thread = spawn_on(cpu, move |this| {
        let guard = theirs.mmap_write_lock();
        // Another task on this CPU might wait for the CPU of the caller.
        let disabled = preemption.lock();
        is_held.set([0; 4]);
        // No timer expires while the CPU that updates `jiffies` has disabled interrupts.
        let spin = |until: &dyn Fn() -> bool, rounds: u32| {
            (0..rounds).any(|_| {
                hint::spin_loop();
                until()
            })
        };
        spin(&|| may_release.ready.load(Acquire) != 0, 100_000_000);
        // The caller waits for the lock meanwhile.
        spin(&|| false, 100_000);
        RELEASES.store(1, Release);
        drop(guard);
        drop(disabled);
        while !this.sleep(HOUR) {}
        0
    })?;

    held.wait();
    let answer = Answer::new()?;
    let must_not_spin = cfg!(CONFIG_DEBUG_ATOMIC_SLEEP) || cfg!(CONFIG_PREEMPT_RT);
    call_on_cpu(caller_cpu, &|| {
        // SAFETY: This only reads the state of the interrupts.
        let disabled = || unsafe { bindings::irqs_disabled() };
        let (state, before) = (current_state(), disabled());
        let read = errno(mm.mmap_read_lock_killable().map(drop));
        let write = errno(mm.mmap_write_lock_killable().map(drop));
        let unchanged = before && disabled() && current_state() == state;
        asked.set([0; 4]);
        let after = if must_not_spin {
            -1
        } else {
            drop(mm.mmap_read_lock());
            let released = RELEASES.load(Acquire);
            drop(mm.mmap_write_lock());
            released.into()
        };
        answer.set([read, write, unchanged.into(), after]);
    });
    drop(thread);
    Ok(answer.wait())
}

fn kick([rounds, cpu]: [i64; 2]) -> Result<Results> {
    struct Work {
        added: Atomic<i64>,
        done: Atomic<i64>,
    }

    let work = Work {
        added: Atomic::new(0),
        done: Atomic::new(0),
    };
    let work = Arc::new(work, GFP_KERNEL)?;
    let theirs = work.clone();
    let adder: ARef<Task> = ARef::from(&**current!());
    let thread = spawn_on(cpu, move |this| {
        let mut done = 0;
        loop {
            let next = || Some(theirs.added.load(Acquire)).filter(|added| *added > done);
            match this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, next) {
                Ok(added) => done = added,
                Err(_) => return 0,
            }
            theirs.done.store(done, Release);
            adder.wake_up();
        }
    })?;

    for round in 1..=rounds {
        work.added.store(round, Release);
        thread.task().wake_up();
        let done = || (work.done.load(Acquire) == round).then_some(());
        let limit = msecs_to_jiffies(10_000) as c_long;
        match current!().wait_until(TaskState::Killable, limit, done) {
            Ok(()) => (),
            Err(WaitError::Timeout) => return Ok([round - 1, 1, 0, 0]),
            Err(err) => return Err(err.into()),
        }
    }
    Ok([rounds, 0, 0, 0])
}

/// The states in which [`park`] has kthreads wait.
const STATES: [TaskState; 6] = [
    TaskState::Interruptible,
    TaskState::InterruptibleFreezable,
    TaskState::Killable,
    TaskState::KillableFreezable,
    TaskState::Uninterruptible,
    TaskState::Idle,
];

fn park([rounds, _]: [i64; 2]) -> Result<Results> {
    let mut wrong = 0;
    for round in 0..rounds {
        let state = STATES[round as usize % STATES.len()];
        let begun = Answer::new()?;
        let begin = begun.clone();
        let mut thread = KThread::spawn(format_args!("park/{round}"), move |this| {
            begin.set([0; 4]);
            let never = || None::<()>;
            match this.wait_until(state, MAX_SCHEDULE_TIMEOUT, never) {
                Err(WaitError::Stop) => 7,
                _ => -1,
            }
        })?;
        begun.wait();
        for _ in 0..3 {
            drop(thread.park()?);
            thread.task().wake_up();
        }
        if round % 2 == 0 {
            core::mem::forget(thread.park()?);
        }
        wrong += i64::from(thread.stop() != 7);
    }
    Ok([wrong, 0, 0, 0])
}

fn bounded([jiffies, msecs]: [i64; 2]) -> Result<Results> {
    let timeout = match jiffies {
        0 => msecs_to_jiffies(msecs as u32) as c_long,
        jiffies => jiffies as c_long,
    };
    let never = || None::<()>;
    match current!().wait_until(TaskState::Interruptible, timeout, never) {
        Err(WaitError::Signal { remaining }) if msecs == 0 => Ok([remaining as i64, 0, 0, 0]),
        Err(err) => Err(err.into()),
        Ok(()) => Err(EIO),
    }
}

fn unbounded([calls, _]: [i64; 2]) -> Result<Results> {
    static CALLS: Atomic<i64> = Atomic::new(0);

    CALLS.add(1, Relaxed);
    let enough = || Some(CALLS.load(Relaxed)).filter(|all| *all >= calls);
    let all = current!().wait_until(TaskState::Interruptible, MAX_SCHEDULE_TIMEOUT, enough)?;
    CALLS.store(0, Relaxed);
    Ok([all, 0, 0, 0])
}

/// Reads a `u64` of the current address space and writes another value. Returns both errors.
fn access(addr: usize, value: u64) -> [i64; 2] {
    let memory = || UserSlice::new(UserPtr::from_addr(addr), size_of::<u64>());
    let read = memory().reader().read::<u64>();
    let written = memory().writer().write(&value);
    // The other functions that copy. They are refused as well, or write the same value.
    let sliced = memory().reader().read_slice(&mut [0; size_of::<u64>()]);
    let slice_written = memory().writer().write_slice(&value.to_ne_bytes());
    let both = |a, b| if a == b { a } else { -1 };
    [
        both(errno(read), errno(sliced)),
        both(errno(written), errno(slice_written)),
    ]
}

fn user_copy([addr, cpu]: [i64; 2]) -> Result<Results> {
    const ROUNDS: i64 = 1000;
    const BAD: u64 = 0xbad;
    let (addr, fault) = (addr as usize, EFAULT.to_errno().into());

    let mm = caller_mm()?;
    let answer = Answer::new()?;
    let theirs = answer.clone();
    let thread = spawn_on(cpu, move |this| {
        let (mut rounds, mut reads, mut writes) = (0, 0, 0);
        while rounds < ROUNDS {
            let [read, written] = access(addr, BAD);
            rounds += 1;
            reads += i64::from(read == fault);
            writes += i64::from(written == fault);
            // Lets the process run, whose page tables then stay in use.
            if rounds % 8 == 0 && this.sleep(1) {
                break;
            }
        }
        let scope = mm.kthread_use_mm(|| {
            let [read, written] = access(addr, 1);
            i64::from(read == fault) + i64::from(written == fault)
        });
        theirs.set([rounds, reads, writes, scope.unwrap_or(-1)]);
        // The last `mmput()` must not happen after the caller has returned.
        drop(mm);
        while !this.sleep(HOUR) {}
        0
    })?;
    let results = answer.wait();
    drop(thread);
    Ok(results)
}

/// A work that accesses user memory.
#[pin_data]
struct UserCopy {
    addr: usize,
    answer: Arc<Answer>,
    #[pin]
    work: Work<UserCopy>,
}

impl_has_work! {
    impl HasWork<Self> for UserCopy { self.work }
}

impl WorkItem for UserCopy {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let [read, written] = access(this.addr, 0xbad);
        let has_mm = current!().mm().is_some();
        this.answer.set([read, written, has_mm.into(), 0]);
    }
}

fn user_copy_in_irq([addr, cpu]: [i64; 2]) -> Result<Results> {
    let answer = Answer::new()?;
    let theirs = answer.clone();
    let init = pin_init!(UserCopy {
        addr: addr as usize,
        answer: theirs,
        work <- new_work!(),
    });
    let copy = Arc::pin_init(init, GFP_KERNEL)?;
    let in_softirq = || {
        // SAFETY: `system_bh_wq` is initialized at boot and is never freed.
        let queue = unsafe { Queue::from_raw(bindings::system_bh_wq) };
        if queue.enqueue(copy.clone()).is_err() {
            answer.set([0; 4]);
        }
    };
    match cpu.checked_sub(abi::IN_SOFTIRQ) {
        // The softirq runs after the hard IRQ, before the interrupted task continues. On RT, a
        // kthread runs it.
        Some(cpu @ 0..) => call_on_cpu(cpu, &in_softirq),
        _ => call_on_cpu(cpu, &|| UserCopy::run(copy.clone())),
    }
    Ok(answer.wait())
}

fn comm(_: [i64; 2]) -> Result<Results> {
    let task = Task::current_raw();
    // SAFETY: The current task is valid.
    let lock = unsafe { ptr::addr_of_mut!((*task).alloc_lock) };
    // SAFETY: The lock of a task is initialized, and this code does not hold it.
    unsafe { bindings::spin_lock(lock) };
    let name = current!().comm();
    // SAFETY: It was locked above.
    unsafe { bindings::spin_unlock(lock) };
    let mut begin = [0; 8];
    begin.copy_from_slice(&name[..8]);
    Ok([i64::from_ne_bytes(begin), 0, 0, 0])
}

fn kill_idle(_: [i64; 2]) -> Result<Results> {
    // SAFETY: `init_task` is a static, and is the idle task of the boot CPU.
    //
    // CAST: `Task` is a transparent wrapper of `task_struct`.
    let idle = unsafe { &*ptr::addr_of!(bindings::init_task).cast::<Task>() };
    let sent = idle.send_sig(bindings::SIGKILL as c_int, true);
    Ok([errno(sent), 0, 0, 0])
}

/// A grace period that ends while a reader that began before it is still inside is an error.
fn might_sleep_in_irq([msecs, cpu]: [i64; 2]) -> Result<Results> {
    // Each call would be reported, as it should be.
    if cfg!(CONFIG_DEBUG_ATOMIC_SLEEP) {
        return Ok([0, 1, 0, 0]);
    }
    let (inside, end, left) = (Answer::new()?, Answer::new()?, Answer::new()?);
    let (is_inside, may_end, has_left) = (inside.clone(), end.clone(), left.clone());
    let (has_begun, period) = (inside.clone(), Answer::new()?);
    let its_end = period.clone();

    // Created first: the reader may keep kthreadd from running.
    let updater = spawn_on(current!().cpu().into(), move |this| {
        has_begun.wait();
        // SAFETY: This is process context, and not an RCU read-side critical section.
        unsafe { bindings::synchronize_rcu() };
        its_end.set([left.ready.load(Acquire).into(), 0, 0, 0]);
        while !this.sleep(HOUR) {}
        0
    })?;
    let reader = spawn_on(cpu, move |this| {
        let guard = rcu::read_lock();
        is_inside.set([0; 4]);
        while may_end.ready.load(Acquire) == 0 {
            hint::spin_loop();
        }
        has_left.set([0; 4]);
        drop(guard);
        while !this.sleep(HOUR) {}
        0
    })?;

    inside.wait();
    let interrupts = msecs_to_jiffies(msecs as u32);
    for _ in 0..interrupts {
        call_on_cpu(cpu, &|| {
            might_sleep();
            cond_resched();
            schedule();
            yield_now();
            io_wait(|| ());
        });
        pause(1);
    }
    end.set([0; 4]);
    let [after, ..] = period.wait();
    drop((reader, updater));
    Ok([interrupts as i64, after, 0, 0])
}

fn comm_changes([pid, msecs]: [i64; 2]) -> Result<Results> {
    let caller = current!();
    let ns = caller.active_pid_ns().ok_or(ESRCH)?;
    let pid = ns.find_get_pid(pid as i32).ok_or(ESRCH)?;
    let task = pid.get_pid_task(PidType::Tgid).ok_or(ESRCH)?;

    let mut results = [0; 4];
    for _ in 0..msecs_to_jiffies(msecs as u32) {
        for _ in 0..1000 {
            let name = task.comm();
            let (begin, end) = name.split_at(abi::LONG_NAME.len());
            let possible = |(byte, of_long): (&u8, &u8)| *byte == 0 || byte == of_long;
            let kind = if !begin.iter().zip(abi::LONG_NAME).all(possible) || end != [0] {
                3
            } else if begin == abi::LONG_NAME {
                1
            } else if begin[1..].iter().all(|byte| *byte == 0) {
                0
            } else {
                2
            };
            results[kind] += 1;
        }
        pause(1);
    }
    Ok(results)
}

fn freeze([state, kthread]: [i64; 2]) -> Result<Results> {
    let state = *STATES.get(state as usize).ok_or(EINVAL)?;
    let begun = Answer::new()?;
    let begin = begun.clone();
    let spawn = || {
        KThread::spawn(format_args!("freezable"), move |this| {
            let result = this.set_freezable();
            begin.set([0; 4]);
            if result.is_err() {
                return -1;
            }
            while !this.should_stop() {
                if kthread == abi::WORKS {
                    cond_resched();
                    this.try_to_freeze();
                } else {
                    this.sleep(HOUR);
                }
            }
            0
        })
    };
    let mut thread = match kthread {
        abi::NO_KTHREAD => None,
        _ => Some(spawn()?),
    };
    let _parked = match &mut thread {
        Some(thread) if kthread == abi::PARKS => {
            // Before, it may park before it is freezable.
            begun.wait();
            Some(thread.park()?)
        }
        _ => None,
    };
    let never = || None::<()>;
    current!().wait_until(state, MAX_SCHEDULE_TIMEOUT, never)?;
    Ok([0; 4])
}

/// What [`any_context`] asks about.
#[derive(Clone)]
struct Subject {
    task: ARef<Task>,
    mm: ARef<Mm>,
    ns: ARef<PidNamespace>,
}

impl Subject {
    /// Calls functions that are documented for any context. The results do not change.
    fn answers(&self) -> [i64; 24] {
        let task = &*self.task;
        let pid = task.get_task_pid(PidType::Tgid);
        let nr = task.tgid_nr_ns(Some(&self.ns));
        let found = self.ns.find_get_pid(nr);
        let cred = task.get_task_cred();
        let init = UserNamespace::init();
        let mut name = [0; 8];
        name.copy_from_slice(&task.comm()[..8]);
        let or_none = |number: Option<i32>| number.map_or(-1, i64::from);
        let id = |number: Option<u32>| number.map_or(-1, i64::from);
        [
            task.pid().into(),
            task.tgid().into(),
            nr.into(),
            id(task.uid().into_uid(init)),
            task.is_kthread().into(),
            task.is_exiting().into(),
            i64::from_ne_bytes(name),
            task.pid_alive().into(),
            task.nice().into(),
            task.start_time() as i64,
            task.exit_state().is_none().into(),
            task.rlimit(Rlimit::Nofile) as i64,
            or_none(task.real_parent().map(|task| task.pid())),
            or_none(task.get_group_leader().map(|task| task.pid())),
            task.threads().count() as i64,
            id(task.get_pid_ns().map(|ns| ns.level())),
            or_none(pid.as_deref().map(Pid::pid_nr)),
            or_none(pid.as_deref().map(|pid| pid.pid_nr_ns(&self.ns))),
            i64::from(pid == found),
            or_none(found.and_then(|pid| Some(pid.get_pid_task(PidType::Pid)?.pid()))),
            or_none(self.ns.translate(nr, PidNamespace::init())),
            id(cred.euid().into_uid(init)),
            id(cred.egid().into_gid(init)),
            self.mm.mmget_not_zero().is_some().into(),
        ]
    }

    fn compare(&self, expected: &[i64; 24]) -> Results {
        let answers = self.answers();
        let different = (0..answers.len()).filter(|i| answers[*i] != expected[*i]);
        let bits = different.fold(0, |bits, i| bits | 1 << i);
        [answers.len() as i64, bits, 0, 0]
    }
}

fn any_context([kind, cpu]: [i64; 2]) -> Result<Results> {
    let current = current!();
    let subject = Subject {
        task: ARef::from(&**current),
        mm: ARef::from(&**current.mm().ok_or(ESRCH)?),
        ns: ARef::from(current.active_pid_ns().ok_or(ESRCH)?),
    };
    let expected = subject.answers();
    let answer = Answer::new()?;

    if kind == abi::SOFTIRQ {
        let (theirs, about) = (answer.clone(), subject.clone());
        // SAFETY: `system_bh_wq` is initialized at boot and is never freed.
        let queue = unsafe { Queue::from_raw(bindings::system_bh_wq) };
        queue.try_spawn(GFP_KERNEL, move || {
            let results = about.compare(&expected);
            // The last reference to an mm must not be dropped here.
            drop(about);
            theirs.set(results);
        })?;
    } else {
        call_on_cpu(cpu, &|| answer.set(subject.compare(&expected)));
    }
    Ok(answer.wait())
}

/// A kthread computes for a while, on the CPU of a process that computes as well.
fn neighbor([kind, cpu]: [i64; 2]) -> Result<Results> {
    let answer = Answer::new()?;
    let result = answer.clone();
    let busy = spawn_on(cpu, move |this| {
        let mut rounds = 0;
        let begin = jiffies();
        while jiffies().wrapping_sub(begin) < msecs_to_jiffies(abi::NEIGHBOR_MSECS) as c_ulong {
            rounds += 1;
            match kind {
                0 => {
                    cond_resched();
                }
                1 => schedule(),
                _ if need_resched() => schedule(),
                _ => {}
            }
        }
        result.set([rounds, 0, 0, 0]);
        while !this.sleep(HOUR) {}
        0
    })?;
    let results = answer.wait();
    drop(busy);
    Ok(results)
}

fn jiffies() -> c_ulong {
    // SAFETY: The kernel's timer interrupt writes the variable, and each read is of a whole word.
    unsafe { ptr::addr_of!(bindings::jiffies).read_volatile() }
}

fn memalloc([_, _]: [i64; 2]) -> Result<Results> {
    let flags = || {
        // SAFETY: Only the current task writes the flags, apart from interrupts, which restore
        // them.
        let flags = unsafe { ptr::addr_of!((*Task::current_raw()).flags).read_volatile() };
        let bit = |flag: u32, bit: u32| i64::from(flags & flag != 0) << bit;
        bit(bindings::PF_MEMALLOC_NOIO, 0)
            | bit(bindings::PF_MEMALLOC_NOFS, 1)
            | bit(bindings::PF_MEMALLOC, 2)
    };
    let nested = memalloc_noio(|| memalloc_nofs(|| memalloc_noreclaim(flags)));
    let (inner, outer) = memalloc_noio(|| (memalloc_noio(flags), flags()));
    Ok([nested, inner, outer, flags()])
}

fn sched([nice, cpu]: [i64; 2]) -> Result<Results> {
    let answer = Answer::new()?;
    let result = answer.clone();
    let thread = KThread::spawn(format_args!("sched"), move |this| {
        let now = || {
            let task = Task::current_raw();
            // SAFETY: The current task is valid, and only it changes its policy here.
            let (policy, priority) = unsafe { ((*task).policy, (*task).rt_priority) };
            i64::from(policy) * 100 + i64::from(priority)
        };
        let _ = this.sched_set_fifo();
        let fifo = now();
        let _ = this.sched_set_fifo_low();
        result.set([fifo, now(), 0, 0]);
        while !this.sleep(HOUR) {}
        0
    })?;
    let [fifo, low, ..] = answer.wait();
    drop(thread);

    let errno = |result: Result| result.map_or_else(|err| i64::from(err.to_errno()), |()| 0);
    let in_irq = Answer::new()?;
    call_on_cpu(cpu, &|| {
        in_irq.set([errno(current!().set_user_nice(1)), 0, 0, 0]);
    });
    let [of_idle, ..] = in_irq.wait();
    Ok([
        fifo,
        low,
        of_idle,
        errno(current!().set_user_nice(nice as c_int)),
    ])
}

fn capable_in_irq([cpu, _]: [i64; 2]) -> Result<Results> {
    let answer = Answer::new()?;
    let pid = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    call_on_cpu(cpu, &|| {
        // An idle task that polls calls the function itself (`flush_smp_call_function_queue()`).
        // SAFETY: This reads the preemption counter.
        if unsafe { bindings::in_task() } {
            return answer.set([-1; 4]);
        }
        let task = current!();
        let init = UserNamespace::init();
        let cap = Capability::CHOWN;
        let refused = pid.kill_pid(0, false) == Err(EPERM)
            && pid.kill_pgrp(0, false) == Err(EPERM)
            && pid.kill_pid(0, true).is_ok();
        answer.set([
            capable(cap).into(),
            ns_capable(init, cap).into(),
            ns_capable_noaudit(init, cap).into(),
            i64::from(task.has_capability_noaudit(cap)) | i64::from(!refused) << 1,
        ]);
    });
    Ok(answer.wait())
}

fn atomic([_, _]: [i64; 2]) -> Result<Results> {
    if cfg!(not(CONFIG_PREEMPT_COUNT)) {
        return Ok([0; 4]);
    }
    let try_to_sleep = || {
        schedule();
        yield_now();
        // The kernel would report it.
        if cfg!(not(CONFIG_DEBUG_ATOMIC_SLEEP)) {
            cond_resched();
        }
        errno(current!().wait_until(TaskState::Idle, 1, || None::<()>))
    };

    let lock = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;
    let guard = lock.lock();
    let with_lock = try_to_sleep();
    drop(guard);

    let guard = rcu::read_lock();
    let in_rcu = try_to_sleep();
    drop(guard);

    // The second call of the condition begins a critical section.
    let (mut calls, mut guard) = (0, None);
    let in_condition = errno(current!().wait_until(TaskState::Idle, 1, || {
        calls += 1;
        if calls == 2 {
            guard = Some(rcu::read_lock());
        }
        None::<()>
    }));
    drop(guard);
    let in_rcu = if in_condition == in_rcu { in_rcu } else { -1 };

    let answer = Answer::new()?;
    let theirs = answer.clone();
    let thread = KThread::spawn(format_args!("atomic"), move |this| {
        let guard = lock.lock();
        let refused = errno(this.sched_set_fifo());
        // It would enable interrupts, and may sleep.
        let freezable = errno(this.set_freezable());
        drop(guard);
        theirs.set([if refused == freezable { refused } else { -1 }, 0, 0, 0]);
        while !this.sleep(HOUR) {}
        0
    })?;
    let [sched, ..] = answer.wait();
    drop(thread);
    Ok([1, with_lock, in_rcu, sched])
}

fn kthread_in_irq([state, cpu]: [i64; 2]) -> Result<Results> {
    enum Handle {
        New(NewKThread),
        Started(KThread),
    }

    struct Dropped(Arc<Answer>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set([0; 4]);
        }
    }

    let dropped = Answer::new()?;
    let of_closure = Dropped(dropped.clone());
    let thread = KThread::create(format_args!("irq/{state}"), move |this| {
        let _dropped = of_closure;
        while state != abi::EXITED && !this.sleep(HOUR) {}
        0
    })?;
    let handle = if state == abi::NOT_STARTED {
        Handle::New(thread)
    } else {
        let mut thread = thread.start();
        match state {
            abi::PARKED => core::mem::forget(thread.park()?),
            abi::EXITED => {
                dropped.wait();
                // The kthread exits.
                pause(5);
            }
            _ => {}
        }
        Handle::Started(thread)
    };

    let slot = Slot::new(handle);
    let answer = Answer::new()?;
    call_on_cpu(cpu, &|| {
        let spawned = errno(KThread::spawn(format_args!("refused"), |_| 0));
        let (parked, stopped) = match slot.take() {
            Some(Handle::Started(mut thread)) => (errno(thread.park()), thread.stop().into()),
            Some(Handle::New(thread)) => {
                drop(thread);
                (-1, -1)
            }
            None => (0, 0),
        };
        answer.set([spawned, parked, stopped, 0]);
    });
    let [spawned, parked, stopped, _] = answer.wait();

    let is_dropped = within_ten_seconds(|| dropped.ready.load(Acquire) != 0);
    Ok([spawned, parked, stopped, is_dropped.into()])
}

fn each_other([_, _]: [i64; 2]) -> Result<Results> {
    #[pin_data]
    struct Pair {
        #[pin]
        first: Mutex<Option<KThread>>,
        #[pin]
        second: Mutex<Option<KThread>>,
        ready: Atomic<i64>,
        busy: Atomic<i64>,
        ended: Atomic<i64>,
    }

    impl Pair {
        fn handle(&self, of_first: bool) -> &Mutex<Option<KThread>> {
            match of_first {
                true => &self.first,
                false => &self.second,
            }
        }
    }

    let pair = Arc::pin_init(
        pin_init!(Pair {
            first <- new_mutex!(None),
            second <- new_mutex!(None),
            ready: Atomic::new(0),
            busy: Atomic::new(0),
            ended: Atomic::new(0),
        }),
        GFP_KERNEL,
    )?;
    for is_first in [true, false] {
        let theirs: Arc<Pair> = pair.clone();
        let thread = KThread::create(format_args!("each/{is_first}"), move |_| {
            let meet = |count| {
                theirs.ready.fetch_add(1, Full);
                poll(|| theirs.ready.load(Acquire) >= count);
            };
            // The caller has stored both handles.
            meet(3);
            let other = theirs.handle(!is_first).lock().take();
            meet(5);
            if let Some(mut other) = other {
                if other.park().map(drop) == Err(EBUSY) {
                    theirs.busy.fetch_add(1, Relaxed);
                }
            }
            theirs.ended.fetch_add(1, Full);
            0
        })?;
        *pair.handle(is_first).lock() = Some(thread.start());
    }
    pair.ready.fetch_add(1, Full);
    within_ten_seconds(|| pair.ended.load(Acquire) == 2);
    let ended = pair.ended.load(Acquire);
    Ok([ended, pair.busy.load(Relaxed), 0, 0])
}

fn leaked_guard([cpu, _]: [i64; 2]) -> Result<Results> {
    let begun = Answer::new()?;
    let of_closure = begun.clone();
    let mut thread = spawn_on(cpu, move |this| {
        of_closure.set([0; 4]);
        core::mem::forget(rcu::read_lock());
        while !this.should_park() && !this.should_stop() {
            hint::spin_loop();
        }
        3
    })?;
    begun.wait();
    let parked = errno(thread.park());
    let stopped = thread.stop();

    let mm = caller_mm()?;
    let answer = Answer::new()?;
    let theirs = answer.clone();
    let thread = spawn_on(cpu, move |this| {
        let used = errno(mm.kthread_use_mm(|| core::mem::forget(rcu::read_lock())));
        let waited = errno(current!().wait_until(TaskState::Idle, 1, || None::<()>));
        theirs.set([used, waited, 0, 0]);
        while !this.sleep(HOUR) {}
        0
    })?;
    let [used, waited, ..] = answer.wait();
    drop(thread);
    Ok([parked, stopped.into(), used, waited])
}

fn restart([times, _]: [i64; 2]) -> Result<Results> {
    static ENTERED: Atomic<i64> = Atomic::new(0);
    let entered = ENTERED.fetch_add(1, Relaxed) + 1;
    if entered < times {
        return Err(current!().restart_syscall());
    }
    ENTERED.store(0, Relaxed);
    let is_compat = current!().in_compat_syscall();
    Ok([entered, i64::from(is_compat), 0, 0])
}

#[pin_data]
struct Waiters {
    calls: Atomic<i64>,
    done: Atomic<bool>,
    #[pin]
    queue: WaitQueue,
}

impl Waiters {
    fn new() -> Result<Arc<Self>> {
        let waiters = pin_init!(Self {
            calls: Atomic::new(0),
            done: Atomic::new(false),
            queue <- WaitQueue::new(),
        });
        Arc::pin_init(waiters, GFP_KERNEL)
    }
}

/// Returns how often the conditions of three kthreads are called after `wake`.
fn calls_after(exclusive: bool, wake: impl FnOnce(&WaitQueue)) -> Result<i64> {
    let shared = Waiters::new()?;
    let mut threads = KVec::new();
    for _ in 0..3 {
        let of_thread = shared.clone();
        let thread = KThread::spawn(format_args!("waiter"), move |this| {
            let queue = &of_thread.queue;
            let done = || {
                of_thread.calls.fetch_add(1, Relaxed);
                of_thread.done.load(Acquire).then_some(())
            };
            let _ = match exclusive {
                true => queue.wait_event_exclusive(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, done),
                false => queue.wait_event(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, done),
            };
            while !this.sleep(HOUR) {}
            0
        })?;
        threads.push(thread, GFP_KERNEL)?;
    }

    // Each checks its condition twice before it sleeps.
    let before = 6;
    poll(|| shared.calls.load(Relaxed) == before);
    pause(msecs_to_jiffies(20) as c_long);
    wake(&shared.queue);
    pause(msecs_to_jiffies(100) as c_long);
    let calls = shared.calls.load(Relaxed) - before;

    shared.done.store(true, Release);
    shared.queue.wake_up_all();
    drop(threads);
    Ok(calls)
}

fn wait_queue([cpu, _]: [i64; 2]) -> Result<Results> {
    // The second option checks the rules of the first one.
    let is_rt = cfg!(CONFIG_PREEMPT_RT) || cfg!(CONFIG_PROVE_RAW_LOCK_NESTING);
    let wake_in_irq = |queue: &WaitQueue| match is_rt {
        true => queue.wake_up(),
        false => call_on_cpu(cpu, &|| queue.wake_up()),
    };
    let calls = [
        calls_after(true, WaitQueue::wake_up)?,
        calls_after(true, WaitQueue::wake_up_all)?,
        calls_after(false, wake_in_irq)?,
    ];

    let shared = Waiters::new()?;
    let queue = &shared.queue;
    let never = || None::<()>;
    let answer = Answer::new()?;
    call_on_cpu(cpu, &|| {
        let is_queued = queue.queued(|| queue.has_sleeper());
        let waited = queue.wait_event(TaskState::Interruptible, 1, never);
        let waits = waited != Err(WaitError::AtomicContext);
        answer.set([i64::from(is_queued) | i64::from(waits) << 1, 0, 0, 0]);
    });
    let [in_irq, ..] = answer.wait();
    let _ = queue.wait_event_exclusive(TaskState::Idle, 1, never);
    let left = i64::from(queue.has_sleeper()) << 2;
    Ok([calls[0], calls[1], calls[2], in_irq | left])
}

/// Two tasks wait exclusively, and two entries are added. The first task is woken for the second
/// entry when its condition has become true, but before it has left the queue.
fn wait_queue_pass([_, cpu]: [i64; 2]) -> Result<Results> {
    let (free, begin) = (Answer::new()?, Answer::new()?);
    let (of_thread, has_begun) = (free.clone(), begin.clone());
    let shared = Waiters::new()?;
    let waiters = shared.clone();
    // Its condition is true if there is an entry. It is checked twice before the task sleeps.
    let second = spawn_on(cpu, move |this| {
        has_begun.wait();
        let entry = || {
            let found = of_thread.ready.load(Acquire) != 0;
            waiters.calls.fetch_add(1, Release);
            found.then_some(())
        };
        let wait = |entry| {
            let queue = &waiters.queue;
            queue.wait_event_exclusive(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, entry)
        };
        waiters.done.store(wait(entry).is_ok(), Release);
        while !this.sleep(HOUR) {}
        0
    })?;

    let mut checks = 0;
    shared
        .queue
        .wait_event_exclusive(TaskState::Idle, HOUR, || {
            checks += 1;
            if checks == 1 {
                return None;
            }
            // This task is on the queue, and its state is that of a sleeping task.
            begin.set([0; 4]);
            while shared.calls.load(Acquire) < 2 {
                hint::spin_loop();
            }
            free.set([0; 4]);
            shared.queue.wake_up();
            Some(())
        })?;

    let timeout = msecs_to_jiffies(1000) as c_long;
    let taken = || shared.done.load(Acquire).then_some(());
    let taken = current!().wait_until(TaskState::Killable, timeout, taken);
    shared.queue.wake_up_all();
    drop(second);
    Ok([errno(taken), 0, 0, 0])
}

fn wait_queue_turns([turns, cpu]: [i64; 2]) -> Result<Results> {
    let timeout = msecs_to_jiffies(10_000) as c_long;
    let shared = Waiters::new()?;
    let of_thread = shared.clone();
    // Odd values are turns of the kthread.
    let thread = spawn_on(cpu, move |this| {
        let (turn, queue) = (&of_thread.calls, &of_thread.queue);
        for i in 0..turns {
            let mine = || (turn.load(Acquire) == 2 * i + 1).then_some(());
            let wait = || this.wait_until(TaskState::Idle, timeout, mine);
            if queue.queued(wait).is_err() {
                break;
            }
            turn.store(2 * i + 2, Release);
            queue.wake_up();
        }
        while !this.sleep(HOUR) {}
        0
    })?;

    let (turn, queue) = (&shared.calls, &shared.queue);
    let mut done = 0;
    let mut result = Ok(());
    while done < turns && result.is_ok() {
        turn.store(2 * done + 1, Release);
        queue.wake_up();
        let mine = || (turn.load(Acquire) == 2 * done + 2).then_some(());
        result = match done % 2 {
            0 => queue.wait_event(TaskState::Killable, timeout, mine),
            _ => queue.wait_event_exclusive(TaskState::Interruptible, timeout, mine),
        };
        done += i64::from(result.is_ok());
    }
    drop(thread);
    Ok([done, errno(result), 0, 0])
}
