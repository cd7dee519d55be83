// SPDX-License-Identifier: GPL-2.0

//! Tasks: the threads of processes, and of the kernel itself.
//!
//! - [`Task`] is any task. Holding a reference proves that its `task_struct` is allocated, and
//!   nothing more: it may be running, a zombie, or long reaped.
//! - [`CurrentTask`] is the task that runs this code. It offers what only a task itself may do
//!   without a lock or a count, and is had by [`current!`](crate::current!).
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::{
    bindings,
    c_struct::impl_refcounted,
    mm::MmWithUser,
    pid_namespace::PidNamespace,
    prelude::*,
    sync::{
        aref::ARef,
        rcu::read_lock, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    },
};
use core::{
    ops::Deref,
    ptr, //
};

mod rcu;
pub use rcu::{
    Processes,
    Threads, //
};

mod rlimit;
pub use rlimit::Rlimit;

mod signal;

mod task_work;
pub use task_work::{
    TaskWork,
    TaskWorkItem, //
};

mod wait;
pub use wait::TaskState;

pub use crate::uidgid::Kuid;

/// The timeout, in jiffies, that never ends.
pub const MAX_SCHEDULE_TIMEOUT: c_long = c_long::MAX;

/// Asleep until woken or signalled.
pub const TASK_INTERRUPTIBLE: c_int = bindings::TASK_INTERRUPTIBLE as c_int;
/// Asleep until woken; signals have to wait.
pub const TASK_UNINTERRUPTIBLE: c_int = bindings::TASK_UNINTERRUPTIBLE as c_int;
/// Added to a sleeping state: the freezer may take the task as it is.
pub const TASK_FREEZABLE: c_int = bindings::TASK_FREEZABLE as c_int;
/// Both kinds of sleep, for a wake-up that does not care which.
pub const TASK_NORMAL: c_uint = bindings::TASK_NORMAL as c_uint;

/// The number of a process or thread.
pub type Pid = bindings::pid_t;

/// Borrows the task that runs this code, as a [`&CurrentTask`](crate::task::CurrentTask).
///
/// The reference lives to the end of the calling scope at most. It can be neither returned nor
/// stored nor given to another thread, which is what makes the macro safe. It compiles to C's
/// `current`: one load.
///
/// # Examples
///
/// ```
/// let task = current!();
///
/// pr_info!("thread {} of process {}\n", task.pid(), task.tgid());
/// # assert!(task.pid() > 0 && task.tgid() > 0);
/// ```
#[doc(alias = "get_current")]
#[macro_export]
macro_rules! current {
    () => {
        // SAFETY: `Task::current()` asks that the value be used only in the task context in which
        // it is made. It is a temporary of the caller's scope here, nobody can name it, and what
        // is borrowed from it ends with that scope. So the question is what could end or replace
        // the context while the scope is still there:
        //
        // * The way back to user space passes through the end of the scope.
        // * `exit_mm()`, `exit_notify()`, `begin_new_exec()`, `commit_creds()`, `override_creds()`
        //   and `revert_creds()` have no safe wrapper, and an unsafe caller of them must not leave
        //   such a scope open.
        // * `MmWithUser::kthread_use_mm()` runs a closure. `CurrentTask` is neither `Send` nor
        //   `Sync`, so none gets in. Outside of the closure, the task has no `mm()` that could get
        //   in, or else the function refuses. What is borrowed inside ends there.
        // * Another thread has another context, and the same two traits keep it out.
        unsafe { &*$crate::task::Task::current() }
    };
}

/// A task, in whatever state of its life.
///
/// This is C's `struct task_struct`. An [`ARef<Task>`] owns one of its `usage` counts, and
/// dropping it is allowed in any context. The count keeps the memory, not the life of the task:
/// each method here says what it returns when the task is dead.
///
/// # Invariants
///
/// The `task_struct` was made by the C side's `copy_process()` or is an idle task, and stays
/// allocated for as long as a reference to it exists, because somebody owns a `usage` count.
///
/// # Examples
///
/// Remember who opened something:
///
/// ```
/// use kernel::{sync::aref::ARef, task::Task};
///
/// struct Session {
///     opener: ARef<Task>,
/// }
///
/// impl Session {
///     fn new() -> Self {
///         Self { opener: ARef::from(&**current!()) }
///     }
///
///     fn is_mine(&self) -> bool {
///         self.opener == &**current!()
///     }
/// }
///
/// assert!(Session::new().is_mine());
/// ```
#[doc(alias = "task_struct")]
#[repr(transparent)]
pub struct Task(pub(crate) Opaque<bindings::task_struct>);

// SAFETY: What a thread can do with a `Task` that it was sent is to drop its count, and
// `put_task_struct()` may be called by any thread.
unsafe impl Send for Task {}

// SAFETY: Each method with `&self` reads a field that is never written again once the task can be
// found (`tgid`), reads one with a single access that the C side pairs with `WRITE_ONCE()` (`pid`),
// or calls a C function that does its own locking.
unsafe impl Sync for Task {}

/// The task that runs this code.
///
/// It [dereferences](Deref) to [`Task`]. What it has beyond that may be done without a lock or a
/// count by a task to itself, and by nobody else.
///
/// A context is the stretch of a task's life in which its identity, its address space and its
/// process stay the same, and so does who it acts for. Five things end it for good: the return to
/// user space, `exit_mm()`, `exit_notify()`, `begin_new_exec()` and `commit_creds()`. Two open a
/// context within it: `kthread_use_mm()`, which `kthread_unuse_mm()` closes, and
/// `override_creds()`, which `revert_creds()` closes. The outer one may not be used in between, nor
/// the inner one afterwards.
///
/// What `do_exit()` does after `exit_notify()` is not for code of drivers: `release_task()` may
/// have taken the task out of its process. Only interrupts bring such code there, and they are RCU
/// readers.
///
/// # Invariants
///
/// A reference to this type is used only in the task context in which it was made.
///
/// # Examples
///
/// ```
/// // KUnit runs this in a kernel thread, which has no address space of its own.
/// assert!(current!().mm().is_none());
/// ```
#[repr(transparent)]
pub struct CurrentTask(Task, NotThreadSafe);

// Whatever may be done to any task may be done to this one.
impl Deref for CurrentTask {
    type Target = Task;

    #[inline]
    fn deref(&self) -> &Task {
        &self.0
    }
}

// These hold for every task whose memory is kept, dead or alive.
impl Task {
    /// Returns C's `current`, as it is.
    ///
    /// The pointer is never null. What may be done with it, and for how long, is the caller's
    /// affair; [`current!`](crate::current!) is the safe way.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Task;
    ///
    /// assert!(core::ptr::eq(Task::current_raw(), current!().as_ptr()));
    /// ```
    #[inline]
    pub fn current_raw() -> *mut bindings::task_struct {
        // SAFETY: `get_current()` reads a per-CPU or per-thread location, in any context.
        unsafe { bindings::get_current() }
    }

    /// Returns a value from which the [`CurrentTask`] can be borrowed.
    ///
    /// [`current!`](crate::current!) is the safe way.
    ///
    /// # Safety
    ///
    /// The value, and all that is borrowed from it, may be used only in the task context in which
    /// this function was called. See [`CurrentTask`] for what ends a context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Task;
    ///
    /// // SAFETY: The value is dropped at the end of this scope.
    /// let here = unsafe { Task::current() };
    /// assert_eq!(here.pid(), current!().pid());
    /// ```
    #[inline]
    pub unsafe fn current() -> impl Deref<Target = CurrentTask> {
        // The raw pointer keeps this from being `Send` or `Sync`.
        struct Here(*const CurrentTask);

        impl Deref for Here {
            type Target = CurrentTask;

            #[inline]
            fn deref(&self) -> &CurrentTask {
                // SAFETY: The pointer is `current`, which is valid while the task runs, and this
                // code is run by it: whoever called `Task::current()` promised not to take the
                // value elsewhere.
                unsafe { &*self.0 }
            }
        }

        // CAST: `CurrentTask` and `Task` are transparent around `task_struct`.
        Here(Self::current_raw().cast())
    }

    /// Returns the C side's pointer to this task.
    ///
    /// # Examples
    ///
    /// ```
    /// // What the crate does not wrap can be handed to C.
    /// let task = current!().as_ptr();
    /// assert!(!task.is_null());
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::task_struct {
        self.0.get()
    }

    /// Returns the number of this thread in the initial PID namespace.
    ///
    /// It can change: when a thread that does not lead its process calls `execve()`, it takes over
    /// the leader's number, and the leader gets the thread's (`exchange_tids()`). A dead task keeps
    /// the number, which may belong to another task by then.
    ///
    /// # Examples
    ///
    /// ```
    /// pr_info!("served by thread {}\n", current!().pid());
    /// # assert!(current!().pid() > 0);
    /// ```
    #[doc(alias = "task_pid_nr")]
    #[inline]
    pub fn pid(&self) -> Pid {
        // SAFETY: `task_struct` is allocated by the type invariant, and `pid` is an aligned field
        // of it. `exchange_tids()` may store to it at the same moment, by `WRITE_ONCE()`; a
        // volatile read is the `READ_ONCE()` that goes with it.
        unsafe { ptr::addr_of!((*self.as_ptr()).pid).read_volatile() }
    }

    /// Returns the number of this task's process in the initial PID namespace.
    ///
    /// This is what user space calls the PID. It stays the same for the whole life of the process.
    ///
    /// # Examples
    ///
    /// ```
    /// let task = current!();
    ///
    /// // A thread alone in its process is the process, as KUnit's is.
    /// assert_eq!(task.tgid(), task.pid());
    /// ```
    #[doc(alias = "task_tgid_nr")]
    #[inline]
    pub fn tgid(&self) -> Pid {
        // SAFETY: `task_struct` is allocated by the type invariant. `copy_process()` writes `tgid`
        // before anyone can find the task, and nothing writes it later: `de_thread()` gives the
        // new leader another `pid`, but the `tgid` is the one that it had.
        unsafe { ptr::addr_of!((*self.as_ptr()).tgid).read() }
    }

    /// Returns the real user ID.
    ///
    /// These are the objective credentials: those that count when others act upon the task.
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(current!().uid().into_uid_in_current_ns(), 0);
    /// ```
    #[doc(alias = "task_uid")]
    #[inline]
    pub fn uid(&self) -> Kuid {
        // SAFETY: `task_uid()` reads `real_cred` under RCU. The field is set until
        // `__put_task_struct()` has dropped the last `usage` count, and there is one left by the
        // type invariant.
        Kuid::from_raw(unsafe { bindings::task_uid(self.as_ptr()) })
    }

    /// Returns the PID namespace that the task was created in, with a count of its own.
    ///
    /// `None` if the task has been reaped. For the current task,
    /// [`CurrentTask::active_pid_ns`] does it without a count; the
    /// [module](crate::pid_namespace) explains the difference. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// let ns = current!().get_pid_ns().ok_or(ESRCH)?;
    /// assert_eq!(current!().tgid_nr_ns(Some(&ns)), current!().tgid());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "task_active_pid_ns")]
    #[inline]
    pub fn get_pid_ns(&self) -> Option<ARef<PidNamespace>> {
        let _rcu = read_lock();

        // SAFETY: `task_struct` is allocated by the type invariant. The RCU read lock keeps the
        // `struct pid` that is read, as `free_pid()` frees it a grace period later at the earliest.
        let ns = unsafe { bindings::task_active_pid_ns(self.as_ptr()) };

        if ns.is_null() {
            return None;
        }

        // SAFETY: A `struct pid` owns a count on its namespace until it is freed, so there is one
        // for as long as this holds the RCU read lock. The `ARef` takes another.
        Some(unsafe { PidNamespace::from_ptr(ns) }.into())
    }

    /// Returns the number of this task's process in `pidns`, or in the caller's active PID
    /// namespace if that is `None`.
    ///
    /// 0 if the process has no number there: it is in no namespace below `pidns`, or has been
    /// reaped. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// // KUnit runs in the initial namespace.
    /// assert_eq!(current!().tgid_nr_ns(None), current!().tgid());
    /// ```
    #[doc(alias = "task_tgid_nr_ns")]
    #[inline]
    pub fn tgid_nr_ns(&self, pidns: Option<&PidNamespace>) -> Pid {
        let pidns = pidns.map_or(ptr::null_mut(), PidNamespace::as_ptr);

        // SAFETY: `task_tgid_nr_ns()` reads `signal->pids` under RCU. `signal` is freed by
        // `__put_task_struct()`, hence allocated by the type invariant, and an entry is null once
        // the process is reaped, which the function checks. The namespace is either borrowed for
        // the time of the call or null, which stands for that of the caller.
        unsafe { bindings::task_tgid_nr_ns(self.as_ptr(), pidns) }
    }

    /// Returns whether this is a thread of the kernel.
    ///
    /// # Examples
    ///
    /// ```
    /// // KUnit runs this in one.
    /// assert!(current!().is_kthread());
    /// ```
    #[doc(alias = "PF_KTHREAD")]
    #[inline]
    pub fn is_kthread(&self) -> bool {
        self.flags() & bindings::PF_KTHREAD != 0
    }

    /// Returns whether the task is on its way out, or gone: it has begun `do_exit()`.
    ///
    /// For another task, it may be true at any moment after.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!current!().is_exiting());
    /// ```
    #[doc(alias = "PF_EXITING")]
    #[inline]
    pub fn is_exiting(&self) -> bool {
        self.flags() & bindings::PF_EXITING != 0
    }

    #[inline]
    fn flags(&self) -> c_uint {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field
        // of it. The task itself stores to it at any time, always the whole of it.
        unsafe { ptr::addr_of!((*self.as_ptr()).flags).read_volatile() }
    }

    /// Returns the task's name: up to 15 bytes, and zeroes to the end.
    ///
    /// A name that is changed meanwhile may be a mixture of two. A program can choose its name, so
    /// it is good for messages only. Process context, or an interrupt that does not hit somebody
    /// who holds the task's lock.
    ///
    /// # Examples
    ///
    /// ```
    /// let name = current!().comm();
    /// assert!(name.starts_with(b"kunit"));
    /// assert_eq!(name.last(), Some(&0));
    /// ```
    #[doc(alias = "get_task_comm")]
    #[inline]
    pub fn comm(&self) -> [u8; bindings::TASK_COMM_LEN as usize] {
        let mut name = [0; bindings::TASK_COMM_LEN as usize];
        // SAFETY: `task_struct` is allocated by the type invariant, and the buffer has the size
        // that the helper fills.
        unsafe { bindings::get_task_comm(name.as_mut_ptr().cast(), self.as_ptr()) };
        name
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

    /// Makes the task runnable if it is in [`TASK_NORMAL`] sleep, and does nothing otherwise.
    ///
    /// Every sleeper must be ready for a wake-up that it did not wait for. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// // It runs already, so nothing happens.
    /// current!().wake_up();
    /// ```
    #[doc(alias = "wake_up_process")]
    #[inline]
    pub fn wake_up(&self) {
        // SAFETY: `wake_up_process()` takes the task's own `pi_lock` and looks at its state, which
        // never is one of `TASK_NORMAL` again after death. The memory is kept by the type
        // invariant.
        unsafe { bindings::wake_up_process(self.as_ptr()) };
    }
}

// These hold for the current task only: nobody else can end or change what they return.
impl CurrentTask {
    /// Returns the address space that the task runs in, or `None` for a kernel thread and for a
    /// task that has given it up in exit.
    ///
    /// No count is taken; [`ARef::from`] takes one where it must last longer. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// # // SAFETY: No `current!()` is in use yet.
    /// # unsafe { kernel::mm::kunit::user_page() }?;
    /// let task = current!();
    /// let mm = task.mm().ok_or(ESRCH)?;
    /// # assert!(!mm.as_raw().is_null());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mm(&self) -> Option<&MmWithUser> {
        // SAFETY: The task is alive, being `current`. Only the task itself writes its `mm`
        // (`exec_mmap()`, `exit_mm()`, `kthread_use_mm()` and its opposite), and it is here now;
        // an interrupt handler that asks has the task standing still beneath it.
        let mm = unsafe { ptr::addr_of!((*self.as_ptr()).mm).read() };

        if mm.is_null() {
            return None;
        }

        // SAFETY: A user's task owns a count of `mm_users` for its `mm`, and gives it back only
        // after the field has another value, in the functions named above. Each of them would
        // leave the context in which `self` was made, and the reference is borrowed from `self`.
        // `kthread_use_mm()` takes an `mm_count` only; that an address space which a kernel thread
        // uses is alive, as its page tables have to be, is up to the C code that calls it.
        Some(unsafe { MmWithUser::from_raw(mm) })
    }

    /// Returns the PID namespace that the task was created in.
    ///
    /// No count is taken and RCU is not needed; the [module](crate::pid_namespace) explains why.
    /// `None` is possible only in an interrupt that hits a task at the very end of its exit, after
    /// `release_task()`. Any context.
    ///
    /// For another task there is [`Task::get_pid_ns`].
    ///
    /// # Examples
    ///
    /// ```
    /// let task = current!();
    /// let ns = task.active_pid_ns().ok_or(ESRCH)?;
    ///
    /// assert_eq!(task.get_pid_ns().ok_or(ESRCH)?, ns);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "task_active_pid_ns")]
    #[inline]
    pub fn active_pid_ns(&self) -> Option<&PidNamespace> {
        // SAFETY: The task is alive, being `current`. `thread_pid` changes from one valid `struct
        // pid` to another in `exchange_tids()`, which runs only after this very task has called
        // `execve()` or has become a zombie, and to null in `release_task()`.
        let ns = unsafe { bindings::task_active_pid_ns(self.as_ptr()) };

        if ns.is_null() {
            return None;
        }

        // SAFETY: The attached `struct pid` owns a count on the namespace. It is detached by
        // `release_task()`, which comes after `exit_notify()` and so after the context of `self`,
        // unless this is an interrupt; and it is freed an RCU grace period later, which an
        // interrupt holds up. So the namespace outlives `self`.
        Some(unsafe { PidNamespace::from_ptr(ns) })
    }

    /// Returns the thread that leads the process, which may be this one.
    ///
    /// No count is taken. In an interrupt that hits a task after `release_task()`, when nothing
    /// keeps the leader any more, this is the task itself. Any context.
    ///
    /// There is no such method on [`Task`]: another process's leader can be replaced by
    /// `de_thread()`, and then freed, while one looks.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(current!().group_leader().pid(), current!().tgid());
    /// ```
    #[inline]
    pub fn group_leader(&self) -> &Task {
        // It may be released on another CPU at this moment, but then this is an interrupt on top of
        // what `do_exit()` does after `exit_notify()`.
        if !self.pid_alive() {
            return self;
        }

        // SAFETY: The task is alive, being `current`, and this is an aligned field of it. That of a
        // task that is neither in `execve()` nor a zombie does not change; for a zombie, which
        // again means an interrupt, `de_thread()` may write it.
        let leader = unsafe { ptr::addr_of!((*self.as_ptr()).group_leader).read_volatile() };

        // SAFETY: `release_task()` lets go of a leader only when no other thread of the process is
        // attached. In process context the current task stays attached to the end of the scope
        // that `self` lives in. In an interrupt it was attached a moment ago, the leader's memory
        // is freed an RCU grace period after its release at the earliest, and the interrupt is an
        // RCU reader. CAST: `Task` is transparent around `task_struct`.
        unsafe { &*leader.cast() }
    }
}

// SAFETY: `usage` is the refcount of a `task_struct`, and `__put_task_struct()` frees it when the last
// reference is released. By the type invariant, a `Task` exists only while a reference is held.
impl_refcounted!(unsafe Task: get_task_struct, put_task_struct);

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

/// Two tasks are equal when they are the same `task_struct`.
///
/// While references to both are held, this cannot be fooled by a number that was used again.
impl PartialEq for Task {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.as_ptr(), other.as_ptr())
    }
}

impl Eq for Task {}

/// Says that the caller may sleep, and is a place where it may be rescheduled.
///
/// With `CONFIG_DEBUG_ATOMIC_SLEEP`, a call in atomic context is reported with the file and line
/// of the caller. Process context only.
///
/// # Examples
///
/// ```
/// use kernel::task::might_sleep;
///
/// fn flush() {
///     might_sleep();
///     // ... wait for the device ...
/// }
/// # flush();
/// ```
#[track_caller]
#[inline]
pub fn might_sleep() {
    #[cfg(CONFIG_DEBUG_ATOMIC_SLEEP)]
    {
        let here = core::panic::Location::caller();
        let file = crate::file_from_location(here);

        // SAFETY: The name is a string with a final NUL that lives for ever.
        unsafe { bindings::__might_sleep(file.as_char_ptr(), here.line() as c_int) }
    }

    // SAFETY: `might_resched()` gives up the CPU if it is time, which process context may do.
    unsafe { bindings::might_resched() }
}
