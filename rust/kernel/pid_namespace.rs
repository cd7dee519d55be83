// SPDX-License-Identifier: GPL-2.0

//! PID namespaces.
//!
//! A process has a number in the namespace that it was created in and in each one above. The
//! namespace that it was created in is its *active* one; it never changes, not even by
//! `unshare(CLONE_NEWPID)`, which is about children.
//!
//! # Which protection is needed when
//!
//! A task does not point to its namespace. It points to a `struct pid` (`thread_pid`), that one to
//! the namespace, and owns a count on it. So the namespace is there for as long as the
//! `struct pid` is, and the question is how long that is:
//!
//! - A task is attached to a `struct pid` from before anyone can find it until `release_task()`,
//!   which sets `thread_pid` to null. From then on the task has no PID namespace, and every method
//!   that returns one returns `None`.
//! - An `execve()` by a thread that does not lead its process exchanges the `struct pid` of two
//!   threads (`exchange_tids()`). Both belong to the same namespace, so which of the two a reader
//!   sees does not matter.
//! - A detached `struct pid` drops its count, and may be freed, an RCU grace period later
//!   (`free_pid()`).
//!
//! It follows, for
//!
//! - **the current task**: it can be released only after its `exit_notify()`, which ends its last
//!   context, and nothing more is needed until then. [`CurrentTask::active_pid_ns`] is a plain
//!   borrow. (An interrupt may hit a task that has been released and is on its way to the last
//!   `schedule()`. There the answer is `None`, or the interrupt itself holds up the grace period.)
//! - **another task, for a moment**: it may be released at any time. Under the RCU read lock the
//!   namespace outlives the look at it: [`Task::task_active_pid_ns`].
//! - **another task, for longer**: a count, taken under the RCU read lock, where it cannot be zero
//!   yet. [`Task::get_pid_ns`] does this.
//!
//! C headers: [`include/linux/pid_namespace.h`](srctree/include/linux/pid_namespace.h),
//! [`include/linux/pid.h`](srctree/include/linux/pid.h)
//!
//! [`CurrentTask::active_pid_ns`]: crate::task::CurrentTask::active_pid_ns
//! [`Task::get_pid_ns`]: crate::task::Task::get_pid_ns
//! [`Task::task_active_pid_ns`]: crate::task::Task::task_active_pid_ns

use crate::{
    bindings,
    c_struct::{
        impl_c_struct,
        impl_refcounted, //
    },
    types::Opaque, //
};
use core::ptr;

/// A PID namespace.
///
/// This is C's `struct pid_namespace`. An `ARef<PidNamespace>` owns a count on it (the initial
/// namespace has none and needs none); dropping it is allowed in any context.
///
/// # Invariants
///
/// The namespace stays allocated for as long as a reference to it exists: somebody owns a count,
/// or it is the initial one.
///
/// # Examples
///
/// ```
/// use kernel::{pid_namespace::PidNamespace, sync::aref::ARef};
///
/// let ns: ARef<PidNamespace> = current!().active_pid_ns().ok_or(ESRCH)?.into();
///
/// // The number that a program in `ns` knows this process by.
/// let pid = current!().tgid_nr_ns(Some(&ns));
/// # assert_eq!(pid, current!().tgid());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "pid_namespace")]
#[repr(transparent)]
pub struct PidNamespace {
    inner: Opaque<bindings::pid_namespace>,
}

impl_c_struct!(PidNamespace, pid_namespace);

impl PidNamespace {
    /// Returns the initial namespace, in which each task has a number.
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
        // SAFETY: It is a static of the kernel, and nobody makes a `&mut` of it.
        unsafe { Self::from_ptr(ptr::addr_of!(bindings::init_pid_ns)) }
    }

    /// Returns how many namespaces are above this one.
    ///
    /// # Examples
    ///
    /// ```
    /// let task = current!();
    /// let ns = task.active_pid_ns().ok_or(ESRCH)?;
    ///
    /// // A process has a number in its own namespace and in each above.
    /// let numbers = ns.level() + 1;
    /// assert_eq!(numbers, 1);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn level(&self) -> u32 {
        // SAFETY: Allocated by the type invariant; the field is set before anyone can find it.
        unsafe { (*self.as_ptr()).level }
    }

    /// Returns the namespace that this one was made in, if it is not the initial one.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid::{Pid, PidType};
    ///
    /// /// Prints all numbers, from that of its own namespace to that of the initial one.
    /// fn print_numbers(pid: &Pid) {
    ///     let mut ns = Some(pid.ns_of_pid());
    ///     while let Some(here) = ns {
    ///         pr_info!("{} at level {}\n", pid.pid_nr_ns(here), here.level());
    ///         ns = here.parent();
    ///     }
    /// }
    /// # let pid = current!().get_task_pid(PidType::Pid).ok_or(ESRCH)?;
    /// # print_numbers(&pid);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn parent(&self) -> Option<&Self> {
        // SAFETY: As for `level()`.
        let parent = unsafe { (*self.as_ptr()).parent };

        // SAFETY: A namespace owns a count on its parent until it is freed
        // (`create_pid_namespace()`).
        (!parent.is_null()).then(|| unsafe { Self::from_ptr(parent) })
    }

    /// Returns whether each task of `other` has a number here: whether this is the same namespace
    /// or one above it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid_namespace::PidNamespace;
    ///
    /// /// Returns whether the caller has numbers for the processes of `other`.
    /// fn caller_knows(other: &PidNamespace) -> bool {
    ///     current!().active_pid_ns().is_some_and(|ns| ns.is_ancestor_of(other))
    /// }
    /// assert!(caller_knows(PidNamespace::init()));
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

// SAFETY: `put_pid_ns()` frees the namespace when its last reference is released, and never frees the
// initial one. By the type invariant, one of the two keeps each `PidNamespace` allocated.
impl_refcounted!(unsafe PidNamespace: get_pid_ns, put_pid_ns);

// SAFETY: What a thread can do with a `PidNamespace` that it was sent is to drop its count, and
// `put_pid_ns()` may be called by any thread.
unsafe impl Send for PidNamespace {}

// SAFETY: No method touches anything but the address, the atomic count, and what never changes.
unsafe impl Sync for PidNamespace {}
