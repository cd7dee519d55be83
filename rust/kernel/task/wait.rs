// SPDX-License-Identifier: GPL-2.0

//! Sleeping until there is a reason not to.
//!
//! Whoever waits says what for, and whoever makes it true wakes the task afterwards
//! ([`Task::wake_up`](super::Task::wake_up)). The state of the task is set before the reason is
//! looked for, each time, and reset afterwards: so no wake-up is lost, and no state forgotten.
//!
//! A condition variable (`CondVar`) is more convenient where a lock guards the reason. This needs
//! no lock and no list of those who wait.
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

/// How a task sleeps: what may wake it, and whether it counts as load.
///
/// # Examples
///
/// ```
/// use kernel::task::TaskState;
///
/// /// A device that does not answer for a while should not look like one that has died.
/// fn until_the_device_answers(quick: bool) -> TaskState {
///     if quick { TaskState::Uninterruptible } else { TaskState::Killable }
/// }
/// # assert!(until_the_device_answers(false) == TaskState::Killable);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Any signal ends it.
    #[doc(alias = "TASK_INTERRUPTIBLE")]
    Interruptible,
    /// A signal that kills ends it.
    #[doc(alias = "TASK_KILLABLE")]
    Killable,
    /// No signal does. It counts as load, and two minutes of it as a fault.
    #[doc(alias = "TASK_UNINTERRUPTIBLE")]
    Uninterruptible,
    /// No signal does, and it does not count: for threads of the kernel that have nothing to do.
    #[doc(alias = "TASK_IDLE")]
    Idle,
}

impl TaskState {
    #[inline]
    fn state(self) -> c_uint {
        match self {
            Self::Interruptible => bindings::TASK_INTERRUPTIBLE,
            Self::Killable => bindings::TASK_WAKEKILL | bindings::TASK_UNINTERRUPTIBLE,
            Self::Uninterruptible => bindings::TASK_UNINTERRUPTIBLE,
            Self::Idle => bindings::TASK_UNINTERRUPTIBLE | bindings::TASK_NOLOAD,
        }
    }
}

impl CurrentTask {
    /// Sleeps until `reason` returns something, and returns that.
    ///
    /// `reason` is asked before each sleep, and whenever the task is woken; the kernel's checks
    /// complain if it sleeps itself. What it looks for is to be made true before the task is woken.
    /// Sleeps if there is no reason, so not for atomic context.
    ///
    /// Errors: `ETIME` after so many jiffies ([`MAX_SCHEDULE_TIMEOUT`](super::MAX_SCHEDULE_TIMEOUT)
    /// is for ever, and what is negative is none); `ERESTARTSYS` if something waits for the task
    /// that ends such a sleep, which is a signal as a rule
    /// ([`Interruptible`](TaskState::Interruptible), [`Killable`](TaskState::Killable)).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::sync::atomic::{AtomicBool, Ordering};
    /// use kernel::{kthread::KThread, sync::aref::ARef, task::{TaskState, Task, MAX_SCHEDULE_TIMEOUT}};
    ///
    /// static DONE: AtomicBool = AtomicBool::new(false);
    ///
    /// let waiter: ARef<Task> = ARef::from(&**current!());
    /// let worker = KThread::spawn(format_args!("worker"), move |this| {
    ///     // First what the other waits for, and then:
    ///     DONE.store(true, Ordering::Release);
    ///     waiter.wake_up();
    ///     while !this.sleep(MAX_SCHEDULE_TIMEOUT) {}
    ///     0
    /// })?;
    ///
    /// let done = || DONE.load(Ordering::Acquire).then_some(());
    /// current!().wait_until(TaskState::Uninterruptible, MAX_SCHEDULE_TIMEOUT, done)?;
    ///
    /// // Nobody makes this true.
    /// let never = || None::<()>;
    /// assert_eq!(current!().wait_until(TaskState::Idle, 1, never), Err(ETIME));
    /// # assert_eq!(current!().wait_until(TaskState::Killable, -1, never), Err(ETIME));
    /// # assert_eq!(current!().wait_until(TaskState::Interruptible, 0, || Some(1)), Ok(1));
    /// # assert_eq!(worker.stop(), 0);
    /// #
    /// # // Somebody else is faster than the sleep: it does not begin.
    /// # // SAFETY: The clock runs.
    /// # let now = || unsafe { kernel::bindings::ktime_get() };
    /// # let (mut asked, begin) = (0, now());
    /// # let at_once = current!().wait_until(TaskState::Idle, 5_000, || {
    /// #     asked += 1;
    /// #     current!().wake_up();
    /// #     (asked == 3).then(|| now() - begin < 4_000_000_000)
    /// # })?;
    /// # assert!(at_once);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("set_current_state", "schedule_timeout", "wait_event"))]
    #[inline]
    pub fn wait_until<R>(
        &self,
        how: TaskState,
        jiffies: c_long,
        mut reason: impl FnMut() -> Option<R>,
    ) -> Result<R> {
        match reason() {
            Some(found) => Ok(found),
            None => Self::wait(how, jiffies, reason),
        }
    }

    // This is apart, and does without `self`: who need not sleep need not find the current task.
    #[inline(never)]
    fn wait<R>(how: TaskState, jiffies: c_long, mut reason: impl FnMut() -> Option<R>) -> Result<R> {
        let mut left = jiffies.max(0);

        while left != 0 {
            // SAFETY: The function reads the flags of the current task.
            if unsafe { bindings::signal_pending_state(how.state(), Task::current_raw()) } != 0 {
                return Err(ERESTARTSYS);
            }

            let mut found = None;
            left = current!().schedule_timeout_unless(how, left, || {
                found = reason();
                found.is_some()
            });
            if let Some(found) = found.or_else(&mut reason) {
                return Ok(found);
            }
        }
        Err(ETIME)
    }

    /// Sleeps until somebody wakes the task, for so many jiffies at most, unless there is a reason
    /// not to. Returns how many are left.
    pub(crate) fn schedule_timeout_unless(
        &self,
        how: TaskState,
        jiffies: c_long,
        reason: impl FnOnce() -> bool,
    ) -> c_long {
        // SAFETY: It is the current task's own state. A full memory barrier follows, so what is
        // looked for is not older.
        unsafe { bindings::set_current_state(how.state()) };
        let left = if reason() {
            jiffies
        } else {
            // SAFETY: The caller wants to sleep, so this is a context where a task may. The number
            // is not negative. If a signal waits that ends such a sleep, this returns at once.
            unsafe { bindings::schedule_timeout(jiffies.max(0)) }
        };
        // SAFETY: It is the current task's own state. Nothing has to come after this.
        unsafe { bindings::__set_current_state(bindings::TASK_RUNNING) };
        left
    }
}
