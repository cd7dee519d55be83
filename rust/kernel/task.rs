// SPDX-License-Identifier: GPL-2.0

//! Tasks: userspace threads and kthreads.
//!
//! - [`Task`] is any task. A reference proves only that the `task_struct` is allocated: the task
//!   may be running, a zombie, or reaped.
//! - [`CurrentTask`] is the task that runs this code, borrowed with [`current!`](crate::current!).
//!   It adds what only a task itself may do without a lock or a reference.
//!
//! Guide: [choosing a type](srctree/Documentation/rust/task-mm/guide/choosing-a-type.rst),
//! [the life of a task](srctree/Documentation/rust/task-mm/guide/life.rst)
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
        atomic::{
            atomic_load,
            Relaxed, //
        },
        rcu::read_lock, //
    },
    time::Jiffies,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};
use core::{
    ops::Deref,
    ptr, //
};

mod memalloc;
pub use memalloc::{
    memalloc_nofs,
    memalloc_noio,
    memalloc_noreclaim, //
};

pub mod poll_events;

mod rcu;
pub use rcu::{
    Processes,
    Threads, //
};

mod rlimit;
pub use rlimit::Rlimit;

mod sched;
pub use sched::{
    cond_resched,
    need_resched,
    schedule,
    yield_now, //
};

mod signal;

mod syscall;

mod task_work;
pub use task_work::{
    TaskWork,
    TaskWorkItem, //
};

mod wait;
pub use wait::{
    io_wait,
    Expires,
    TaskState,
    WaitError, //
};

mod wait_queue;
pub use wait_queue::{
    FilePollTable,
    WaitQueue, //
};

pub use crate::uidgid::Kuid;

/// A timeout, in jiffies, that never expires.
pub const MAX_SCHEDULE_TIMEOUT: c_long = c_long::MAX;

/// C's constant of this name. A timer that is more than twice as far in the future counts as one in
/// the past.
pub(crate) const MAX_JIFFY_OFFSET: Jiffies = (Jiffies::MAX >> 2) - 1;

/// Sleeping until woken or interrupted by a signal.
pub const TASK_INTERRUPTIBLE: c_int = bindings::TASK_INTERRUPTIBLE as c_int;
/// Sleeping until woken. Not interrupted by signals.
pub const TASK_UNINTERRUPTIBLE: c_int = bindings::TASK_UNINTERRUPTIBLE as c_int;
/// A flag for a sleeping state: the freezer may freeze the task without waking it.
pub const TASK_FREEZABLE: c_int = bindings::TASK_FREEZABLE as c_int;
/// The mask of [`TASK_INTERRUPTIBLE`] and [`TASK_UNINTERRUPTIBLE`], for wake-ups.
pub const TASK_NORMAL: c_uint = bindings::TASK_NORMAL as c_uint;

/// The numeric PID of a thread, or TGID of a thread group (`pid_t`).
///
/// The reference-counted `struct pid` is [`pid::Pid`](crate::pid::Pid).
pub type Pid = bindings::pid_t;

/// Returns the task that runs this code, as a [`&CurrentTask`](crate::task::CurrentTask).
///
/// The reference is valid until the end of the calling scope. It cannot be returned, stored, or
/// sent to another thread, which makes the macro safe. It compiles to `current` of C: one load.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// ```
/// let task = current!();
///
/// pr_info!("thread {} of thread group {}\n", task.pid(), task.tgid());
/// # assert!(task.pid() > 0 && task.tgid() > 0);
/// ```
#[doc(alias = "get_current")]
#[macro_export]
macro_rules! current {
    () => {
        // SAFETY: `Task::current()` requires that the value be used only in the task context in
        // which it is created. Here it is a temporary of the calling scope. It has no name, and
        // what is borrowed from it ends with that scope. It remains to show that nothing ends or
        // replaces the context before the end of the scope:
        //
        // * The return to userspace comes after the end of the scope.
        // * `exit_mm()`, `exit_notify()`, `begin_new_exec()`, `commit_creds()`, `override_creds()`
        //   and `revert_creds()` have no safe wrapper, and an unsafe caller of them must not do
        //   so within such a scope.
        // * `MmWithUser::kthread_use_mm()` runs a closure. `CurrentTask` is neither `Send` nor
        //   `Sync`, so the closure cannot capture a reference to it. `mm()` outside of the closure
        //   is `None`, as the function fails otherwise, so no `MmWithUser` borrowed from the outer
        //   context can be captured. What is borrowed inside ends with the closure.
        // * Another thread has another context, and the same two traits keep the reference out.
        unsafe { &*$crate::task::Task::current() }
    };
}

/// A task (`struct task_struct`).
///
/// An [`ARef<Task>`] holds a reference on it (`usage`), and may be dropped in any context except
/// NMI. The reference keeps the memory allocated; it does not keep the task alive. Each method
/// documents what it returns for a dead task.
///
/// # Invariants
///
/// - The `task_struct` was created by `copy_process()` or is an idle task.
/// - It stays allocated while a Rust reference to it exists, because its `usage` refcount is not
///   zero.
///
/// # Examples
///
/// Store the task that opened a session:
///
/// ```
/// use kernel::{sync::aref::ARef, task::Task};
///
/// /// Belongs to one thread. To compare processes, store an `ARef<Pid>` of `PidType::Tgid`.
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

// SAFETY: A thread that owns an `ARef<Task>` can only drop its reference, beyond what `Sync`
// allows. `put_task_struct()` may be called from any thread.
unsafe impl Send for Task {}

// SAFETY: Each method with `&self` reads a field that is not written after the task is published
// (`tgid`), reads a field with a `READ_ONCE()`, whose writers store it as one word (`pid`:
// `WRITE_ONCE()`), or calls a C function that does its own locking. `start_time()` reads a `u64`
// that `de_thread()` may store to, with a volatile read: a torn value is a valid `u64`, and no
// memory access depends on it.
unsafe impl Sync for Task {}

/// The task that runs this code.
///
/// It [dereferences](Deref) to [`Task`]. Its own methods need no lock and no reference, because
/// only the task itself changes what they return.
///
/// A *task context* is a period in which the identity, the mm, the thread group and the credentials
/// of the task stay the same. Five events end it: the return to userspace, `exit_mm()`,
/// `exit_notify()`, `begin_new_exec()` and `commit_creds()`. Two functions open a nested context:
/// `kthread_use_mm()`, closed by `kthread_unuse_mm()`, and `override_creds()`, closed by
/// `revert_creds()`. The outer context must not be used while a nested one is open, and the nested
/// one must not be used after it is closed.
///
/// Driver code does not run in process context after `exit_notify()`, where `release_task()` may
/// already have detached the task from its thread group. It may run there in an interrupt, which is
/// an RCU read-side critical section.
///
/// # Invariants
///
/// A reference to this type is used only in the task context in which it was created.
///
/// # Examples
///
/// ```
/// // KUnit runs this in a kthread, which has no mm of its own.
/// assert!(current!().mm().is_none());
/// ```
#[repr(transparent)]
pub struct CurrentTask(Task, NotThreadSafe);

impl Deref for CurrentTask {
    type Target = Task;

    #[inline]
    fn deref(&self) -> &Task {
        &self.0
    }
}

// These methods require only that the `task_struct` is allocated. The task may be dead.
impl Task {
    /// Returns `current` as a raw pointer, which is never null.
    ///
    /// Prefer [`current!`](crate::current!), which returns a reference of the right lifetime.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: `get_current()` reads a per-CPU variable or a register. It has no preconditions.
        unsafe { bindings::get_current() }
    }

    /// Returns a value from which the [`CurrentTask`] can be borrowed.
    ///
    /// Prefer [`current!`](crate::current!), which is safe.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Safety
    ///
    /// The value, and everything borrowed from it, must be used only in the task context in which
    /// this function was called. See [`CurrentTask`] for what ends a task context.
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
                // INVARIANT: The caller of `Task::current()` guarantees that the value is used only
                // in the task context in which it was created.
                // SAFETY: The pointer is `current`, which is valid while the task runs. This code
                // runs in that task, by the same guarantee.
                unsafe { &*self.0 }
            }
        }

        // CAST: `CurrentTask` and `Task` are transparent around `task_struct`.
        Here(Self::current_raw().cast())
    }

    /// Returns a pointer to the `struct task_struct`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // For C functions that have no Rust wrapper.
    /// let task = current!().as_ptr();
    /// assert!(!task.is_null());
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::task_struct {
        self.0.get()
    }

    /// Returns the PID of this thread in the initial PID namespace.
    ///
    /// The PID can change: if a thread that is not the thread-group leader calls `execve()`,
    /// `exchange_tids()` swaps its PID with that of the leader. A dead task keeps its PID, which
    /// may have been reused for another task.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// pr_info!("running in thread {}\n", current!().pid());
    /// # assert!(current!().pid() > 0);
    /// ```
    #[doc(alias = "task_pid_nr")]
    #[inline]
    pub fn pid(&self) -> Pid {
        // SAFETY: `task_struct` is allocated by the type invariant, and `pid` is an aligned field
        // of it. `exchange_tids()` may concurrently store to it with `WRITE_ONCE()`;
        // `atomic_load()` with `Relaxed` is the matching `READ_ONCE()`.
        unsafe { atomic_load(ptr::addr_of!((*self.as_ptr()).pid).cast_mut(), Relaxed) }
    }

    /// Returns the TGID of this task in the initial PID namespace.
    ///
    /// Userspace calls it the PID of the process. It does not change during the lifetime of the
    /// thread group.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let task = current!();
    ///
    /// // KUnit runs this in a kthread, which is its own thread-group leader.
    /// assert_eq!(task.tgid(), task.pid());
    /// ```
    #[doc(alias = "task_tgid_nr")]
    #[inline]
    pub fn tgid(&self) -> Pid {
        // SAFETY: `task_struct` is allocated by the type invariant. `copy_process()` writes `tgid`
        // before the task is published, and nothing writes it later: `de_thread()` changes the
        // `pid` of the new leader but not its `tgid`.
        unsafe { ptr::addr_of!((*self.as_ptr()).tgid).read() }
    }

    /// Returns the real user ID.
    ///
    /// It is taken from the objective credentials (`real_cred`), which apply when another task acts
    /// on this one.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(current!().uid().into_uid_in_current_ns(), 0);
    /// ```
    #[doc(alias = "task_uid")]
    #[inline]
    pub fn uid(&self) -> Kuid {
        // SAFETY: `task_uid()` reads `real_cred` under RCU. `exit_creds()` clears that field in
        // `__put_task_struct()`, which has not run, as `task_struct` is allocated by the type
        // invariant.
        Kuid::from_raw(unsafe { bindings::task_uid(self.as_ptr()) })
    }

    /// Returns the active PID namespace of the task and takes a reference on it.
    ///
    /// Returns `None` if the task has been reaped. For the current task,
    /// [`CurrentTask::active_pid_ns`] needs no reference; the [module](crate::pid_namespace)
    /// explains the difference.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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

        // SAFETY: `task_struct` is allocated by the type invariant. The RCU read lock keeps
        // the `struct pid` in `thread_pid` allocated, as `free_pid()` frees it by `call_rcu()`.
        let ns = unsafe { bindings::task_active_pid_ns(self.as_ptr()) };

        if ns.is_null() {
            return None;
        }

        // SAFETY: A `struct pid` holds a reference on its namespace until it is freed, so the
        // namespace is valid while the RCU read lock is held. The `ARef` takes its own reference.
        Some(unsafe { PidNamespace::from_ptr(ns) }.into())
    }

    /// Returns the TGID of this task in `pidns`, or in the active PID namespace of the current task
    /// if `pidns` is `None`.
    ///
    /// Returns 0 if the thread group has no TGID there: its namespace is neither `pidns` nor a
    /// descendant of it, or the thread group has been reaped.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // KUnit runs in the initial PID namespace.
    /// assert_eq!(current!().tgid_nr_ns(None), current!().tgid());
    /// ```
    #[doc(alias = "task_tgid_nr_ns")]
    #[inline]
    pub fn tgid_nr_ns(&self, pidns: Option<&PidNamespace>) -> Pid {
        let pidns = pidns.map_or(ptr::null_mut(), PidNamespace::as_ptr);

        // SAFETY: `task_tgid_nr_ns()` reads `signal->pids` under RCU. The task's
        // reference on `signal` is dropped by `__put_task_struct()`, so `signal` is allocated by
        // the type invariant. An entry is null after the thread group has been reaped, which the
        // function checks. `pidns` is valid during the call, or null, which selects the namespace
        // of the current task.
        unsafe { bindings::task_tgid_nr_ns(self.as_ptr(), pidns) }
    }

    /// Returns whether the task is a kthread.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // KUnit runs this in a kthread.
    /// assert!(current!().is_kthread());
    /// ```
    #[doc(alias = "PF_KTHREAD")]
    #[inline]
    pub fn is_kthread(&self) -> bool {
        self.flags() & bindings::PF_KTHREAD != 0
    }

    /// Returns whether the task has entered `do_exit()`.
    ///
    /// For a task other than the current one, `false` may be stale when it is returned.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // of it. The task itself may concurrently store to it, always as one word.
        unsafe { atomic_load(ptr::addr_of!((*self.as_ptr()).flags).cast_mut(), Relaxed) }
    }

    /// Returns the name of the task: up to 15 bytes, padded with zeros.
    ///
    /// The result may be torn if the name is changed concurrently. Userspace controls the name, so
    /// use it for diagnostics only.
    ///
    /// No lock is taken, also on kernels whose `get_task_comm()` takes `task_lock()`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: `task_struct` is allocated by the type invariant. The helper writes
        // `TASK_COMM_LEN` bytes, which is the size of the buffer.
        unsafe { bindings::get_task_comm(name.as_mut_ptr().cast(), self.as_ptr()) };
        name
    }

    /// Returns whether the task is attached: `release_task()` has not run for it yet.
    ///
    /// A zombie is attached. For a task other than the current one, the result may be stale when it
    /// is returned.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(current!().pid_alive());
    /// ```
    #[inline]
    pub fn pid_alive(&self) -> bool {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field of
        // it. `exchange_tids()` stores to it by `rcu_assign_pointer()`, and `__change_pid()` stores
        // null with a plain assignment. Both store one word, so there is no torn value.
        let attached = unsafe {
            atomic_load(
                ptr::addr_of!((*self.as_ptr()).thread_pid).cast_mut(),
                Relaxed,
            )
        };

        !attached.is_null()
    }

    /// Returns the nice value, from -20 (highest priority) to 19 (lowest).
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // of it. `set_user_nice()` stores to it as one word.
        let prio = unsafe {
            atomic_load(
                ptr::addr_of!((*self.as_ptr()).static_prio).cast_mut(),
                Relaxed,
            )
        };

        prio.wrapping_sub(bindings::DEFAULT_PRIO as c_int)
    }

    /// Returns the CPU number of the CPU that the task runs on, or last ran on.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // The task may migrate to another CPU right after this.
    /// pr_info!("on CPU {}\n", current!().cpu());
    /// ```
    #[doc(alias("task_cpu", "smp_processor_id"))]
    #[inline]
    pub fn cpu(&self) -> u32 {
        // SAFETY: `task_cpu()` reads `thread_info::cpu` with `READ_ONCE()`. The `thread_info` is
        // part of the `task_struct`, which is allocated by the type invariant. Without
        // CONFIG_THREAD_INFO_IN_TASK it is part of the kernel stack, which `free_task()` frees
        // together with the `task_struct`.
        unsafe { bindings::task_cpu(self.as_ptr()) }
    }

    /// Returns the time at which the task was created, in nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// If a thread that is not the thread-group leader calls `execve()`, `de_thread()` sets its
    /// start time to that of the leader. On a 32-bit kernel, a concurrent read may be torn.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let parent = current!().real_parent().ok_or(ESRCH)?;
    /// assert!(parent.start_time() <= current!().start_time());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn start_time(&self) -> u64 {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field
        // of it. `de_thread()` may concurrently store to it; a torn value is still a `u64`.
        unsafe { ptr::addr_of!((*self.as_ptr()).start_time).read_volatile() }
    }

    /// Returns `task_struct::exit_state`, or `None` if `exit_notify()` has not set it yet.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::{ExitState, Task};
    ///
    /// /// Returns whether the task has exited and has not been reaped.
    /// fn is_zombie(task: &Task) -> bool {
    ///     task.exit_state() == Some(ExitState::Zombie)
    /// }
    /// assert!(!is_zombie(current!()));
    /// ```
    #[inline]
    pub fn exit_state(&self) -> Option<ExitState> {
        // SAFETY: `task_struct` is allocated by the type invariant, and this is an aligned field
        // of it. All writers store to it as one word.
        let state = unsafe {
            atomic_load(
                ptr::addr_of!((*self.as_ptr()).exit_state).cast_mut(),
                Relaxed,
            )
        } as c_uint;

        match state {
            0 => None,
            bindings::EXIT_ZOMBIE => Some(ExitState::Zombie),
            _ => Some(ExitState::Dead),
        }
    }

    /// Makes the task runnable if it sleeps in a [`TASK_NORMAL`] state. Does nothing otherwise.
    ///
    /// A kthread is not woken from a plain [`TASK_UNINTERRUPTIBLE`]. In this state, a kthread that
    /// C code has created waits for its creator to start it, and must not run earlier. A kthread
    /// that waits with [`wait_until`](CurrentTask::wait_until) is woken whatever its
    /// [`TaskState`] is.
    ///
    /// A sleeper must expect spurious wake-ups and check its condition again. A thread of userspace
    /// is woken from plain [`TASK_UNINTERRUPTIBLE`], too. There it may be in a delay of C code that
    /// does not check the time again, as a driver's `schedule_timeout_uninterruptible()`: the delay
    /// is cut short. So wake only tasks that wait for the caller.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // The current task is running, so this has no effect.
    /// current!().wake_up();
    /// # // Nor has it if the task is dead.
    /// # use kernel::{kthread::KThread, sync::aref::ARef};
    /// # let thread = KThread::spawn(format_args!("dead"), |_| 0)?;
    /// # let dead: ARef<kernel::task::Task> = thread.task().into();
    /// # thread.stop();
    /// # while dead.exit_state().is_none() {
    /// #     kernel::task::yield_now();
    /// # }
    /// # dead.wake_up();
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("wake_up_process", "wake_up_state"))]
    #[inline]
    pub fn wake_up(&self) {
        if self.is_kthread() {
            return self.wake_up_kthread();
        }
        // SAFETY: `task_struct` is allocated by the type invariant. `wake_up_process()` takes the
        // task's `pi_lock` and checks its state. A dead task is in `TASK_DEAD`, and a task that is
        // not started yet in `TASK_NEW`. Neither is part of `TASK_NORMAL`, so they are not woken.
        unsafe { bindings::wake_up_process(self.as_ptr()) };
    }

    // Not inlined into modules: `wake_up_state()` is not exported.
    #[inline(never)]
    fn wake_up_kthread(&self) {
        // `TASK_UNINTERRUPTIBLE` is not part of it: `kthread()` waits in that state to be started,
        // once and without a loop. `TASK_NOLOAD` is part of `TASK_IDLE`, and of each
        // uninterruptible state in which `wait_until()` lets a kthread sleep.
        let states = bindings::TASK_INTERRUPTIBLE | bindings::TASK_NOLOAD;

        // SAFETY: `task_struct` is allocated by the type invariant. `wake_up_state()` takes the
        // task's `pi_lock` and checks its state. A dead task is in `TASK_DEAD`, and a kthread that
        // is not started in `TASK_NEW` or `TASK_UNINTERRUPTIBLE`. These are not part of `states`,
        // so they are not woken.
        unsafe { bindings::wake_up_state(self.as_ptr(), states) };
    }
}

// These methods require that the task is `current`: only the task itself changes what they return.
impl CurrentTask {
    /// Returns whether the task is a `kswapd`, which reclaims memory for others.
    ///
    /// For the callbacks of a [`Shrinker`](crate::shrinker::Shrinker).
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // KUnit runs this in a kthread of its own.
    /// assert!(!current!().is_kswapd());
    /// ```
    #[doc(alias("current_is_kswapd", "PF_KSWAPD"))]
    #[inline]
    pub fn is_kswapd(&self) -> bool {
        self.flags() & bindings::PF_KSWAPD != 0
    }

    /// Returns the mm of the task, or `None` for a kthread without `kthread_use_mm()` and for a
    /// task that has passed `exit_mm()`.
    ///
    /// In an interrupt, it is the mm of the interrupted task if that is a task of userspace, and
    /// `None` if it is a kthread, even one that uses an mm: not all C callers of
    /// `kthread_use_mm()` hold an `mm_users` reference.
    ///
    /// No reference is taken. Use [`ARef::from`] to keep the mm for longer.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// # kernel::mm::kunit::with_user_mm(|user_mm, _addr| {
    /// let task = current!();
    /// let mm = task.mm().ok_or(ESRCH)?;
    /// # assert_eq!(mm.as_raw(), user_mm.as_raw());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn mm(&self) -> Option<&MmWithUser> {
        // SAFETY: The task is `current`, hence alive. Only the task itself writes its `mm`
        // (`exec_mmap()`, `exit_mm()`, `kthread_use_mm()` and `kthread_unuse_mm()`), and it is
        // executing this read. If this is an interrupt handler, the task is interrupted and does
        // not write. So there is no data race.
        let mm = unsafe { ptr::addr_of!((*self.as_ptr()).mm).read() };

        if mm.is_null() || (self.is_kthread() && !in_task()) {
            return None;
        }

        // SAFETY: A user task holds an `mm_users` reference on its `mm`, and drops it only after
        // the field has been changed, in the functions named above. Each of them ends the task
        // context in which `self` was created, and the result is borrowed from `self`.
        //
        // A kthread is in process context, as checked above, so this code runs within the scope of
        // a `kthread_use_mm()`. The `mm_users` reference of `MmWithUser::kthread_use_mm()` lasts
        // until the end of its scope. C code that calls Rust code within such a scope must hold
        // one, as that function takes an `mm_count` reference only. C code that holds none, like
        // `kvm_xen_set_evtchn()`, does not call Rust code, and its kthread is not asked in an
        // interrupt.
        Some(unsafe { MmWithUser::from_raw(mm) })
    }

    /// Returns the active PID namespace of the task.
    ///
    /// No reference is taken and the RCU read lock is not needed; the
    /// [module](crate::pid_namespace) explains why. Returns `None` only in an interrupt that hits
    /// an exiting task after `release_task()`.
    ///
    /// For another task, use [`Task::get_pid_ns`].
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
    /// assert_eq!(task.get_pid_ns().ok_or(ESRCH)?, ns);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "task_active_pid_ns")]
    #[inline]
    pub fn active_pid_ns(&self) -> Option<&PidNamespace> {
        // SAFETY: The task is `current`, hence alive. `thread_pid` changes from one valid `struct
        // pid` to another in `exchange_tids()`, which runs only after this task has called
        // `execve()` or has become a zombie, and to null in `release_task()`.
        let ns = unsafe { bindings::task_active_pid_ns(self.as_ptr()) };

        if ns.is_null() {
            return None;
        }

        // SAFETY: The attached `struct pid` holds a reference on the namespace. `release_task()`
        // detaches it after `exit_notify()`, hence after the task context of `self` has ended,
        // unless this is an interrupt. It is freed an RCU grace period later, which does not end
        // during an interrupt. So the namespace is valid for the lifetime of `self`.
        Some(unsafe { PidNamespace::from_ptr(ns) })
    }

    /// Returns the thread-group leader, which may be the task itself.
    ///
    /// No reference is taken. In an interrupt that hits an exiting task after `release_task()`,
    /// when nothing keeps the leader allocated, this returns the task itself.
    ///
    /// For another task, use [`Task::get_group_leader`]: `de_thread()` can replace the leader of
    /// another thread group at any time, and the old leader is then freed.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(current!().group_leader().pid(), current!().tgid());
    /// ```
    #[inline]
    pub fn group_leader(&self) -> &Task {
        // The task may be released concurrently by another CPU, but then this is an interrupt that
        // hits `do_exit()` after `exit_notify()`.
        if !self.pid_alive() {
            return self;
        }

        // SAFETY: The task is `current`, hence alive, and this is an aligned field of it. It does
        // not change unless the task is in `execve()` or a zombie. If it is a zombie, this is an
        // interrupt, and `de_thread()` may concurrently store to the field as one word.
        let leader = unsafe {
            atomic_load(
                ptr::addr_of!((*self.as_ptr()).group_leader).cast_mut(),
                Relaxed,
            )
        };

        // CAST: `Task` is transparent around `task_struct`.
        // SAFETY: A leader is released only when no other thread of the group is attached. In
        // process context the current task stays attached until the task context of `self` ends. In
        // an interrupt, the check above found it attached, the leader is freed an RCU grace period
        // after its release at the earliest, and the interrupt is an RCU read-side critical
        // section.
        unsafe { &*leader.cast() }
    }
}

// SAFETY: `usage` is the refcount of a `task_struct`, and `__put_task_struct()` frees it when the
// last reference is released. By the type invariant, a `Task` exists only while a reference is
// held.
impl_refcounted!(unsafe Task(task_struct): get_task_struct, put_task_struct);

/// The state of a task that has passed `exit_notify()` (`task_struct::exit_state`).
///
/// # Examples
///
/// ```
/// // A running task has no exit state.
/// assert!(current!().exit_state().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitState {
    /// Exited, waiting to be reaped.
    #[doc(alias = "EXIT_ZOMBIE")]
    Zombie,
    /// Being reaped, or reaped automatically.
    #[doc(alias("EXIT_DEAD", "EXIT_TRACE"))]
    Dead,
}

/// Two tasks are equal if they are the same `task_struct`.
///
/// Unlike a comparison of PIDs, this is not affected by PID reuse.
impl PartialEq for Task {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.as_ptr(), other.as_ptr())
    }
}

impl Eq for Task {}

/// Returns whether this is process context: neither NMI, hard IRQ nor softirq.
#[inline]
pub(crate) fn in_task() -> bool {
    // SAFETY: `in_task()` only reads the preemption counter of the current CPU and, on PREEMPT_RT,
    // of the current task.
    unsafe { bindings::in_task() }
}

/// Returns whether this is process context with interrupts enabled and, as far as the kernel can
/// tell, no critical section of a spinlock or of RCU.
///
/// Without `CONFIG_PREEMPT_COUNT`, such a section cannot be found out, unless it disables softirqs.
/// See [`might_sleep`].
#[inline]
pub(crate) fn may_sleep() -> bool {
    // SAFETY: `preemptible()` only reads the preemption counter and the interrupt state of the
    // current CPU. `rcu_preempt_depth()` reads a field of `current` that only the task itself
    // writes, or is 0 if RCU disables preemption.
    #[cfg(CONFIG_PREEMPT_COUNT)]
    return unsafe { bindings::preemptible() && bindings::rcu_preempt_depth() == 0 };

    // Interrupts and sections with softirqs disabled are counted in any configuration.
    //
    // SAFETY: `in_interrupt()` and `irqs_disabled()` only read the preemption counter and the
    // interrupt state of the current CPU.
    #[cfg(not(CONFIG_PREEMPT_COUNT))]
    return !unsafe { bindings::in_interrupt() || bindings::irqs_disabled() };
}

/// Checks that userspace addresses refer to the address space that the current task uses.
///
/// They do not in a kthread outside of `kthread_use_mm()`, which runs with the page tables of the
/// task of userspace that ran before it, and not in an interrupt, which runs with those of the
/// interrupted task. With interrupts disabled, x86 reports a page fault, and on arm64 it may sleep.
///
/// # Errors
///
/// - `EFAULT`: the current task has no mm, this is an interrupt, or interrupts are disabled.
#[inline]
pub(crate) fn check_user_access() -> Result {
    // SAFETY: The task is `current`, hence alive. Only the task itself writes its `mm`, and it is
    // executing this read or is interrupted. So there is no data race.
    let mm = unsafe { ptr::addr_of!((*Task::current_raw()).mm).read() };

    // SAFETY: `irqs_disabled()` only reads the interrupt state of the current CPU.
    if mm.is_null() || !in_task() || unsafe { bindings::irqs_disabled() } {
        return Err(EFAULT);
    }
    Ok(())
}

/// Annotates a function that may sleep.
///
/// With `CONFIG_PREEMPT_VOLUNTARY`, it also reschedules if needed (`might_resched()`). With
/// `CONFIG_PREEMPT_NONE` it does not, so a long loop that only calls this keeps other tasks from
/// its CPU, and delays grace periods of RCU. Such a loop must call [`cond_resched`].
///
/// With `CONFIG_DEBUG_ATOMIC_SLEEP`, a call in atomic context is reported with the file and line
/// of the caller.
///
/// # Context
///
/// Process context; may sleep.
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

        // SAFETY: `file` is a NUL-terminated string of static lifetime.
        unsafe { bindings::__might_sleep(file.as_ptr().cast(), here.line() as c_int) }
    }

    // In an interrupt, `__cond_resched()` would report a quiescent state of RCU, and so end the RCU
    // read-side critical section of the interrupted code.
    if may_sleep() {
        // SAFETY: This is process context with interrupts enabled. `might_resched()` may call the
        // scheduler, which is allowed there.
        unsafe { bindings::might_resched() }
    }
}
