// SPDX-License-Identifier: GPL-2.0

//! Relations between tasks: parent, thread-group leader, threads, all thread groups.
//!
//! They can change at any time. Each method reads them in an RCU read-side critical section of its
//! own, and takes a reference on each task that it returns. The section ends before the method
//! returns, so no code of a driver runs in it: a driver cannot sleep in it, and cannot leak it.
//!
//! A task is *attached* until `release_task()` has run for it, which clears `thread_pid`
//! ([`Task::pid_alive`]). The tasks that an attached task points to are freed an RCU grace period
//! after their own release at the earliest. The pointers in a released task may dangle:
//! `real_parent()`, `get_group_leader()` and `Threads` check `pid_alive()` before they follow one.
//!
//! C headers: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h)

use super::Task;
use crate::{
    bindings, container_of,
    pid::{
        Pid,
        PidType, //
    },
    pid_namespace::PidNamespace,
    sync::{
        aref::ARef,
        atomic::{
            atomic_load,
            Relaxed, //
        },
        rcu::read_lock, //
    },
};
use core::ptr;

impl Task {
    /// Takes a reference on a task that was found under the RCU read lock.
    ///
    /// # Safety
    ///
    /// The caller must hold the RCU read lock. `ptr` must point to a task that was attached at some
    /// time since the lock was taken.
    #[inline]
    unsafe fn get_rcu(ptr: *const bindings::task_struct) -> ARef<Self> {
        // CAST: `Self` is transparent around `task_struct`.
        // SAFETY: `release_task()` calls `put_task_struct_rcu_user()`, which drops the reference
        // that a task holds on itself after an RCU grace period. The task was attached since the
        // RCU read lock was taken, so that grace period does not end before the lock is released.
        // The `ARef` takes its own reference before that.
        unsafe { &*ptr.cast::<Self>() }.into()
    }

    /// Returns the parent of the task, with a reference: the task that created it, or the one it
    /// was reparented to.
    ///
    /// Returns `None` if this task has been released, or is the idle task of a CPU.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // KUnit runs in a kthread, whose parent is `kthreadd`.
    /// let parent = current!().real_parent().ok_or(ESRCH)?;
    /// assert_eq!(parent.pid(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn real_parent(&self) -> Option<ARef<Task>> {
        // MODEL: rcu-removed/section
        let _rcu = read_lock();

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

        // SAFETY: The RCU read lock is held, and this task was attached since it was taken.
        // `forget_original_parent()` gives the children of a task to another task before the task
        // is released, so the parent of an attached task is attached.
        Some(unsafe { Self::get_rcu(parent) })
    }

    /// Returns the thread-group leader of this task, with a reference.
    ///
    /// Returns `None` if this task has been released. For the current task, [`group_leader`] needs
    /// no reference.
    ///
    /// [`group_leader`]: super::CurrentTask::group_leader
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let leader = current!().get_group_leader().ok_or(ESRCH)?;
    /// assert_eq!(leader.tgid(), current!().tgid());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "group_leader")]
    #[inline]
    pub fn get_group_leader(&self) -> Option<ARef<Task>> {
        let _rcu = read_lock();

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

        // SAFETY: The RCU read lock is held, and this task was attached since it was taken. A
        // leader is released only when no other thread of the group is attached, or after
        // `de_thread()` has made another thread the leader of all threads. So the leader of an
        // attached task is attached.
        Some(unsafe { Self::get_rcu(leader) })
    }

    /// Returns the threads of this task's thread group, each with a reference.
    ///
    /// The walk may sleep between two threads, and does not keep the thread group as it is: a
    /// thread that is created or released during the walk may or may not be returned, and a thread
    /// that is returned may have been released since it was found. The walk is empty if all threads
    /// have been released.
    ///
    /// The order is that of creation. If the thread at which the walk stands is released, the walk
    /// continues with the threads that have been created later than that one. It may then miss or
    /// repeat a thread that was created at the same time by another thread. It also misses a thread
    /// that has called `execve()` during the walk and was not the leader: that thread gets the
    /// start time and the PID of the leader.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(current!().threads().any(|task| *task == **current!()));
    /// ```
    #[doc(alias("for_each_thread", "next_thread"))]
    #[inline]
    pub fn threads(&self) -> Threads<'_> {
        let _rcu = read_lock();

        let head = self.thread_head();
        // SAFETY: The RCU read lock is held, and `head` is the head of a thread list.
        let next = unsafe { Threads::entry_after(head, head) };
        Threads {
            group: self,
            // SAFETY: The RCU read lock is held, and the task was found in the list under it.
            next: next.map(|task| unsafe { Self::get_rcu(task) }),
        }
    }

    /// Returns the head of the list of the threads of this task's thread group.
    ///
    /// It stays allocated while `self` is borrowed.
    #[inline]
    fn thread_head(&self) -> *const bindings::list_head {
        // SAFETY: `task_struct` is allocated by the type invariant. `signal` does not change, and
        // the task holds a reference on it until `__put_task_struct()`. Only the address of the
        // list head is taken.
        unsafe { ptr::addr_of!((*(*self.as_ptr()).signal).thread_head) }
    }
}

/// An iterator over the threads of a thread group, returned by [`Task::threads`].
///
/// # Examples
///
/// ```
/// use kernel::task::Threads;
///
/// /// Returns whether the thread group has a single thread.
/// fn is_single_threaded(mut threads: Threads<'_>) -> bool {
///     threads.nth(1).is_none()
/// }
/// assert!(is_single_threaded(current!().threads()));
/// ```
pub struct Threads<'a> {
    group: &'a Task,
    // The thread to return next. It was found when the thread before it was returned, so that one
    // reference is taken for each thread.
    next: Option<ARef<Task>>,
}

impl Threads<'_> {
    /// Returns the task after `entry` in a list of threads, or `None` at the end of the list.
    ///
    /// The task was attached at some time since the RCU read lock was taken.
    ///
    /// # Safety
    ///
    /// The caller must hold the RCU read lock. `head` must be the head of a thread list that is
    /// allocated. `entry` must be `head`, or the `thread_node` of a task that was in the list at
    /// some time since the lock was taken.
    #[inline]
    unsafe fn entry_after(
        head: *const bindings::list_head,
        entry: *const bindings::list_head,
    ) -> Option<*const bindings::task_struct> {
        // SAFETY: The caller guarantees that `entry` is allocated. `list_del_rcu()` leaves the
        // `next` pointer of a removed entry in place. Writers store it as one word (`WRITE_ONCE()`
        // or `rcu_assign_pointer()`); `READ_ONCE()` pairs with that.
        // MODEL: rcu-list/next
        let next = unsafe { atomic_load(ptr::addr_of!((*entry).next).cast_mut(), Relaxed) };

        if ptr::eq(next, head) {
            return None;
        }
        // SAFETY: Each entry but the head is the `thread_node` of a task, which
        // `__unhash_process()` removes in `release_task()`. If it removes the task while `entry`
        // is in the list, it changes the pointer that was read above, so it does so after that
        // read. If it removes `entry` first, then it removes the task after a time at which the
        // RCU read lock was held. Either way, the task was attached since the lock was taken.
        Some(unsafe { container_of!(next, bindings::task_struct, thread_node) })
    }

    /// Returns the thread after `task`.
    #[inline]
    fn after(&self, task: &Task) -> Option<ARef<Task>> {
        let _rcu = read_lock();

        if !task.pid_alive() {
            return self.after_released(task);
        }

        // SAFETY: `task` is allocated. Only the address of its field is taken.
        let entry = unsafe { ptr::addr_of!((*task.as_ptr()).thread_node) };
        // SAFETY: The RCU read lock is held. `task` is a thread of `group`. Its `thread_pid` was
        // not null under the lock. `__unhash_process()` clears it in `detach_pid()` before it
        // removes the task from the list by `list_del_rcu()`, so the task was in the list at some
        // time since the lock was taken.
        let next = unsafe { Self::entry_after(self.group.thread_head(), entry) }?;
        // SAFETY: The RCU read lock is held, and the task was attached since it was taken.
        Some(unsafe { Task::get_rcu(next) })
    }

    /// Returns the first thread that was created after `gone`, a thread that has been released.
    #[cold]
    #[inline(never)]
    fn after_released(&self, gone: &Task) -> Option<ARef<Task>> {
        let order = |task: &Task| (task.start_time(), task.pid());
        let _rcu = read_lock();

        let head = self.group.thread_head();
        let mut entry = head;
        loop {
            // SAFETY: The RCU read lock is held. `entry` is the head, or it was found in the list
            // under the lock.
            let task = unsafe { Self::entry_after(head, entry) }?;
            // CAST: `Task` is transparent around `task_struct`.
            // SAFETY: The task was attached since the RCU read lock was taken, so it is allocated
            // until the lock is released.
            let task = unsafe { &*task.cast::<Task>() };
            if order(task) > order(gone) {
                return Some(task.into());
            }
            // SAFETY: The task is allocated. Only the address of its field is taken.
            entry = unsafe { ptr::addr_of!((*task.as_ptr()).thread_node) };
        }
    }
}

impl Iterator for Threads<'_> {
    type Item = ARef<Task>;

    #[inline]
    fn next(&mut self) -> Option<ARef<Task>> {
        let task = self.next.take()?;
        self.next = self.after(&task);
        Some(task)
    }
}

impl PidNamespace {
    /// Returns the thread groups that have a TGID in this namespace, each as its leader, with a
    /// reference.
    ///
    /// These are the thread groups of this namespace and of its descendants. The order is that of
    /// their TGIDs in this namespace. The walk may sleep between two thread groups. A thread group
    /// that is created or released during the walk may or may not be returned; each other one is
    /// returned once.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::pid_namespace::PidNamespace;
    ///
    /// let all = PidNamespace::init();
    /// let me = current!().tgid();
    /// assert_eq!(all.processes().filter(|task| task.tgid() == me).count(), 1);
    /// // PID 1 is the init process, PID 2 is `kthreadd`.
    /// assert!(all.processes().map(|task| task.tgid()).take(2).eq([1, 2]));
    /// ```
    #[doc(alias("for_each_process", "next_tgid", "find_ge_pid"))]
    #[inline]
    pub fn processes(&self) -> Processes<'_> {
        Processes { ns: self, last: 0 }
    }
}

/// An iterator over the thread groups of a PID namespace, returned by [`PidNamespace::processes`].
///
/// # Examples
///
/// ```
/// use kernel::{pid_namespace::PidNamespace, task::Processes};
///
/// /// Returns the number of kthreads.
/// fn kthreads(all: Processes<'_>) -> usize {
///     all.filter(|task| task.is_kthread()).count()
/// }
/// assert!(kthreads(PidNamespace::init().processes()) > 1);
/// ```
pub struct Processes<'a> {
    ns: &'a PidNamespace,
    // The PID in `ns` up to which the walk has come.
    last: super::Pid,
}

impl Iterator for Processes<'_> {
    type Item = ARef<Task>;

    #[inline]
    fn next(&mut self) -> Option<ARef<Task>> {
        let _rcu = read_lock();

        loop {
            // A PID is less than `PID_MAX_LIMIT`.
            let nr = self.last.checked_add(1)?;
            // SAFETY: The namespace is allocated by the type invariant, and the RCU read lock,
            // which protects readers of its PID table (`idr`), is held.
            let pid = unsafe { bindings::find_ge_pid(nr, self.ns.as_ptr()) };
            if pid.is_null() {
                return None;
            }
            // SAFETY: `alloc_pid()` stores a `struct pid` in the table after it has initialized
            // it. `free_pid()` removes it, and drops the reference of `alloc_pid()` after an RCU
            // grace period. So its refcount is not zero while the RCU read lock is held.
            let pid = unsafe { Pid::from_ptr(pid) };
            // The PID is at least `nr`, as the `struct pid` was found in the table under it.
            self.last = pid.pid_nr_ns(self.ns);
            // SAFETY: The RCU read lock is held.
            if let Some(task) = unsafe { pid.pid_task(PidType::Tgid) } {
                return Some(task.into());
            }
        }
    }
}
