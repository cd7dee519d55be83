// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/test_rust_task` about waking, waiting and contexts. Each takes a [`Wait`].

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xb8;
/// Wakes a kthread that C code has created and not started, `args[0]` times. Returns how often its
/// function has run, and the result of `kthread_stop()`.
pub const UNSTARTED: u32 = 40;
/// Calls functions in context `args[0]` of CPU `args[1]`. Returns the error of `wait_until()`,
/// whether the task state was unchanged, the error of `kthread_use_mm()`, and whether
/// `current!().mm()` was `Some`.
pub const CONTEXT: u32 = 41;
/// Passes `args[0]` pieces of work to a kthread on CPU `args[1]`, one after another. Returns how
/// many it has done, and 1 if a wake-up was lost.
pub const KICK: u32 = 42;
/// Parks and stops `args[0]` kthreads that wait for a condition. Returns how many did not end as
/// they should.
pub const PARK: u32 = 43;
/// Waits for `args[0]` jiffies, or if this is zero for `args[1]` milliseconds, for a condition that
/// is never true. On a signal, returns the remaining jiffies if `args[1]` is zero, else fails.
pub const BOUNDED: u32 = 44;
/// Waits without a limit until it has been called `args[0]` times. Returns the number of calls.
pub const UNBOUNDED: u32 = 45;
/// Accesses the `u64` at address `args[0]` in a kthread on CPU `args[1]`, which uses no mm. Returns
/// how many rounds there were, in how many the read failed with `EFAULT`, the same for the write,
/// and the same for accesses in a `kthread_use_mm()`.
pub const USER_COPY: u32 = 46;
/// Accesses the `u64` at address `args[0]` in an interrupt of CPU `args[1]`. If that is the CPU of
/// the caller, with interrupts disabled; if [`IN_SOFTIRQ`] is added to the CPU, in a softirq.
/// Returns the errors of the read and of the write, and whether `current!().mm()` was `Some`.
pub const USER_COPY_IN_IRQ: u32 = 47;
/// [`USER_COPY_IN_IRQ`]: a softirq.
pub const IN_SOFTIRQ: i64 = 1000;
/// Reads the `comm` of the caller while its `alloc_lock` is held. Returns the first 8 bytes.
pub const COMM: u32 = 48;
/// Sends `SIGKILL` to the idle task of the boot CPU. Returns the error.
pub const KILL_IDLE: u32 = 49;

/// Calls `might_sleep()`, `cond_resched()` and `schedule()` in interrupts of CPU `args[1]`, for
/// `args[0]` milliseconds. They hit an RCU read-side critical section. Returns how many interrupts
/// there were, and whether the grace period that began meanwhile ended after the critical section.
/// With `CONFIG_DEBUG_ATOMIC_SLEEP`, does nothing, and returns 0 and 1.
pub const MIGHT_SLEEP: u32 = 50;
/// Reads the `comm` of the process with PID `args[0]` for `args[1]` milliseconds, which is "a" or
/// [`LONG_NAME`], or a mixture of both while it changes. Returns how often it was the former, the
/// latter, another mixture, and anything else.
pub const COMM_CHANGES: u32 = 51;
/// Waits without a limit in the state with index `args[0]`: 0 `Interruptible`,
/// 1 `InterruptibleFreezable`, 2 `Killable`, 3 `KillableFreezable`. Meanwhile, a freezable kthread
/// does `args[1]`.
pub const FREEZE: u32 = 52;
/// [`FREEZE`]: there is no kthread.
pub const NO_KTHREAD: i64 = 0;
/// [`FREEZE`]: the kthread sleeps.
pub const SLEEPS: i64 = 1;
/// [`FREEZE`]: the kthread computes, and calls `try_to_freeze()`.
pub const WORKS: i64 = 2;
/// [`FREEZE`]: the kthread is parked.
pub const PARKS: i64 = 3;

/// Calls the functions for any context on the caller, here and in context `args[0]` of CPU
/// `args[1]`. Returns how many functions there are, and a bit for each whose results differ.
pub const ANY_CONTEXT: u32 = 53;

/// Asks for `CAP_CHOWN` of the current task in a hard IRQ of CPU `args[0]`, where the idle task or
/// another one with all capabilities runs. Returns the answers of `capable()`, `ns_capable()`,
/// `ns_capable_noaudit()` and `has_capability_noaudit()`, all of which are 0. The last one also has
/// bit 1 set unless `kill_pid()` and `kill_pgrp()` are refused there, and the first one is allowed
/// with privileges. If the idle task calls the function without an interrupt, all are -1.
pub const CAPABLE_IN_IRQ: u32 = 54;

/// A kthread on CPU `args[1]` computes for [`NEIGHBOR_MSECS`], and calls in each round, depending
/// on `args[0]`: 0 `cond_resched()`, 1 `schedule()`, 2 `schedule()` if `need_resched()`. Returns
/// the number of rounds.
pub const NEIGHBOR: u32 = 55;
/// How long the kthread of [`NEIGHBOR`] computes, in milliseconds.
pub const NEIGHBOR_MSECS: u32 = 400;

/// Returns whether the flags `PF_MEMALLOC_NOIO`, `PF_MEMALLOC_NOFS` and `PF_MEMALLOC` of the caller
/// are set, as bits 0 to 2: in three nested sections, in a section within one of the same kind,
/// after the inner one, and after all of them.
pub const MEMALLOC: u32 = 56;

/// Sets the nice value of the caller to `args[0]`. Returns the policy and the priority of a
/// kthread, after `sched_set_fifo()` and after `sched_set_fifo_low()`, as one number each (policy
/// times 100 plus priority), the error for the task that a hard IRQ of CPU `args[1]` hits, and that
/// for the caller.
pub const SCHED: u32 = 57;

/// Three kthreads wait on a queue for what never happens, exclusively or not, and are woken.
/// Returns how often their conditions are called: exclusive, after `wake_up()`; exclusive, after
/// `wake_up_all()`; not exclusive, after `wake_up()` in a hard IRQ of CPU `args[0]` (on PREEMPT_RT,
/// in the caller). And a bit each if a hard IRQ is put on the queue, if it waits, and if a task is
/// left on the queue after a timeout.
pub const WAIT_QUEUE: u32 = 58;
/// The caller and a kthread on CPU `args[1]` take `args[0]` turns and wake one another. Returns the
/// turns, and the error of the caller.
pub const WAIT_QUEUE_TURNS: u32 = 59;

/// Waits for a jiffy with a spinlock held and in an RCU read-side critical section, and calls
/// `schedule()` and `cond_resched()` there. Returns whether the kernel can tell
/// (`CONFIG_PREEMPT_COUNT`), the errors of the waits, and that of `sched_set_fifo()` and
/// `set_freezable()` in a kthread with a spinlock held. The second error is -1 if that of a wait
/// whose condition begins a section is another one. If the kernel cannot tell, it does nothing.
pub const ATOMIC: u32 = 60;

/// Restarts the system call until it has been entered `args[0]` times. Returns that number, and
/// whether it is a compat system call.
pub const RESTART: u32 = 61;

/// A task that leaves a queue is woken for an entry that it does not take. Returns the error if a
/// kthread on CPU `args[1]`, which also waits exclusively, does not take it within a second.
pub const WAIT_QUEUE_PASS: u32 = 62;

/// Calls `spawn()` in an interrupt of CPU `args[1]`, and `park()` and `stop()` of a kthread in
/// state `args[0]`. The handle of a kthread that is not started is dropped instead. Returns their
/// errors, and whether the closure is dropped within ten seconds. If the handle is dropped, -1 for
/// `park()` and `stop()`.
pub const KTHREAD_IN_IRQ: u32 = 63;
/// [`KTHREAD_IN_IRQ`]: the closure runs.
pub const RUNNING: i64 = 0;
/// [`KTHREAD_IN_IRQ`]: the kthread is parked, and the guard is leaked.
pub const PARKED: i64 = 1;
/// [`KTHREAD_IN_IRQ`]: the closure has not been called.
pub const NOT_STARTED: i64 = 2;
/// [`KTHREAD_IN_IRQ`]: the closure has returned.
pub const EXITED: i64 = 3;

/// An interrupt of CPU `args[1]` queues `args[0]` works, each twice, on a worker that is busy. Then
/// the worker is dropped. Returns how many works have run, how many of them out of order, how many
/// were not queued a second time, and how many items are left.
pub const WORKER_ORDER: u32 = 64;
/// The caller and a kthread queue, cancel and flush a work, `args[0]` times in the caller. Returns
/// how many of the queued works were neither run nor cancelled, how many items are left, the result
/// of the kthread, and how many works were cancelled.
pub const WORKER_RACE: u32 = 65;
/// The caller queues works with a delay of a jiffy, and a kthread cancels them when they expire,
/// `args[0]` times. Then the worker is dropped while a work waits for its timer. Returns how many
/// works and items were lost, how many items were left before the drop, how many were left or run
/// after it, and how many works were cancelled.
pub const WORKER_DELAYED: u32 = 71;
/// Calls in an interrupt of CPU `args[0]` what needs process context, and drops a worker there,
/// with one work that runs and one that is queued. Returns how many of the calls did not fail with
/// `EBUSY`, whether the queued work has run, and how many items are left after ten seconds.
pub const WORKER_CONTEXT: u32 = 66;
/// A work waits for itself, cancels itself, cancels another work, queues that again, and drops its
/// worker. Returns the error of a flush, whether the two others are the same, whether the other
/// work could be cancelled, and the sum of how often it has run and how many items are left.
pub const WORKER_OWN: u32 = 67;

/// Two kthreads park each other at the same time, and then drop each other's handle. Returns how
/// many of them have ended after ten seconds, and how many of the two parks failed with `EBUSY`.
pub const EACH_OTHER: u32 = 68;
/// The closure of a kthread on CPU `args[0]` leaks an RCU guard, and returns while the kthread is
/// parked. Then that of `kthread_use_mm()` leaks one. Returns the error of the park, the result of
/// the kthread, the error of `kthread_use_mm()`, and that of a wait after it, for a jiffy.
pub const LEAKED_GUARD: u32 = 69;

/// A kthread on CPU `args[1]` holds the mmap lock of the caller for writing. The caller asks for it
/// on CPU `args[0]`, where it runs, with interrupts disabled. Returns the errors of
/// `mmap_read_lock_killable()` and `mmap_write_lock_killable()`, whether these have left the
/// interrupts disabled and the state of the caller as it was, and whether `mmap_read_lock()` and
/// `mmap_write_lock()` return after the kthread has released the lock. The last one is -1 if these
/// are not called: with PREEMPT_RT, they do not return, and with `CONFIG_DEBUG_ATOMIC_SLEEP`, the
/// kernel reports them.
pub const MMAP_LOCK: u32 = 70;

/// [`COMM_CHANGES`]: the longest name. Its first byte is that of the short one.
pub const LONG_NAME: &[u8; 15] = b"abcdefghijklmno";

/// [`CONTEXT`]: a kthread with interrupts disabled, and with another state than `TASK_RUNNING`.
pub const IRQS_DISABLED: i64 = 0;
/// [`CONTEXT`]: a hard IRQ that interrupts a kthread that uses the mm of the caller.
pub const HARD_IRQ: i64 = 1;
/// [`CONTEXT`]: a softirq.
pub const SOFTIRQ: i64 = 2;

/// The argument (`args`) and result of each of these ioctls.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wait {
    /// The arguments.
    pub args: [i64; 2],
    /// The results. Errors are negative error codes, or 0.
    pub results: [i64; 4],
}
