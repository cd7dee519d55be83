// SPDX-License-Identifier: GPL-2.0

//! Relations between tasks, under RCU: parent, thread-group leader, threads, all thread groups.
//!
//! They can change at any time. They are read in an RCU read-side critical section, and the results
//! are valid for its duration. An [`ARef`](crate::sync::aref::ARef) of a result may be kept longer.
//!
//! A task is *attached* until `release_task()` has run for it, which clears `thread_pid`
//! ([`Task::pid_alive`]). The tasks that an attached task points to are freed an RCU grace period
//! after their own release at the earliest. The pointers in a released task may dangle, so each
//! method checks `pid_alive()` first.
//!
//! C headers: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h)

use super::Task;
use crate::{
    bindings, container_of,
    pid_namespace::PidNamespace,
    sync::{
        atomic::{
            atomic_load,
            Relaxed, //
        },
        rcu, //
    },
};
use core::{
    marker::PhantomData,
    ptr, //
};

impl Task {
    /// Creates a reference to a task that was found under the RCU read lock.
    ///
    /// # Safety
    ///
    /// The RCU read lock must be held for the duration of `'a`. `ptr` must point to a task that was
    /// attached at some time since the lock was taken.
    #[inline]
    unsafe fn from_rcu<'a>(ptr: *const bindings::task_struct) -> &'a Self {
        // CAST: `Self` is transparent around `task_struct`.
        // SAFETY: `release_task()` calls `put_task_struct_rcu_user()`, which drops the reference
        // that a task holds on itself after an RCU grace period. The task was attached since the
        // RCU read lock was taken, so that grace period does not end within `'a`.
        unsafe { &*ptr.cast() }
    }

    /// Returns the parent of the task: the task that created it, or the one it was reparented to.
    ///
    /// Returns `None` if this task has been released, or is the idle task of a CPU.
    ///
    /// # Context
    ///
    /// Within an RCU read-side critical section.
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::rcu;
    ///
    /// // KUnit runs in a kthread, whose parent is `kthreadd`.
    /// let guard = rcu::read_lock();
    /// let parent = current!().real_parent(&guard).ok_or(ESRCH)?;
    /// assert_eq!(parent.pid(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn real_parent<'a>(&self, _rcu: &'a rcu::Guard) -> Option<&'a Task> {
        // An idle task is not in the `children` list of its parent, so it is not reparented when
        // that task exits.
        if !self.pid_alive() || self.pid() == 0 {
            return None;
        }

        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field of
        // it. `RCU_INIT_POINTER()` stores to it as one word; `READ_ONCE()` pairs with that.
        let parent = unsafe {
            atomic_load(
                ptr::addr_of!((*self.as_ptr()).real_parent).cast_mut(),
                Relaxed,
            )
        };

        // SAFETY: This task was attached since the lock was taken. `forget_original_parent()` gives
        // the children of a task to another task before the task is released, so the parent of an
        // attached task is attached.
        Some(unsafe { Self::from_rcu(parent) })
    }

    /// Returns the thread-group leader of this task.
    ///
    /// Returns `None` if this task has been released. For the current task, [`group_leader`] does
    /// not need the RCU read lock.
    ///
    /// [`group_leader`]: super::CurrentTask::group_leader
    ///
    /// # Context
    ///
    /// Within an RCU read-side critical section.
    /// Any context, including NMI.
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

        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field of
        // it. `de_thread()` stores to it as one word.
        let leader = unsafe {
            atomic_load(
                ptr::addr_of!((*self.as_ptr()).group_leader).cast_mut(),
                Relaxed,
            )
        };

        // SAFETY: This task was attached since the lock was taken. A leader is released only when
        // no other thread of the group is attached, or after `de_thread()` has made another thread
        // the leader of all threads. So the leader of an attached task is attached.
        Some(unsafe { Self::from_rcu(leader) })
    }

    /// Returns this task's active PID namespace.
    ///
    /// Returns `None` if the task has been released. [`Task::get_pid_ns`] takes a reference
    /// instead; the [module](crate::pid_namespace) explains the difference.
    ///
    /// # Context
    ///
    /// Within an RCU read-side critical section.
    /// Any context, including NMI.
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
        // SAFETY: `task_struct` is allocated by the type invariant. The RCU read lock keeps
        // the `struct pid` in `thread_pid` allocated: `free_pid()` frees it by `call_rcu()`.
        let ns = unsafe { bindings::task_active_pid_ns(self.as_ptr()) };

        // SAFETY: The `struct pid` holds a reference on its namespace until it is freed. That is an
        // RCU grace period after it was detached, hence not within `'a`.
        (!ns.is_null()).then(|| unsafe { PidNamespace::from_ptr(ns) })
    }

    /// Returns all thread groups, each as its leader.
    ///
    /// A thread group that is created or released during the walk may or may not be returned. The
    /// walk is a single RCU read-side critical section, so it must not sleep and should be short.
    ///
    /// # Context
    ///
    /// Within an RCU read-side critical section.
    /// Any context, including NMI.
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
    #[inline]
    pub fn processes(_rcu: &rcu::Guard) -> Processes<'_> {
        // SAFETY: `init_task` is a static. Only the address of its field is taken.
        let head = unsafe { ptr::addr_of!(bindings::init_task.tasks) };

        // INVARIANT: `init_task.tasks` is the head of the list of all thread-group leaders. It is
        // static, hence valid for `'a`.
        Processes {
            head,
            last: head,
            rcu: PhantomData,
        }
    }

    /// Returns the threads of this task's thread group.
    ///
    /// A thread that is created or released during the walk may or may not be returned. The walk is
    /// empty if all threads have been released.
    ///
    /// # Context
    ///
    /// Within an RCU read-side critical section.
    /// Any context, including NMI.
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
        // SAFETY: `task_struct` is allocated by the type invariant. `signal` does not change, and
        // the task holds a reference on it until `__put_task_struct()`. Only the address of the
        // list head is taken.
        let head = unsafe { ptr::addr_of!((*(*self.as_ptr()).signal).thread_head) };

        // INVARIANT: `head` is the `thread_head` of a `signal_struct`, which stays allocated while
        // `self` is borrowed, hence for `'a`.
        Threads {
            head,
            last: head,
            rcu: PhantomData,
        }
    }
}

/// An iterator over all thread groups, returned by [`Task::processes`].
///
/// # Invariants
///
/// - `head` is the head of the list of all thread-group leaders.
/// - `last` is `head`, or an entry that was in the list since the RCU read lock of `'a` was taken.
///
/// # Examples
///
/// ```
/// use kernel::{sync::rcu, task::{Processes, Task}};
///
/// /// Returns the number of kthreads.
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

/// An iterator over the threads of a thread group, returned by [`Task::threads`].
///
/// # Invariants
///
/// - `head` is the head of the thread list of a thread group, valid for `'a`.
/// - `last` is `head`, or an entry that was in the list since the RCU read lock of `'a` was taken.
///
/// # Examples
///
/// ```
/// use kernel::{sync::rcu, task::Threads};
///
/// /// Returns whether the thread group has a single thread.
/// fn is_single_threaded(mut threads: Threads<'_>) -> bool {
///     threads.nth(1).is_none()
/// }
/// let guard = rcu::read_lock();
/// assert!(is_single_threaded(current!().threads(&guard)));
/// ```
pub struct Threads<'a> {
    head: *const bindings::list_head,
    last: *const bindings::list_head,
    rcu: PhantomData<&'a rcu::Guard>,
}

/// Returns the entry after `last`, or `None` if that is the head.
///
/// # Safety
///
/// The caller must hold the RCU read lock. `last` must be `head`, or an entry that was in the list
/// since the lock was taken.
#[inline]
unsafe fn next(
    head: *const bindings::list_head,
    last: *const bindings::list_head,
) -> Option<*const bindings::list_head> {
    // SAFETY: The caller guarantees that `last` is allocated. `list_del_rcu()` and
    // `list_replace_rcu()` leave the `next` pointer of a removed entry in place. Writers store it
    // as one word (`WRITE_ONCE()` or `rcu_assign_pointer()`); `READ_ONCE()` pairs with that.
    let next = unsafe { atomic_load(ptr::addr_of!((*last).next).cast_mut(), Relaxed) };

    (!ptr::eq(next, head)).then_some(next)
}

impl<'a> Iterator for Processes<'a> {
    type Item = &'a Task;

    #[inline]
    fn next(&mut self) -> Option<&'a Task> {
        // INVARIANT: `next()` returns the entry after one that was in the list under this RCU read
        // lock, so the new entry was in it under the lock, too.
        // SAFETY: By the type invariant, `last` is the head or was in the list under the RCU read
        // lock, which is held for `'a`.
        self.last = unsafe { next(self.head, self.last) }?;
        // SAFETY: Each entry but the head is a field of a `task_struct`. `__unhash_process()`
        // removes it in `release_task()`, so a task in the list is attached.
        unsafe {
            let task = container_of!(self.last, bindings::task_struct, tasks);
            Some(Task::from_rcu(task))
        }
    }
}

impl<'a> Iterator for Threads<'a> {
    type Item = &'a Task;

    #[inline]
    fn next(&mut self) -> Option<&'a Task> {
        // INVARIANT: `next()` returns the entry after one that was in the list under this RCU read
        // lock, so the new entry was in it under the lock, too.
        // SAFETY: By the type invariant, `last` is the head or was in the list under the RCU read
        // lock, which is held for `'a`.
        self.last = unsafe { next(self.head, self.last) }?;
        // SAFETY: Each entry but the head is a field of a `task_struct`. `__unhash_process()`
        // removes it in `release_task()`, so a task in the list is attached.
        unsafe {
            let task = container_of!(self.last, bindings::task_struct, thread_node);
            Some(Task::from_rcu(task))
        }
    }
}
