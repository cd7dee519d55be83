// SPDX-License-Identifier: GPL-2.0

//! The system call that the current task is in.
//!
//! C headers: [`include/linux/compat.h`](srctree/include/linux/compat.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::{
    in_task,
    CurrentTask, //
};
use crate::{
    bindings,
    error::code::ERESTARTNOINTR,
    prelude::*, //
};

impl CurrentTask {
    /// Returns whether the system call has the ABI of a 32-bit process, on a 64-bit kernel.
    ///
    /// Integers of C's type `long` and pointers in the structures of such a process have four
    /// bytes. A 64-bit process on x86-64 may make such a system call as well. The result has no
    /// meaning outside of a system call.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::mem;
    ///
    /// /// Returns the size of an array of `n` pointers of the caller.
    /// fn size_of_pointers(n: usize) -> Result<usize> {
    ///     let size = if current!().in_compat_syscall() { 4 } else { mem::size_of::<usize>() };
    ///     // The caller chooses `n`.
    ///     n.checked_mul(size).ok_or(EINVAL)
    /// }
    /// assert_eq!(size_of_pointers(3), Ok(3 * mem::size_of::<usize>()));
    /// # assert_eq!(size_of_pointers(usize::MAX), Err(EINVAL));
    /// ```
    #[doc(alias = "is_compat_task")]
    #[inline]
    pub fn in_compat_syscall(&self) -> bool {
        // SAFETY: `in_compat_syscall()` reads the `thread_info` and the saved registers of
        // `current`, which are on its stack or part of the `task_struct`.
        unsafe { bindings::in_compat_syscall() }
    }

    /// Has the system call restarted if it returns the error that this function returns.
    ///
    /// For a driver that must not wait for a lock, as its holder may wait for this system call. The
    /// task handles its signals before it calls the driver again. In a kthread or an interrupt,
    /// there is no system call to restart, and this function only returns the error.
    ///
    /// A worker of io_uring or vhost has no system call to restart, either: it handles its signals,
    /// and goes on. io_uring completes the request with `EINTR` (`io_fixup_restart_res()`), also if
    /// `io_uring_enter()` executes it. Userspace has to repeat the request.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{error::code::ERESTARTNOINTR, sync::atomic::{Acquire, Atomic}};
    ///
    /// /// Shows an attribute. Its removal sets `removed`, and waits until this function returns.
    /// fn show(value: u32, removed: &Atomic<bool>) -> Result<u32> {
    ///     if removed.load(Acquire) {
    ///         return Err(current!().restart_syscall());
    ///     }
    ///     Ok(value)
    /// }
    /// # assert_eq!(show(3, &Atomic::new(false)), Ok(3));
    /// # assert_eq!(show(3, &Atomic::new(true)), Err(ERESTARTNOINTR));
    /// ```
    #[doc(alias = "ERESTARTNOINTR")]
    #[inline]
    pub fn restart_syscall(&self) -> Error {
        if in_task() && !self.is_kthread() {
            // SAFETY: `restart_syscall()` sets a flag of `current` by an atomic operation.
            unsafe { bindings::restart_syscall() };
        }
        ERESTARTNOINTR
    }
}
