// SPDX-License-Identifier: GPL-2.0

//! `struct pid`: the reference-counted identity of a thread, thread group, process group or
//! session.
//!
//! A numeric PID is reused after its task has been reaped. A [`Pid`] is not: as long as a reference
//! is held, it identifies the same thread, thread group, process group or session. After that is
//! gone, look-ups fail instead of finding another one. A reference on a [`Pid`] does not pin a
//! `task_struct`, which takes some kilobytes.
//!
//! The numeric PID (`pid_t`) is [`task::Pid`].
//!
//! Guide: [the life of a task](srctree/Documentation/rust/task-mm/guide/life.rst)
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h)

use crate::{
    bindings,
    c_struct::{
        impl_c_struct,
        impl_refcounted, //
    },
    cred::Credential,
    error::{
        code::{
            EPERM,
            ESRCH, //
        },
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
        in_task,
        Task, //
    },
    types::Opaque,
};
use core::{
    ffi::c_int,
    mem,
    ptr::NonNull, //
};

/// What a [`Pid`] is used to identify (`enum pid_type`).
///
/// # Examples
///
/// ```
/// use kernel::{pid::PidType, task::Task};
///
/// /// Returns whether both tasks belong to the same session, such as the processes of a terminal.
/// fn same_session(one: &Task, other: &Task) -> bool {
///     let session = one.get_task_pid(PidType::Sid);
///     session.is_some() && session == other.get_task_pid(PidType::Sid)
/// }
/// assert!(same_session(current!(), current!()));
/// ```
#[doc(alias = "pid_type")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PidType {
    /// A thread.
    #[doc(alias = "PIDTYPE_PID")]
    Pid = bindings::pid_type_PIDTYPE_PID,
    /// A thread group. Its [`Pid`] is that of the thread-group leader.
    #[doc(alias = "PIDTYPE_TGID")]
    Tgid = bindings::pid_type_PIDTYPE_TGID,
    /// A process group. Its [`Pid`] is that of its leader, which may have been reaped.
    #[doc(alias = "PIDTYPE_PGID")]
    Pgid = bindings::pid_type_PIDTYPE_PGID,
    /// A session. Its [`Pid`] is that of its leader, which may have been reaped.
    #[doc(alias = "PIDTYPE_SID")]
    Sid = bindings::pid_type_PIDTYPE_SID,
}

/// The identity of a thread, thread group, process group or session (`struct pid`).
///
/// An [`ARef<Pid>`] holds a reference on it (`count`). It may be dropped in process context, in
/// softirqs and, except on PREEMPT_RT, in hard IRQs: the last `put_pid()` calls `kmem_cache_free()`
/// and `put_pid_ns()`. The reference does not keep a task alive or allocated.
///
/// # Invariants
///
/// - The `struct pid` stays allocated while a Rust reference to it exists, because its refcount is
///   not zero: either a reference is held for as long, or the `struct pid` was found under the RCU
///   read lock, which is held for as long and delays the `put_pid()` of `delayed_put_pid()`.
/// - It has been published: `alloc_pid()` has set its level and its numeric PIDs.
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
/// // The task can be looked up until it has been reaped.
/// let task = pid.get_pid_task(PidType::Pid).ok_or(ESRCH)?;
/// assert!(*task == **current!());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "struct pid")]
#[repr(transparent)]
pub struct Pid {
    inner: Opaque<bindings::pid>,
}

impl_c_struct! {
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::{Pid, PidType};
    ///
    /// let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// // SAFETY: `pid` holds a reference for longer than `same` is used.
    /// let same = unsafe { Pid::from_ptr(pid.as_ptr()) };
    /// assert_eq!(same.pid_nr(), current!().pid());
    /// # Ok::<(), Error>(())
    /// ```
    Pid, pid
}

impl Pid {
    /// Takes over a reference on `ptr`. Returns `None` if `ptr` is null.
    ///
    /// # Safety
    ///
    /// `ptr` must be null, or point to a published `struct pid` on which the caller holds a
    /// reference. The caller must not use that reference afterwards.
    #[inline]
    unsafe fn from_owned(ptr: *mut bindings::pid) -> Option<ARef<Self>> {
        // CAST: `Self` is transparent around `struct pid`.
        // INVARIANT: The `ARef` holds the reference, so the refcount is not zero.
        // SAFETY: The caller guarantees that a non-null `ptr` has a reference, and passes it on.
        NonNull::new(ptr).map(|ptr| unsafe { ARef::from_raw(ptr.cast()) })
    }

    /// Looks up a numeric PID in the active PID namespace of the current task.
    ///
    /// Returns `None` if `nr` is not in use there. Also returns `None` in an interrupt that hits a
    /// task that has been released.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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

    /// Returns the task that this `struct pid` identifies, with a reference.
    ///
    /// For [`PidType::Tgid`], this is the thread-group leader. For [`PidType::Pgid`] and
    /// [`PidType::Sid`], it is the leader of one of the thread groups in the process group or
    /// session. Returns `None` if no task has this `struct pid` as its `kind`, such as after the
    /// last such task has been reaped.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::PidType;
    ///
    /// let pid = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    /// // Later: wake the thread-group leader, if it still exists.
    /// if let Some(task) = pid.get_pid_task(PidType::Tgid) {
    ///     task.wake_up();
    /// }
    /// # assert!(*pid.get_pid_task(PidType::Tgid).ok_or(ESRCH)? == **current!());
    /// // KUnit runs this in a kthread, which is not a session leader.
    /// assert!(pid.get_pid_task(PidType::Sid).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn get_pid_task(&self, kind: PidType) -> Option<ARef<Task>> {
        // SAFETY: `struct pid` is allocated by the type invariant. `get_pid_task()` reads its list
        // of tasks under RCU. A task in the list still holds its own `usage` reference there (see
        // `pid_task()` below), so the function may take another one.
        let task = unsafe { bindings::get_pid_task(self.as_ptr(), kind as bindings::pid_type) };

        // CAST: `Task` is transparent around `task_struct`.
        // INVARIANT: `get_pid_task()` returns a task of `copy_process()`, and the `ARef` holds the
        // reference, so its `usage` is not zero.
        // SAFETY: A non-null `task` has the reference that `get_pid_task()` has taken.
        NonNull::new(task).map(|task| unsafe { ARef::from_raw(task.cast()) })
    }

    /// Returns the task that this `struct pid` identifies, without a reference.
    ///
    /// # Safety
    ///
    /// The caller must hold the RCU read lock for the duration of `'a`, on the same thread and
    /// without sleeping.
    #[inline]
    pub(crate) unsafe fn pid_task<'a>(&self, kind: PidType) -> Option<&'a Task> {
        // SAFETY: `struct pid` is allocated by the type invariant, and the RCU read lock, which
        // protects its list of tasks, is held.
        let task = unsafe { bindings::pid_task(self.as_ptr(), kind as bindings::pid_type) };

        // CAST: `Task` is transparent around `task_struct`.
        // INVARIANT: The list contains tasks of `copy_process()`. `usage` is not zero, see below.
        // SAFETY: `release_task()` removes a task from the list, and then calls
        // `put_task_struct_rcu_user()`, which drops the last `usage` reference that the task holds
        // on itself after an RCU grace period. So the task stays allocated while the RCU read lock
        // is held, for the duration of `'a`.
        NonNull::new(task).map(|task| unsafe { task.cast().as_ref() })
    }

    /// Returns the numeric PID in the initial PID namespace.
    ///
    /// It is returned also after the task has been reaped, when another task may have the same PID.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::PidType;
    ///
    /// let pid = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    /// // The kernel log shows PIDs of the initial namespace.
    /// pr_info!("opened by thread group {}\n", pid.pid_nr());
    /// # assert_eq!(pid.pid_nr(), current!().tgid());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pid_nr(&self) -> task::Pid {
        self.pid_nr_ns(PidNamespace::init())
    }

    /// Returns the numeric PID in `ns`, or 0 if `ns` is neither the namespace of this `struct pid`
    /// ([`ns_of_pid`](Self::ns_of_pid)) nor an ancestor of it.
    ///
    /// It is returned also after the task has been reaped, when another task may have the same PID.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{pid::{Pid, PidType}, pid_namespace::PidNamespace};
    ///
    /// /// Returns the PID to report to a process in `ns`, or `None` if it has none there.
    /// fn pid_for(pid: &Pid, ns: &PidNamespace) -> Option<i32> {
    ///     Some(pid.pid_nr_ns(ns)).filter(|nr| *nr != 0)
    /// }
    /// let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// assert_eq!(pid_for(&pid, pid.ns_of_pid()), Some(current!().pid()));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pid_nr_ns(&self, ns: &PidNamespace) -> task::Pid {
        // SAFETY: Both structs are allocated by the type invariants. `alloc_pid()` sets `level` and
        // `numbers` before the `struct pid` is published, and nothing writes them later. The same
        // holds for `level` of the namespace (`create_pid_namespace()`).
        unsafe { bindings::pid_nr_ns(self.as_ptr(), ns.as_ptr()) }
    }

    /// Returns the numeric PID in the active PID namespace of the current task, or 0 if it has none
    /// there.
    ///
    /// Also returns 0 in an interrupt that hits a task that has been released.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::Pid;
    ///
    /// /// Returns the PID of an owner, as the result of an ioctl.
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

    /// Returns the PID namespace in which this `struct pid` was allocated.
    ///
    /// It is the active PID namespace of the tasks that it identifies.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: `struct pid` is allocated by the type invariant. `alloc_pid()` sets the fields
        // that `ns_of_pid()` reads (`level`, `numbers`) before the `struct pid` is published, and
        // nothing writes them later.
        let ns = unsafe { bindings::ns_of_pid(self.as_ptr()) };

        // SAFETY: `alloc_pid()` takes a reference on the namespace. `put_pid()` drops it together
        // with the last reference on the `struct pid`. By the type invariant, that one is not
        // dropped while `self` is borrowed, which is as long as the result is.
        unsafe { PidNamespace::from_ptr(ns) }
    }

    /// Sends `signal` to the thread group of the thread that this `struct pid` identifies.
    ///
    /// The thread is looked up as [`PidType::Pid`]. [`kill_pgrp`](Self::kill_pgrp) signals a
    /// process group.
    ///
    /// If `privileged` is true, the sender is the kernel (`SEND_SIG_PRIV`), and permissions are not
    /// checked. Otherwise it is the current task (`SEND_SIG_NOINFO`), whose permissions are
    /// checked. Signal 0 is not sent: only the look-up and the checks are done.
    ///
    /// The current task of a kthread, work item or interrupt is not the one that asked for the
    /// signal. [`kill_pid_as_cred`](Self::kill_pid_as_cred) checks the permissions of the task that
    /// did.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: the thread has been reaped, or this `struct pid` identifies no thread.
    /// - `EINVAL`: `signal` is not a valid signal number.
    /// - `EPERM`: `privileged` is false, and the current task may not signal the thread group, or
    ///   this is an interrupt.
    /// - Other errors of a security module, if `privileged` is false.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
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
        may_check(privileged)?;
        // SAFETY: `struct pid` is allocated by the type invariant. `kill_pid()` looks up the task
        // and uses it under RCU. `check_kill_permission()` rejects invalid signal numbers, and only
        // checks permissions in process context, as checked above. `do_send_sig_info()` takes
        // `siglock` by `lock_task_sighand()`, which fails if the task has been released.
        to_result(unsafe { bindings::kill_pid(self.as_ptr(), signal, privileged.into()) })
    }

    /// Sends `signal` to each thread group of the process group that this `struct pid` identifies.
    ///
    /// The process group is looked up as [`PidType::Pgid`]: `task.get_task_pid(PidType::Pgid)` is
    /// that of a task. No task can leave or join it meanwhile. For `privileged` and signal 0, see
    /// [`kill_pid`](Self::kill_pid).
    ///
    /// # Errors
    ///
    /// No thread group has got the signal, and this is the error for one of them, or:
    ///
    /// - `ESRCH`: this `struct pid` identifies no process group, or all of it has been reaped.
    ///
    /// The errors for a thread group are those of [`kill_pid`](Self::kill_pid). In an interrupt,
    /// the result is `EPERM` if `privileged` is false.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{pid::{Pid, PidType}, sync::aref::ARef};
    ///
    /// /// A terminal, with its foreground process group.
    /// struct Terminal {
    ///     foreground: ARef<Pid>,
    /// }
    ///
    /// impl Terminal {
    ///     /// Called when the user presses Ctrl+C.
    ///     fn interrupt(&self) -> Result {
    ///         const SIGINT: i32 = 2;
    ///         self.foreground.kill_pgrp(SIGINT, true)
    ///     }
    /// }
    /// # // A PID of a kthread identifies no process group: all kthreads are in that of PID 0.
    /// # let foreground = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// # assert_eq!(Terminal { foreground }.interrupt(), Err(ESRCH));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn kill_pgrp(&self, signal: c_int, privileged: bool) -> Result {
        may_check(privileged)?;
        // SAFETY: `struct pid` is allocated by the type invariant. `kill_pgrp()` takes
        // `tasklist_lock` for reading, with which no task leaves the list that it walks. Writers of
        // that lock disable interrupts, and no safe function returns with it held. What is called
        // for each task, `group_send_sig_info()`, is what `kill_pid()` calls as well.
        to_result(unsafe { bindings::kill_pgrp(self.as_ptr(), signal, privileged.into()) })
    }

    /// Sends `signal` to the thread group of the thread that this `struct pid` identifies, with the
    /// permissions of `cred`.
    ///
    /// This is for a signal that a task asks for and that is sent later, by a kthread, a work item
    /// or an interrupt. The driver keeps the credentials of the task that asked, for instance
    /// `ARef::from(current!().cred())` in the system call. The receiver may have got other
    /// credentials since, such as by executing a set-user-ID file.
    ///
    /// The real or effective UID of `cred` must be the real or saved UID of the receiver.
    /// Capabilities of `cred` do not replace that. The receiver sees the `si_code` `SI_ASYNCIO`,
    /// the `si_errno` 0, and all other fields zero. Signal 0 is not sent: only the look-up and the
    /// checks are done.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: the thread has been reaped, or this `struct pid` identifies no thread.
    /// - `EINVAL`: `signal` is not a valid signal number.
    /// - `EPERM`: a task with these credentials may not signal the thread group.
    /// - `EAGAIN`: `signal` is a real-time signal, and the receiver has as many signals pending as
    ///   its `RLIMIT_SIGPENDING` allows.
    /// - Other errors of a security module.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{cred::Credential, pid::{Pid, PidType}, sync::aref::ARef};
    ///
    /// /// A request of a process to be told of an event by a signal.
    /// struct Request {
    ///     asker: ARef<Pid>,
    ///     cred: ARef<Credential>,
    ///     signal: i32,
    /// }
    ///
    /// impl Request {
    ///     /// Called in the system call of the process.
    ///     fn new(signal: i32) -> Result<Self> {
    ///         let asker = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    ///         let cred = ARef::from(current!().cred());
    ///         Ok(Self { asker, cred, signal })
    ///     }
    ///
    ///     /// Called later, for instance in a work item.
    ///     fn complete(self) -> Result {
    ///         self.asker.kill_pid_as_cred(self.signal, &self.cred)
    ///     }
    /// }
    /// Request::new(0)?.complete()?;
    /// # assert_eq!(Request::new(1000)?.complete(), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kill_pid_usb_asyncio")]
    #[inline]
    pub fn kill_pid_as_cred(&self, signal: c_int, cred: &Credential) -> Result {
        // SAFETY: `sigval_t` is a union of an integer and a pointer. Zero is valid for both.
        let addr: bindings::sigval_t = unsafe { mem::zeroed() };
        let mut retries = 0..4;
        loop {
            // SAFETY: `struct pid` and `cred` are allocated by the type invariants.
            // `kill_pid_usb_asyncio()` rejects invalid signal numbers, looks up the task and uses
            // it under RCU, and takes `siglock` by `lock_task_sighand()`, which fails if the task
            // has been released. It reads `addr` as a value.
            let sent = to_result(unsafe {
                bindings::kill_pid_usb_asyncio(signal, 0, addr, self.as_ptr(), cred.as_ptr())
            });
            // `de_thread()` may release the task between the look-up and `lock_task_sighand()`, and
            // give its PID to the thread that calls `execve()`. `kill_pid_info_type()` repeats the
            // look-up then. The number of retries is limited, as a security module may also return
            // `ESRCH`.
            if sent != Err(ESRCH)
                || self.get_pid_task(PidType::Pid).is_none()
                || retries.next().is_none()
            {
                return sent;
            }
        }
    }
}

/// Returns an error if the permissions of a sender would have to be checked in an interrupt.
#[inline]
fn may_check(privileged: bool) -> Result {
    // In an interrupt, the check could interrupt one of the current task: a security module may use
    // data of this CPU, and the audit code appends to a list of the task.
    if !privileged && !in_task() {
        return Err(EPERM);
    }
    Ok(())
}

// SAFETY: `get_pid()` takes a reference and `put_pid()` drops one. The last `put_pid()` frees the
// `struct pid`. `alloc_pid()` creates it with the reference that `free_pid()` has dropped after an
// RCU grace period (`delayed_put_pid()`), when no look-up under RCU can find it any more. So the
// refcount is not zero while a `Pid` is borrowed, by the type invariant.
impl_refcounted!(unsafe Pid(pid): get_pid, put_pid);

// SAFETY: A thread that owns an `ARef<Pid>` can only drop its reference, beyond what `Sync` allows.
// `put_pid()` may be called from any thread.
unsafe impl Send for Pid {}

// SAFETY: Each method with `&self` reads fields that are not written after the `struct pid` is
// published (`level`, `numbers`), or calls a C function that does its own locking or runs under
// RCU.
unsafe impl Sync for Pid {}

impl PidNamespace {
    /// Looks up a numeric PID of this namespace, and takes a reference on its `struct pid`.
    ///
    /// Returns `None` if `nr` is not in use in this namespace.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{pid::PidType, pid_namespace::PidNamespace};
    ///
    /// // PID 2 is `kthreadd`, the parent of all kthreads.
    /// let pid = PidNamespace::init().find_get_pid(2).ok_or(ESRCH)?;
    /// let task = pid.get_pid_task(PidType::Tgid).ok_or(ESRCH)?;
    /// assert!(task.is_kthread());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "find_pid_ns")]
    #[inline]
    pub fn find_get_pid(&self, nr: task::Pid) -> Option<ARef<Pid>> {
        let _rcu = rcu::read_lock();

        // SAFETY: The RCU read lock is held until after the last use of the result.
        unsafe { self.find_pid(nr) }.map(ARef::from)
    }

    /// Converts a numeric PID of this namespace to the one that the same `struct pid` has in
    /// `other`.
    ///
    /// Returns `None` if `nr` is not in use in this namespace, or if the namespace of its
    /// `struct pid` is neither `other` nor a descendant of it.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid_namespace::PidNamespace;
    ///
    /// let task = current!();
    /// let ns = task.active_pid_ns().ok_or(ESRCH)?;
    /// assert_eq!(PidNamespace::init().translate(task.pid(), ns), Some(task.pid()));
    /// // No task has PID 0 in the PID table.
    /// assert_eq!(ns.translate(0, ns), None);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("find_pid_ns", "pid_nr_ns"))]
    #[inline]
    pub fn translate(&self, nr: task::Pid, other: &PidNamespace) -> Option<task::Pid> {
        let _rcu = rcu::read_lock();

        // SAFETY: The RCU read lock is held until after the last use of the result.
        let translated = unsafe { self.find_pid(nr) }?.pid_nr_ns(other);
        (translated != 0).then_some(translated)
    }

    /// Looks up a numeric PID of this namespace, without taking a reference.
    ///
    /// # Safety
    ///
    /// The caller must hold the RCU read lock for the duration of `'a`, on the same thread and
    /// without sleeping.
    #[inline]
    unsafe fn find_pid<'a>(&self, nr: task::Pid) -> Option<&'a Pid> {
        // SAFETY: The namespace is allocated by the type invariant, and the RCU read lock, which
        // protects readers of its PID table (`idr`), is held.
        let pid = unsafe { bindings::find_pid_ns(nr, self.as_ptr()) };

        // SAFETY: `alloc_pid()` stores a `struct pid` in the table after it has initialized it.
        // `free_pid()` removes it, and drops the reference of `alloc_pid()` after an RCU grace
        // period. So its refcount is not zero while the RCU read lock is held, for the duration of
        // `'a`.
        (!pid.is_null()).then(|| unsafe { Pid::from_ptr(pid) })
    }
}

impl Task {
    /// Returns the `struct pid` of this thread, or of its thread group, process group or session,
    /// with a reference.
    ///
    /// Returns `None` for [`PidType::Pid`] if this thread has been reaped, and for the other types
    /// if the thread group has been reaped.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::PidType;
    ///
    /// let thread = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// let thread_group = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
    /// // KUnit runs this in a kthread, which is its own thread-group leader.
    /// assert!(thread == thread_group);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn get_task_pid(&self, kind: PidType) -> Option<ARef<Pid>> {
        // SAFETY: `task_struct` is allocated by the type invariant, and so is its `signal`, which
        // is freed in `__put_task_struct()`. `get_task_pid()` reads `thread_pid` or one of
        // `signal->pids` under RCU. They are null after `__change_pid()`, called by
        // `release_task()`. A `struct pid` that is read before has a refcount that is not zero
        // until the RCU read lock is released, and the function takes the reference under that
        // lock.
        unsafe {
            Pid::from_owned(bindings::get_task_pid(
                self.as_ptr(),
                kind as bindings::pid_type,
            ))
        }
    }
}
