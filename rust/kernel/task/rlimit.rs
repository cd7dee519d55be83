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

/// A resource limit of a thread group.
///
/// # Examples
///
/// ```
/// use kernel::task::Rlimit;
///
/// /// Returns whether the calling process may lock `bytes` bytes of memory in addition to `locked`
/// /// ones. Called in its system call: a worker has limits of its own.
/// fn may_lock(locked: usize, bytes: usize) -> bool {
///     let limit = current!().rlimit(Rlimit::Memlock);
///     locked.checked_add(bytes).is_some_and(|all| all <= limit)
/// }
/// assert!(may_lock(0, 0));
/// # assert!(!may_lock(usize::MAX, 1));
/// ```
#[doc(alias = "RLIMIT")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rlimit {
    /// CPU time, in seconds.
    Cpu = bindings::RLIMIT_CPU,
    /// The size of a file that the process writes, in bytes.
    Fsize = bindings::RLIMIT_FSIZE,
    /// The data segment, in bytes.
    Data = bindings::RLIMIT_DATA,
    /// The stack, in bytes.
    Stack = bindings::RLIMIT_STACK,
    /// The size of a core file, in bytes.
    Core = bindings::RLIMIT_CORE,
    /// Resident memory, in bytes. Not enforced.
    Rss = bindings::RLIMIT_RSS,
    /// Processes and threads of the user.
    Nproc = bindings::RLIMIT_NPROC,
    /// The highest file descriptor plus one.
    Nofile = bindings::RLIMIT_NOFILE,
    /// Memory that is locked or pinned, in bytes.
    Memlock = bindings::RLIMIT_MEMLOCK,
    /// The address space, in bytes.
    As = bindings::RLIMIT_AS,
    /// File locks. Not enforced.
    Locks = bindings::RLIMIT_LOCKS,
    /// Queued signals of the user.
    Sigpending = bindings::RLIMIT_SIGPENDING,
    /// POSIX message queues, in bytes.
    Msgqueue = bindings::RLIMIT_MSGQUEUE,
    /// The ceiling of the nice value, encoded as `20 - nice`.
    Nice = bindings::RLIMIT_NICE,
    /// The ceiling of the real-time priority.
    Rtprio = bindings::RLIMIT_RTPRIO,
    /// CPU time that a real-time task may use without blocking, in microseconds.
    Rttime = bindings::RLIMIT_RTTIME,
}

impl Rlimit {
    /// The value of a limit that is not set. It is the maximum of the type.
    #[doc(alias = "RLIM_INFINITY")]
    pub const INFINITY: usize = usize::MAX;
}

impl Task {
    /// Returns the soft limit of the task's thread group, in the unit of the resource.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Rlimit;
    ///
    /// /// Fails if the calling process may not open another file besides `open` ones.
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
        // SAFETY: `task_rlimit()` reads one word of `signal->rlim` with `READ_ONCE()`. The task
        // holds a reference on its `signal_struct` until `__put_task_struct()`, so it is allocated
        // by the type invariant. All values of `Rlimit` are below `RLIM_NLIMITS`.
        unsafe { bindings::task_rlimit(self.as_ptr(), resource as c_uint) }
    }
}
