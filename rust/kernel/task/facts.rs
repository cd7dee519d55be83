// SPDX-License-Identifier: GPL-2.0

//! What is known of a task: its CPU, its limits, its owner, its age, its end.
//!
//! All of it holds for dead tasks as well. For other tasks than the current one, it may have
//! changed when it is returned.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::{
    CurrentTask,
    Task, //
};
use crate::{
    bindings,
    cred::Credential,
    prelude::*,
    sync::aref::ARef, //
};
use core::ptr::{
    self,
    NonNull, //
};

/// How far a task has got with its end, once it has left its process.
///
/// # Examples
///
/// ```
/// // Whoever asks for himself has not ended.
/// assert!(current!().exit_state().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitState {
    /// Somebody has still to be told of its end.
    #[doc(alias = "EXIT_ZOMBIE")]
    Zombie,
    /// Nobody waits for it, or somebody is being told.
    #[doc(alias("EXIT_DEAD", "EXIT_TRACE"))]
    Dead,
}

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
    /// Returns the nice value, from -20 to 19. A task that is nicer gets less of the CPU.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!((-20..20).contains(&current!().nice()));
    /// ```
    #[doc(alias = "task_nice")]
    #[inline]
    pub fn nice(&self) -> c_int {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field
        // of it. `set_user_nice()` stores to all of it.
        let prio = unsafe { ptr::addr_of!((*self.as_ptr()).static_prio).read_volatile() };

        prio.wrapping_sub(bindings::DEFAULT_PRIO as c_int)
    }

    /// Returns the number of the CPU that the task runs on, or ran on last. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// // The task may be moved to another one right after this.
    /// pr_info!("on CPU {}\n", current!().cpu());
    /// ```
    #[doc(alias("task_cpu", "smp_processor_id"))]
    #[inline]
    pub fn cpu(&self) -> u32 {
        // SAFETY: `task_cpu()` reads the thread's `cpu` at once. It lies in the `task_struct`, or
        // in the stack that is kept as long, as with `signal_pending()`.
        unsafe { bindings::task_cpu(self.as_ptr()) }
    }

    /// Returns when the task was made, in nanoseconds of the monotonic clock.
    ///
    /// A thread that calls `execve()` becomes as old as its process, while other CPUs see it. In
    /// this moment, a 32-bit kernel may return a half of each. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::rcu;
    ///
    /// let guard = rcu::read_lock();
    /// let parent = current!().real_parent(&guard).ok_or(ESRCH)?;
    /// assert!(parent.start_time() <= current!().start_time());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn start_time(&self) -> u64 {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field
        // of it. `de_thread()` stores to it.
        unsafe { ptr::addr_of!((*self.as_ptr()).start_time).read_volatile() }
    }

    /// Returns how far the task has got with its end. `None` if it has not been through
    /// `exit_notify()`. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::{ExitState, Task};
    ///
    /// /// Returns whether the task is dead, and its parent has not asked for it.
    /// fn is_zombie(task: &Task) -> bool {
    ///     task.exit_state() == Some(ExitState::Zombie)
    /// }
    /// assert!(!is_zombie(current!()));
    /// ```
    #[inline]
    pub fn exit_state(&self) -> Option<ExitState> {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field
        // of it. All who store to it store all of it.
        let state = unsafe { ptr::addr_of!((*self.as_ptr()).exit_state).read_volatile() } as c_uint;

        match state {
            0 => None,
            bindings::EXIT_ZOMBIE => Some(ExitState::Zombie),
            _ => Some(ExitState::Dead),
        }
    }

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

    /// Returns the task's objective credentials, with a count of its own.
    ///
    /// They count when others act upon the task. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert!(cred.euid() == current!().cred().euid());
    /// ```
    #[inline]
    pub fn get_task_cred(&self) -> ARef<Credential> {
        // SAFETY: `get_task_cred()` takes a count under RCU. The task has credentials until
        // `__put_task_struct()`, and it is allocated by the type invariant.
        let cred = unsafe { bindings::get_task_cred(self.as_ptr()) };

        // SAFETY: The count is ours, and the `ARef` becomes its owner. CAST: `Credential` is
        // transparent around `cred`.
        unsafe { ARef::from_raw(NonNull::new_unchecked(cred.cast_mut().cast())) }
    }
}

impl CurrentTask {
    /// Borrows the subjective credentials, in whose name the current task acts. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// assert!(current!().cred().euid() == Kuid::current_euid());
    /// ```
    #[doc(alias = "current_cred")]
    #[inline]
    pub fn cred(&self) -> &Credential {
        // SAFETY: `task_struct` is allocated by the type invariant. Nobody but the task stores to
        // this field, and this is the task.
        let cred = unsafe { ptr::addr_of!((*self.as_ptr()).cred).read() };

        // SAFETY: Somebody keeps the credentials for as long as the task has them. It takes others
        // by `commit_creds()` or `revert_creds()`, which end the context, or by `override_creds()`.
        // After that, whoever is to revert keeps those from before.
        unsafe { Credential::from_ptr(cred) }
    }
}
