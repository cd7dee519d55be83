// SPDX-License-Identifier: GPL-2.0

//! Pending signals, and sending a signal to a thread.
//!
//! To signal a thread group, or a task that may have been reaped, use its
//! [`Pid`](crate::pid::Pid).
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::Task;
use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};

impl Task {
    /// Returns whether a signal, or other work that interrupts a sleep (`TIF_NOTIFY_SIGNAL`), is
    /// pending for this task.
    ///
    /// For a task other than the current one, the result may be stale when it is returned.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// fn poll_device() -> Result {
    ///     if current!().signal_pending() {
    ///         return Err(ERESTARTSYS);
    ///     }
    ///     // ...
    ///     Ok(())
    /// }
    /// # assert!(poll_device().is_ok());
    /// ```
    #[doc(alias = "TIF_SIGPENDING")]
    #[inline]
    pub fn signal_pending(&self) -> bool {
        // SAFETY: `signal_pending()` reads two bits of `thread_info::flags`. The `thread_info` is
        // part of the `task_struct`, which is allocated by the type invariant. Without
        // CONFIG_THREAD_INFO_IN_TASK it is part of the kernel stack, which `free_task()` frees
        // together with the `task_struct`.
        unsafe { bindings::signal_pending(self.as_ptr()) != 0 }
    }

    /// Returns whether a fatal signal (`SIGKILL`) is pending for this task.
    ///
    /// For a task other than the current one, the result may be stale when it is returned.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::cond_resched;
    ///
    /// /// Copies `chunks` chunks, and stops early if the caller is being killed.
    /// fn copy_all(chunks: usize) -> Result {
    ///     for _ in 0..chunks {
    ///         if current!().fatal_signal_pending() {
    ///             return Err(EINTR);
    ///         }
    ///         // ...
    ///         cond_resched();
    ///     }
    ///     Ok(())
    /// }
    /// # assert!(copy_all(2).is_ok());
    /// ```
    #[inline]
    pub fn fatal_signal_pending(&self) -> bool {
        // SAFETY: `fatal_signal_pending()` reads what `signal_pending()` above reads, and one bit
        // of `task_struct::pending`, which is allocated by the type invariant.
        unsafe { bindings::fatal_signal_pending(self.as_ptr()) != 0 }
    }

    /// Sends `signal` to this thread.
    ///
    /// If `privileged` is true, the sender is the kernel (`SEND_SIG_PRIV`), otherwise the current
    /// task (`SEND_SIG_NOINFO`). Permissions are not checked. A task that is exiting may not handle
    /// the signal.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `signal` is not a valid signal number, or is zero.
    /// - `ESRCH`: the task has been reaped, or is an idle task.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// // Signal 0 cannot be used to test whether the task exists.
    /// assert_eq!(current!().send_sig(0, true), Err(EINVAL));
    /// assert_eq!(current!().send_sig(1000, true), Err(EINVAL));
    /// ```
    pub fn send_sig(&self, signal: c_int, privileged: bool) -> Result {
        // `valid_signal()` accepts 0, but `sigaddset()` expects signals from 1.
        if signal <= 0 {
            return Err(EINVAL);
        }
        // An interrupt may find an idle task in `current!()`. It never handles a signal, so the
        // signal would stay pending.
        if self.pid() == 0 {
            return Err(ESRCH);
        }

        // SAFETY: `task_struct` is allocated by the type invariant. `send_sig()` rejects signals
        // above `_NSIG`. `lock_task_sighand()` reads `sighand` under RCU and fails if
        // `__exit_signal()` has cleared it, which is the case after the task has been reaped.
        to_result(unsafe { bindings::send_sig(signal, self.as_ptr(), privileged.into()) })
    }
}
