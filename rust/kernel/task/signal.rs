// SPDX-License-Identifier: GPL-2.0

//! Signals: whether some wait for a task, and sending one.
//!
//! A signal to a process, or to a task that may be gone, is sent through its
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
    /// Returns whether a signal, or other work that interrupts sleep, waits for this task.
    ///
    /// The answer for another task may be out of date when it is returned. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// fn wait_a_little() -> Result {
    ///     if current!().signal_pending() {
    ///         return Err(ERESTARTSYS);
    ///     }
    ///     // ...
    ///     Ok(())
    /// }
    /// # assert!(wait_a_little().is_ok());
    /// ```
    #[inline]
    pub fn signal_pending(&self) -> bool {
        // SAFETY: `signal_pending()` reads two bits of the thread's flags. They lie either in the
        // `task_struct`, which is allocated by the type invariant, or (without
        // CONFIG_THREAD_INFO_IN_TASK) in the stack, which such kernels free no sooner than
        // `free_task()`, that is with the `task_struct`.
        unsafe { bindings::signal_pending(self.as_ptr()) != 0 }
    }

    /// Returns whether the task is to be killed.
    ///
    /// The answer for another task may be out of date when it is returned. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// /// What takes long, but not for somebody who is about to die.
    /// fn copy_all(chunks: usize) -> Result {
    ///     for _ in 0..chunks {
    ///         if current!().fatal_signal_pending() {
    ///             return Err(EINTR);
    ///         }
    ///         // ...
    ///     }
    ///     Ok(())
    /// }
    /// # assert!(copy_all(2).is_ok());
    /// ```
    #[inline]
    pub fn fatal_signal_pending(&self) -> bool {
        // SAFETY: As for `signal_pending()`. The set of signals that wait lies in the
        // `task_struct`, too.
        unsafe { bindings::fatal_signal_pending(self.as_ptr()) != 0 }
    }

    /// Sends `signal` to this thread.
    ///
    /// With `privileged`, the kernel is the sender, otherwise the current task. Nobody asks whether
    /// it may do so. A task that is on its way out may not notice. Any context where a spinlock can
    /// be taken.
    ///
    /// Errors: `ESRCH` if the task has been reaped, `EINVAL` if there is no such signal.
    ///
    /// # Examples
    ///
    /// ```
    /// // There is nothing to be asked with signal 0.
    /// assert_eq!(current!().send_sig(0, true), Err(EINVAL));
    /// assert_eq!(current!().send_sig(1000, true), Err(EINVAL));
    /// ```
    pub fn send_sig(&self, signal: c_int, privileged: bool) -> Result {
        // C's tables begin with signal 1.
        if signal <= 0 {
            return Err(EINVAL);
        }

        // SAFETY: `task_struct` is allocated by the type invariant. The function refuses numbers
        // that are too great, and finds out under RCU whether there is a lock to take, which there
        // is not when the task has been reaped.
        to_result(unsafe { bindings::send_sig(signal, self.as_ptr(), privileged.into()) })
    }
}
