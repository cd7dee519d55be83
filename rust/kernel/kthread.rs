// SPDX-License-Identifier: GPL-2.0

//! Kthreads.
//!
//! A [`KThread`] owns a kthread that runs a closure. [`KThread::stop`] and the drop of the handle
//! stop the kthread and wait until it has exited. Where the code must not sleep, they only tell the
//! kthread to stop, and do not wait.
//!
//! A handle may be leaked, or be part of a cycle of references. The kthread then runs until its
//! module goes: when the module is unloaded, or its `init()` fails, each kthread that executes its
//! code is told to stop, and the module is freed after they have left it. Until then, `rmmod`
//! waits. Nothing stops a leaked kthread of code that is built into the kernel.
//!
//! The owner of a kthread is the holder of its [`KThread`]. The closure must call
//! [`CurrentKThread::should_stop`], or a function that returns the same value, repeatedly, and must
//! return when it is `true`. Otherwise [`KThread::stop`], the drop and `rmmod` wait permanently.
//! The closure is dropped exactly once: in the kthread, or in the task that stops the kthread
//! before it runs.
//!
//! [`KThread::park`] makes the kthread wait until the [`ParkGuard`] is dropped. The kthread parks
//! in [`CurrentKThread::wait_until`], [`CurrentKThread::sleep`] or [`CurrentKThread::parkme`], or
//! after the closure has returned.
//!
//! A closure that waits for work must use [`CurrentKThread::wait_until`]: it does not miss a
//! [`wake_up()`](Task::wake_up), and does not keep the owner from stopping or parking the kthread.
//!
//! A kthread acts as root. What it does for a process must be decided by the
//! [`Credential`](crate::cred::Credential) of that process, which the closure captures.
//!
//! Guide: [a kthread](srctree/Documentation/rust/task-mm/guide/first-kthread.rst)
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use crate::{
    bindings,
    cpu::nr_cpu_ids,
    error::{
        from_err_ptr,
        to_result,
        Result, //
    },
    module_going::{
        self,
        Kind,
        Leftover,
        Locked, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    task::{
        may_sleep,
        CurrentTask,
        Task,
        TaskState,
        WaitError,
        MAX_SCHEDULE_TIMEOUT, //
    },
};
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    fmt,
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        addr_of,
        null,
        null_mut,
        NonNull, //
    },
};

mod freezer;
mod worker;

pub use self::worker::{
    HasKThreadWork,
    KThreadDelayedWork,
    KThreadWork,
    KThreadWorkItem,
    KThreadWorker, //
};

/// A handle that owns a kthread.
///
/// Dropping it stops the kthread and waits until it has exited. The context below is that of the
/// drop. The caller must not hold a lock that the closure may take.
///
/// A kthread that drops its own handle cannot wait for itself. [`CurrentKThread::should_stop`] then
/// returns `true`, and the kthread exits when its closure has returned. The drop does not wait. If
/// kthreads drop each other's handles, the last of them does not wait.
///
/// In an interrupt, and wherever else the code must not sleep ([`WaitError::AtomicContext`]), the
/// drop does not wait either. On PREEMPT_RT, a hard interrupt handler must not drop the handle: the
/// drop may free memory, which takes a lock that sleeps there.
///
/// The drop waits for a [frozen](CurrentKThread::set_freezable) kthread until it has been thawed.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Invariants
///
/// - `task` was created by `kthread_create_on_node()` with `run()` as its function and the pointer
///   of an `Arc<Shared>` as its argument. `run()` takes over the reference of that pointer.
/// - If `shared` is `Some`, it is the same `Shared`, and `kthread_stop()` has not been called.
///
/// # Examples
///
/// ```
/// use kernel::kthread::KThread;
///
/// let thread = KThread::spawn(format_args!("count/{}", 1), |this| {
///     let mut rounds = 0;
///     while !this.sleep(1) {
///         rounds += 1;
///     }
///     // `stop()` returns this value.
///     i32::from(rounds >= 0) * 7
/// })?;
/// assert!(thread.task().is_kthread());
/// let result = thread.stop();
/// // `EINTR`: the kthread was stopped before it called the closure.
/// assert!(result == 7 || result == EINTR.to_errno());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "kthread_run")]
#[must_use = "dropping it stops the kthread"]
pub struct KThread {
    task: ARef<Task>,
    shared: Option<Arc<Shared>>,
}

/// The format that makes C's `vsnprintf()` print the name as one string.
const FORMAT: &[u8] = b"%s\0";

/// The state that the owner and the kthread share.
///
/// `parking` is one of the four states below. "Owner" is the task that holds `&mut KThread` or the
/// `ParkGuard`.
///
/// | From      | To        | Side    | Where                                        | Ordering |
/// |-----------|-----------|---------|----------------------------------------------|----------|
/// | `RUNNING` | `PARKING` | owner   | `park()`, before `kthread_park()`            | full     |
/// | `PARKING` | `PARKED`  | owner   | `park()`, after `kthread_park()` succeeded   | release  |
/// | `PARKING` | `RUNNING` | owner   | `park()`, after `kthread_park()` failed      | release  |
/// | `PARKED`  | `RUNNING` | owner   | `ParkGuard::drop`, before `kthread_unpark()` | full     |
/// | `RUNNING` | `EXITING` | kthread | `run()`, after the closure has returned      | full     |
/// | `PARKED`  | `EXITING` | module  | `tell_to_stop()`, before `kthread_unpark()`  | full     |
///
/// "Module" is the task that unloads the module, or the owner that drops the handle and does not
/// wait.
///
/// - Neither side misses the other: both transitions out of `RUNNING` are a `cmpxchg()` on the same
///   variable, so only one of them succeeds. A `cmpxchg()` that fails orders nothing, and neither
///   side reads other data because of a failure.
/// - An exit is not lost: if the kthread wins, `park()` finds `EXITING` and returns `ESRCH`. It
///   does not call `kthread_park()`, which would wait permanently for a kthread that no longer
///   reaches `kthread_parkme()`, and warns if the kthread is already `PF_EXITING`.
/// - A park is not lost: if the owner wins, the kthread finds `PARKING` and calls
///   [`CurrentKThread::sleep`] until the state changes. `sleep()` calls `kthread_parkme()` once
///   `kthread_park()` has set `KTHREAD_SHOULD_PARK`, so `kthread_park()` returns.
/// - The kthread finds `PARKED` only if the `ParkGuard` was leaked and `kthread_stop()` has
///   unparked the kthread. The owner then waits in `kthread_stop()` and does not park again, so the
///   kthread exits without a transition.
/// - `tell_to_stop()` does not unpark a kthread before the owner's `kthread_park()` has returned,
///   which would wait permanently then: it finds `PARKING`, and is called again later. After its
///   transition to `EXITING`, the owner does not park again.
struct Shared {
    leftover: Leftover,
    /// The task of the kthread. Written before `leftover` is in the list, and valid while it is.
    task: UnsafeCell<*mut bindings::task_struct>,
    /// The kthread for which this one waits in [`Shared::begin_wait`], or null. The lock of
    /// [`module_going`] protects it.
    waits_for: UnsafeCell<*const Shared>,
    /// The closure, until `run()` takes it. After that, and until the kthread has exited, nothing
    /// accesses it.
    closure: UnsafeCell<Option<Closure>>,
    /// 1 if the kthread must stop. `kthread_stop()` is called after that, unless the module goes,
    /// the kthread has dropped its own handle, or that was dropped where the code must not sleep.
    going: Atomic<u32>,
    /// Whether the kthread may call the closure. The release store in [`NewKThread::start`] pairs
    /// with the acquire load in [`run_closure`], and orders the store to `cpu` before it.
    begin: Atomic<bool>,
    /// The CPU on which the closure runs, or [`ANY_CPU`].
    cpu: Atomic<u32>,
    /// [`RUNNING`], [`PARKING`], [`PARKED`] or [`EXITING`].
    parking: Atomic<u32>,
}

// SAFETY: `leftover` is `Send`. `task` is only a pointer. The closure is `Send`: `spawn()` and
// `create()` require it.
unsafe impl Send for Shared {}
// SAFETY: `leftover` and the atomics are `Sync`. The other fields are accessed by one task at a
// time, as described there.
unsafe impl Sync for Shared {}

/// Not a valid CPU number: the closure runs on any CPU.
const ANY_CPU: u32 = u32::MAX;

/// The kthread is neither parked nor exiting, and the owner is not parking it.
const RUNNING: u32 = 0;
/// The owner waits in `kthread_park()`. The kthread must park before it exits.
const PARKING: u32 = 1;
/// The kthread is parked.
const PARKED: u32 = 2;
/// The kthread exits. The owner must not call `kthread_park()`.
const EXITING: u32 = 3;

impl Shared {
    /// Changes `parking` from `from` to `to`, with full ordering. If `parking` is not `from`, it is
    /// not changed, and its value is returned as the error.
    fn transition(&self, from: u32, to: u32) -> Result<(), u32> {
        // MODEL: kthread-park/transition, kthread-unpark/transition
        self.parking.cmpxchg(from, to, Full).map(drop)
    }

    /// Returns the `Shared` of the current task, if that is a kthread of the crate.
    fn of_current() -> Option<NonNull<Self>> {
        let task = Task::current_raw();
        // SAFETY: The current task is valid. The function returns null if it is not a kthread.
        if unsafe { bindings::kthread_func(task) } as *const () != run as *const () {
            return None;
        }
        // SAFETY: The current task is a kthread, so `to_kthread()` of it is valid. As its function
        // is `run()`, its data is the pointer of an `Arc<Shared>`. `run()` has a reference to it
        // until it returns, and a kthread calls no code of a driver after that.
        NonNull::new(unsafe { bindings::kthread_data(task) }.cast())
    }

    /// Returns whether this is the current task, which must be in process context.
    fn is_current(&self) -> bool {
        Self::of_current() == Some(NonNull::from(self))
    }

    /// Must be called before the current task waits for this kthread. Returns `None` if
    ///
    /// - the current task is this kthread, or one for which this kthread waits, perhaps through
    ///   others: it would wait permanently, or
    /// - the code must not sleep. In an interrupt, the current task is the interrupted one.
    fn begin_wait(&self) -> Option<Waiting<'_>> {
        if !may_sleep() {
            return None;
        }
        let waiting = |current| Waiting {
            current,
            _target: PhantomData,
        };
        let Some(current) = Self::of_current() else {
            return Some(waiting(None));
        };

        let _lock = Locked::lock();
        let mut next: *const Self = self;
        while !next.is_null() {
            if next == current.as_ptr() {
                return None;
            }
            // SAFETY: The first one is `self`. Each other one is borrowed by the `Waiting` of the
            // kthread that waits for it, which takes the lock when it is dropped.
            next = unsafe { *(*next).waits_for.get() };
        }
        // SAFETY: The lock is held. The current task executes code that `run()` has called, which
        // has a reference to `current`.
        unsafe { *current.as_ref().waits_for.get() = self };
        Some(waiting(Some(current)))
    }

    /// Sets `going`, before a caller sets `TIF_NOTIFY_SIGNAL`.
    fn set_going(&self) {
        // The full ordering puts this store before that of `TIF_NOTIFY_SIGNAL`.
        // MODEL: kthread-stop/tell
        self.going.xchg(1, Full);
    }

    /// Tells the kthread to stop. Does not wait.
    ///
    /// # Safety
    ///
    /// `task` must be the task of the kthread, and be valid.
    unsafe fn tell_to_stop(&self, task: *mut bindings::task_struct) {
        self.set_going();
        let parked = self.transition(PARKED, EXITING).is_ok();
        // SAFETY: `task` is a valid kthread, so `to_kthread()` of it is valid. Any code may wake it
        // and set its `TIF_NOTIFY_SIGNAL`, as `kthread_stop()` does. The wake-ups take raw
        // spinlocks and save the interrupt state. Nothing here sleeps: `kthread_unpark()` would
        // wait only for a kthread with `KTHREAD_IS_PER_CPU`, which `kthread_set_per_cpu()` sets,
        // and no code calls that for a kthread of the crate. If the kthread was `PARKED`,
        // `kthread_park()` has returned. The holder of the `ParkGuard` may call `kthread_unpark()`
        // at the same time: both clear the same flag.
        unsafe {
            if parked {
                // MODEL: kthread-unpark/unpark
                bindings::kthread_unpark(task);
            }
            bindings::set_tsk_notify_signal(task);
            bindings::wake_up_process(task);
        }
    }
}

/// The current task waits for another kthread as long as this exists.
struct Waiting<'a> {
    /// The current task, if it is a kthread of the crate.
    current: Option<NonNull<Shared>>,
    _target: PhantomData<&'a Shared>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(current) = self.current {
            let _lock = Locked::lock();
            // SAFETY: The lock is held. `begin_wait()` has been called by this task, which is still
            // in a function that `run()` has called.
            unsafe { *current.as_ref().waits_for.get() = null() };
        }
    }
}

/// A boxed closure. It is not generic, so that `run()` is not either.
///
/// # Invariants
///
/// `data` comes from `KBox::<F>::into_raw()` and is owned. `call` and `drop` are those of that `F`.
struct Closure {
    data: NonNull<c_void>,
    call: unsafe fn(NonNull<c_void>, &CurrentKThread) -> c_int,
    drop: unsafe fn(NonNull<c_void>),
}

impl Closure {
    fn new<F: FnOnce(&CurrentKThread) -> c_int>(closure: F) -> Result<Self> {
        let data = KBox::into_raw(KBox::new(closure, GFP_KERNEL)?);
        // INVARIANT: `data` comes from `into_raw()` of the same `F`.
        Ok(Self {
            // SAFETY: The pointer of a `KBox` is not null.
            data: unsafe { NonNull::new_unchecked(data.cast()) },
            call: call::<F>,
            drop: free::<F>,
        })
    }

    fn call(self, this: &CurrentKThread) -> c_int {
        let closure = ManuallyDrop::new(self);
        // SAFETY: By the type invariant, `data` is a boxed `F`, whose ownership is passed on.
        unsafe { (closure.call)(closure.data, this) }
    }
}

impl Drop for Closure {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, `data` is a boxed `F`, whose ownership is passed on.
        unsafe { (self.drop)(self.data) };
    }
}

/// Calls and drops a boxed closure. This is code of the crate of `F`.
///
/// # Safety
///
/// `data` must come from `KBox::<F>::into_raw()`. The caller passes on ownership.
unsafe fn call<F: FnOnce(&CurrentKThread) -> c_int>(
    data: NonNull<c_void>,
    this: &CurrentKThread,
) -> c_int {
    // SAFETY: By the safety requirements.
    let closure = unsafe { KBox::from_raw(data.cast::<F>().as_ptr()) };

    KBox::into_inner(closure)(this)
}

/// Drops a boxed closure.
///
/// # Safety
///
/// As for [`call`].
unsafe fn free<F>(data: NonNull<c_void>) {
    // SAFETY: By the safety requirements.
    drop(unsafe { KBox::from_raw(data.cast::<F>().as_ptr()) });
}

/// The name of a kthread, with a NUL byte at its end.
struct Name {
    bytes: [u8; Self::SIZE],
    len: usize,
}

impl Name {
    /// `proc_task_name()` shows a name of this size, including the NUL byte.
    const SIZE: usize = 64;
}

impl fmt::Write for Name {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        // The last byte stays 0.
        if end >= Self::SIZE || s.as_bytes().contains(&0) {
            return Err(fmt::Error);
        }
        self.bytes[self.len..end].copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl KThread {
    /// Creates a kthread that calls `closure`, and starts it.
    ///
    /// [`Task::comm`] returns at most the first 15 bytes of `name`.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: an allocation failed.
    /// - `EAGAIN`: a limit on the number of tasks or PIDs is reached.
    /// - `EINVAL`: `name` is longer than 63 bytes, or contains a NUL byte.
    /// - `EINTR`: the current task received a fatal signal before the kthread was created.
    /// - `EBUSY`: the code must not sleep. See [`WaitError::AtomicContext`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThread, sync::{atomic::{Atomic, Relaxed}, Arc}};
    ///
    /// let count = Arc::new(Atomic::<u32>::new(0), GFP_KERNEL)?;
    /// let theirs = count.clone();
    /// let thread = KThread::spawn(format_args!("count"), move |this| {
    ///     while !this.sleep(1) {
    ///         theirs.add(1, Relaxed);
    ///     }
    ///     0
    /// })?;
    /// drop(thread);
    /// // The kthread has exited, and its closure has been dropped.
    /// assert!(Arc::into_unique_or_drop(count).is_some());
    /// # // The limit of the name.
    /// # for (width, result) in [(63, Ok(())), (64, Err(EINVAL)), (60_000, Err(EINVAL))] {
    /// #     let thread = KThread::spawn(format_args!("{:width$}", 1), |_| 0);
    /// #     assert_eq!(thread.map(drop), result);
    /// # }
    /// # assert_eq!(KThread::spawn(format_args!("nul\0"), |_| 0).map(drop), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn spawn<F>(name: fmt::Arguments<'_>, closure: F) -> Result<Self>
    where
        F: FnOnce(&CurrentKThread) -> c_int + Send + 'static,
    {
        Ok(NewKThread(Self::new(bindings::NUMA_NO_NODE, name, closure)?).start())
    }

    /// Creates a kthread that does not call `closure` until [`NewKThread::start`] is called.
    ///
    /// # Errors
    ///
    /// The errors of [`spawn`](Self::spawn).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::KThread;
    ///
    /// // If the second `create()` fails, the first kthread exits and its closure is never called.
    /// let first = KThread::create(format_args!("work/{}", 0), |_| 0)?;
    /// let second = KThread::create(format_args!("work/{}", 1), |_| 0)?;
    /// let both = [first.start(), second.start()];
    /// # drop(both);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_create")]
    pub fn create<F>(name: fmt::Arguments<'_>, closure: F) -> Result<NewKThread>
    where
        F: FnOnce(&CurrentKThread) -> c_int + Send + 'static,
    {
        Ok(NewKThread::waiting(Self::new(
            bindings::NUMA_NO_NODE,
            name,
            closure,
        )?))
    }

    /// Like [`create`](Self::create), but the stack and the `task_struct` of the kthread are
    /// allocated on the NUMA node `node`, if it has memory for them.
    ///
    /// C: `kthread_create_on_node()` with another node than `NUMA_NO_NODE`. Linux 7.3 also prefers
    /// the CPUs of the node for the kthread; 6.12 does not. To run it there only, use
    /// [`NewKThread::bind`] or [`create_on_cpu`](Self::create_on_cpu).
    ///
    /// # Errors
    ///
    /// - `EINVAL`: also if `node` is not a node that is online.
    /// - The errors of [`spawn`](Self::spawn).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThread, prelude::*};
    ///
    /// /// Creates the kthread of a device. `node` is that of the device, and `None` if the
    /// /// firmware does not tell it.
    /// fn service(node: Option<u32>) -> Result<KThread> {
    ///     let name = format_args!("service");
    ///     let thread = match node {
    ///         Some(node) => KThread::create_on_node(node, name, |_| 7)?,
    ///         None => KThread::create(name, |_| 7)?,
    ///     };
    ///     Ok(thread.start())
    /// }
    /// for node in [Some(0), None] {
    ///     let result = service(node)?.stop();
    ///     assert!(result == 7 || result == EINTR.to_errno());
    /// }
    /// # for node in [1 << 10, 1 << 31, u32::MAX] {
    /// #     assert_eq!(service(Some(node)).map(drop), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_create_on_node")]
    pub fn create_on_node<F>(node: u32, name: fmt::Arguments<'_>, closure: F) -> Result<NewKThread>
    where
        F: FnOnce(&CurrentKThread) -> c_int + Send + 'static,
    {
        // SAFETY: The helper accepts any value, and reads one bit of `node_states` if it is valid.
        if !unsafe { bindings::node_online(node) } {
            return Err(EINVAL);
        }
        // CAST: The number is less than `MAX_NUMNODES`, which is at most 1024.
        Ok(NewKThread::waiting(Self::new(
            node as c_int,
            name,
            closure,
        )?))
    }

    /// Creates a kthread that starts on `cpu`, on the NUMA node of which its stack and
    /// `task_struct` are allocated.
    ///
    /// C: `kthread_create_on_cpu()`, and with [`NewKThread::start`] `kthread_run_on_cpu()`. `name`
    /// is complete: C puts the number of the CPU into it. [`NewKThread::bind`] says how long the
    /// kthread stays on the CPU, and what happens if that is offline when it starts.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: also if `cpu` is not a valid CPU number, or the CPU is offline.
    /// - The errors of [`spawn`](Self::spawn).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThread, prelude::*};
    ///
    /// /// Starts the kthread that handles the queue of a CPU.
    /// fn serve(cpu: u32) -> Result<KThread> {
    ///     let serve = |_: &_| current!().cpu() as i32;
    ///     Ok(KThread::create_on_cpu(cpu, format_args!("queue/{cpu}"), serve)?.start())
    /// }
    /// let result = serve(0)?.stop();
    /// assert!(result == 0 || result == EINTR.to_errno());
    /// assert_eq!(serve(u32::MAX).map(drop), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("kthread_create_on_cpu", "kthread_run_on_cpu"))]
    pub fn create_on_cpu<F>(cpu: u32, name: fmt::Arguments<'_>, closure: F) -> Result<NewKThread>
    where
        F: FnOnce(&CurrentKThread) -> c_int + Send + 'static,
    {
        check_online(cpu)?;
        // SAFETY: `cpu` is less than `nr_cpu_ids`, as checked above, so it has per-CPU data.
        let node = unsafe { bindings::cpu_to_node(cpu) };
        let mut thread = NewKThread::waiting(Self::new(node, name, closure)?);
        thread.bind(cpu)?;
        Ok(thread)
    }

    /// Wakes the kthread also where [`Task::wake_up`] does not: while it waits in `kthread()`.
    fn wake_up_process(&self) {
        // SAFETY: By the type invariant, `task` is a kthread of the crate, and the `ARef` keeps its
        // task valid. In `kthread()` it waits for this wake-up. In `run()`, each wait expects
        // spurious wake-ups.
        unsafe { bindings::wake_up_process(self.task.as_ptr()) };
    }

    // `F` has no `Send + 'static` bound here: `spawn()`, `create()` and the like, which are the
    // only callers, have it. `node` must be `NUMA_NO_NODE`, or have been online.
    fn new<F>(node: c_int, name: fmt::Arguments<'_>, closure: F) -> Result<Self>
    where
        F: FnOnce(&CurrentKThread) -> c_int,
    {
        // The allocation may sleep, and `kthread_create_on_node()` waits for kthreadd.
        if !may_sleep() {
            return Err(EBUSY);
        }
        Self::with_closure(node, name, Closure::new(closure)?)
    }

    #[inline(never)]
    fn with_closure(node: c_int, args: fmt::Arguments<'_>, closure: Closure) -> Result<Self> {
        // C code formats the name twice, and warns if the results differ in length. The result for
        // these bytes is the same both times. That of `fmt::Arguments` might not be.
        let mut name = Name {
            bytes: [0; Name::SIZE],
            len: 0,
        };
        fmt::write(&mut name, args).map_err(|_| EINVAL)?;
        // Code of the caller has formatted it.
        if !may_sleep() {
            return Err(EBUSY);
        }

        let module = module_going::module_of(closure.call as usize);
        let shared = Arc::new(
            Shared {
                leftover: Leftover::new(Kind::Thread, tell_to_stop),
                task: UnsafeCell::new(null_mut()),
                waits_for: UnsafeCell::new(null()),
                closure: UnsafeCell::new(Some(closure)),
                going: Atomic::new(0),
                begin: Atomic::new(false),
                cpu: Atomic::new(ANY_CPU),
                parking: Atomic::new(RUNNING),
            },
            GFP_KERNEL,
        )?;
        let theirs = Arc::into_raw(shared.clone());

        // SAFETY: `run()` takes over the reference of `theirs`. If it is never called, the
        // reference is dropped below, or in `end()`. `FORMAT` is NUL-terminated and has one
        // conversion, for a NUL-terminated string: `name` is one, and is valid for the duration of
        // the call. `node` is `NUMA_NO_NODE`, or a node that has been online: its `pglist_data` is
        // not freed when it goes offline (`try_offline_node()`).
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(run),
                theirs.cast_mut().cast(),
                node,
                FORMAT.as_ptr().cast(),
                name.bytes.as_ptr().cast::<c_char>(),
            )
        };
        let task = match from_err_ptr(task) {
            Ok(task) => task,
            Err(err) => {
                // SAFETY: `theirs` comes from `Arc::into_raw()`, and no kthread uses it: either
                // none was created, or `kthread_create_on_node()` was interrupted and has cleared
                // `kthread_create_info::done`. In that case `kthread()` exits and does not call
                // `run()`.
                drop(unsafe { Arc::from_raw(theirs) });
                return Err(err);
            }
        };

        // SAFETY: `task` is a valid task: the kthread does not exit before `begin` or `going` is
        // set or `kthread_stop()` is called, even if other code wakes it early, and none of that
        // has happened: `leftover` is not in the list yet.
        //
        // CAST: `Task` is a transparent wrapper of `task_struct`.
        let owned = ARef::from(unsafe { &*task.cast::<Task>() });

        // SAFETY: `leftover` is not in the list yet, so `task` is not accessed by other code.
        unsafe { *shared.task.get() = task };
        // SAFETY: `shared` is alive and pinned, as it is in an `Arc`. Code of `module` has called
        // `new()`, which is generic. `run()` claims the object before it drops its reference, and
        // `end()` does if `run()` is never called. `task` is valid until then: either the kthread
        // is still in `run()`, or the handle, which calls `end()`, holds a reference on it.
        unsafe { Leftover::link(addr_of!((*theirs).leftover).cast_mut(), module) };

        // INVARIANT: `kthread_create_on_node()` above returned `task` and received `run()` and
        // `theirs`, which is the same `Shared`. Nothing has called `kthread_stop()`.
        Ok(Self {
            task: owned,
            shared: Some(shared),
        })
    }

    /// Returns the kthread's task.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     kthread::KThread,
    ///     sync::{atomic::{Atomic, Full}, Arc},
    ///     task::{cond_resched, TaskState, MAX_SCHEDULE_TIMEOUT},
    /// };
    ///
    /// /// Adds a piece of work, and wakes the kthread.
    /// fn kick(thread: &KThread, work: &Atomic<u32>) {
    ///     work.fetch_add(1, Full);
    ///     thread.task().wake_up();
    /// }
    ///
    /// let work = Arc::new(Atomic::<u32>::new(0), GFP_KERNEL)?;
    /// let theirs = work.clone();
    /// let thread = KThread::spawn(format_args!("server"), move |this| {
    ///     let mut done = 0;
    ///     // Takes all work that has been added.
    ///     let next = || match theirs.xchg(0, Full) {
    ///         0 => None,
    ///         pieces => Some(pieces),
    ///     };
    ///     // `sleep()` would not return on a `wake_up()`.
    ///     while let Ok(pieces) = this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, next) {
    ///         done += pieces as i32;
    ///         // If there is always more work, the wait never sleeps.
    ///         cond_resched();
    ///     }
    ///     done
    /// })?;
    /// for _ in 0..100 {
    ///     kick(&thread, &work);
    /// }
    /// # // The work that is left when the kthread is stopped is not done.
    /// # let taken = || (work.load(kernel::sync::atomic::Acquire) == 0).then_some(());
    /// # while current!().wait_until(TaskState::Idle, 1, taken).is_err() {}
    /// assert_eq!(thread.stop(), 100);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Parks the kthread until the returned guard is dropped.
    ///
    /// Waits until the kthread is parked: in its next call of [`CurrentKThread::wait_until`],
    /// [`CurrentKThread::sleep`] or [`CurrentKThread::parkme`], or after the closure has returned.
    /// These do not park where the code must not sleep, such as after the leak of an RCU guard.
    /// Signals do not interrupt this wait. The caller must not hold a lock that the closure may
    /// take. A closure that waits with [`CurrentTask::wait_until`] instead must include
    /// `should_park()` and `should_stop()` in the condition.
    ///
    /// If the guard is leaked, the kthread stays parked. `park()` then returns another guard at
    /// once, and [`stop`](Self::stop) stops the kthread. If the module goes while a guard of a
    /// kthread that it has left behind exists, the kthread is unparked, and exits.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: the closure had already returned, or was not called because its CPU was offline,
    ///   or the module goes.
    /// - `EBUSY`: the current task is the kthread itself, or another one for which the kthread
    ///   waits in [`stop`](Self::stop), in the drop of a handle or in `park()`; or the code must
    ///   not sleep. See [`WaitError::AtomicContext`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThread, sync::atomic::{Acquire, Atomic, Relaxed, Release}};
    ///
    /// static ROUNDS: Atomic<u32> = Atomic::new(0);
    ///
    /// let mut thread = KThread::spawn(format_args!("rounds"), |this| {
    ///     while !this.sleep(1) {
    ///         ROUNDS.add(1, Relaxed);
    ///     }
    ///     0
    /// })?;
    ///
    /// let parked = thread.park()?;
    /// let rounds = ROUNDS.load(Relaxed);
    /// # let never = || None::<()>;
    /// # let wait = || current!().wait_until(kernel::task::TaskState::Idle, 5, never);
    /// # assert!(wait().is_err());
    /// // The closure does not run while the guard exists.
    /// assert_eq!(ROUNDS.load(Relaxed), rounds);
    /// drop(parked);
    /// # while ROUNDS.load(Relaxed) == rounds {
    /// #     assert!(wait().is_err());
    /// # }
    /// # // With a leaked guard, the kthread stays parked. It can be parked again and stopped.
    /// # core::mem::forget(thread.park()?);
    /// # core::mem::forget(thread.park()?);
    /// # drop(thread.park()?);
    /// # core::mem::forget(thread.park()?);
    /// # assert_eq!(thread.stop(), 0);
    /// #
    /// # // A kthread that has its own handle.
    /// # use kernel::{new_mutex, sync::{Arc, Mutex}};
    /// # static REFUSED: Atomic<i32> = Atomic::new(0);
    /// # let own: Arc<Mutex<Option<KThread>>> = Arc::pin_init(new_mutex!(None), GFP_KERNEL)?;
    /// # let theirs = own.clone();
    /// # let thread = KThread::create(format_args!("own"), move |this| {
    /// #     if let Some(me) = &mut *theirs.lock() {
    /// #         REFUSED.store(me.park().map_or_else(Error::to_errno, |_| 1), Release);
    /// #     }
    /// #     while !this.sleep(1) {}
    /// #     0
    /// # })?;
    /// # let mut slot = own.lock();
    /// # *slot = Some(thread.start());
    /// # drop(slot);
    /// # while REFUSED.load(Acquire) == 0 {
    /// #     assert!(wait().is_err());
    /// # }
    /// # assert_eq!(REFUSED.load(Acquire), EBUSY.to_errno());
    /// # let thread = own.lock().take().ok_or(ESRCH)?;
    /// # assert_eq!(thread.stop(), 0);
    ///
    /// // A kthread whose closure has returned cannot be parked.
    /// let mut short = KThread::spawn(format_args!("short"), |_| 7)?;
    /// # // The kthread exits while this task sleeps.
    /// # while short.park().is_ok() {
    /// #     assert!(wait().is_err());
    /// # }
    /// assert_eq!(short.park().err(), Some(ESRCH));
    /// assert_eq!(short.stop(), 7);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("kthread_park", "kthread_unpark"))]
    pub fn park(&mut self) -> Result<ParkGuard<'_>> {
        let shared = self.shared.as_ref().ok_or(ESRCH)?;
        // For the current task, `kthread_park()` only sets `KTHREAD_SHOULD_PARK` and returns 0: the
        // kthread would hold a guard and still run. For another one, it sleeps.
        let waiting = shared.begin_wait().ok_or(EBUSY)?;
        match shared.transition(RUNNING, PARKING) {
            Ok(()) => {
                // SAFETY: By the type invariant, `task` is a kthread, and the `ARef` keeps its task
                // valid. It is not the current task. It is not `PF_EXITING` and does not exit
                // during the call: it exits only after the transition from `RUNNING` to `EXITING`,
                // or after `kthread_stop()`, which needs the `&mut self` that is held here. It does
                // not have `KTHREAD_SHOULD_PARK` set: only the owner parks, unparks and stops the
                // kthread, each through `&mut self` and so one at a time, and the state was
                // `RUNNING`. The function thus waits until the kthread is parked.
                let result = to_result(unsafe { bindings::kthread_park(self.task.as_ptr()) });
                let now = if result.is_ok() { PARKED } else { RUNNING };
                // MODEL: kthread-park/parked
                shared.parking.store(now, Release);
                result?;
            }
            // An earlier guard was leaked, so the kthread is still parked.
            Err(PARKED) => (),
            // The kthread exits.
            Err(_) => return Err(ESRCH),
        }
        drop(waiting);
        Ok(ParkGuard(self))
    }

    /// Stops the kthread, and returns the value that its closure returned.
    ///
    /// Waits until the closure has returned and the kthread has exited. Signals do not interrupt
    /// this wait. A parked kthread is unparked. The caller must not hold a lock that the closure
    /// may take.
    ///
    /// In the kthread itself, in another one for which it waits, and where the code must not sleep
    /// ([`WaitError::AtomicContext`]), this function tells the kthread to stop, does not wait, and
    /// returns `-EBUSY`. The module is not freed before the kthread has ended. If two kthreads stop
    /// each other, the second one does not wait.
    ///
    /// If the closure was not called, the value is a negative error code: `-EINTR` if the kthread
    /// was stopped before it called the closure, and `-EINVAL` if the CPU of [`NewKThread::bind`]
    /// was offline. The closure may return the same values: this function does not tell the cases
    /// apart.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThread, prelude::*};
    ///
    /// /// The closure of this kthread returns 0 or a negative error code.
    /// fn finish(thread: KThread) -> Result {
    ///     kernel::error::to_result(thread.stop())
    /// }
    /// #
    /// # // A kthread that drops its own handle does not wait, and drops its closure.
    /// # use kernel::{
    /// #     new_mutex,
    /// #     sync::{atomic::{Acquire, Atomic, Release}, Arc, Mutex},
    /// #     task::TaskState,
    /// # };
    /// # static DROPPED: Atomic<bool> = Atomic::new(false);
    /// # struct Dropped;
    /// # impl Drop for Dropped {
    /// #     fn drop(&mut self) {
    /// #         DROPPED.store(true, Release);
    /// #     }
    /// # }
    /// # let slot: Arc<Mutex<Option<KThread>>> = Arc::pin_init(new_mutex!(None), GFP_KERNEL)?;
    /// # let (theirs, dropped) = (slot.clone(), Dropped);
    /// # let thread = KThread::create(format_args!("own"), move |this| {
    /// #     let _dropped = dropped;
    /// #     let own = theirs.lock().take();
    /// #     assert_eq!(own.map(KThread::stop), Some(EBUSY.to_errno()));
    /// #     assert!(this.should_stop() && this.sleep(1000));
    /// #     0
    /// # })?;
    /// # *slot.lock() = Some(thread.start());
    /// # while !DROPPED.load(Acquire) {
    /// #     let _ = current!().wait_until(TaskState::Idle, 1, || None::<()>);
    /// # }
    /// #
    /// # let thread = KThread::create(format_args!("finish"), |_| 0)?;
    /// # assert_eq!(finish(thread.start()).err().map_or(EINTR, |err| err), EINTR);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_stop")]
    #[inline]
    pub fn stop(mut self) -> c_int {
        self.end()
    }

    /// Stops the kthread. Returns 0 if this has already been done.
    fn end(&mut self) -> c_int {
        // INVARIANT: `None` satisfies the invariant.
        let Some(shared) = self.shared.take() else {
            return 0;
        };
        // `kthread_stop()` sleeps until the kthread has exited.
        let waiting = shared.begin_wait();
        if waiting.is_none() {
            // The kthread ends without a wait: `run()` has its own reference to `shared` and takes
            // the closure, as `create()` or `start()` has woken the kthread. `leftover` stays in
            // the list until the kthread has left the code of the module.
            //
            // SAFETY: By the type invariant, `task` is the kthread of `shared`, and the `ARef`
            // keeps its task valid.
            unsafe { shared.tell_to_stop(self.task.as_ptr()) };
            return EBUSY.to_errno();
        }
        // `kthread_stop()` does not order its own flag before `TIF_NOTIFY_SIGNAL`.
        shared.set_going();
        // SAFETY: By the type invariant, `task` is a kthread, and the `ARef` keeps its task valid.
        // `kthread_stop()` has not been called, and is not called again: `shared` has been taken.
        // MODEL: kthread-closure/stop
        let result = unsafe { bindings::kthread_stop(self.task.as_ptr()) };
        drop(waiting);

        // SAFETY: `kthread_stop()` has waited for `kthread::exited`. `do_exit()` calls
        // `mm_release()`, which completes it, after `run()` has returned. So the kthread does not
        // access the closure any more.
        if let Some(closure) = unsafe { &mut *shared.closure.get() }.take() {
            // `kthread()` has exited without a call of `run()`, which takes the closure first.
            let claimed = shared.leftover.claim();
            // The destructor is code of the module, so this precedes `unlink()`.
            drop(closure);
            if claimed {
                shared.leftover.unlink();
            }
            // SAFETY: `run()` has not taken over the reference of the pointer that
            // `kthread_create_on_node()` received, and will not. `shared` is another reference.
            drop(unsafe { Arc::from_raw(core::ptr::from_ref(&*shared)) });
        }
        result
    }
}

/// Tells a kthread to stop, because its module goes. Does not wait.
///
/// # Safety
///
/// `leftover` must be that of a `Shared`, and be in the list.
unsafe fn tell_to_stop(leftover: *mut Leftover) {
    // SAFETY: `leftover` is a field of a `Shared`, which is valid while it is in the list.
    let shared = unsafe { &*crate::container_of!(leftover, Shared, leftover) };
    // SAFETY: The field was written before `leftover` was added to the list. The task is valid
    // while `leftover` is in the list.
    unsafe { shared.tell_to_stop(*shared.task.get()) };
}

/// Returns `EINVAL` if `cpu` is not a valid CPU number, or the CPU is offline.
fn check_online(cpu: u32) -> Result {
    // SAFETY: `cpu_online()` reads one bit of `cpu_online_mask`. `cpu` is less than `nr_cpu_ids`,
    // which is checked first, so the bit is in the mask.
    if cpu >= nr_cpu_ids() || !unsafe { bindings::cpu_online(cpu) } {
        return Err(EINVAL);
    }
    Ok(())
}

/// A kthread that has been created and waits to be started.
///
/// Dropping it stops the kthread, which exits and does not call its closure. The closure is
/// dropped. The context below is that of the drop.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// A kthread that runs on one CPU:
///
/// ```
/// use kernel::kthread::KThread;
///
/// let mut thread = KThread::create(format_args!("poll/0"), |_| current!().cpu() as i32)?;
/// thread.bind(0)?;
/// let result = thread.start().stop();
/// assert!(result == 0 || result == EINTR.to_errno());
///
/// // `u32::MAX` is not a valid CPU number.
/// let mut thread = KThread::create(format_args!("poll/-1"), |_| 0)?;
/// assert_eq!(thread.bind(u32::MAX), Err(EINVAL));
/// # Ok::<(), Error>(())
/// ```
#[must_use = "dropping it stops the kthread, and its closure is never called"]
pub struct NewKThread(KThread);

impl NewKThread {
    fn waiting(thread: KThread) -> Self {
        // The kthread waits in `kthread()`, in `TASK_UNINTERRUPTIBLE`. The wake-up makes it wait in
        // `run()` instead, in `TASK_IDLE`: that wait may be long, but does not count towards the
        // load average and is not reported by the hung-task detector.
        thread.wake_up_process();
        Self(thread)
    }

    /// Sets the CPU on which the closure starts. A second call replaces it.
    ///
    /// The kthread sets its own affinity before it calls the closure. `kthread_bind()` is not used:
    /// it requires that no other code wakes the kthread meanwhile.
    ///
    /// The affinity lasts until the CPU goes offline, root changes the affinity, or a change of a
    /// cpuset partition resets it (`cpuset_update_tasks_cpumask()` on Linux 6.12,
    /// `kthreads_update_housekeeping()` on Linux 7.3).
    ///
    /// If the CPU is offline when the kthread is about to call the closure, the closure is not
    /// called, and [`KThread::stop`] returns `-EINVAL`.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `cpu` is not a valid CPU number, or the CPU is offline.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::{KThread, NewKThread}, prelude::*};
    ///
    /// /// Creates a kthread that starts on one CPU. It may move later.
    /// fn poller(cpu: u32) -> Result<NewKThread> {
    ///     let mut thread = KThread::create(format_args!("poll/{cpu}"), |this| {
    ///         while !this.sleep(10) {}
    ///         0
    ///     })?;
    ///     thread.bind(cpu)?;
    ///     Ok(thread)
    /// }
    /// # assert!(poller(0).is_ok());
    /// ```
    #[doc(alias = "kthread_bind")]
    pub fn bind(&mut self, cpu: u32) -> Result {
        check_online(cpu)?;
        if let Some(shared) = &self.0.shared {
            // The release store to `begin` in `start()` orders this store.
            // MODEL: kthread-begin/bind
            shared.cpu.store(cpu, Relaxed);
        }
        Ok(())
    }

    /// Starts the kthread. Does not wait until it calls its closure.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::{KThread, NewKThread};
    ///
    /// /// Starts the kthread unless it has been cancelled.
    /// fn begin(waiting: Option<NewKThread>) -> Option<KThread> {
    ///     waiting.map(NewKThread::start)
    /// }
    /// # assert!(begin(None).is_none());
    /// ```
    #[inline]
    pub fn start(self) -> KThread {
        if let Some(shared) = &self.0.shared {
            // MODEL: kthread-begin/start
            shared.begin.store(true, Release);
        }
        self.0.wake_up_process();
        self.0
    }
}

/// A guard that keeps a kthread parked. Dropping it unparks the kthread.
///
/// The context below is that of the drop.
///
/// # Context
///
/// Any context except NMI.
///
/// # Examples
///
/// ```
/// use kernel::{kthread::KThread, prelude::*};
///
/// /// Calls `change` while the kthread is parked.
/// fn change_parked(thread: &mut KThread, change: impl FnOnce()) -> Result {
///     let _parked = thread.park()?;
///     change();
///     Ok(())
/// }
/// ```
#[must_use = "dropping it unparks the kthread"]
pub struct ParkGuard<'a>(&'a mut KThread);

impl Drop for ParkGuard<'_> {
    fn drop(&mut self) {
        if let Some(shared) = &self.0.shared {
            // This must precede `kthread_unpark()`: the kthread may exit as soon as it is unparked,
            // and has to find `RUNNING` then, so that it changes the state to `EXITING`. Only
            // `kthread_unpark()` wakes a task in `TASK_PARKED`, and the wake-up orders this store
            // before what the kthread does next.
            //
            // If `tell_to_stop()` has unparked the kthread, the state stays `EXITING`.
            // MODEL: kthread-park/drop
            let _ = shared.transition(PARKED, RUNNING);
        }
        // SAFETY: By the type invariant of `KThread`, `task` is a kthread, and the `ARef` keeps its
        // task valid. The guard holds the owner's `&mut KThread`, so no other call parks or stops
        // the kthread at the same time. `tell_to_stop()` may unpark it: both clear the same flag.
        unsafe { bindings::kthread_unpark(self.0.task.as_ptr()) };
    }
}

impl Drop for KThread {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

/// The function of the kthread.
///
/// It is built into the kernel and calls the closure through a pointer. When it removes the kthread
/// from the list of what its module leaves behind, the kthread does not execute code of the module
/// any more. It must not be inlined, or become part of a module in another way.
///
/// # Safety
///
/// Must be called by `kthread()` only, once. `context` must be the pointer of an `Arc<Shared>`, and
/// the caller passes on its reference. No other task must access the closure until the kthread has
/// exited.
#[inline(never)]
unsafe extern "C" fn run(context: *mut c_void) -> c_int {
    // SAFETY: By the safety requirements.
    let shared = unsafe { Arc::from_raw(context.cast_const().cast::<Shared>()) };
    // SAFETY: By the safety requirements, no other task accesses the closure. This function does
    // once, in this statement.
    let closure = unsafe { &mut *shared.closure.get() }.take();

    // INVARIANT: `kthread()` has called this function, so the current task is the kthread of a
    // `KThread`, and `shared` is valid until this function returns. `this` is neither `Send` nor
    // `Sync`, and no reference to it outlives this function.
    let this = CurrentKThread {
        shared: NonNull::from(&*shared),
        freezable: Cell::new(false),
    };

    let result = closure.map_or(0, |closure| run_closure(&shared, closure, &this));
    end_sections();
    // If the owner waits in `kthread_park()`, the kthread has to park before it exits, once
    // `KTHREAD_SHOULD_PARK` is set. See `Shared` for all transitions. `sleep()` would return at
    // once if the kthread should stop.
    while shared.transition(RUNNING, EXITING) == Err(PARKING) {
        let asked = || this.should_park().then_some(());
        // After a timeout, the state is checked again.
        let _ = current!().wait_until(TaskState::Idle, 1, asked);
        this.parkme();
    }
    // The closure has been dropped, and the rest is built into the kernel.
    if shared.leftover.claim() {
        shared.leftover.unlink();
    }
    result
}

/// Ends the sections whose guards have been leaked: those of RCU, and those with preemption or
/// interrupts disabled. The kthread could not sleep in them.
///
/// A guard of RCU proves nothing, as it can be leaked or slept with: see `sync::rcu`. If the guard
/// of a spinlock has been leaked, the lock stays locked.
// `migrate_enable()` of 7.3 uses `runqueues`, which a module cannot.
#[inline(never)]
pub(crate) fn end_sections() {
    // SAFETY: The current task is a kthread in process context, and the code in the sections has
    // returned. The helper restores the state in which `kthread()` calls its function: no section,
    // and interrupts enabled. The callers have found the same state, or are called in it.
    unsafe { bindings::kthread_end_sections() };
}

/// Waits until the kthread is started, and calls the closure. Returns `-EINTR` if the kthread is
/// stopped instead, and the error of `set_cpus_allowed_ptr()` if the CPU of `bind()` is offline.
/// Drops the closure in any case.
fn run_closure(shared: &Shared, closure: Closure, this: &CurrentKThread) -> c_int {
    // A wake-up does not mean that the kthread is started: any code that finds the task may wake it
    // before `start()` does.
    let begun = current!().wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, || {
        // MODEL: kthread-begin/begun
        if shared.begin.load(Acquire) {
            return Some(true);
        }
        this.should_stop().then_some(false)
    });
    if begun != Ok(true) {
        return EINTR.to_errno();
    }

    // The acquire load of `begin` orders this load.
    // MODEL: kthread-begin/cpu
    let cpu = shared.cpu.load(Relaxed);
    if cpu != ANY_CPU {
        // SAFETY: `bind()` has checked that `cpu` is less than `nr_cpu_ids`, so `cpumask_of()`
        // returns a valid mask. The current task is valid and may change its own affinity. If the
        // CPU is offline by now, the function returns `-EINVAL` and leaves the affinity as it is.
        let moved = unsafe {
            bindings::set_cpus_allowed_ptr(Task::current_raw(), bindings::cpumask_of(cpu))
        };
        if moved != 0 {
            return moved;
        }
    }

    closure.call(this)
}

/// The kthread that executes the current code.
///
/// # Invariants
///
/// A reference to it exists only in a kthread of a [`KThread`], and only while the function `run()`
/// executes. `shared` is that of the `KThread`.
///
/// # Examples
///
/// ```
/// use kernel::kthread::CurrentKThread;
///
/// fn serve(this: &CurrentKThread) {
///     while !this.should_stop() {
///         // The work goes here.
///         this.sleep(10);
///     }
/// }
/// ```
pub struct CurrentKThread {
    // Neither `Send` nor `Sync`.
    shared: NonNull<Shared>,
    /// Whether the kthread has called `set_freezable()`.
    freezable: Cell<bool>,
}

impl CurrentKThread {
    /// Returns whether the kthread must stop: the owner has asked for it, the module goes, or the
    /// kthread has dropped its own handle. If so, the closure must return.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::CurrentKThread, task::cond_resched};
    ///
    /// /// Checks for a stop before each piece of a long job. Returns the number of pieces done.
    /// fn pieces(this: &CurrentKThread, mut piece: impl FnMut(usize)) -> usize {
    ///     for done in 0..1000 {
    ///         if this.should_stop() {
    ///             return done;
    ///         }
    ///         piece(done);
    ///         // Without preemption, other tasks of the CPU and RCU wait for this.
    ///         cond_resched();
    ///     }
    ///     1000
    /// }
    /// ```
    #[doc(alias = "kthread_should_stop")]
    #[inline]
    pub fn should_stop(&self) -> bool {
        // SAFETY: By the type invariant, the current task is a kthread, so `to_kthread(current)` is
        // valid.
        let asked = unsafe { bindings::kthread_should_stop() };
        // SAFETY: By the type invariant, `shared` is valid while a reference to `self` exists.
        // MODEL: kthread-stop/stop
        asked || unsafe { self.shared.as_ref() }.going.load(Relaxed) != 0
    }

    /// Returns whether the kthread must stop, after `TIF_NOTIFY_SIGNAL` has ended a wait, as it
    /// counts as a signal. `set_going()` is called before it is set.
    fn stopped_by_signal(&self) -> bool {
        // SAFETY: By the type invariant, `shared` is valid while a reference to `self` exists.
        let shared = unsafe { self.shared.as_ref() };
        // The check for a signal has read the flag without a barrier, and `should_stop()` reads
        // without one. The full ordering puts the latter after the former. The value stays.
        // MODEL: kthread-stop/signal
        shared.going.fetch_add(0, Full);
        self.should_stop()
    }

    /// Returns whether the owner has asked the kthread to park. If so, the closure must call
    /// [`parkme`](Self::parkme).
    ///
    /// [`wait_until`](Self::wait_until) and [`sleep`](Self::sleep) check this and park.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::CurrentKThread, task::cond_resched};
    ///
    /// /// Polls without a sleep, except while the owner keeps the kthread parked.
    /// fn poll(this: &CurrentKThread, mut more: impl FnMut() -> bool) {
    ///     while more() && !this.should_stop() {
    ///         if this.should_park() {
    ///             // The shared data must be consistent here.
    ///             this.parkme();
    ///         }
    ///         // Without preemption, other tasks of the CPU and RCU wait for this.
    ///         cond_resched();
    ///     }
    /// }
    /// ```
    #[doc(alias = "kthread_should_park")]
    #[inline]
    pub fn should_park(&self) -> bool {
        // SAFETY: By the type invariant, the current task is a kthread, so `to_kthread(current)` is
        // valid.
        unsafe { bindings::kthread_should_park() }
    }

    /// Parks if the owner has asked for it. Returns when the owner unparks or stops the kthread.
    /// Otherwise returns at once. Where the code must not sleep ([`WaitError::AtomicContext`]), it
    /// does not park.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// fn between_two_jobs(this: &CurrentKThread) -> bool {
    ///     this.parkme();
    ///     !this.should_stop()
    /// }
    /// ```
    #[doc(alias = "kthread_parkme")]
    pub fn parkme(&self) {
        // If it fails, the next `wait_until()` or `sleep()` fails as well, and the owner waits
        // until the kthread calls one of them where it may sleep.
        let _ = self.try_parkme();
    }

    /// Like [`parkme`](Self::parkme), but reports that it does not park in atomic context.
    fn try_parkme(&self) -> Result<(), WaitError> {
        // `schedule()` would enable interrupts.
        if !may_sleep() {
            return Err(WaitError::AtomicContext);
        }
        // SAFETY: By the type invariant, the current task is a kthread, so `to_kthread(current)` is
        // valid, and it executes `run()`, which is process context.
        unsafe { bindings::kthread_parkme() };
        Ok(())
    }

    /// Sleeps until `condition` returns `Some(value)`, and returns `value`. Gives up after
    /// `timeout`, or when the owner asks the kthread to stop.
    ///
    /// This is [`CurrentTask::wait_until`], which describes `state`, `timeout` and `condition`,
    /// with three differences:
    ///
    /// - If the owner parks the kthread, this function parks it. When the kthread has been
    ///   unparked, the wait continues. The time for which it is parked does not count.
    /// - If the owner stops the kthread, this function fails, even if the condition is true.
    /// - If the kthread is [freezable](Self::set_freezable), this function freezes it when the
    ///   system is suspended, in each state, unless `timeout` is zero or less. The time for which
    ///   it is frozen does not count, except in a freezable state.
    ///
    /// It does not sleep if the condition is true at once, so a loop around it calls
    /// [`cond_resched`](crate::task::cond_resched).
    ///
    /// # Errors
    ///
    /// - [`WaitError::Stop`] (`EINTR`): the owner has asked the kthread to stop.
    /// - The errors of [`CurrentTask::wait_until`]. The kthread receives only the signals that it
    ///   has allowed with [`allow_signal`](Self::allow_signal). While one is pending, an
    ///   interruptible wait does not sleep: call [`flush_signals`](Self::flush_signals).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::CurrentKThread, task::{cond_resched, TaskState, WaitError}};
    ///
    /// /// Serves requests. If there is none for 100 jiffies, lets the device sleep.
    /// fn serve<T>(
    ///     this: &CurrentKThread,
    ///     mut next: impl FnMut() -> Option<T>,
    ///     mut handle: impl FnMut(Option<T>),
    /// ) {
    ///     loop {
    ///         match this.wait_until(TaskState::Idle, 100, &mut next) {
    ///             Ok(request) => handle(Some(request)),
    ///             Err(WaitError::Timeout) => handle(None),
    ///             Err(_) => return,
    ///         }
    ///         cond_resched();
    ///     }
    /// }
    /// # use kernel::{kthread::KThread, task::MAX_SCHEDULE_TIMEOUT};
    /// # use kernel::sync::atomic::{Acquire, Atomic, Release};
    /// # static STEP: Atomic<u32> = Atomic::new(0);
    /// # let open = || (STEP.load(Acquire) > 0).then_some(7);
    /// # let never = || None::<()>;
    /// # let mut thread = KThread::spawn(format_args!("waits"), move |this| {
    /// #     // A kthread that waits for a condition can be parked, and goes on waiting.
    /// #     if this.wait_until(TaskState::Killable, MAX_SCHEDULE_TIMEOUT, open) != Ok(7) {
    /// #         return 1;
    /// #     }
    /// #     if this.wait_until(TaskState::Idle, 2, never) != Err(WaitError::Timeout) {
    /// #         return 2;
    /// #     }
    /// #     STEP.store(2, Release);
    /// #     // It can be stopped, also if the condition is true.
    /// #     while this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, open).is_ok() {
    /// #         this.sleep(1);
    /// #     }
    /// #     let stopped = this.wait_until(TaskState::Uninterruptible, -1, never);
    /// #     i32::from(stopped != Err(WaitError::Stop)) * 3
    /// # })?;
    /// # for _ in 0..3 {
    /// #     drop(thread.park()?);
    /// # }
    /// # let parked = thread.park()?;
    /// # STEP.store(1, Release);
    /// # drop(parked);
    /// # let waited = || (STEP.load(Acquire) == 2).then_some(());
    /// # while current!().wait_until(TaskState::Idle, 1, waited).is_err() {}
    /// # assert_eq!(thread.stop(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("wait_event", "schedule_timeout", "kthread_should_stop"))]
    pub fn wait_until<R>(
        &self,
        state: TaskState,
        timeout: c_long,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        enum Event<R> {
            Park,
            Freeze,
            Stop,
            Condition(R),
        }

        let mut remaining = timeout;
        let mut check = || {
            if self.should_park() {
                Some(Event::Park)
            } else if self.should_stop() {
                Some(Event::Stop)
            } else if timeout > 0 && self.freezing() {
                Some(Event::Freeze)
            } else {
                condition().map(Event::Condition)
            }
        };

        loop {
            let event = match check() {
                Some(event) => Ok(event),
                None => CurrentTask::wait(state, &mut remaining, &mut check),
            };
            match event {
                Ok(Event::Condition(value)) => return Ok(value),
                Ok(Event::Stop) => return Err(WaitError::Stop),
                Ok(Event::Park) => self.try_parkme()?,
                Ok(Event::Freeze) if !may_sleep() => return Err(WaitError::AtomicContext),
                Ok(Event::Freeze) => {
                    self.try_to_freeze();
                }
                Err(WaitError::Signal { .. }) if self.stopped_by_signal() => {
                    return Err(WaitError::Stop);
                }
                Err(err) => return Err(err),
            }
        }
    }

    /// Sleeps for `jiffies` jiffies. Returns whether the owner has asked the kthread to stop.
    ///
    /// A value below 1 counts as 1. [`MAX_SCHEDULE_TIMEOUT`] sleeps without a limit. The sleep ends
    /// early if the owner stops the kthread. Where the code must not sleep
    /// ([`WaitError::AtomicContext`]), this function returns at once, so a loop around it must not
    /// hold a guard.
    ///
    /// If the owner parks the kthread, this function parks it, and continues after it has been
    /// unparked. It freezes a [freezable](Self::set_freezable) kthread in the same way. The state
    /// is `TASK_IDLE`: the sleep does not count towards the load average.
    ///
    /// A [`wake_up()`](Task::wake_up) does not end the sleep: use [`wait_until`](Self::wait_until)
    /// to wait for something.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::CurrentKThread, time::msecs_to_jiffies};
    ///
    /// /// Calls `something` about ten times a second.
    /// fn regularly(this: &CurrentKThread, mut something: impl FnMut()) {
    ///     while !this.sleep(msecs_to_jiffies(100) as c_long) {
    ///         something();
    ///     }
    /// }
    /// ```
    #[doc(alias("schedule_timeout_idle", "TASK_IDLE"))]
    pub fn sleep(&self, jiffies: c_long) -> bool {
        let never = || None::<()>;
        // A failed wait is the normal case, and the caller is told about a stop.
        let _ = self.wait_until(TaskState::Idle, jiffies.max(1), never);
        self.should_stop()
    }

    /// Allows `signal` to be sent to this kthread. A kthread ignores all other signals.
    ///
    /// The signal has no handler. It becomes pending, and the closure must check
    /// [`signal_pending()`](Task::signal_pending).
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `signal` is not a valid signal number.
    /// - `EBUSY`: interrupts are disabled.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     kthread::KThread,
    ///     sync::atomic::{Acquire, Atomic, Release},
    ///     task::{TaskState, WaitError, MAX_SCHEDULE_TIMEOUT},
    /// };
    ///
    /// static SEEN: Atomic<bool> = Atomic::new(false);
    /// const SIGTERM: i32 = bindings::SIGTERM as i32;
    ///
    /// let thread = KThread::spawn(format_args!("signals"), |this| {
    ///     if this.allow_signal(SIGTERM).is_err() {
    ///         return -1;
    ///     }
    ///     let never = || None::<()>;
    ///     let wait = || this.wait_until(TaskState::Interruptible, MAX_SCHEDULE_TIMEOUT, never);
    ///     while let Err(WaitError::Signal { .. }) = wait() {
    ///         // While a signal is pending, an interruptible wait does not sleep.
    ///         this.flush_signals();
    ///         SEEN.store(true, Release);
    ///     }
    ///     i32::from(!this.should_stop())
    /// })?;
    /// # assert_eq!(thread.task().send_sig(1000, true), Err(EINVAL));
    ///
    /// while !SEEN.load(Acquire) {
    ///     // The signal is ignored until the kthread has called `allow_signal()`.
    ///     thread.task().send_sig(SIGTERM, true)?;
    ///     // Wait one jiffy: this condition never becomes true.
    ///     let _ = current!().wait_until(TaskState::Idle, 1, || None::<()>);
    /// }
    /// assert_eq!(thread.stop(), 0);
    /// # let refused = KThread::spawn(format_args!("no signal"), |this| {
    /// #     let all = [0, -1, 65, i32::MIN, i32::MAX].map(|signal| this.allow_signal(signal));
    /// #     while !this.sleep(1) {}
    /// #     i32::from(all == [Err(EINVAL); 5])
    /// # })?;
    /// # let _ = current!().wait_until(TaskState::Idle, 1, || None::<()>);
    /// # let result = refused.stop();
    /// # assert!(result == 1 || result == EINTR.to_errno());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kernel_sigaction")]
    pub fn allow_signal(&self, signal: c_int) -> Result {
        // `kernel_sigaction()` does not check `signal`, and writes `sighand->action[signal - 1]`.
        if !(1..=bindings::_NSIG as c_int).contains(&signal) {
            return Err(EINVAL);
        }
        // `kernel_sigaction()` uses `spin_unlock_irq()`, which would enable interrupts.
        //
        // SAFETY: `irqs_disabled()` only reads the interrupt state of the current CPU.
        if unsafe { bindings::irqs_disabled() } {
            return Err(EBUSY);
        }
        // SAFETY: `signal` is in `1..=_NSIG`, so `kernel_sigaction()` writes an element of
        // `sighand->action`. The table belongs to this kthread alone: `create_kthread()` does not
        // pass `CLONE_SIGHAND`. The function takes `siglock` with interrupts enabled, as checked
        // above.
        unsafe { bindings::allow_signal(signal) };
        Ok(())
    }

    /// Discards the pending signals of this kthread.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// /// Discards the pending signals once the closure has acted on them.
    /// fn seen(this: &CurrentKThread) {
    ///     this.flush_signals();
    /// }
    /// ```
    pub fn flush_signals(&self) {
        // SAFETY: The current task has its `sighand` and `signal` until it exits. By the type
        // invariant, it executes `run()` and has not exited. The function takes `siglock`, with
        // `spin_lock_irqsave()`.
        unsafe { bindings::flush_signals(Task::current_raw()) };
    }
}
