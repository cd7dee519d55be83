// SPDX-License-Identifier: GPL-2.0

//! Waiting for a condition.
//!
//! [`CurrentTask::wait_until`] checks the condition once. Then, before each sleep, it sets the task
//! state and checks the condition again. After the sleep it sets `TASK_RUNNING`. The waker must
//! make the condition true, then call [`Task::wake_up`](super::Task::wake_up). A wake-up between
//! the check and `schedule_timeout()` sets the state to `TASK_RUNNING`, so it is not lost.
//!
//! In a kthread that a [`KThread`](crate::kthread::KThread) owns,
//! [`CurrentKThread::wait_until`](crate::kthread::CurrentKThread::wait_until) also ends when the
//! owner stops the kthread, and parks or freezes it.
//!
//! `CondVar` is more convenient if a lock protects the condition. `wait_until()` needs no lock and
//! no wait queue.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use super::{
    may_sleep,
    might_sleep,
    CurrentTask,
    Task,
    MAX_SCHEDULE_TIMEOUT, //
};
use crate::{
    bindings,
    error::code::{
        EBUSY,
        EINTR,
        ERESTARTSYS,
        ETIME, //
    },
    prelude::*,
};

/// The state in which a task sleeps.
///
/// It determines which signals interrupt the sleep, and whether the sleep counts towards the load
/// average.
///
/// In a kthread, [`Uninterruptible`](Self::Uninterruptible), [`Killable`](Self::Killable) and
/// [`KillableFreezable`](Self::KillableFreezable) include `TASK_NOLOAD`:
/// [`Task::wake_up`](super::Task::wake_up) does not wake a kthread from a plain
/// `TASK_UNINTERRUPTIBLE`. The sleep then does not count towards the load average, and the
/// hung-task detector does not watch it.
///
/// The freezer stops the tasks of userspace before suspend and hibernation. It interrupts an
/// [`Interruptible`](Self::Interruptible) sleep like a signal, and fails if a task of userspace
/// sleeps in one of the states `Killable`, `Uninterruptible` and `Idle` for too long. In a
/// freezable state, it stops the task where it sleeps, and the wait continues after the resume. The
/// caller must not hold a lock then: other tasks that wait for the lock cannot be frozen. Lockdep
/// reports this. `MiscDevice::open` is called with `misc_mtx` held, so do not use one there.
///
/// The freezer stops a kthread only after
/// [`CurrentKThread::set_freezable`](crate::kthread::CurrentKThread::set_freezable).
///
/// # Examples
///
/// ```
/// use kernel::task::TaskState;
///
/// /// Returns the state in which to wait for a device. `bounded`: it always answers in time.
/// fn device_wait_state(bounded: bool) -> TaskState {
///     if bounded { TaskState::Uninterruptible } else { TaskState::KillableFreezable }
/// }
/// assert_eq!(device_wait_state(true), TaskState::Uninterruptible);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Any signal interrupts the sleep.
    #[doc(alias = "TASK_INTERRUPTIBLE")]
    Interruptible,
    /// Any signal interrupts the sleep, and the freezer may stop the task while it sleeps.
    #[doc(alias("TASK_FREEZABLE", "wait_event_freezable"))]
    InterruptibleFreezable,
    /// Only a fatal signal interrupts the sleep.
    #[doc(alias = "TASK_KILLABLE")]
    Killable,
    /// Only a fatal signal interrupts the sleep, and the freezer may stop the task while it sleeps.
    #[doc(alias = "TASK_FREEZABLE")]
    KillableFreezable,
    /// Signals do not interrupt the sleep. It counts towards the load average, and the hung-task
    /// detector watches it.
    #[doc(alias = "TASK_UNINTERRUPTIBLE")]
    Uninterruptible,
    /// Signals do not interrupt the sleep, and it does not count towards the load average. For
    /// kthreads that wait for work.
    #[doc(alias = "TASK_IDLE")]
    Idle,
}

impl TaskState {
    /// Returns the value for `task_struct::__state` of the current task.
    #[inline]
    pub(super) fn bits(self) -> c_uint {
        const KILLABLE: c_uint = bindings::TASK_WAKEKILL | bindings::TASK_UNINTERRUPTIBLE;

        let bits = match self {
            Self::Interruptible => bindings::TASK_INTERRUPTIBLE,
            Self::InterruptibleFreezable => bindings::TASK_INTERRUPTIBLE | bindings::TASK_FREEZABLE,
            Self::Killable => KILLABLE,
            Self::KillableFreezable => KILLABLE | bindings::TASK_FREEZABLE,
            Self::Uninterruptible => bindings::TASK_UNINTERRUPTIBLE,
            Self::Idle => bindings::TASK_UNINTERRUPTIBLE | bindings::TASK_NOLOAD,
        };

        // `Task::wake_up()` wakes a kthread from `TASK_NOLOAD`, not from `TASK_UNINTERRUPTIBLE`.
        if bits & bindings::TASK_UNINTERRUPTIBLE != 0 && current!().is_kthread() {
            bits | bindings::TASK_NOLOAD
        } else {
            bits
        }
    }
}

/// The reason for which a wait has ended before its condition was true.
///
/// It converts to an [`Error`], so `?` can be used in a function that returns [`Result`]:
///
/// - `ETIME`: [`Timeout`](Self::Timeout).
/// - `ERESTARTSYS`: [`Signal`](Self::Signal), and the wait had no limit, or was one of
///   [`CurrentTask::wait_until_expires`]. If the handler of the signal has `SA_RESTART`, the system
///   call is restarted.
/// - `EINTR`: [`Signal`](Self::Signal), and the wait had a limit. The system call is not restarted:
///   a restarted call would wait for the whole time again, and signals that come more often than
///   that would make it wait permanently. Or [`Stop`](Self::Stop).
/// - `EBUSY`: [`AtomicContext`](Self::AtomicContext).
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, task::{TaskState, WaitError}};
///
/// /// Waits for at most `timeout` jiffies. If a signal arrives, stores the remaining jiffies, with
/// /// which userspace may call again.
/// fn wait_for_device(timeout: &mut c_long, ready: impl Fn() -> bool) -> Result {
///     let condition = || ready().then_some(());
///     match current!().wait_until(TaskState::Interruptible, *timeout, condition) {
///         Err(WaitError::Signal { remaining }) => {
///             *timeout = remaining;
///             Err(EINTR)
///         }
///         other => Ok(other?),
///     }
/// }
/// assert_eq!(wait_for_device(&mut 1, || false), Err(ETIME));
/// # assert_eq!(wait_for_device(&mut 1, || true), Ok(()));
///
/// let unbounded = WaitError::Signal { remaining: kernel::task::MAX_SCHEDULE_TIMEOUT };
/// assert_eq!(Error::from(unbounded), ERESTARTSYS);
/// assert_eq!(Error::from(WaitError::Signal { remaining: 5 }), EINTR);
/// # assert_eq!(Error::from(WaitError::Stop), EINTR);
/// # assert_eq!(Error::from(WaitError::AtomicContext), EBUSY);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// The timeout has elapsed.
    Timeout,
    /// A signal that interrupts the [`TaskState`] is pending.
    Signal {
        /// The remaining jiffies, or [`MAX_SCHEDULE_TIMEOUT`] if the wait had no limit in jiffies.
        remaining: c_long,
    },
    /// The owner has asked the kthread to stop. Only
    /// [`CurrentKThread::wait_until`](crate::kthread::CurrentKThread::wait_until) returns this.
    Stop,
    /// The code must not sleep: it runs in an interrupt, or interrupts are disabled. Or, with
    /// `CONFIG_PREEMPT_COUNT`, it is in a critical section of a spinlock or of RCU, or preemption
    /// is disabled.
    AtomicContext,
}

impl From<WaitError> for Error {
    fn from(err: WaitError) -> Error {
        match err {
            WaitError::Timeout => ETIME,
            WaitError::Signal {
                remaining: MAX_SCHEDULE_TIMEOUT,
            } => ERESTARTSYS,
            WaitError::Signal { .. } | WaitError::Stop => EINTR,
            WaitError::AtomicContext => EBUSY,
        }
    }
}

/// Calls `f`. If the task sleeps meanwhile, it counts as a task that waits for I/O.
///
/// C: `io_schedule()`, `io_schedule_timeout()`, `wait_for_completion_io()` and `mutex_lock_io()`.
/// Here, any wait in `f` is one for I/O.
///
/// The time is that of "iowait" in `/proc/stat`, of the delay accounting of the task, and of the
/// pressure stall information of I/O. Requests that the task has collected for a block device are
/// submitted first. Where the code must not sleep ([`WaitError::AtomicContext`]), only `f` is
/// called.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// ```
/// use kernel::{
///     sync::atomic::{Acquire, Atomic},
///     task::{io_wait, TaskState, WaitQueue, MAX_SCHEDULE_TIMEOUT}, //
/// };
///
/// /// Waits until the disk has written all that is queued.
/// fn drain(queued: &Atomic<u32>, done: &WaitQueue) -> Result {
///     let is_empty = || (queued.load(Acquire) == 0).then_some(());
///     let wait = || done.wait_event(TaskState::Uninterruptible, MAX_SCHEDULE_TIMEOUT, is_empty);
///     Ok(io_wait(wait)?)
/// }
/// # let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
/// # drain(&Atomic::new(0), &queue)?;
/// # // SAFETY: Only the task itself writes the field.
/// # let counts = || unsafe { (*current!().as_ptr()).in_iowait() };
/// # assert_eq!(counts(), 0);
/// # io_wait(|| {
/// #     assert_eq!(counts(), 1);
/// #     io_wait(|| assert_eq!(counts(), 1));
/// #     assert_eq!(counts(), 1);
/// # });
/// # assert_eq!(counts(), 0);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias(
    "io_schedule",
    "io_schedule_timeout",
    "io_schedule_prepare",
    "io_schedule_finish",
    "wait_for_completion_io",
    "mutex_lock_io"
))]
#[inline]
pub fn io_wait<R>(f: impl FnOnce() -> R) -> R {
    let before = io_schedule_prepare();
    let result = f();
    if let Some(before) = before {
        // A closure begins and ends in the same task.
        io_schedule_finish(before);
    }
    result
}

/// Sets `in_iowait` of the current task, and returns its former value. Returns `None`, and does
/// nothing, where the code must not sleep.
// Out of line: `io_schedule_prepare()` is not exported to modules.
#[inline(never)]
fn io_schedule_prepare() -> Option<c_int> {
    // SAFETY: This is process context, so no other code writes the bits of `current` among which
    // `in_iowait` is. The scheduler reads it when the task begins to sleep and when it is woken,
    // and between these two this code does not run. `blk_flush_plug()` submits requests to other
    // threads, as `schedule()` does, which is allowed with interrupts and preemption enabled.
    may_sleep().then(|| unsafe { bindings::io_schedule_prepare() })
}

/// Sets `in_iowait` to its value before [`io_schedule_prepare`].
// Out of line: `io_schedule_finish()` is not exported to modules.
#[inline(never)]
fn io_schedule_finish(before: c_int) {
    // SAFETY: As above: `io_wait()` calls this in the context in which `io_schedule_prepare()` has
    // found that the code may sleep, apart from guards that `f` has leaked.
    unsafe { bindings::io_schedule_finish(before) };
}

/// A time at which a wait ends, in nanoseconds of a clock.
///
/// # Examples
///
/// See [`CurrentTask::wait_until_expires`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// A time of `CLOCK_MONOTONIC`, which `ktime_get()` reads.
    Monotonic(i64),
    /// A time of `CLOCK_REALTIME`, which `ktime_get_real()` reads.
    Realtime(i64),
}

impl Expires {
    /// Converts a time of `CLOCK_MONOTONIC` in the time namespace of the current task, such as one
    /// that userspace has passed.
    ///
    /// C: `timens_ktime_to_host()`.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// See [`CurrentTask::wait_until_expires`].
    // `init_time_ns` is not exported by all kernels.
    #[doc(alias = "timens_ktime_to_host")]
    #[inline(never)]
    pub fn from_timens(time: i64) -> Self {
        // SAFETY: The helper accepts any time. Only the task itself changes `current->nsproxy`, by
        // `switch_task_namespaces()`, and it runs this code. So the field does not change between
        // the check for NULL and its use.
        Self::Monotonic(unsafe { bindings::timens_monotonic_to_host(time) })
    }
}

impl CurrentTask {
    /// Sleeps until `condition` returns `Some(value)`, and returns `value`. Gives up after
    /// `timeout`.
    ///
    /// `condition` is called at least once, before each sleep, and after each wake-up. It must not
    /// sleep: some calls run with the task state set. `CONFIG_DEBUG_ATOMIC_SLEEP` reports this.
    /// The waker must make the condition true before it calls [`Task::wake_up`].
    ///
    /// `timeout` is in jiffies. [`MAX_SCHEDULE_TIMEOUT`] waits without a limit. With zero or a
    /// negative value, `condition` is called once, without a sleep, also in an interrupt.
    ///
    /// In the closure of a [`KThread`](crate::kthread::KThread), use
    /// [`CurrentKThread::wait_until`](crate::kthread::CurrentKThread::wait_until): the owner cannot
    /// stop or park a kthread that waits here.
    ///
    /// # Errors
    ///
    /// The condition is checked first.
    ///
    /// - [`WaitError::Timeout`] (`ETIME`): `condition` did not return `Some` within `timeout`
    ///   jiffies.
    /// - [`WaitError::Signal`] (`ERESTARTSYS` without a limit, else `EINTR`): a signal or work of
    ///   `TIF_NOTIFY_SIGNAL` is pending and the state is an interruptible one, or a fatal signal is
    ///   pending and the state is a killable one. With a `timeout` of zero or less, signals are not
    ///   checked.
    /// - [`WaitError::AtomicContext`] (`EBUSY`): the code must not sleep, as far as the kernel can
    ///   tell. The task state is unchanged.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     kthread::KThread,
    ///     sync::{aref::ARef, atomic::{Acquire, Atomic, Release}},
    ///     task::{Task, TaskState, WaitError, MAX_SCHEDULE_TIMEOUT},
    /// };
    ///
    /// static DONE: Atomic<bool> = Atomic::new(false);
    ///
    /// let waiter: ARef<Task> = ARef::from(&**current!());
    /// let worker = KThread::spawn(format_args!("worker"), move |this| {
    ///     // Make the condition true before the wake-up.
    ///     DONE.store(true, Release);
    ///     waiter.wake_up();
    ///     while !this.sleep(MAX_SCHEDULE_TIMEOUT) {}
    ///     0
    /// })?;
    ///
    /// let done = || DONE.load(Acquire).then_some(());
    /// current!().wait_until(TaskState::Uninterruptible, MAX_SCHEDULE_TIMEOUT, done)?;
    ///
    /// // This condition never becomes true.
    /// let never = || None::<()>;
    /// let waited = current!().wait_until(TaskState::Idle, 1, never);
    /// assert_eq!(waited, Err(WaitError::Timeout));
    /// # let at_once = current!().wait_until(TaskState::Killable, -1, never);
    /// # assert_eq!(at_once, Err(WaitError::Timeout));
    /// # assert_eq!(current!().wait_until(TaskState::Interruptible, 0, || Some(1)), Ok(1));
    /// # assert_eq!(worker.stop(), 0);
    /// #
    /// # // Each check of the condition wakes the task, so no sleep lasts until the timeout.
    /// # use TaskState::*;
    /// # let some = [Interruptible, InterruptibleFreezable, Killable];
    /// # let others = [Uninterruptible, Idle, KillableFreezable];
    /// # for state in [some, others].iter().flatten() {
    /// #     let mut calls = 0;
    /// #     current!().wait_until(*state, 5_000, || {
    /// #         calls += 1;
    /// #         current!().wake_up();
    /// #         (calls == 10).then_some(())
    /// #     })?;
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("set_current_state", "schedule_timeout", "wait_event"))]
    #[inline]
    pub fn wait_until<R>(
        &self,
        state: TaskState,
        timeout: c_long,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        match condition() {
            Some(value) => Ok(value),
            None => Self::wait(state, &mut { timeout }, condition),
        }
    }

    /// Like [`wait_until`](Self::wait_until), but gives up at `expires`, with the resolution of an
    /// hrtimer.
    ///
    /// If the time has passed, `condition` is checked, and the task does not wait for it. If
    /// `CLOCK_REALTIME` is set meanwhile, a wait for [`Expires::Realtime`] ends at the time that
    /// the clock shows then.
    ///
    /// The owner of a [`KThread`](crate::kthread::KThread) cannot stop or park it while it waits
    /// here, nor can its module be unloaded. A kthread uses
    /// [`CurrentKThread::wait_until`](crate::kthread::CurrentKThread::wait_until).
    ///
    /// # Errors
    ///
    /// As for [`wait_until`](Self::wait_until). [`WaitError::Signal`] is always `ERESTARTSYS`: a
    /// restarted system call has the same time.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::{Expires, TaskState, WaitError};
    ///
    /// /// Waits until `ready()`, or until a time that userspace has chosen.
    /// fn wait(time: i64, ready: impl Fn() -> bool) -> Result {
    ///     let condition = || ready().then_some(());
    ///     let expires = Expires::from_timens(time);
    ///     Ok(current!().wait_until_expires(TaskState::Interruptible, expires, condition)?)
    /// }
    /// # // SAFETY: It may be called in any context.
    /// # let now = || unsafe { kernel::bindings::ktime_get() };
    /// # let begin = now();
    /// assert_eq!(wait(begin + 3_000_000, || false), Err(ETIME));
    /// # assert!(now() - begin >= 3_000_000);
    /// # assert_eq!(wait(0, || true), Ok(()));
    /// # assert_eq!(wait(i64::MIN, || false), Err(ETIME));
    /// # for time in [Expires::Monotonic(1), Expires::Realtime(1)] {
    /// #     let waited = current!().wait_until_expires(TaskState::Idle, time, || None::<()>);
    /// #     assert_eq!(waited, Err(WaitError::Timeout));
    /// # }
    /// # // Each check of the condition wakes the task, so no sleep lasts until then.
    /// # for time in [Expires::Monotonic(i64::MAX), Expires::Realtime(i64::MAX)] {
    /// #     let mut calls = 0;
    /// #     current!().wait_until_expires(TaskState::Uninterruptible, time, || {
    /// #         calls += 1;
    /// #         current!().wake_up();
    /// #         (calls == 10).then_some(())
    /// #     })?;
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("schedule_hrtimeout", "schedule_hrtimeout_range_clock"))]
    #[inline]
    pub fn wait_until_expires<R>(
        &self,
        state: TaskState,
        expires: Expires,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        match condition() {
            Some(value) => Ok(value),
            None => Self::wait_expires(state, expires, condition),
        }
    }

    /// The part of [`wait_until_expires`](Self::wait_until_expires) that follows the first check.
    #[inline(never)]
    fn wait_expires<R>(
        state: TaskState,
        expires: Expires,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        let (clock, time) = match expires {
            Expires::Monotonic(time) => (bindings::CLOCK_MONOTONIC, time),
            Expires::Realtime(time) => (bindings::CLOCK_REALTIME, time),
        };
        // A negative time would be one in the far future: see `ktime_add_safe()`.
        let mut time: bindings::ktime_t = time.max(0);
        let schedule = || {
            // SAFETY: `wait_with()` calls this where it may sleep, with the state set. Both clocks
            // have an hrtimer base. `time` is valid during the call, which does not keep the
            // pointer. The task does not sleep after a wake-up, as with `schedule_timeout()`.
            let woken = unsafe {
                bindings::schedule_hrtimeout_range_clock(
                    &mut time,
                    0,
                    bindings::hrtimer_mode_HRTIMER_MODE_ABS,
                    clock as bindings::clockid_t,
                )
            };
            woken == 0
        };
        Self::wait_with(state, schedule, condition)
    }

    /// Sleeps for `timeout` jiffies.
    ///
    /// C: `msleep()`, for each [`TaskState`]. Unlike `schedule_timeout_uninterruptible()` and the
    /// like, it does not return on a wake-up. To wait for something, use
    /// [`wait_until`](Self::wait_until) or a [`WaitQueue`](super::WaitQueue).
    ///
    /// With zero or a negative value, it returns at once, also in an interrupt. With
    /// [`MAX_SCHEDULE_TIMEOUT`], only a signal ends it. In the closure of a
    /// [`KThread`](crate::kthread::KThread), use
    /// [`CurrentKThread::sleep`](crate::kthread::CurrentKThread::sleep), which ends when the owner
    /// stops the kthread.
    ///
    /// # Errors
    ///
    /// [`WaitError::Signal`] and [`WaitError::AtomicContext`], as for
    /// [`wait_until`](Self::wait_until).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{task::TaskState, time::msecs_to_jiffies};
    ///
    /// /// Waits until the hardware has reset itself.
    /// fn wait_for_reset() -> Result {
    ///     Ok(current!().sleep(TaskState::Uninterruptible, msecs_to_jiffies(10) as c_long)?)
    /// }
    /// # // SAFETY: `jiffies` is a static. C code writes it as one word, and reads it by a volatile
    /// # // access without a lock.
    /// # let now = || unsafe { core::ptr::addr_of!(kernel::bindings::jiffies).read_volatile() };
    /// # let begin = now();
    /// wait_for_reset()?;
    /// # assert!(now().wrapping_sub(begin) >= msecs_to_jiffies(10) as c_ulong);
    /// # current!().sleep(TaskState::Interruptible, 0)?;
    /// # current!().sleep(TaskState::Killable, -1)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias(
        "schedule_timeout_interruptible",
        "schedule_timeout_uninterruptible",
        "schedule_timeout_killable",
        "schedule_timeout_idle",
        "msleep"
    ))]
    #[inline]
    pub fn sleep(&self, state: TaskState, timeout: c_long) -> Result<(), WaitError> {
        match Self::wait(state, &mut { timeout }, || None) {
            Err(WaitError::Timeout) => Ok(()),
            other => other,
        }
    }

    /// Like [`wait_until`](Self::wait_until), but does not check the condition before it checks the
    /// context and the signals, and stores the remaining jiffies in `remaining`.
    // Out of line and without `self`, so that the fast path does not have to load `current`.
    #[inline(never)]
    pub(crate) fn wait<R>(
        state: TaskState,
        remaining: &mut c_long,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        if *remaining <= 0 {
            return Err(WaitError::Timeout);
        }
        let schedule = || {
            // SAFETY: `wait_with()` calls this where it may sleep. The timeout is not negative, as
            // `schedule_timeout()` requires. `__schedule()` does not put the task to sleep if a
            // signal that interrupts its state is pending, or after a wake-up has set the state to
            // `TASK_RUNNING`.
            *remaining = unsafe { bindings::schedule_timeout(*remaining) };
            *remaining == 0
        };
        match Self::wait_with(state, schedule, condition) {
            Err(WaitError::Signal { .. }) => Err(WaitError::Signal {
                remaining: *remaining,
            }),
            other => other,
        }
    }

    /// The loop of [`wait`](Self::wait): `schedule` sleeps, and returns whether the time has
    /// elapsed. It is called in process context with interrupts enabled, and with the state set.
    #[inline(always)]
    fn wait_with<R>(
        state: TaskState,
        mut schedule: impl FnMut() -> bool,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        // In an interrupt, the state belongs to the interrupted code, which may be about to
        // `schedule()` in a state like `TASK_DEAD`.
        if !may_sleep() {
            return Err(WaitError::AtomicContext);
        }
        might_sleep();

        let bits = state.bits();
        let mut elapsed = false;
        while !elapsed {
            // SAFETY: `signal_pending_state()` reads the thread flags and the pending signals of
            // `current`, which is valid while this code runs.
            if unsafe { bindings::signal_pending_state(bits, Task::current_raw()) } != 0 {
                return Err(WaitError::Signal {
                    remaining: MAX_SCHEDULE_TIMEOUT,
                });
            }

            // SAFETY: `set_current_state()` writes the state of `current`. This is process context,
            // as checked above, so the state belongs to this code. It ends with a full memory
            // barrier, so `condition` is called after the store of the state. This pairs with the
            // barrier in `try_to_wake_up()`.
            // MODEL: kthread-stop/state, wait-queue/state, wait-wake/state
            unsafe { bindings::set_current_state(bits) };
            let value = condition();
            // `condition` may have taken a spinlock, for instance, and still hold it.
            let atomic = value.is_none() && !may_sleep();
            if value.is_none() && !atomic {
                elapsed = schedule();
            }
            // SAFETY: This writes the state of `current`, as above. Setting `TASK_RUNNING` needs no
            // barrier, as no later access has to be ordered after it.
            unsafe { bindings::__set_current_state(bindings::TASK_RUNNING) };
            if atomic {
                return Err(WaitError::AtomicContext);
            }
            if let Some(value) = value.or_else(&mut condition) {
                return Ok(value);
            }
        }
        Err(WaitError::Timeout)
    }
}
