// SPDX-License-Identifier: GPL-2.0

//! Letting other tasks run, and scheduling parameters.
//!
//! A loop that runs for long in the kernel keeps other tasks from its CPU and delays grace periods
//! of RCU, on a kernel that does not preempt it (`CONFIG_PREEMPT_NONE`,
//! `CONFIG_PREEMPT_VOLUNTARY`). [`cond_resched`] in each round prevents that. With full or lazy
//! preemption, the kernel preempts such a loop.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use super::{
    may_sleep,
    Task, //
};
use crate::{
    bindings,
    error::to_result,
    kthread::CurrentKThread,
    prelude::*, //
};

/// Returns whether the scheduler wants to run another task at once (`TIF_NEED_RESCHED`).
///
/// On a kernel with preemption, the current task is then preempted, so this only returns true in a
/// section with preemption disabled. It does not tell of a lazy request.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// ```
/// use kernel::task::need_resched;
///
/// /// Polls a device a few times, unless something else is to run on this CPU.
/// fn poll(is_done: impl Fn() -> bool) -> bool {
///     for _ in 0..100 {
///         if is_done() {
///             return true;
///         }
///         if need_resched() {
///             break;
///         }
///     }
///     // The caller waits for an interrupt of the device.
///     false
/// }
/// assert!(poll(|| true));
/// # assert!(!poll(|| false));
/// ```
#[inline]
pub fn need_resched() -> bool {
    // SAFETY: `need_resched()` only reads the thread flags of `current`.
    unsafe { bindings::need_resched() }
}

/// Lets another task run if the scheduler asks for it. Returns whether the task was rescheduled.
///
/// It returns false, and does nothing, on a kernel that runs with full or lazy preemption, in an
/// interrupt, and with interrupts disabled. With `CONFIG_PREEMPT_COUNT`, the same holds in a
/// critical section of a spinlock or of RCU.
///
/// With `CONFIG_DEBUG_ATOMIC_SLEEP`, a call in atomic context is reported with the file and line of
/// the caller.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::task::cond_resched;
///
/// fn clear(table: &mut [u64]) {
///     for chunk in table.chunks_mut(512) {
///         chunk.fill(0);
///         cond_resched();
///     }
/// }
/// # clear(&mut [1; 2]);
/// ```
#[track_caller]
#[inline]
pub fn cond_resched() -> bool {
    #[cfg(CONFIG_DEBUG_ATOMIC_SLEEP)]
    {
        let here = core::panic::Location::caller();
        let file = crate::file_from_location(here);

        // SAFETY: `file` is a NUL-terminated string of static lifetime.
        unsafe { bindings::__might_resched(file.as_ptr().cast(), here.line() as c_int, 0) }
    }

    // With `CONFIG_PREEMPTION`, and without a choice at boot, C's `_cond_resched()` is empty. On
    // Linux 6.12, it is not with livepatches.
    if cfg!(all(
        CONFIG_PREEMPTION,
        not(CONFIG_PREEMPT_DYNAMIC),
        not(CONFIG_LIVEPATCH)
    )) {
        return false;
    }

    // In an interrupt, `__cond_resched()` would end the RCU read-side critical section of the code
    // that is interrupted, as it reports a quiescent state.
    //
    // SAFETY: This is process context with interrupts enabled. With `CONFIG_PREEMPT_COUNT`, it is
    // not a critical section of a spinlock or of RCU either. Without it, that is what the context
    // of this function forbids, as for each function that sleeps, and no safe function of this
    // crate relies on such a section of its caller.
    may_sleep() && unsafe { bindings::_cond_resched() } != 0
}

/// Calls the scheduler: the current task continues when its turn comes again.
///
/// The task stays runnable, and continues at once if no other task is to run before it. To sleep
/// until something happens, use [`CurrentTask::wait_until`](super::CurrentTask::wait_until). In an
/// interrupt, with interrupts disabled and, with `CONFIG_PREEMPT_COUNT`, in a critical section of a
/// spinlock or of RCU, this does nothing.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::task::schedule;
///
/// /// Waits for a device that needs a few microseconds and has no interrupt.
/// fn wait(is_done: impl Fn() -> bool) -> Result {
///     for _ in 0..1000 {
///         if is_done() {
///             return Ok(());
///         }
///         schedule();
///     }
///     Err(EBUSY)
/// }
/// wait(|| true)?;
/// # assert_eq!(wait(|| false), Err(EBUSY));
/// # Ok::<(), Error>(())
/// ```
#[inline]
pub fn schedule() {
    if may_sleep() {
        // SAFETY: This is process context, so the state of `current` belongs to this code. It is
        // not `TASK_RUNNING` in the condition of a wait, which would then sleep without a timeout.
        unsafe { bindings::__set_current_state(bindings::TASK_RUNNING) };
        // SAFETY: This is process context with interrupts enabled; the rest is as for
        // `cond_resched()`. The task stays on the run queue, as its state is `TASK_RUNNING`.
        unsafe { bindings::schedule() }
    }
}

/// Lets the other tasks that are ready to run on this CPU run first, as far as the scheduler
/// allows.
///
/// C: `yield()`. `yield` is a keyword of Rust, so this has the name of the function of Rust's `std`
/// that does the same.
///
/// It promises no progress: a real-time task continues at once if no other one of its priority is
/// ready to run. To wait for something, use a [`WaitQueue`](super::WaitQueue), and in a long loop
/// [`cond_resched`]. Where [`schedule`] does nothing, this does nothing either.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::task::yield_now;
///
/// /// Tries again a few times what fails while another task uses the device.
/// fn claim(try_claim: impl Fn() -> bool) -> Result {
///     for _ in 0..10 {
///         if try_claim() {
///             return Ok(());
///         }
///         yield_now();
///     }
///     Err(EBUSY)
/// }
/// claim(|| true)?;
/// # assert_eq!(claim(|| false), Err(EBUSY));
/// # // A wait whose condition calls it sees the wake-up that comes first.
/// # use kernel::task::{TaskState, WaitError};
/// # let waited = current!().wait_until(TaskState::Idle, 1, || {
/// #     yield_now();
/// #     None::<()>
/// # });
/// # assert_eq!(waited, Err(WaitError::Timeout));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "yield")]
#[inline]
pub fn yield_now() {
    if may_sleep() {
        // SAFETY: This is process context with interrupts enabled, so the state of `current`, which
        // `yield()` sets to `TASK_RUNNING`, belongs to this code. `do_sched_yield()` leaves the
        // task on its run queue. It enables interrupts. The rest is as for `cond_resched()`.
        unsafe { bindings::yield_() }
    }
}

impl Task {
    /// Sets the nice value of this task, from -20 (highest priority) to 19 (lowest).
    ///
    /// Permissions are not checked. For a real-time task, the value is used once it is one no
    /// longer.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `nice` is out of range.
    /// - `ESRCH`: the task is an idle task.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::KThread;
    ///
    /// // A kthread that should not disturb anything else.
    /// let worker = KThread::spawn(format_args!("worker"), |_| {
    ///     match current!().set_user_nice(19) {
    ///         Ok(()) => current!().nice(),
    ///         Err(err) => err.to_errno(),
    ///     }
    /// })?;
    /// # while worker.task().nice() != 19 {
    /// #     kernel::task::schedule();
    /// # }
    /// # assert_eq!(worker.stop(), 19);
    /// assert_eq!(current!().set_user_nice(20), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_user_nice(&self, nice: c_int) -> Result {
        if !(-20..20).contains(&nice) {
            return Err(EINVAL);
        }
        // `prio_changed_idle()` has a `BUG()`. An interrupt may find an idle task in `current!()`.
        if self.pid() == 0 {
            return Err(ESRCH);
        }

        // SAFETY: `task_struct` is allocated by the type invariant. `set_user_nice()` takes the
        // locks of the task and of its run queue with interrupts disabled, and also accepts a task
        // that has exited. The kthreads of the stop class have the policy `SCHED_FIFO`
        // (`sched_set_stop_task()`), for which it only stores the value.
        unsafe { bindings::set_user_nice(self.as_ptr(), nice as c_long) };
        Ok(())
    }
}

impl CurrentKThread {
    /// Makes this kthread a real-time task (`SCHED_FIFO`), with a priority in the middle of the
    /// range.
    ///
    /// It then runs before all tasks that are no real-time tasks, so it must not compute for long.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: this must not sleep here. Or, on PREEMPT_RT, the kthread holds a lock for which a
    ///   `SCHED_DEADLINE` task waits.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     kthread::{CurrentKThread, KThread},
    ///     sync::atomic::{Atomic, Full},
    ///     task::{cond_resched, TaskState, MAX_SCHEDULE_TIMEOUT},
    /// };
    ///
    /// /// An interrupt handler adds an event, and then calls `wake_up()` of the kthread's task.
    /// static EVENTS: Atomic<u32> = Atomic::new(0);
    ///
    /// fn handle_events(this: &CurrentKThread) -> i32 {
    ///     if this.sched_set_fifo().is_err() {
    ///         pr_warn!("events are handled with normal priority\n");
    ///     }
    ///     let next = || match EVENTS.xchg(0, Full) {
    ///         0 => None,
    ///         events => Some(events),
    ///     };
    ///     while let Ok(_events) = this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, next) {
    ///         // ... handle them ...
    ///         cond_resched();
    ///     }
    ///     0
    /// }
    /// let thread = KThread::spawn(format_args!("events"), handle_events)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn sched_set_fifo(&self) -> Result {
        set_current_fifo(bindings::MAX_RT_PRIO / 2)
    }

    /// Makes this kthread a real-time task (`SCHED_FIFO`) with the lowest real-time priority.
    ///
    /// # Errors
    ///
    /// Those of [`sched_set_fifo`](Self::sched_set_fifo).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// /// Runs before normal tasks, and after other real-time tasks.
    /// fn begin(this: &CurrentKThread) -> Result {
    ///     this.sched_set_fifo_low()
    /// }
    /// ```
    #[inline]
    pub fn sched_set_fifo_low(&self) -> Result {
        set_current_fifo(1)
    }
}

/// Makes the current task a real-time task with the given priority.
///
/// `sched_set_fifo()` of C has a `WARN()` where this returns an error.
// Never inlined: `sched_setscheduler_nocheck()` is not exported to modules.
#[inline(never)]
fn set_current_fifo(priority: u32) -> Result {
    if !may_sleep() {
        return Err(EBUSY);
    }
    let param = bindings::sched_param {
        sched_priority: priority as c_int,
    };
    // SAFETY: The current task is valid, and so is the policy. This is process context with
    // interrupts enabled, as `__sched_setscheduler()` requires: it may take a mutex.
    to_result(unsafe {
        bindings::sched_setscheduler_nocheck(
            Task::current_raw(),
            bindings::SCHED_FIFO as c_int,
            &param,
        )
    })
}
