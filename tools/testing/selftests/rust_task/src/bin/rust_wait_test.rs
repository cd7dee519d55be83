// SPDX-License-Identifier: GPL-2.0

//! Has `/dev/test_rust_task` wake tasks, wait and access user memory, in each context.

use anyhow::{anyhow, bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    sched::{sched_setaffinity, CpuSet},
    sys::{
        mman::{MapFlags, ProtFlags},
        prctl,
        signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
    },
    unistd::Pid,
};
use rust_task::{
    child::{in_child, Child},
    device::{map, Tester},
    ioctl::{ask, iowr},
    ktap::{self, did, fact, Test},
};
use std::{
    ffi::CString,
    fs, ptr,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

#[path = "../../../../../../lib/test_rust_task_wait_abi.rs"]
mod abi;

const TESTS: &[Test] = &[
    ("kthread of C that is not started", unstarted),
    ("interrupts disabled", irqs_disabled),
    ("hard IRQ on a kthread that uses an mm", hard_irq),
    ("softirq", softirq),
    ("mmap lock with interrupts disabled", mmap_lock),
    ("wake-ups of a kthread on another CPU", kick),
    ("park and stop of kthreads that wait", park),
    ("bounded wait and a periodic signal", bounded),
    ("unbounded wait and a periodic signal", unbounded),
    ("user memory in a kthread without an mm", user_copy),
    ("user memory in a hard IRQ", user_copy_in_irq),
    (
        "user memory with interrupts disabled",
        user_copy_without_irqs,
    ),
    ("user memory in a softirq", user_copy_in_softirq),
    ("might_sleep() in a hard IRQ", might_sleep),
    ("functions for any context", any_context),
    ("capabilities in a hard IRQ", capable_in_irq),
    ("kthread that lets others run", neighbor),
    ("sections of memalloc_noio()", memalloc),
    ("scheduling parameters", sched),
    ("spinlock, RCU, waiting", atomic),
    ("kthreads of others in a hard IRQ", kthread_in_irq),
    ("kthreads that park and stop each other", each_other),
    ("park of a kthread that leaks an RCU guard", leaked_guard),
    ("works queued in a hard IRQ", worker_order),
    ("works queued and cancelled by two tasks", worker_race),
    ("delayed works", worker_delayed),
    ("worker dropped in a hard IRQ", worker_context),
    ("work that drops its worker", worker_own),
    ("restarted system call", restart),
    #[cfg(target_arch = "x86_64")]
    ("system call of a 32-bit program", i386::compat),
    ("wait queue", wait_queue),
    ("wake-ups through a wait queue", wait_queue_turns),
    ("exclusive wake-up of a task that leaves", wait_queue_pass),
    ("comm under alloc_lock", comm),
    ("comm during changes", comm_changes),
    ("freezer", freezer),
    ("signal to an idle task", kill_idle),
];

const ROUNDS: i64 = 100_000;
const CHUNK: i64 = 1000;
const LIMIT: Duration = Duration::from_secs(40);

fn main() -> Result<()> {
    ktap::run(TESTS)
}

fn call(device: &Tester, number: u32, args: [i64; 2]) -> Result<[i64; 4], Errno> {
    let wait = abi::Wait {
        args,
        ..Default::default()
    };
    ask(device.file(), iowr::<abi::Wait>(abi::MAGIC, number), wait).map(|wait| wait.results)
}

/// Calls the driver once, with a device of its own.
fn once(number: u32, args: [i64; 2]) -> Result<[i64; 4]> {
    Ok(call(&Tester::open()?, number, args)?)
}

fn error(errno: Errno) -> i64 {
    -(errno as i64)
}

/// Runs the current thread on one CPU from now on.
fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn unstarted() -> Result<()> {
    for round in 0..20 {
        let [run, result, ..] = once(abi::UNSTARTED, [round, 0])?;
        ensure!(run == 0, "the kthread has run");
        ensure!(result == error(Errno::EINTR), "kthread_stop(): {result}");
    }
    Ok(())
}

fn check_context(kind: i64, cpu: i64) -> Result<()> {
    for _ in 0..20 {
        let [waited, same_state, used, has_mm] = once(abi::CONTEXT, [kind, cpu])?;
        fact("wait_until()", "error", waited, error(Errno::EBUSY));
        fact("wait_until()", "state is unchanged", same_state, 1);
        fact("kthread_use_mm()", "error", used, error(Errno::EBUSY));
        // A softirq may interrupt any task, and that of a process has an mm.
        if kind != abi::SOFTIRQ {
            fact("current!()", "has an mm", has_mm, 0);
        }
    }
    Ok(())
}

fn irqs_disabled() -> Result<()> {
    check_context(abi::IRQS_DISABLED, 0)
}

fn hard_irq() -> Result<()> {
    pin(0)?;
    check_context(abi::HARD_IRQ, 1)
}

fn softirq() -> Result<()> {
    check_context(abi::SOFTIRQ, 0)
}

fn mmap_lock() -> Result<()> {
    pin(0)?;
    for _ in 0..20 {
        let [read, write, same, after] = once(abi::MMAP_LOCK, [0, 1])?;
        let busy = error(Errno::EBUSY);
        ensure!(
            (read, write, same) == (busy, busy, 1),
            "{read}, {write}, {same}"
        );
        ensure!(
            after == 1 || after == -1,
            "the lock was not held by the kthread"
        );
    }
    Ok(())
}

fn kick() -> Result<()> {
    pin(0)?;
    let device = Tester::open()?;
    let begin = Instant::now();
    let mut done = 0;
    while done < ROUNDS && begin.elapsed() < LIMIT {
        let [rounds, lost, ..] = call(&device, abi::KICK, [CHUNK, 1])?;
        ensure!(lost == 0, "wake-up {} was lost", done + rounds);
        done += rounds;
    }
    did("wake-ups of a waiting kthread", done);
    Ok(())
}

fn park() -> Result<()> {
    let device = Tester::open()?;
    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < 600 && begin.elapsed() < LIMIT {
        let [wrong, ..] = call(&device, abi::PARK, [60, 0])?;
        ensure!(wrong == 0, "{wrong} kthreads did not end as they should");
        rounds += 60;
    }
    did("waiting kthreads parked and stopped", rounds);
    Ok(())
}

/// How many signals the handler has received.
static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    SIGNALS.fetch_add(1, Relaxed);
}

/// Sends `SIGALRM` to this process every 10 ms. Its handler has `SA_RESTART`.
fn start_alarms() -> Result<()> {
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: The handler changes an atomic variable only.
    unsafe { sigaction(Signal::SIGALRM, &action)? };
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 10_000,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: `timer` is valid, and the old value is not wanted.
    Errno::result(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) })?;
    Ok(())
}

fn bounded() -> Result<()> {
    const WHOLE: Duration = Duration::from_millis(500);
    let device = Tester::open()?;
    start_alarms()?;

    // A driver that returns the error: the system call is not restarted.
    let begin = Instant::now();
    let result = call(&device, abi::BOUNDED, [0, WHOLE.as_millis() as i64]);
    ensure!(result == Err(Errno::EINTR), "{result:?}");
    ensure!(begin.elapsed() < WHOLE, "{:?}", begin.elapsed());

    // A driver that returns the remaining jiffies: the calls wait for the whole time together.
    let (mut jiffies, mut calls) = (100, 0);
    let begin = Instant::now();
    let end = loop {
        match call(&device, abi::BOUNDED, [jiffies, 0]) {
            Ok([remaining, ..]) => jiffies = remaining,
            Err(err) => break err,
        }
        calls += 1;
    };
    ensure!(end == Errno::ETIME, "{end}");
    let took = begin.elapsed();
    // 100 jiffies are 100 ms to 1 s.
    ensure!(
        calls > 1 && took < Duration::from_secs(10),
        "{calls} calls, {took:?}"
    );
    did("interrupted calls of a bounded wait", calls);
    Ok(())
}

fn unbounded() -> Result<()> {
    let device = Tester::open()?;
    start_alarms()?;
    let [calls, ..] = call(&device, abi::UNBOUNDED, [5, 0])?;
    ensure!(calls >= 5);
    ensure!(SIGNALS.load(Relaxed) >= 4);
    Ok(())
}

/// Maps a page with a `u64`, and runs `inner` on CPU 0 while other processes, which have a copy of
/// it, are busy on both CPUs.
fn with_busy(inner: impl FnOnce(*mut u64) -> Result<()>) -> Result<()> {
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let at = map(None, 4096, prot, MapFlags::MAP_PRIVATE)?
        .cast::<u64>()
        .as_ptr();
    // SAFETY: The page is mapped. The accesses are volatile, as the kernel accesses it as well.
    let check = move |value| unsafe { at.read_volatile() == value };
    // SAFETY: As above.
    unsafe { at.write_volatile(1) };
    let busy: Vec<_> = (0..2)
        .map(|cpu| {
            Child::start(|| {
                pin(cpu)?;
                // SAFETY: As above.
                unsafe { at.write_volatile(2) };
                while check(2) {
                    std::hint::spin_loop();
                }
                anyhow::bail!("the memory of another process has changed")
            })
        })
        .collect::<Result<_>>()?;
    pin(0)?;
    // Lets the others write to their copies.
    thread::sleep(Duration::from_millis(50));
    inner(at)?;
    ensure!(check(1), "the memory of the process has changed");
    for child in busy {
        child.kill()?;
    }
    Ok(())
}

fn user_copy() -> Result<()> {
    with_busy(|at| {
        let [rounds, reads, writes, scope] = once(abi::USER_COPY, [at as i64, 0])?;
        fact("kthread without an mm", "failed reads", reads, rounds);
        fact("kthread without an mm", "failed writes", writes, rounds);
        fact("kthread_use_mm()", "failed accesses", scope, 0);
        did("user copies of a kthread without an mm", 4 * rounds);
        ensure!(rounds == 1000);
        Ok(())
    })
}

/// Returns how many of 100 interrupts hit a process.
fn user_copies_in_irq(cpu: i64) -> Result<i64> {
    let mut with_mm = 0;
    with_busy(|at| {
        for _ in 0..100 {
            let [read, written, has_mm, _] = once(abi::USER_COPY_IN_IRQ, [at as i64, cpu])?;
            let fault = error(Errno::EFAULT);
            ensure!((read, written) == (fault, fault), "{read}, {written}");
            with_mm += has_mm;
        }
        Ok(())
    })?;
    Ok(with_mm)
}

fn user_copy_without_irqs() -> Result<()> {
    pin(0)?;
    ensure!(user_copies_in_irq(0)? == 100);
    Ok(())
}

fn user_copy_in_irq() -> Result<()> {
    let with_mm = user_copies_in_irq(1)?;
    did("interrupts of a process", with_mm);
    ensure!(with_mm > 0);
    Ok(())
}

/// On PREEMPT_RT, a kthread runs the softirq.
fn user_copy_in_softirq() -> Result<()> {
    let with_mm = user_copies_in_irq(abi::IN_SOFTIRQ + 1)?;
    did("softirqs in a process", with_mm);
    ensure!(with_mm > 0 || is_realtime()?);
    Ok(())
}

/// Returns whether the kernel has `CONFIG_PREEMPT_RT`.
fn is_realtime() -> Result<bool> {
    Ok(fs::read_to_string("/proc/version")?.contains(" PREEMPT_RT "))
}

fn comm() -> Result<()> {
    let [name, ..] = once(abi::COMM, [0; 2])?;
    let name = name.to_ne_bytes();
    ensure!(name.starts_with(b"rust_wai"), "{name:?}");
    Ok(())
}

/// Each function returns the same as in process context.
fn any_context() -> Result<()> {
    pin(0)?;
    let contexts = [
        ("interrupts disabled", abi::IRQS_DISABLED, 0),
        ("hard IRQ", abi::HARD_IRQ, 1),
        ("softirq", abi::SOFTIRQ, 0),
    ];
    for _ in 0..100 {
        for (name, kind, cpu) in contexts {
            let [functions, different, ..] = once(abi::ANY_CONTEXT, [kind, cpu])?;
            ensure!(functions == 24);
            ensure!(different == 0, "{name}: bits {different:#x}");
        }
    }
    did("functions called in interrupts", 100 * 3 * 24);
    Ok(())
}

fn sched() -> Result<()> {
    const FIFO: i64 = 100 * libc::SCHED_FIFO as i64;

    in_child(|| {
        pin(0)?;
        // CPU 1 is idle most of the time. An interrupt that hits another task sets its nice value.
        let mut idle = 0;
        for round in 0..200 {
            let nice = round % 20;
            let [fifo, low, of_idle, own] = once(abi::SCHED, [nice, 1])?;
            ensure!((fifo, low) == (FIFO + 50, FIFO + 1), "{fifo}, {low}");
            ensure!(of_idle == error(Errno::ESRCH) || of_idle == 0);
            idle += i64::from(of_idle != 0);
            // SAFETY: `getpriority()` has no safety requirements.
            let now = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            ensure!(own == 0 && i64::from(now) == nice, "{own}, {now}");
        }
        did("nice values refused for an idle task", idle);
        ensure!(idle > 0);
        for nice in [-21, 20, i64::from(i32::MIN)] {
            let [.., own] = once(abi::SCHED, [nice, 1])?;
            ensure!(own == error(Errno::EINVAL));
        }
        Ok(())
    })
}

fn memalloc() -> Result<()> {
    for _ in 0..100 {
        let flags = once(abi::MEMALLOC, [0, 0])?;
        ensure!(flags == [7, 1, 1, 0], "{flags:?}");
    }
    Ok(())
}

/// Sleeping there would be a report of the scheduler, and end a section of a caller in C.
fn atomic() -> Result<()> {
    let [can_tell, errors @ ..] = once(abi::ATOMIC, [0, 0])?;
    did("critical sections are recognized", can_tell);
    ensure!(errors == [can_tell * error(Errno::EBUSY); 3], "{errors:?}");
    Ok(())
}

/// The kthread ends although nothing waits for it.
fn kthread_in_irq() -> Result<()> {
    if is_realtime()? {
        did("left out, as a hard IRQ must not free memory", 1);
        return Ok(());
    }
    pin(0)?;
    let busy = error(Errno::EBUSY);
    for _ in 0..20 {
        for state in [abi::RUNNING, abi::PARKED, abi::NOT_STARTED, abi::EXITED] {
            let results = once(abi::KTHREAD_IN_IRQ, [state, 1])?;
            let of_handle = if state == abi::NOT_STARTED { -1 } else { busy };
            let expected = [busy, of_handle, of_handle, 1];
            ensure!(results == expected, "state {state}: {results:?}");
        }
    }
    did("kthreads stopped in a hard IRQ", 20 * 4);
    Ok(())
}

fn each_other() -> Result<()> {
    let mut busy = 0;
    for round in 0..50 {
        let [ended, refused, ..] = once(abi::EACH_OTHER, [0, 0])?;
        ensure!(
            ended == 2,
            "round {round}: {ended} of 2 kthreads have ended"
        );
        busy += refused;
    }
    did("parks that would not have ended", busy);
    Ok(())
}

fn leaked_guard() -> Result<()> {
    pin(0)?;
    for round in 0..20 {
        let results = once(abi::LEAKED_GUARD, [1, 0])?;
        let expected = [0, 3, 0, error(Errno::ETIME)];
        ensure!(results == expected, "round {round}: {results:?}");
    }
    Ok(())
}

fn worker_order() -> Result<()> {
    const WORKS: i64 = 100;
    for cpu in [0, 1] {
        let results = once(abi::WORKER_ORDER, [WORKS, cpu])?;
        ensure!(results == [WORKS, 0, WORKS, 0], "CPU {cpu}: {results:?}");
    }
    Ok(())
}

fn worker_race() -> Result<()> {
    let device = Tester::open()?;
    let begin = Instant::now();
    let (mut rounds, mut cancelled) = (0, 0);
    while rounds < ROUNDS / 5 && begin.elapsed() < LIMIT / 4 {
        let results = call(&device, abi::WORKER_RACE, [CHUNK, 0])?;
        ensure!(results[..3] == [0; 3], "{results:?}");
        rounds += CHUNK;
        cancelled += results[3];
    }
    ensure!(cancelled > 0, "no work was cancelled");
    did("rounds of queue, cancel and flush", rounds);
    Ok(())
}

fn worker_delayed() -> Result<()> {
    const ROUNDS: i64 = 300;
    let results = once(abi::WORKER_DELAYED, [ROUNDS, 0])?;
    ensure!(results[..3] == [0, 1, 0], "{results:?}");
    ensure!(results[3] > 0, "no work was cancelled");
    did("rounds of queue and cancel", ROUNDS);
    did("works that were cancelled", results[3]);
    Ok(())
}

fn worker_context() -> Result<()> {
    for round in 0..20 {
        let results = once(abi::WORKER_CONTEXT, [1, 0])?;
        ensure!(results == [0, 1, 0, 0], "round {round}: {results:?}");
    }
    Ok(())
}

fn worker_own() -> Result<()> {
    let busy = error(Errno::EBUSY);
    for round in 0..20 {
        let results = once(abi::WORKER_OWN, [0, 0])?;
        ensure!(results == [busy, 1, 1, 1], "round {round}: {results:?}");
    }
    Ok(())
}

fn restart() -> Result<()> {
    let [entered, is_compat, ..] = once(abi::RESTART, [5, 0])?;
    ensure!((entered, is_compat) == (5, 0), "{entered}, {is_compat}");
    Ok(())
}

/// System calls with the ABI of i386.
#[cfg(target_arch = "x86_64")]
mod i386 {
    use super::*;
    use nix::{
        sys::{
            mman::mmap_anonymous,
            wait::{waitpid, WaitStatus},
        },
        unistd::{fork, ForkResult},
    };
    use std::{num::NonZeroUsize, os::fd::AsRawFd, process};

    extern "C" fn exit(_: i32) {
        // SAFETY: `_exit()` may be called by a signal handler.
        unsafe { nix::libc::_exit(1) }
    }

    /// Makes a system call. Without `CONFIG_IA32_EMULATION`, the process gets a SIGSEGV.
    fn int80(number: u32, args: [u32; 3]) -> i32 {
        let mut result = number;
        // SAFETY: The kernel saves all registers but RAX and, in older versions, R8 to R11. RBX, which
        // is reserved, is restored. The arguments are valid for the system call.
        unsafe {
            std::arch::asm!(
                "xchg rbx, {first}",
                "int 0x80",
                "xchg rbx, {first}",
                first = inout(reg) u64::from(args[0]) => _,
                inout("eax") result,
                in("ecx") args[1],
                in("edx") args[2],
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        result as i32
    }

    pub fn compat() -> Result<()> {
        const GETPID: u32 = 20;
        const IOCTL: u32 = 54;
        // SAFETY: This process has one thread.
        let child = match unsafe { fork()? } {
            ForkResult::Child => {
                // The kernel logs a SIGSEGV that has no handler.
                let handler = SigHandler::Handler(exit);
                let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
                // SAFETY: The handler only calls `_exit()`.
                unsafe { sigaction(Signal::SIGSEGV, &action)? };
                process::exit(i32::from(int80(GETPID, [0; 3]) <= 0))
            }
            ForkResult::Parent { child } => child,
        };
        if waitpid(child, None)? != WaitStatus::Exited(child, 0) {
            did("kernel with 32-bit system calls", 0);
            return Ok(());
        }

        let length = NonZeroUsize::new(4096).context("no length")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_32BIT;
        // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
        let at = unsafe { mmap_anonymous(None, length, prot, flags)? }.cast::<abi::Wait>();
        let argument = abi::Wait {
            args: [2, 0],
            ..Default::default()
        };
        // SAFETY: A page has been mapped, which is large enough.
        unsafe { at.write(argument) };
        let device = Tester::open()?;
        let command = iowr::<abi::Wait>(abi::MAGIC, abi::RESTART);
        let args = [
            device.file().as_raw_fd() as u32,
            command,
            at.as_ptr() as u32,
        ];
        let result = int80(IOCTL, args);
        // SAFETY: As above. The kernel has written the results.
        let results = unsafe { at.read_volatile() }.results;
        ensure!(result == 0, "{}", Errno::from_raw(-result));
        ensure!(results[..2] == [2, 1], "{results:?}");
        did("kernel with 32-bit system calls", 1);
        Ok(())
    }
}

/// Each kthread that is woken calls its condition twice: after the sleep, and before the next one.
fn wait_queue() -> Result<()> {
    pin(0)?;
    let calls = once(abi::WAIT_QUEUE, [1, 0])?;
    ensure!(calls == [2, 6, 6, 0], "{calls:?}");
    Ok(())
}

/// A wake-up that is lost ends a wait by its timeout.
fn wait_queue_turns() -> Result<()> {
    const TURNS: i64 = 20_000;
    let mut done = 0;
    for cpu in [0, 1] {
        pin(0)?;
        let begin = Instant::now();
        let mut left = TURNS;
        while left > 0 && begin.elapsed() < LIMIT / 2 {
            let [turns, err, ..] = once(abi::WAIT_QUEUE_TURNS, [CHUNK, cpu])?;
            ensure!((turns, err) == (CHUNK, 0), "CPU {cpu}: {turns}: {err}");
            left -= CHUNK;
            done += CHUNK;
        }
    }
    did("turns through a wait queue", done);
    Ok(())
}

/// A wake-up is passed on if the task that it wakes has left with something else.
fn wait_queue_pass() -> Result<()> {
    pin(0)?;
    let [err, ..] = once(abi::WAIT_QUEUE_PASS, [0, 1])?;
    ensure!(err == 0, "the second task sleeps: {err}");
    Ok(())
}

/// A thread that shares its CPU with a kthread makes progress.
fn neighbor() -> Result<()> {
    static WORK: AtomicU64 = AtomicU64::new(0);
    static END: AtomicBool = AtomicBool::new(false);
    pin(0)?;
    let worker = thread::spawn(|| -> Result<()> {
        pin(1)?;
        while !END.load(Relaxed) {
            WORK.fetch_add(1, Relaxed);
        }
        Ok(())
    });

    let during = |pause: &dyn Fn() -> Result<()>| -> Result<u64> {
        let before = WORK.load(Relaxed);
        pause()?;
        Ok(WORK.load(Relaxed) - before)
    };
    let alone = || {
        during(&|| {
            thread::sleep(Duration::from_millis(abi::NEIGHBOR_MSECS.into()));
            Ok(())
        })
    };
    let beside = |kind| {
        during(&|| {
            let [rounds, ..] = once(abi::NEIGHBOR, [kind, 1])?;
            ensure!(rounds > 0);
            Ok(())
        })
    };
    let result = (|| {
        for (kind, name) in [
            (0, "cond_resched()"),
            (1, "schedule()"),
            (2, "need_resched()"),
        ] {
            // The host may have run the virtual CPU less in one of the two measurements.
            let mut tries = (0..4).map(|_| anyhow::Ok((alone()?, beside(kind)?)));
            let fair = tries.find(
                |pair| !matches!(pair, Ok((alone, beside)) if *alone == 0 || *beside < alone / 8),
            );
            let (alone, beside) = fair.with_context(|| format!("{name}: starved"))??;
            did(
                &format!("work beside {name}, per cent"),
                (100 * beside / alone) as i64,
            );
        }
        Ok(())
    })();
    END.store(true, Relaxed);
    worker
        .join()
        .map_err(|_| anyhow!("the thread has panicked"))??;
    result
}

/// The idle task, which most interrupts hit, has all capabilities, and may signal each process.
fn capable_in_irq() -> Result<()> {
    pin(0)?;
    let mut interrupts = 0;
    for _ in 0..100 {
        let answers = once(abi::CAPABLE_IN_IRQ, [1, 0])?;
        ensure!(answers == [0; 4] || answers == [-1; 4], "{answers:?}");
        interrupts += i64::from(answers == [0; 4]);
    }
    did("interrupts that asked for a capability", interrupts);
    ensure!(interrupts > 0);
    Ok(())
}

/// With `CONFIG_PREEMPT_VOLUNTARY`, `__cond_resched()` reports a quiescent state of RCU.
fn might_sleep() -> Result<()> {
    pin(0)?;
    // RCU asks for a quiescent state after a tenth of a second.
    let [interrupts, after, ..] = once(abi::MIGHT_SLEEP, [800, 1])?;
    did("interrupts that called might_sleep()", interrupts);
    ensure!(after == 1, "the grace period has ended before its readers");
    Ok(())
}

/// The name changes between a short and a long one. Each byte must be one of either.
fn comm_changes() -> Result<()> {
    let child = Child::start(|| {
        pin(1)?;
        let long = CString::new(abi::LONG_NAME.as_slice())?;
        loop {
            prctl::set_name(&long)?;
            prctl::set_name(c"a")?;
        }
    })?;
    pin(0)?;
    let pid = child.pid().as_raw();
    let comm = format!("/proc/{pid}/comm");
    while !fs::read_to_string(&comm)?.starts_with('a') {
        thread::sleep(Duration::from_millis(1));
    }
    let [short, long, mixed, other] = once(abi::COMM_CHANGES, [pid.into(), 1000])?;
    child.kill()?;
    did("reads of a name that changes", short + long + mixed + other);
    ensure!(
        short > 0 && long > 0,
        "{short} short names, {long} long names"
    );
    ensure!(other == 0, "{other} names have bytes of neither");
    Ok(())
}

/// The freezer stops a task that waits in a freezable state, and the wait goes on after the resume.
/// It fails if a task waits in a killable state that is not freezable, or if a freezable kthread is
/// parked.
fn freezer() -> Result<()> {
    if fs::write("/sys/power/pm_test", "freezer").is_err() {
        did("suspends (not configured)", 0);
        return Ok(());
    }
    fs::write("/sys/module/suspend/parameters/pm_test_delay", "0")?;
    // In milliseconds.
    fs::write("/sys/power/pm_freeze_timeout", "2000")?;
    let cases = [
        (0, abi::NO_KTHREAD, true),
        (1, abi::NO_KTHREAD, true),
        (2, abi::NO_KTHREAD, false),
        (3, abi::NO_KTHREAD, true),
        (1, abi::SLEEPS, true),
        (1, abi::WORKS, true),
        (1, abi::PARKS, false),
    ];
    for (state, kthread, freezes) in cases {
        let child = Child::start(|| {
            let result = once(abi::FREEZE, [state, kthread]);
            bail!("the wait has ended: {result:?}")
        })?;
        thread::sleep(Duration::from_millis(100));
        let result = fs::write("/sys/power/state", "freeze");
        ensure!(
            result.is_ok() == freezes,
            "state {state}, kthread {kthread}: suspend has returned {result:?}"
        );
        thread::sleep(Duration::from_millis(100));
        // This fails if the child has exited.
        child.kill()?;
    }
    did("suspends", cases.len());
    Ok(())
}

fn kill_idle() -> Result<()> {
    let [sent, ..] = once(abi::KILL_IDLE, [0; 2])?;
    fact("idle task", "send_sig(SIGKILL)", sent, error(Errno::ESRCH));
    Ok(())
}
