// SPDX-License-Identifier: GPL-2.0

//! The freezer of kthreads.
//!
//! The freezer stops all processes before the system is suspended. It also stops the kthreads that
//! have asked for it with [`CurrentKThread::set_freezable`]: a kthread that works with a device or
//! a file system should not run while these are suspended.
//!
//! C header: [`include/linux/freezer.h`](srctree/include/linux/freezer.h)

use super::CurrentKThread;
use crate::{
    bindings,
    error::{
        code::EBUSY,
        Result, //
    },
    task::{
        may_sleep,
        Task, //
    },
};

impl CurrentKThread {
    /// Makes this kthread freezable: the freezer stops it before the system is suspended, until the
    /// system is resumed. Returns whether the kthread was frozen in this call. If the kthread must
    /// stop, this does nothing.
    ///
    /// From then on, [`wait_until`](Self::wait_until) and [`sleep`](Self::sleep) freeze the
    /// kthread, as they park it. A closure that does not call one of them for a long time must call
    /// [`try_to_freeze`](Self::try_to_freeze). A kthread that calls none of them, or is parked, for
    /// longer than `freeze_timeout_msecs` makes the suspend fail. A kthread cannot become
    /// unfreezable again.
    ///
    /// A freezable kthread must not hold a lock, or anything else that an unfreezable task waits
    /// for, when it calls one of these functions. Lockdep reports a lock only in this function, and
    /// in a wait in a freezable [`TaskState`](crate::task::TaskState).
    ///
    /// A frozen kthread is stopped or parked only after it has been thawed. So code for which the
    /// suspend or the resume waits must not drop, stop or park the
    /// [`KThread`](super::KThread), nor drop or flush a
    /// [`KThreadWorker`](super::KThreadWorker), nor flush or cancel one of its works: that is a
    /// suspend callback of a driver, and also the removal of a device, as it holds the lock of the
    /// device. The suspend would wait permanently. Stop the kthread elsewhere, or do not make it
    /// freezable. If another freezable kthread waits for it, the suspend fails.
    ///
    /// A kthread that root has moved to a frozen cgroup (version 1) is frozen as well. Its owner
    /// and `rmmod` wait until the cgroup has been thawed. While they wait, each suspend fails.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the code must not sleep. See
    ///   [`WaitError::AtomicContext`](crate::task::WaitError::AtomicContext).
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
    ///     task::{cond_resched, TaskState, MAX_SCHEDULE_TIMEOUT},
    /// };
    ///
    /// /// Writes what is dirty. Does not run while the disk is suspended.
    /// fn flusher(this: &CurrentKThread, dirty: impl Fn() -> Option<u32>) -> i32 {
    ///     if this.set_freezable().is_err() {
    ///         return EBUSY.to_errno();
    ///     }
    ///     let mut written = 0;
    ///     while let Ok(blocks) = this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, &dirty) {
    ///         written += blocks as i32;
    ///         cond_resched();
    ///         # this.sleep(1);
    ///     }
    ///     written
    /// }
    /// let thread = KThread::spawn(format_args!("flusher"), |this| flusher(this, || Some(1)))?;
    /// # let _ = current!().wait_until(TaskState::Idle, 5, || None::<()>);
    /// # let written = thread.stop();
    /// # assert!(written > 0 || written == EINTR.to_errno());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_freezable(&self) -> Result<bool> {
        // `set_freezable()` uses `spin_lock_irq()`, which would enable interrupts.
        if !may_sleep() {
            return Err(EBUSY);
        }
        // C's `set_freezable()` does not ask whether the kthread must stop.
        if self.should_stop() {
            return Ok(false);
        }
        self.freezable.set(true);
        // SAFETY: This is process context with interrupts enabled, so only this code changes the
        // state of the current task. In the condition of a wait, the state is not `TASK_RUNNING`
        // before. The wait then checks its condition again. `set_freezable()` changes
        // `current->flags`, which no other task writes, with `freezer_lock` held, so that
        // `freeze_task()` sees the change or this task sees that the freezer is active. It then
        // calls `try_to_freeze()`.
        unsafe {
            bindings::__set_current_state(bindings::TASK_RUNNING);
            Ok(bindings::set_freezable())
        }
    }

    /// Returns whether the freezer wants this kthread to freeze.
    ///
    /// Always `false` before [`set_freezable`](Self::set_freezable).
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::CurrentKThread, task::cond_resched};
    ///
    /// /// Checks a part of a disk. Returns the position at which to continue after the resume. The
    /// /// kthread has called `set_freezable()`.
    /// fn scrub(this: &CurrentKThread, mut position: u64, check: impl Fn(u64)) -> u64 {
    ///     while !this.freezing() && !this.should_stop() && position < 1000 {
    ///         check(position);
    ///         position += 1;
    ///         cond_resched();
    ///     }
    ///     position
    /// }
    /// # let thread = kernel::kthread::KThread::spawn(format_args!("scrub"), |this| {
    /// #     this.set_freezable().map_or(-1, |_| scrub(this, 990, |_| ()) as i32)
    /// # })?;
    /// # let _ = current!().wait_until(kernel::task::TaskState::Idle, 5, || None::<()>);
    /// # let result = thread.stop();
    /// # assert!((990..=1000).contains(&result) || result == EINTR.to_errno());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn freezing(&self) -> bool {
        // SAFETY: The current task is valid. `freezing()` reads its flags and global variables and,
        // under RCU, its cgroup.
        self.freezable.get() && unsafe { bindings::freezing(Task::current_raw()) }
    }

    /// Freezes this kthread if the freezer wants that, until the system is resumed. Returns whether
    /// it was frozen.
    ///
    /// Where the code must not sleep ([`WaitError::AtomicContext`]), before
    /// [`set_freezable`](Self::set_freezable), and if the owner has asked the kthread to stop, this
    /// does nothing.
    ///
    /// [`WaitError::AtomicContext`]: crate::task::WaitError::AtomicContext
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::CurrentKThread, task::cond_resched};
    ///
    /// /// A long job that never waits. The kthread has called `set_freezable()`.
    /// fn compute(this: &CurrentKThread, mut step: impl FnMut() -> bool) {
    ///     while step() && !this.should_stop() {
    ///         cond_resched();
    ///         this.try_to_freeze();
    ///     }
    /// }
    /// # let thread = kernel::kthread::KThread::spawn(format_args!("compute"), |this| {
    /// #     let mut steps = this.set_freezable().map_or(0, |_| 0);
    /// #     compute(this, || { steps += 1; steps < 10 });
    /// #     steps
    /// # })?;
    /// # drop(thread);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_freezable_should_stop")]
    pub fn try_to_freeze(&self) -> bool {
        if !self.freezing() || self.should_stop() || !may_sleep() {
            return false;
        }
        let mut was_frozen = false;
        // SAFETY: This is process context with interrupts enabled, so only this code changes the
        // state of the current task. In the condition of a wait, the state is not `TASK_RUNNING`
        // before. The wait then checks its condition again. By the type invariant, the current task
        // is a kthread, so `to_kthread(current)` is valid. `was_frozen` is a local variable, valid
        // for the write.
        unsafe {
            bindings::__set_current_state(bindings::TASK_RUNNING);
            bindings::kthread_freezable_should_stop(&mut was_frozen);
        }
        was_frozen
    }
}
