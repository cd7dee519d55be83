// SPDX-License-Identifier: GPL-2.0

//! PID namespaces.
//!
//! A task has a PID in the namespace in which it was created, and in each ancestor of it. The
//! namespace in which it was created is its *active* PID namespace. It never changes:
//! `unshare(CLONE_NEWPID)` and `setns()` only affect children.
//!
//! # When a PID namespace may be read
//!
//! A task does not point to its PID namespace. `task_struct::thread_pid` points to a `struct pid`,
//! which holds a reference on the namespace (`alloc_pid()`, `put_pid()`). A namespace that is found
//! through a task is therefore valid for as long as that `struct pid` is allocated.
//!
//! | Whose namespace                   | Protection          | Method                             |
//! |-----------------------------------|---------------------|------------------------------------|
//! | current task, process context     | none needed (1)     | [`CurrentTask::active_pid_ns`]     |
//! | interrupted task, in an interrupt | the interrupt (2)   | [`CurrentTask::active_pid_ns`]     |
//! | another task                      | a reference (3, 4)  | [`Task::get_pid_ns`]               |
//! | any task after `release_task()`   | it has none (5)     | each of them returns `None`        |
//! | a task of which a thread execs    | as above (6)        | as above                           |
//!
//! A task has a `struct pid` from before it is published until `release_task()`, in which
//! `__change_pid()` sets `thread_pid` to null. After that, `free_pid()` defers the `put_pid()` that
//! releases the reference of the namespace by an RCU grace period (`delayed_put_pid()`).
//!
//! 1. The current task is released only after its own `exit_notify()`, which ends its last task
//!    context (see [`CurrentTask`]). Until then, `thread_pid` is not null, and the namespace can be
//!    borrowed from the current task.
//! 2. An interrupt can hit a task that is being released or has been released, before the last
//!    `schedule()` of that task. If the handler reads `thread_pid` before `__change_pid()` clears
//!    it, the `struct pid` stays allocated until the handler returns, as the handler is an RCU
//!    read-side critical section. Otherwise the result is `None`.
//! 3. Another task can be released at any time. A `struct pid` that is read from `thread_pid` stays
//!    allocated until the RCU read lock is released.
//! 4. The reference is taken under the RCU read lock, as in (3). The refcount of the namespace is
//!    not zero there, because the `struct pid` holds a reference.
//! 5. `thread_pid` is null.
//! 6. If a thread other than the thread-group leader calls `execve()`, `exchange_tids()` swaps
//!    `thread_pid` of the two. `copy_process()` refuses `CLONE_THREAD` unless both threads have the
//!    same active PID namespace, so a reader gets the same namespace from either `struct pid`. The
//!    one that the old leader receives is released together with it; a reader of it is in case (3).
//!    The `thread_pid` of the current task is swapped in its own `execve()`, which ends its task
//!    context, or after its own `exit_notify()`, for which `de_thread()` waits.
//!
//! C headers: [`include/linux/pid_namespace.h`](srctree/include/linux/pid_namespace.h),
//! [`include/linux/pid.h`](srctree/include/linux/pid.h)
//!
//! [`CurrentTask`]: crate::task::CurrentTask
//! [`CurrentTask::active_pid_ns`]: crate::task::CurrentTask::active_pid_ns
//! [`Task::get_pid_ns`]: crate::task::Task::get_pid_ns

use crate::{
    bindings,
    c_struct::{
        impl_c_struct,
        impl_refcounted, //
    },
    types::Opaque, //
};
use core::ptr;

/// A PID namespace (`struct pid_namespace`).
///
/// An `ARef<PidNamespace>` holds a reference on it, except on the initial namespace, which is never
/// freed. It may be dropped in process context, in softirqs and, except on PREEMPT_RT, in hard
/// IRQs: on Linux 6.12, the last `put_pid_ns()` calls `ida_free()`, which takes a `spinlock_t` with
/// interrupts disabled.
///
/// The [module](crate::pid_namespace) explains when the namespace of a task may be read.
///
/// # Invariants
///
/// The namespace stays allocated while a Rust reference to it exists, because its refcount is not
/// zero or because it is the initial one.
///
/// # Examples
///
/// ```
/// use kernel::{pid_namespace::PidNamespace, sync::aref::ARef};
///
/// let ns: ARef<PidNamespace> = current!().active_pid_ns().ok_or(ESRCH)?.into();
///
/// // The TGID by which processes in `ns` know this thread group.
/// let pid = current!().tgid_nr_ns(Some(&ns));
/// # assert_eq!(pid, current!().tgid());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "pid_namespace")]
#[repr(transparent)]
pub struct PidNamespace {
    inner: Opaque<bindings::pid_namespace>,
}

impl_c_struct! {
    /// # Examples
    ///
    /// ```
    /// use kernel::pid_namespace::PidNamespace;
    ///
    /// let task = current!();
    /// let ns = task.active_pid_ns().ok_or(ESRCH)?;
    /// // SAFETY: `ns` is borrowed for longer than `same`.
    /// let same = unsafe { PidNamespace::from_ptr(ns.as_ptr()) };
    /// assert!(same == ns);
    /// # Ok::<(), Error>(())
    /// ```
    PidNamespace, pid_namespace
}

impl PidNamespace {
    /// Returns the initial PID namespace (`init_pid_ns`), in which each task has a PID.
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
    /// let init = PidNamespace::init();
    /// assert!(current!().active_pid_ns() == Some(init));
    /// assert_eq!(init.level(), 0);
    /// assert!(init.parent().is_none());
    /// assert!(init.is_ancestor_of(init));
    /// ```
    #[doc(alias = "init_pid_ns")]
    #[inline]
    pub fn init() -> &'static Self {
        // SAFETY: `init_pid_ns` is a static of the kernel, so it is valid for `'static`. No Rust
        // code creates a `&mut` to it.
        unsafe { Self::from_ptr(ptr::addr_of!(bindings::init_pid_ns)) }
    }

    /// Returns the number of ancestors of this namespace: 0 for the initial one.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let task = current!();
    /// let ns = task.active_pid_ns().ok_or(ESRCH)?;
    ///
    /// // A task has a PID in its active namespace and in each ancestor of it.
    /// let pids = ns.level() + 1;
    /// assert_eq!(pids, 1);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn level(&self) -> u32 {
        // SAFETY: The namespace is allocated by the type invariant. `create_pid_namespace()` sets
        // `level` before the namespace is published, and nothing writes it later.
        unsafe { (*self.as_ptr()).level }
    }

    /// Returns the namespace in which this one was created, or `None` for the initial one.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::{Pid, PidType};
    ///
    /// /// Prints the PID in each namespace, from the active one up to the initial one.
    /// fn print_pids(pid: &Pid) {
    ///     let mut ns = Some(pid.ns_of_pid());
    ///     while let Some(here) = ns {
    ///         pr_info!("{} at level {}\n", pid.pid_nr_ns(here), here.level());
    ///         ns = here.parent();
    ///     }
    /// }
    /// # let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// # print_pids(&pid);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn parent(&self) -> Option<&Self> {
        // SAFETY: The namespace is allocated by the type invariant. `create_pid_namespace()` sets
        // `parent` before the namespace is published, and nothing writes it later.
        let parent = unsafe { (*self.as_ptr()).parent };

        // SAFETY: `create_pid_namespace()` takes a reference on the parent, which the namespace
        // holds until it is destroyed after its last `put_pid_ns()`. `self` is borrowed for longer
        // than the result, so that has not happened.
        (!parent.is_null()).then(|| unsafe { Self::from_ptr(parent) })
    }

    /// Returns whether this namespace is `other` or an ancestor of it.
    ///
    /// If so, each task of `other` has a PID in this namespace.
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
    /// /// Returns whether the tasks of `other` have PIDs in the caller's namespace.
    /// fn visible_to_caller(other: &PidNamespace) -> bool {
    ///     current!().active_pid_ns().is_some_and(|ns| ns.is_ancestor_of(other))
    /// }
    /// assert!(visible_to_caller(PidNamespace::init()));
    /// ```
    #[inline]
    pub fn is_ancestor_of(&self, other: &Self) -> bool {
        let mut ns = other;
        while ns.level() > self.level() {
            match ns.parent() {
                Some(parent) => ns = parent,
                None => return false,
            }
        }
        ns == self
    }
}

// SAFETY: `get_pid_ns()` takes a reference and `put_pid_ns()` drops one. The last `put_pid_ns()`
// leads to the freeing of the namespace. Neither frees the initial namespace: Linux 6.12 does not
// count references on it, and Linux 7.3 recognizes it by its ID (`is_ns_init_id()`). By the type
// invariant, the refcount of each other `PidNamespace` is not zero while it is borrowed.
impl_refcounted!(unsafe PidNamespace(pid_namespace): get_pid_ns, put_pid_ns);

// SAFETY: A thread that owns an `ARef<PidNamespace>` can only drop its reference, beyond what
// `Sync` allows. `put_pid_ns()` may be called from any thread.
unsafe impl Send for PidNamespace {}

// SAFETY: The methods use the address, the atomic refcount, fields that are not written after the
// namespace is published (`level`, `parent`), and the PID table (`idr`), which C code reads under
// RCU.
unsafe impl Sync for PidNamespace {}
