// SPDX-License-Identifier: GPL-2.0

//! Resource limits.
//!
//! C headers: [`include/linux/resource.h`](srctree/include/linux/resource.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::Task;
use crate::{
    bindings,
    prelude::*, //
};

/// A resource that a process may use up to a limit.
///
/// # Examples
///
/// ```
/// use kernel::task::Rlimit;
///
/// /// Whether the caller may lock so many bytes.
/// fn may_lock(bytes: usize) -> bool {
///     bytes <= current!().rlimit(Rlimit::Memlock)
/// }
/// assert!(may_lock(0));
/// ```
#[doc(alias = "RLIMIT")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rlimit {
    /// Time on a CPU, in seconds.
    Cpu = bindings::RLIMIT_CPU,
    /// The size of a file that is written, in bytes.
    Fsize = bindings::RLIMIT_FSIZE,
    /// The data segment, in bytes.
    Data = bindings::RLIMIT_DATA,
    /// The stack, in bytes.
    Stack = bindings::RLIMIT_STACK,
    /// A core file, in bytes.
    Core = bindings::RLIMIT_CORE,
    /// Resident memory, in bytes. Nothing enforces it.
    Rss = bindings::RLIMIT_RSS,
    /// Processes and threads of the user.
    Nproc = bindings::RLIMIT_NPROC,
    /// One more than the greatest file descriptor.
    Nofile = bindings::RLIMIT_NOFILE,
    /// Memory that is locked or pinned, in bytes.
    Memlock = bindings::RLIMIT_MEMLOCK,
    /// The address space, in bytes.
    As = bindings::RLIMIT_AS,
    /// File locks. Nothing enforces it.
    Locks = bindings::RLIMIT_LOCKS,
    /// Signals that wait for the user's processes.
    Sigpending = bindings::RLIMIT_SIGPENDING,
    /// POSIX message queues, in bytes.
    Msgqueue = bindings::RLIMIT_MSGQUEUE,
    /// How nice a task need not be: 20 minus the nice value.
    Nice = bindings::RLIMIT_NICE,
    /// Priority among real-time tasks.
    Rtprio = bindings::RLIMIT_RTPRIO,
    /// Time on a CPU of a real-time task that does not sleep, in microseconds.
    Rttime = bindings::RLIMIT_RTTIME,
}

impl Rlimit {
    /// The limit of what is not limited. All numbers are below or equal.
    #[doc(alias = "RLIM_INFINITY")]
    pub const INFINITY: usize = usize::MAX;
}

impl Task {
    /// Returns the soft limit of the task's process, in the unit of the resource. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Rlimit;
    ///
    /// /// Refuses a file more if the program has `open` already.
    /// fn may_open(open: usize) -> Result {
    ///     if open >= current!().rlimit(Rlimit::Nofile) {
    ///         return Err(EMFILE);
    ///     }
    ///     Ok(())
    /// }
    /// assert!(may_open(0).is_ok());
    /// assert_eq!(may_open(usize::MAX), Err(EMFILE));
    /// ```
    #[doc(alias("task_rlimit", "rlim_cur"))]
    #[inline]
    pub fn rlimit(&self, resource: Rlimit) -> usize {
        // SAFETY: `task_rlimit()` reads a number from an array in `signal`. `__put_task_struct()`
        // gives up the task's count on that, so it is allocated by the type invariant, and all
        // values of `Rlimit` are less than `RLIM_NLIMITS`.
        unsafe { bindings::task_rlimit(self.as_ptr(), resource as c_uint) }
    }
}
