// SPDX-License-Identifier: GPL-2.0

//! Process identifiers that do not get reused.
//!
//! A number is given to another process once its own has been reaped. C's `struct pid` is what
//! stands behind the number: whoever has a count on it asks for the same process or thread (or
//! process group, or session) for ever, and learns that it is gone instead of reaching another.
//! It costs less to keep than a [`Task`], which is some kilobytes.
//!
//! [`task::Pid`] is the number, C's `pid_t`.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h)

use crate::{
    bindings,
    c_struct::{
        impl_c_struct,
        impl_refcounted, //
    },
    error::{
        to_result,
        Result, //
    },
    pid_namespace::PidNamespace,
    sync::{
        aref::ARef,
        rcu, //
    },
    task::{
        self,
        Task, //
    },
    types::Opaque,
};
use core::{
    ffi::c_int,
    ptr::{
        self,
        NonNull, //
    },
};

/// What a [`Pid`] identifies.
///
/// # Examples
///
/// ```
/// use kernel::{pid::PidType, task::Task};
///
/// /// Returns whether both are of one session, such as the programs of a terminal.
/// fn same_session(one: &Task, other: &Task) -> bool {
///     let session = one.get_task_pid(PidType::Sid);
///     session.is_some() && session == other.get_task_pid(PidType::Sid)
/// }
/// assert!(same_session(current!(), current!()));
/// ```
#[doc(alias = "pid_type")]
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum PidType {
    /// A thread.
    #[doc(alias = "PIDTYPE_PID")]
    Pid = bindings::pid_type_PIDTYPE_PID,
    /// A process. Its [`Pid`] is that of the thread that leads it.
    #[doc(alias = "PIDTYPE_TGID")]
    Tgid = bindings::pid_type_PIDTYPE_TGID,
    /// A process group.
    #[doc(alias = "PIDTYPE_PGID")]
    Pgid = bindings::pid_type_PIDTYPE_PGID,
    /// A session.
    #[doc(alias = "PIDTYPE_SID")]
    Sid = bindings::pid_type_PIDTYPE_SID,
}

/// What stands behind the number of a task.
///
/// This is C's `struct pid`. An [`ARef<Pid>`] owns a count on it; dropping it is allowed in any
/// context. The count keeps no task.
///
/// # Invariants
///
/// The `struct pid` stays allocated for as long as a reference to it exists: somebody owns a count,
/// or an RCU read lock holds up the end of its task's.
///
/// # Examples
///
/// ```
/// use kernel::pid::PidType;
///
/// let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
/// assert_eq!(pid.pid_nr(), current!().pid());
/// assert_eq!(pid.pid_vnr(), current!().pid());
///
/// // The way back, as long as there is a task.
/// let task = pid.get_pid_task(PidType::Pid).ok_or(ESRCH)?;
/// assert!(*task == **current!());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "struct pid")]
#[repr(transparent)]
pub struct Pid {
    inner: Opaque<bindings::pid>,
}

impl_c_struct!(Pid, pid);

impl Pid {
    /// Takes over a count that C code has taken, if there is one.
    ///
    /// # Safety
    ///
    /// `ptr` is null, or points to a `struct pid` on which the caller owns a count, and gives it
    /// up.
    #[inline]
    unsafe fn from_counted(ptr: *mut bindings::pid) -> Option<ARef<Self>> {
        // SAFETY: As the caller says. CAST: `Self` is transparent around it.
        NonNull::new(ptr).map(|ptr| unsafe { ARef::from_raw(ptr.cast()) })
    }

    /// Looks up a number in the caller's active PID namespace.
    ///
    /// `None` if nothing has that number there, and in an interrupt that hits a task after it has
    /// been reaped. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::Pid;
    ///
    /// let pid = Pid::find_get_pid(current!().pid()).ok_or(ESRCH)?;
    /// assert_eq!(pid.pid_nr(), current!().pid());
    /// assert!(Pid::find_get_pid(0).is_none());
    /// assert!(Pid::find_get_pid(-1).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn find_get_pid(nr: task::Pid) -> Option<ARef<Self>> {
        crate::current!().active_pid_ns()?.find_get_pid(nr)
    }

    /// Returns the task that this identifies, with a count.
    ///
    /// For [`PidType::Tgid`] that is the thread that leads it; for a group or a session, any of
    /// them. `None` if there is none any more. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::PidType;
    ///
    /// let pid = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    /// // Later: is there still somebody to be woken?
    /// if let Some(task) = pid.get_pid_task(PidType::Tgid) {
    ///     task.wake_up();
    /// }
    /// # assert!(*pid.get_pid_task(PidType::Tgid).ok_or(ESRCH)? == **current!());
    /// // It leads no session.
    /// assert!(pid.get_pid_task(PidType::Sid).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn get_pid_task(&self, kind: PidType) -> Option<ARef<Task>> {
        // SAFETY: `struct pid` is allocated by the type invariant. The function looks at its list
        // of tasks under RCU, where each still owns its `usage`, and takes a count.
        let task = unsafe { bindings::get_pid_task(self.as_ptr(), kind as bindings::pid_type) };

        // SAFETY: It is null or has that count. CAST: `Task` is transparent around `task_struct`.
        NonNull::new(task).map(|task| unsafe { ARef::from_raw(task.cast()) })
    }

    /// Returns the task that this identifies, for as long as the RCU read lock is held.
    ///
    /// As [`get_pid_task`](Self::get_pid_task), without a count.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{pid::PidType, sync::rcu};
    ///
    /// let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// let guard = rcu::read_lock();
    /// let task = pid.pid_task(PidType::Pid, &guard).ok_or(ESRCH)?;
    /// assert_eq!(task.pid(), current!().pid());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pid_task<'a>(&self, kind: PidType, _rcu: &'a rcu::Guard) -> Option<&'a Task> {
        // SAFETY: `struct pid` is allocated by the type invariant, and the RCU read lock is held.
        let task = unsafe { bindings::pid_task(self.as_ptr(), kind as bindings::pid_type) };

        // SAFETY: A task leaves the list in `release_task()`, which gives up its last own `usage`
        // an RCU grace period later (`put_task_struct_rcu_user()`), so not while the lock is held.
        // CAST: `Task` is transparent around `task_struct`.
        NonNull::new(task).map(|task| unsafe { task.cast().as_ref() })
    }

    /// Returns the number in the initial PID namespace.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::PidType;
    ///
    /// let pid = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    /// // For the log, which the administrator reads.
    /// pr_info!("opened by process {}\n", pid.pid_nr());
    /// # assert_eq!(pid.pid_nr(), current!().tgid());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pid_nr(&self) -> task::Pid {
        self.pid_nr_ns(PidNamespace::init())
    }

    /// Returns the number in `ns`, or 0 if there is none, as in a namespace that is not above.
    ///
    /// It is a number after the end of the task as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{pid::{Pid, PidType}, pid_namespace::PidNamespace};
    ///
    /// /// Returns what to tell a program in `ns`, if it may know of this at all.
    /// fn told(pid: &Pid, ns: &PidNamespace) -> Option<i32> {
    ///     Some(pid.pid_nr_ns(ns)).filter(|nr| *nr != 0)
    /// }
    /// let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// assert_eq!(told(&pid, pid.ns_of_pid()), Some(current!().pid()));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pid_nr_ns(&self, ns: &PidNamespace) -> task::Pid {
        // SAFETY: Both are allocated by the type invariants. The numbers are set before anyone can
        // find a `struct pid`, and do not change.
        unsafe { bindings::pid_nr_ns(self.as_ptr(), ns.as_ptr()) }
    }

    /// Returns the number in the caller's active PID namespace, or 0 if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::Pid;
    ///
    /// /// What an ioctl returns that asks for the owner of something.
    /// fn owner(pid: &Pid) -> Result<i32> {
    ///     match pid.pid_vnr() {
    ///         0 => Err(ESRCH),
    ///         nr => Ok(nr),
    ///     }
    /// }
    /// # let pid = current!().get_task_pid(kernel::pid::PidType::Tgid).ok_or(ESRCH)?;
    /// # assert_eq!(owner(&pid), Ok(current!().tgid()));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pid_vnr(&self) -> task::Pid {
        let task = crate::current!();

        task.active_pid_ns().map_or(0, |ns| self.pid_nr_ns(ns))
    }

    /// Returns the namespace that this was made in.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::PidType;
    ///
    /// let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// assert!(Some(pid.ns_of_pid()) == current!().active_pid_ns());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn ns_of_pid(&self) -> &PidNamespace {
        // SAFETY: `struct pid` is allocated by the type invariant, and the field is set before
        // anyone can find it.
        let ns = unsafe { bindings::ns_of_pid(self.as_ptr()) };

        // SAFETY: `put_pid()` gives up the count on the namespace with the last one on the `struct
        // pid`, that is after `self`.
        unsafe { PidNamespace::from_ptr(ns) }
    }

    /// Sends `signal` to the process.
    ///
    /// With `privileged`, the kernel is the sender, and may do so. Otherwise it is the current
    /// task, with its own rights. Signal 0 is only a question. Any context.
    ///
    /// Errors: `ESRCH` if there is no such process any more, `EINVAL` if there is no such signal,
    /// `EPERM`, or `EAGAIN` if too many are pending.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::{Pid, PidType};
    ///
    /// let pid = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    /// pid.kill_pid(0, true)?;
    /// assert_eq!(pid.kill_pid(-1, true), Err(EINVAL));
    /// assert_eq!(pid.kill_pid(1000, true), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn kill_pid(&self, signal: c_int, privileged: bool) -> Result {
        // SAFETY: `struct pid` is allocated by the type invariant. The function finds the task
        // under RCU, refuses what is no signal, and takes the locks of the process.
        to_result(unsafe { bindings::kill_pid(self.as_ptr(), signal, privileged.into()) })
    }
}

// SAFETY: `put_pid()` frees a `struct pid` when its last reference is released. An attached task holds
// one, which `free_pid()` releases an RCU grace period after the last look-up can have found it.
impl_refcounted!(unsafe Pid: get_pid, put_pid);

// SAFETY: What a thread can do with a `Pid` that it was sent is to drop its count, and `put_pid()`
// may be called by any thread.
unsafe impl Send for Pid {}

// SAFETY: Each method reads what does not change, or calls a C function that does its own locking.
unsafe impl Sync for Pid {}

impl PidNamespace {
    /// Looks up a number, as programs in this namespace know it.
    ///
    /// `None` if nothing has it. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{pid::PidType, pid_namespace::PidNamespace};
    ///
    /// // The parent of all threads of the kernel.
    /// let pid = PidNamespace::init().find_get_pid(2).ok_or(ESRCH)?;
    /// let task = pid.get_pid_task(PidType::Tgid).ok_or(ESRCH)?;
    /// assert!(task.is_kthread());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "find_pid_ns")]
    #[inline]
    pub fn find_get_pid(&self, nr: task::Pid) -> Option<ARef<Pid>> {
        let guard = rcu::read_lock();

        self.find_pid(nr, &guard).map(ARef::from)
    }

    /// Returns the number that `other` has for what has the number `nr` here.
    ///
    /// `None` if nothing has it, or if that is in no namespace below `other`. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid_namespace::PidNamespace;
    ///
    /// let task = current!();
    /// let ns = task.active_pid_ns().ok_or(ESRCH)?;
    /// assert_eq!(PidNamespace::init().translate(task.pid(), ns), Some(task.pid()));
    /// // There is no number 0.
    /// assert_eq!(ns.translate(0, ns), None);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("find_pid_ns", "pid_nr_ns"))]
    #[inline]
    pub fn translate(&self, nr: task::Pid, other: &PidNamespace) -> Option<task::Pid> {
        let guard = rcu::read_lock();

        let there = self.find_pid(nr, &guard)?.pid_nr_ns(other);
        (there != 0).then_some(there)
    }

    /// The same as [`find_get_pid`](Self::find_get_pid) for as long as the RCU read lock is held,
    /// without a count.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{pid_namespace::PidNamespace, sync::rcu};
    ///
    /// let init = PidNamespace::init();
    /// let guard = rcu::read_lock();
    /// let pid = init.find_pid(current!().pid(), &guard).ok_or(ESRCH)?;
    /// assert_eq!(pid.pid_nr(), current!().pid());
    /// assert!(init.find_pid(0, &guard).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "find_pid_ns")]
    #[inline]
    pub fn find_pid<'a>(&self, nr: task::Pid, _rcu: &'a rcu::Guard) -> Option<&'a Pid> {
        // SAFETY: The namespace is allocated by the type invariant, and RCU is what its table of
        // numbers is read under.
        let pid = unsafe { bindings::find_pid_ns(nr, self.as_ptr()) };

        // SAFETY: What was in the table keeps a count until an RCU grace period after `free_pid()`
        // has taken it out.
        (!pid.is_null()).then(|| unsafe { Pid::from_ptr(pid) })
    }
}

impl Task {
    /// Returns what identifies this task, or its process, group or session.
    ///
    /// `None` if the thread has been reaped, or, for all but [`PidType::Pid`], the process. Any
    /// context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::PidType;
    ///
    /// let thread = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// let process = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    /// // This thread of the kernel has no others.
    /// assert!(thread == process);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn get_task_pid(&self, kind: PidType) -> Option<ARef<Pid>> {
        // SAFETY: `task_struct`, and `signal` with it, is allocated by the type invariant. The
        // function reads one of their pointers under RCU, null after `release_task()`, and takes
        // a count where that cannot be zero yet.
        unsafe {
            Pid::from_counted(bindings::get_task_pid(
                self.as_ptr(),
                kind as bindings::pid_type,
            ))
        }
    }
}
