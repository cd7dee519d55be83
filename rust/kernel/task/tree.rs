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
    pid_namespace::PidNamespace,
    sync::rcu, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};

impl Task {
    /// Borrows a task that was found under the RCU read lock, if there is one.
    ///
    /// # Safety
    ///
    /// `ptr` is null, or points to a task that was attached at some time since the lock was taken.
    #[inline]
    unsafe fn seen(ptr: *mut bindings::task_struct, _rcu: &rcu::Guard) -> Option<&Self> {
        // SAFETY: `release_task()` has an RCU grace period go by before it gives up the count that
        // stands for the life of the task (`put_task_struct_rcu_user()`). CAST: `Self` is
        // transparent around `task_struct`.
        NonNull::new(ptr).map(|ptr| unsafe { ptr.cast().as_ref() })
    }

    /// Returns whether the task has not been released yet.
    ///
    /// A zombie has not. It may be at any moment, but under the RCU read lock what it points to
    /// stays there. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(current!().pid_alive());
    /// ```
    #[inline]
    pub fn pid_alive(&self) -> bool {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field of
        // it, which is stored to as one word.
        let attached = unsafe { ptr::addr_of!((*self.as_ptr()).thread_pid).read_volatile() };

        !attached.is_null()
    }

    /// Returns the process that has made this one, or that its children were left to.
    ///
    /// `None` if this task has been released. Any context.
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
    pub fn real_parent<'a>(&self, rcu: &'a rcu::Guard) -> Option<&'a Task> {
        if !self.pid_alive() {
            return None;
        }

        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field of
        // it, which is stored to as one word.
        let parent = unsafe { ptr::addr_of!((*self.as_ptr()).real_parent).read_volatile() };

        // SAFETY: The task was attached since the lock was taken. A parent leaves its children to
        // others (`forget_original_parent()`) before it is released, so what an attached task
        // points to is attached.
        unsafe { Self::seen(parent, rcu) }
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
    /// let leader = current!().leader(&guard).ok_or(ESRCH)?;
    /// assert_eq!(leader.tgid(), current!().tgid());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "group_leader")]
    #[inline]
    pub fn leader<'a>(&self, rcu: &'a rcu::Guard) -> Option<&'a Task> {
        if !self.pid_alive() {
            return None;
        }

        // SAFETY: As in `real_parent()`.
        let leader = unsafe { ptr::addr_of!((*self.as_ptr()).group_leader).read_volatile() };

        // SAFETY: The task was attached since the lock was taken. A leader is released when no
        // other thread is attached, or after `de_thread()` has made another one the leader of all.
        unsafe { Self::seen(leader, rcu) }
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
        // INVARIANT: The initial task is the head of the list, and is there for ever.
        Processes {
            last: ptr::addr_of_mut!(bindings::init_task),
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
    pub fn threads<'a>(&self, _rcu: &'a rcu::Guard) -> Threads<'a> {
        // SAFETY: `signal` lives as long as the `task_struct`, which is allocated by the type
        // invariant, and what its list of threads has in it was not released before the lock was
        // taken.
        let next = unsafe { bindings::first_thread(self.as_ptr()) };

        // INVARIANT: As above.
        Threads {
            next: NonNull::new(next),
            rcu: PhantomData,
        }
    }
}

/// The processes, from [`Task::processes`].
///
/// # Invariants
///
/// `last` is the initial task, or was found in the list of processes since the lock of `'a` was
/// taken.
pub struct Processes<'a> {
    last: *mut bindings::task_struct,
    rcu: PhantomData<&'a rcu::Guard>,
}

impl<'a> Iterator for Processes<'a> {
    type Item = &'a Task;

    // As for `processes()`.
    #[inline(never)]
    fn next(&mut self) -> Option<&'a Task> {
        // SAFETY: What was in the list has its memory while the lock is held, by the type
        // invariant, and points on into the list also when it was taken out (`list_del_rcu()`) or
        // exchanged for another thread (`list_replace_rcu()`).
        let next = unsafe { bindings::next_task(self.last) };
        if next == ptr::addr_of_mut!(bindings::init_task) {
            return None;
        }

        self.last = next;
        // SAFETY: It was in the list since the lock was taken, so it was attached, and has its
        // memory while the lock is held. CAST: `Task` is transparent around `task_struct`.
        Some(unsafe { &*next.cast() })
    }
}

/// The threads of a process, from [`Task::threads`].
///
/// # Invariants
///
/// `next` was found in the process's list of threads since the lock of `'a` was taken.
pub struct Threads<'a> {
    next: Option<NonNull<bindings::task_struct>>,
    rcu: PhantomData<&'a rcu::Guard>,
}

impl<'a> Iterator for Threads<'a> {
    type Item = &'a Task;

    #[inline]
    fn next(&mut self) -> Option<&'a Task> {
        let thread = self.next?;

        // SAFETY: The thread has its memory while the lock is held, by the type invariant, and
        // points on into the list also when it was taken out.
        self.next = NonNull::new(unsafe { bindings::__next_thread(thread.as_ptr()) });
        // SAFETY: As above. CAST: `Task` is transparent around `task_struct`.
        Some(unsafe { thread.cast().as_ref() })
    }
}
