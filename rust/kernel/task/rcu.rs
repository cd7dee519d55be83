// SPDX-License-Identifier: GPL-2.0

//! How tasks hang together: parents, leaders, processes and their threads.
//!
//! All of it changes at any time, so all of it is seen under the RCU read lock, and borrowed for as
//! long. An [`ARef`](crate::sync::aref::ARef) of what was found may be kept for longer.
//!
//! A task is found through one that is *attached*, that is before `release_task()`. What it points
//! to then is freed an RCU grace period after its own release at the earliest. A task that has been
//! released points to what may have been freed long ago; so each method asks first.
//!
//! C headers: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h)

use super::Task;
use crate::{
    bindings,
    container_of,
    pid_namespace::PidNamespace,
    sync::rcu, //
};
use core::{
    marker::PhantomData,
    ptr, //
};

impl Task {
    /// Borrows a task that was found under the RCU read lock.
    ///
    /// # Safety
    ///
    /// The lock is held for `'a`, and `ptr` points to a task that was attached at some time since
    /// it was taken.
    #[inline]
    unsafe fn seen<'a>(ptr: *const bindings::task_struct) -> &'a Self {
        // SAFETY: `release_task()` has an RCU grace period go by before it gives up the count that
        // stands for the life of the task (`put_task_struct_rcu_user()`). CAST: `Self` is
        // transparent around `task_struct`.
        unsafe { &*ptr.cast() }
    }

    /// Returns the process that has made this one, or that its children were left to.
    ///
    /// `None` if this task has been released, or is the idle task of a CPU. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::rcu;
    ///
    /// // KUnit runs in a thread that `kthreadd` has made.
    /// let guard = rcu::read_lock();
    /// let parent = current!().real_parent(&guard).ok_or(ESRCH)?;
    /// assert_eq!(parent.pid(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn real_parent<'a>(&self, _rcu: &'a rcu::Guard) -> Option<&'a Task> {
        // An idle task is nobody's child, so nobody gives it another parent.
        if !self.pid_alive() || self.pid() == 0 {
            return None;
        }

        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field of
        // it, which is stored to as one word.
        let parent = unsafe { ptr::addr_of!((*self.as_ptr()).real_parent).read_volatile() };

        // SAFETY: The task was attached since the lock was taken. A parent leaves its children to
        // others (`forget_original_parent()`) before it is released, so what an attached task
        // points to is attached.
        Some(unsafe { Self::seen(parent) })
    }

    /// Returns the thread that leads this task's process.
    ///
    /// `None` if this task has been released. For the current task, [`group_leader`] needs no lock.
    /// Any context.
    ///
    /// [`group_leader`]: super::CurrentTask::group_leader
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::rcu;
    ///
    /// let guard = rcu::read_lock();
    /// let leader = current!().group_leader_rcu(&guard).ok_or(ESRCH)?;
    /// assert_eq!(leader.tgid(), current!().tgid());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "group_leader")]
    #[inline]
    pub fn group_leader_rcu<'a>(&self, _rcu: &'a rcu::Guard) -> Option<&'a Task> {
        if !self.pid_alive() {
            return None;
        }

        // SAFETY: As in `real_parent()`.
        let leader = unsafe { ptr::addr_of!((*self.as_ptr()).group_leader).read_volatile() };

        // SAFETY: The task was attached since the lock was taken. A leader is released when no
        // other thread is attached, or after `de_thread()` has made another one the leader of all.
        Some(unsafe { Self::seen(leader) })
    }

    /// Returns this task's active PID namespace.
    ///
    /// `None` if the task has been released. [`Task::get_pid_ns`] is the same with a count, and the
    /// [module](crate::pid_namespace) explains the difference. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::rcu;
    ///
    /// let guard = rcu::read_lock();
    /// assert!(current!().task_active_pid_ns(&guard) == current!().active_pid_ns());
    /// ```
    #[inline]
    pub fn task_active_pid_ns<'a>(&self, _rcu: &'a rcu::Guard) -> Option<&'a PidNamespace> {
        // SAFETY: `task_struct` is allocated by the type invariant. The RCU read lock keeps the
        // `struct pid` that is read.
        let ns = unsafe { bindings::task_active_pid_ns(self.as_ptr()) };

        // SAFETY: The `struct pid` owns a count on its namespace until it is freed, an RCU grace
        // period after it was attached.
        (!ns.is_null()).then(|| unsafe { PidNamespace::from_ptr(ns) })
    }

    /// Returns all processes, each as the thread that leads it.
    ///
    /// Those that come or go meanwhile may be among them or not. The lock is held for the whole of
    /// the walk, so not much may be done with each. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{sync::rcu, task::Task};
    ///
    /// let guard = rcu::read_lock();
    /// let me = current!().tgid();
    /// assert_eq!(Task::processes(&guard).filter(|task| task.tgid() == me).count(), 1);
    /// assert!(Task::processes(&guard).count() > 2);
    /// ```
    #[doc(alias("for_each_process", "next_task"))]
    // Modules cannot reach the initial task on their own.
    #[inline(never)]
    pub fn processes(_rcu: &rcu::Guard) -> Processes<'_> {
        // SAFETY: The initial task is a static, of which only the address is taken.
        let head = unsafe { ptr::addr_of!(bindings::init_task.tasks) };

        // INVARIANT: It is the head of the list, and is there for ever.
        Processes {
            head,
            last: head,
            rcu: PhantomData,
        }
    }

    /// Returns the threads of this task's process.
    ///
    /// Those that come or go meanwhile may be among them or not; once all have been released, there
    /// are none. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::rcu;
    ///
    /// let guard = rcu::read_lock();
    /// assert!(current!().threads(&guard).any(|task| *task == **current!()));
    /// ```
    #[doc(alias = "for_each_thread")]
    #[inline]
    pub fn threads<'a>(&'a self, _rcu: &'a rcu::Guard) -> Threads<'a> {
        // SAFETY: `task_struct` is allocated by the type invariant, and `signal`, which does not
        // change, for as long. Only the address of the list is taken.
        let head = unsafe { ptr::addr_of!((*(*self.as_ptr()).signal).thread_head) };

        // INVARIANT: The list is that of a process, and `self` keeps its head for `'a`.
        Threads {
            head,
            last: head,
            rcu: PhantomData,
        }
    }
}

/// The processes, from [`Task::processes`].
///
/// # Invariants
///
/// `head` is the head of the list of all processes. `last` is that, or was in the list since the
/// lock of `'a` was taken.
///
/// # Examples
///
/// ```
/// use kernel::{sync::rcu, task::{Processes, Task}};
///
/// /// Returns how many threads the kernel has of its own.
/// fn kthreads(all: Processes<'_>) -> usize {
///     all.filter(|task| task.is_kthread()).count()
/// }
/// let guard = rcu::read_lock();
/// assert!(kthreads(Task::processes(&guard)) > 1);
/// ```
pub struct Processes<'a> {
    head: *const bindings::list_head,
    last: *const bindings::list_head,
    rcu: PhantomData<&'a rcu::Guard>,
}

/// The threads of a process, from [`Task::threads`].
///
/// # Invariants
///
/// `head` is the head of the process's list of threads, which stays for `'a`. `last` is that, or
/// was in the list since the lock of `'a` was taken.
///
/// # Examples
///
/// ```
/// use kernel::{sync::rcu, task::Threads};
///
/// /// Returns whether nobody else is in the process.
/// fn is_alone(mut threads: Threads<'_>) -> bool {
///     threads.nth(1).is_none()
/// }
/// let guard = rcu::read_lock();
/// assert!(is_alone(current!().threads(&guard)));
/// ```
pub struct Threads<'a> {
    head: *const bindings::list_head,
    last: *const bindings::list_head,
    rcu: PhantomData<&'a rcu::Guard>,
}

/// Returns what follows in a list, unless that is its head.
///
/// # Safety
///
/// The caller holds the RCU read lock, and `last` is the head, or was in the list since then.
#[inline]
unsafe fn next(
    head: *const bindings::list_head,
    last: *const bindings::list_head,
) -> Option<*const bindings::list_head> {
    // SAFETY: The caller has the memory of `last`. It points on into the list also when it was
    // taken out (`list_del_rcu()`) or exchanged for another (`list_replace_rcu()`), and is stored
    // to as one word.
    let next = unsafe { ptr::addr_of!((*last).next).read_volatile() };

    (!ptr::eq(next, head)).then_some(next)
}

impl<'a> Iterator for Processes<'a> {
    type Item = &'a Task;

    #[inline]
    fn next(&mut self) -> Option<&'a Task> {
        // SAFETY: By the type invariant; a process in the list has its memory for `'a`.
        self.last = unsafe { next(self.head, self.last) }?;
        // SAFETY: All but the head is a part of a task, which was attached when it was in the list.
        unsafe {
            let task = container_of!(self.last, bindings::task_struct, tasks);
            Some(Task::seen(task))
        }
    }
}

impl<'a> Iterator for Threads<'a> {
    type Item = &'a Task;

    #[inline]
    fn next(&mut self) -> Option<&'a Task> {
        // SAFETY: By the type invariant; a thread in the list has its memory for `'a`.
        self.last = unsafe { next(self.head, self.last) }?;
        // SAFETY: All but the head is a part of a task, which was attached when it was in the list.
        unsafe {
            let task = container_of!(self.last, bindings::task_struct, thread_node);
            Some(Task::seen(task))
        }
    }
}
