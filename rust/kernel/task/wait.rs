// SPDX-License-Identifier: GPL-2.0

//! Waiting for a condition.
//!
//! [`CurrentTask::wait_until`] checks the condition once. Then, before each sleep, it sets the task
//! state and checks the condition again. After the sleep it sets `TASK_RUNNING`. The waker must
//! make the condition true, then call [`Task::wake_up`](super::Task::wake_up). A wake-up between
//! the check and `schedule_timeout()` sets the state to `TASK_RUNNING`, so it is not lost.
//!
//! `CondVar` is more convenient if a lock protects the condition. `wait_until()` needs no lock and
//! no wait queue.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use super::{
    CurrentTask,
    Task, //
};
use crate::{
    bindings,
    error::code::{
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
/// # Examples
///
/// ```
/// use kernel::task::TaskState;
///
/// /// Returns the state in which to wait for a device. `bounded`: it always answers in time.
/// fn device_wait_state(bounded: bool) -> TaskState {
///     if bounded { TaskState::Uninterruptible } else { TaskState::Killable }
/// }
/// assert_eq!(device_wait_state(false), TaskState::Killable);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Any signal interrupts the sleep.
    #[doc(alias = "TASK_INTERRUPTIBLE")]
    Interruptible,
    /// Only a fatal signal interrupts the sleep.
    #[doc(alias = "TASK_KILLABLE")]
    Killable,
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
    /// Returns the value for `task_struct::__state`.
    #[inline]
    fn bits(self) -> c_uint {
        match self {
            Self::Interruptible => bindings::TASK_INTERRUPTIBLE,
            Self::Killable => bindings::TASK_WAKEKILL | bindings::TASK_UNINTERRUPTIBLE,
            Self::Uninterruptible => bindings::TASK_UNINTERRUPTIBLE,
            Self::Idle => bindings::TASK_UNINTERRUPTIBLE | bindings::TASK_NOLOAD,
        }
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
    /// `timeout` is in jiffies. [`MAX_SCHEDULE_TIMEOUT`](super::MAX_SCHEDULE_TIMEOUT) waits without
    /// a limit. With zero or a negative value, `condition` is called once, without a sleep.
    ///
    /// # Errors
    ///
    /// - `ETIME`: `condition` did not return `Some` within `timeout` jiffies.
    /// - `ERESTARTSYS`: the state is [`Interruptible`](TaskState::Interruptible) and a signal or
    ///   work of `TIF_NOTIFY_SIGNAL` is pending, or it is [`Killable`](TaskState::Killable) and a
    ///   fatal signal is pending. The condition is checked first. With a `timeout` of zero or
    ///   less, signals are not checked.
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
    ///     task::{Task, TaskState, MAX_SCHEDULE_TIMEOUT},
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
    /// assert_eq!(current!().wait_until(TaskState::Idle, 1, never), Err(ETIME));
    /// # assert_eq!(current!().wait_until(TaskState::Killable, -1, never), Err(ETIME));
    /// # assert_eq!(current!().wait_until(TaskState::Interruptible, 0, || Some(1)), Ok(1));
    /// # assert_eq!(worker.stop(), 0);
    /// #
    /// # // Each check of the condition wakes the task, so no sleep lasts until the timeout.
    /// # let mut calls = 0;
    /// # current!().wait_until(TaskState::Idle, 5_000, || {
    /// #     calls += 1;
    /// #     current!().wake_up();
    /// #     (calls == 10).then_some(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("set_current_state", "schedule_timeout", "wait_event"))]
    #[inline]
    pub fn wait_until<R>(
        &self,
        state: TaskState,
        timeout: c_long,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R> {
        match condition() {
            Some(value) => Ok(value),
            None => Self::wait_until_slow(state, timeout, condition),
        }
    }

    // Out of line and without `self`, so that the fast path does not have to load `current`.
    #[inline(never)]
    fn wait_until_slow<R>(
        state: TaskState,
        timeout: c_long,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R> {
        let mut remaining = timeout.max(0);

        while remaining != 0 {
            // SAFETY: `signal_pending_state()` reads the thread flags and the pending signals of
            // `current`, which is valid while this code runs.
            if unsafe { bindings::signal_pending_state(state.bits(), Task::current_raw()) } != 0 {
                return Err(ERESTARTSYS);
            }

            let mut value = None;
            remaining = current!().schedule_timeout_unless(state, remaining, || {
                value = condition();
                value.is_some()
            });
            if let Some(value) = value.or_else(&mut condition) {
                return Ok(value);
            }
        }
        Err(ETIME)
    }

    /// Sleeps until the task is woken or `timeout` jiffies have elapsed, unless `condition` is
    /// true. Returns the remaining jiffies, which are `timeout` if `condition` is true.
    ///
    /// A pending signal that interrupts `state` prevents the sleep. `condition` must not sleep.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub(crate) fn schedule_timeout_unless(
        &self,
        state: TaskState,
        timeout: c_long,
        condition: impl FnOnce() -> bool,
    ) -> c_long {
        // SAFETY: `set_current_state()` writes the state of `current`, which only the task itself
        // sets to a sleeping state. It ends with a full memory barrier, so `condition` is evaluated
        // after the store of the state. This pairs with the barrier in `try_to_wake_up()`.
        unsafe { bindings::set_current_state(state.bits()) };
        let remaining = if condition() {
            timeout
        } else {
            // SAFETY: The caller is in process context and may sleep. The timeout is not negative,
            // as `schedule_timeout()` requires. `__schedule()` does not put the task to sleep if a
            // signal that interrupts this state is pending, or after a wake-up has set the state to
            // `TASK_RUNNING`.
            unsafe { bindings::schedule_timeout(timeout.max(0)) }
        };
        // SAFETY: This writes the state of `current`. Setting `TASK_RUNNING` needs no barrier, as
        // no later access has to be ordered after it.
        unsafe { bindings::__set_current_state(bindings::TASK_RUNNING) };
        remaining
    }
}
