// SPDX-License-Identifier: GPL-2.0

//! Kthread workers.
//!
//! A [`KThreadWorker`] is a kthread that runs works one after the other, in the order in which they
//! were queued. Unlike a workqueue, it has a thread of its own, whose priority, CPU and so on the
//! driver can set.
//!
//! A [`KThreadWork`] is a field of a struct in an [`Arc`]. While the work is queued, the queue owns
//! a reference to the struct. It belongs to one worker from the start, so it cannot be queued on
//! two.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use super::{
    end_sections,
    CurrentKThread,
    KThread,
    Shared, //
};
use crate::{
    bindings,
    module_going,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        Arc, //
    },
    task::{
        cond_resched,
        may_sleep,
        Task,
        TaskState,
        WaitQueue,
        MAX_SCHEDULE_TIMEOUT, //
    },
    types::Opaque, //
};
use core::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    ptr::{
        null_mut,
        NonNull, //
    },
};

/// A handle that owns a kthread which runs works.
///
/// Dropping it stops the kthread: it runs the works that are queued, and exits. The drop waits for
/// that. Meanwhile [`CurrentKThread::should_stop`] returns `true`, so that a work that takes long
/// can return. A work that is queued meanwhile is refused, or is run as well. The caller must not
/// hold a lock that a work may take.
///
/// Where the drop of a [`KThread`] does not wait, such as in a work of this worker, this one does
/// not wait either. It waits for a [frozen](CurrentKThread::set_freezable) worker until it has been
/// thawed. The context below is that of the drop.
///
/// A handle may be leaked, like a [`KThread`]. When the module goes, the kthread stops in the same
/// way.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Invariants
///
/// The closure of `thread` is that of `start()`, with a reference to `queue`.
///
/// # Examples
///
/// ```
/// use kernel::{
///     impl_has_kthread_work,
///     kthread::{CurrentKThread, KThreadWork, KThreadWorkItem, KThreadWorker},
///     sync::{atomic::{Atomic, Full}, Arc},
/// };
///
/// #[pin_data]
/// struct Device {
///     sent: Atomic<u32>,
///     #[pin]
///     send: KThreadWork<Device>,
///     worker: KThreadWorker,
/// }
///
/// impl_has_kthread_work! {
///     impl HasKThreadWork<0> for Device { self.send }
/// }
///
/// impl KThreadWorkItem for Device {
///     fn run(this: Arc<Self>, _worker: &CurrentKThread) {
///         this.sent.fetch_add(1, Full);
///     }
/// }
///
/// impl Device {
///     fn new() -> Result<Arc<Self>> {
///         // Before its first work, the kthread gets a real-time priority.
///         let setup = |this: &CurrentKThread| {
///             let _ = this.sched_set_fifo();
///         };
///         let worker = KThreadWorker::spawn(format_args!("device/{}", 0), setup)?;
///         let init = try_pin_init!(Device {
///             sent: Atomic::new(0),
///             send <- KThreadWork::new(&worker),
///             worker,
///         });
///         Arc::pin_init(init, GFP_KERNEL)
///     }
///
///     /// Can be called in a hard interrupt handler.
///     fn interrupt(self: &Arc<Self>) {
///         // If the work is queued already, it will see what has happened.
///         let _ = KThreadWork::queue(self.clone());
///     }
/// }
///
/// let device = Device::new()?;
/// device.interrupt();
/// device.worker.flush()?;
/// # use kernel::sync::atomic::Acquire;
/// assert_eq!(device.sent.load(Acquire), 1);
/// # // A work that is not queued is neither waited for nor cancelled.
/// # device.send.flush()?;
/// # assert_eq!(device.send.cancel_sync(), Ok(false));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("kthread_worker", "kthread_destroy_worker"))]
#[must_use = "dropping it stops the kthread"]
pub struct KThreadWorker {
    thread: KThread,
    queue: Arc<Queue>,
}

/// What the kthread, the handle and the works share.
///
/// # Invariants
///
/// - `worker` and `marker` are initialized.
/// - A work in the list of `worker` is `marker`, a work on the stack of a `kthread_flush_work()` of
///   C code, whose `func` is not null, or the `work` of an [`Entry`], whose `func` is null, with
///   one reference to the `Arc` that contains it.
/// - Works are added only in an RCU read-side critical section, after `state` has been found to be
///   [`BEGUN`] in it, or by `kthread_flush_work()`, behind another work or the one that is running.
/// - `shared` is written before [`KThreadWorker::start`] returns, and is that of the kthread then.
#[pin_data]
struct Queue {
    #[pin]
    worker: Opaque<bindings::kthread_worker>,
    /// The work with which [`KThreadWorker::flush`] finds out how far the kthread is.
    #[pin]
    marker: Opaque<bindings::kthread_work>,
    /// The module that contains the code of the works, or null.
    module: *mut bindings::module,
    /// The kthread. It does not keep the queue: its closure, which does, is gone when it exits.
    shared: UnsafeCell<Option<Arc<Shared>>>,
    /// [`NEW`], [`BEGUN`] or [`ENDED`].
    state: Atomic<u32>,
    /// The task that creates the worker waits here while `state` is `NEW`.
    #[pin]
    begun: WaitQueue,
}

/// The kthread has not called its closure.
const NEW: u32 = 0;
/// The kthread serves the queue.
const BEGUN: u32 = 1;
/// The queue takes no more works.
const ENDED: u32 = 2;

// SAFETY: C accesses `worker` and the works under the lock of `worker`. `module` is only compared.
// The task that creates the worker writes `shared` before there is a handle or a work, and others
// only read it after that.
unsafe impl Send for Queue {}
// SAFETY: As above.
unsafe impl Sync for Queue {}

/// The result of [`Queue::insert`].
#[derive(PartialEq)]
enum Inserted {
    Yes,
    /// The work was in the list already, or is being cancelled.
    Pending,
    /// The queue takes no more works.
    Ended,
}

impl Queue {
    fn new(module: *mut bindings::module) -> Result<Arc<Self>> {
        let init = pin_init!(Self {
            // SAFETY: The memory belongs to a worker that is not used yet, and does not move: it is
            // in an `Arc`.
            worker <- Opaque::ffi_init(|worker| unsafe { bindings::kthread_init_worker(worker) }),
            // SAFETY: As above, for a work.
            marker <- Opaque::ffi_init(|work| unsafe { bindings::kthread_init_work(work, None) }),
            module,
            shared: UnsafeCell::new(None),
            state: Atomic::new(NEW),
            begun <- WaitQueue::new(),
        });
        Arc::pin_init(init, GFP_KERNEL)
    }

    /// Returns what the owner of the kthread and the kthread share.
    fn shared(&self) -> Result<&Shared> {
        // SAFETY: The callers have a handle or a work, so `start()` has returned. Nothing writes
        // the field after that.
        unsafe { &*self.shared.get() }.as_deref().ok_or(ESRCH)
    }

    /// Calls `f`, which waits for the kthread. Returns `EBUSY` if it must not: see `begin_wait()`.
    fn wait<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        let _waiting = self.shared()?.begin_wait().ok_or(EBUSY)?;
        Ok(f())
    }

    /// Adds a work to the list.
    ///
    /// # Safety
    ///
    /// `work` must be `marker`, or the work of an `Entry` of this queue for which the caller owns a
    /// reference. If this returns [`Inserted::Yes`], the list has taken over that reference.
    unsafe fn insert(&self, work: *mut bindings::kthread_work) -> Inserted {
        let _guard = rcu::read_lock();

        if self.state.load(Relaxed) != BEGUN {
            return Inserted::Ended;
        }
        // SAFETY: The worker and, by the safety requirements, the work are initialized and valid
        // until the work is in the list. The work has never been in the list of another worker. The
        // function takes a raw spinlock, with interrupts disabled. It does not use the work after
        // it has released the lock, and until then the kthread cannot take it. The kthread has a
        // reference to the worker until it has waited for the end of this critical section.
        match unsafe { bindings::kthread_queue_work(self.worker.get(), work) } {
            true => Inserted::Yes,
            false => Inserted::Pending,
        }
    }

    /// Takes the first work from the list, and makes it the one that is running. The caller must
    /// pass it to [`process`](Self::process).
    fn next(&self) -> Option<NonNull<bindings::kthread_work>> {
        // SAFETY: The worker is initialized. The function takes a raw spinlock, with interrupts
        // disabled.
        NonNull::new(unsafe { bindings::kthread_worker_next(self.worker.get()) })
    }

    /// Runs a work.
    ///
    /// # Safety
    ///
    /// [`Self::next`] must have returned `work`. This must be called once for each work that it
    /// returns. The current task must be the kthread.
    unsafe fn process(&self, work: NonNull<bindings::kthread_work>, this: &CurrentKThread) {
        let work = work.as_ptr();
        if work == self.marker.get() {
            return;
        }
        // SAFETY: By the type invariants, the work is initialized, and is valid until it has run.
        // Nothing writes `func` from the time the work is queued until it has run.
        match unsafe { (*work).func } {
            // SAFETY: This is the function of a `kthread_flush_work()`, which waits for this call.
            Some(func) => unsafe { func(work) },
            None => {
                let entry = work.cast::<Entry>();
                // SAFETY: By the type invariants, this is the first field of an `Entry`. The work
                // has been taken from the list, with its reference, which this passes on.
                unsafe { ((*entry).run)(entry, this) }
            }
        }
    }

    /// Says that no work is running.
    fn idle(&self) {
        // SAFETY: As for `next()`.
        unsafe { bindings::kthread_worker_idle(self.worker.get()) };
    }
}

/// Serves a queue. Dropping it ends the queue.
struct Serving(Arc<Queue>);

impl Serving {
    /// Runs the works of the queue until the kthread is stopped, and then those that are left.
    fn serve(self, this: &CurrentKThread, setup: impl FnOnce(&CurrentKThread)) {
        let queue = &*self.0;
        let next = || queue.next();
        let between_works = || {
            // A work or `setup` may have leaked the guard of a section, in which no other must run.
            if !may_sleep() {
                end_sections();
            }
            cond_resched();
        };
        // SAFETY: The worker is initialized. The task is removed below, before the kthread exits.
        // From here on, works that are queued wake it.
        unsafe { bindings::kthread_worker_set_task(queue.worker.get(), Task::current_raw()) };
        queue.state.store(BEGUN, Release);
        queue.begun.wake_up();

        setup(this);
        loop {
            between_works();
            // A work that always queues itself again must not keep the kthread.
            if this.should_stop() {
                break;
            }
            if this.freezing() {
                queue.idle();
                this.try_to_freeze();
            }
            // The second `next()` is called when none is the current work, so a frozen kthread is
            // not waited for by `kthread_cancel_work_sync()` of a work that does not run.
            let wait = || {
                this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, next)
                    .ok()
            };
            match next().or_else(wait) {
                // SAFETY: `next()` has returned the work.
                Some(work) => unsafe { queue.process(work, this) },
                None => break,
            }
        }

        queue.state.store(ENDED, Relaxed);
        // `insert()` either sees this, or its critical section ends before this returns. In the
        // latter case, the work is found below.
        //
        // SAFETY: This code may sleep: `end_sections()` has been called otherwise.
        unsafe { bindings::synchronize_rcu() };
        while let Some(work) = next() {
            // SAFETY: `next()` has returned the work.
            unsafe { queue.process(work, this) };
            between_works();
        }
        // SAFETY: The worker is initialized.
        unsafe { bindings::kthread_worker_set_task(queue.worker.get(), null_mut()) };
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // If the kthread did not call its closure, this tells the task that creates it. There is no
        // work then.
        self.0.state.store(ENDED, Release);
        self.0.begun.wake_up();
    }
}

impl KThreadWorker {
    /// Creates a kthread and starts it. It calls `setup`, and then runs the works that are queued.
    ///
    /// Waits until the kthread is about to call `setup`, which can set a real-time priority with
    /// [`CurrentKThread::sched_set_fifo`], or make the kthread freezable with
    /// [`CurrentKThread::set_freezable`]. It must return, other than the closure of a [`KThread`].
    /// The kthread of a freezable worker freezes between two works. `setup` and the works must be
    /// code of the same module.
    ///
    /// # Errors
    ///
    /// The errors of [`KThread::spawn`]. `EINTR` also if the module goes.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThreadWorker, prelude::*};
    ///
    /// /// A worker that does not run while the system is suspended.
    /// fn freezable() -> Result<KThreadWorker> {
    ///     KThreadWorker::spawn(format_args!("events"), |this| {
    ///         let _ = this.set_freezable();
    ///     })
    /// }
    /// # let worker = freezable()?;
    /// # worker.flush()?;
    /// # drop(worker);
    /// # for _ in 0..5 {
    /// #     // The kthread may not have called `setup`.
    /// #     drop(freezable()?);
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("kthread_run_worker", "kthread_create_worker"))]
    pub fn spawn<F>(name: fmt::Arguments<'_>, setup: F) -> Result<Self>
    where
        F: FnOnce(&CurrentKThread) + Send + 'static,
    {
        Self::start(None, name, setup)
    }

    /// Creates a kthread that starts on `cpu`.
    ///
    /// See [`NewKThread::bind`](super::NewKThread::bind) for what happens when the CPU goes offline
    /// later. This waits until the kthread runs on the CPU, which a task with a higher priority can
    /// delay without a limit.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `cpu` is not a valid CPU number, or the CPU is offline, or the module goes.
    /// - The errors of [`KThread::spawn`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::KThreadWorker;
    ///
    /// let worker = KThreadWorker::spawn_on_cpu(0, format_args!("poll/0"), |_| ())?;
    /// worker.flush()?;
    /// # let refused = KThreadWorker::spawn_on_cpu(u32::MAX, format_args!("poll"), |_| ());
    /// # assert_eq!(refused.map(drop), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("kthread_run_worker_on_cpu", "kthread_create_worker_on_cpu"))]
    pub fn spawn_on_cpu<F>(cpu: u32, name: fmt::Arguments<'_>, setup: F) -> Result<Self>
    where
        F: FnOnce(&CurrentKThread) + Send + 'static,
    {
        Self::start(Some(cpu), name, setup)
    }

    // `F` has the bounds of `KThread::create()`.
    fn start<F>(cpu: Option<u32>, name: fmt::Arguments<'_>, setup: F) -> Result<Self>
    where
        F: FnOnce(&CurrentKThread) + Send + 'static,
    {
        // The allocation may sleep.
        if !may_sleep() {
            return Err(EBUSY);
        }
        // `F` belongs to the caller, so this function is code of its module.
        let module = module_going::module_of(Self::start::<F> as *const () as usize);
        let queue = Queue::new(module)?;

        let serving = Serving(queue.clone());
        let mut thread = KThread::create(name, move |this: &CurrentKThread| {
            serving.serve(this, setup);
            0
        })?;
        if let Some(cpu) = cpu {
            thread.bind(cpu)?;
        }
        let thread = thread.start();
        // SAFETY: There is neither a handle nor a work, and the kthread does not access the field.
        unsafe { *queue.shared.get() = thread.shared.clone() };

        let state = || match queue.state.load(Acquire) {
            NEW => None,
            state => Some(state),
        };
        let wait = TaskState::Uninterruptible;
        if queue.begun.wait_event(wait, MAX_SCHEDULE_TIMEOUT, state)? == ENDED {
            // The CPU has gone offline, or the module goes.
            return Err(if cpu.is_some() { EINVAL } else { EINTR });
        }
        // INVARIANT: The closure above has the other reference to `queue`.
        Ok(Self { thread, queue })
    }

    /// Returns the task of the kthread.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThreadWorker, prelude::*};
    ///
    /// /// Gives the works of this worker a lower priority than those of others.
    /// fn lower(worker: &KThreadWorker) {
    ///     worker.task().set_user_nice(10);
    /// }
    /// # let worker = KThreadWorker::spawn(format_args!("lower"), |_| ())?;
    /// # lower(&worker);
    /// # assert!(worker.task().is_kthread());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn task(&self) -> &Task {
        self.thread.task()
    }

    /// Waits until the works that are queued have been run.
    ///
    /// Works that are queued after the call has begun need not have been run. Signals do not
    /// interrupt this wait, and it waits for a frozen kthread until it has been thawed. The caller
    /// must not hold a lock that a work may take, and a work must not wait for the caller.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the current task is the kthread of this worker, or another kthread for which the
    ///   worker waits; or the code must not sleep. See
    ///   [`WaitError::AtomicContext`](crate::task::WaitError::AtomicContext).
    /// - `ESRCH`: the worker ends, as its module goes. Works that are queued may not have been run
    ///   yet.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`KThreadWorker`].
    #[doc(alias = "kthread_flush_worker")]
    pub fn flush(&self) -> Result {
        let marker = self.queue.marker.get();
        self.queue.wait(|| {
            // If the marker of another flush is in the list already, works may have been queued
            // behind it. When it has been run, the next one is behind them, also if another flush
            // queues it.
            for _ in 0..2 {
                // SAFETY: This is the marker, and `self` has a reference to the queue.
                let inserted = unsafe { self.queue.insert(marker) };
                if inserted == Inserted::Ended {
                    return Err(ESRCH);
                }
                // SAFETY: `marker` is a work of the queue, and its worker is valid. This task may
                // sleep, and is not the kthread, which runs each work in the list before it exits.
                unsafe { bindings::kthread_flush_work(marker) };
                if inserted == Inserted::Yes {
                    break;
                }
            }
            Ok(())
        })?
    }
}

/// The part of a [`KThreadWork`] that does not depend on its type.
#[pin_data]
#[repr(C)]
struct Entry {
    /// Its `func` is null.
    #[pin]
    work: Opaque<bindings::kthread_work>,
    /// Runs the work, and takes over the reference of the list.
    run: unsafe fn(*mut Entry, &CurrentKThread),
}

impl Entry {
    fn new(run: unsafe fn(*mut Entry, &CurrentKThread)) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The memory belongs to a work that is not used yet, and is pinned.
            work <- Opaque::ffi_init(|work| unsafe { bindings::kthread_init_work(work, None) }),
            run,
        })
    }
}

/// A work that a [`KThreadWorker`] runs: a field of a `T` in an [`Arc`].
///
/// `ID` tells the works of one struct apart. The macro
/// [`impl_has_kthread_work!`](crate::impl_has_kthread_work) names the field, and
/// [`KThreadWorkItem`] has the function.
///
/// # Invariants
///
/// - `entry` is initialized, and its `run` is that of `T` and `ID`.
/// - `entry` is in the list of no other queue than `queue`. While it is there, the list owns a
///   reference to the `Arc` that contains this work.
///
/// # Examples
///
/// A struct with two works:
///
/// ```
/// use kernel::{
///     impl_has_kthread_work,
///     kthread::{CurrentKThread, KThreadWork, KThreadWorkItem, KThreadWorker},
///     sync::Arc,
/// };
///
/// const SEND: u64 = 0;
/// const RECEIVE: u64 = 1;
///
/// #[pin_data]
/// struct Link {
///     #[pin]
///     send: KThreadWork<Link, SEND>,
///     #[pin]
///     receive: KThreadWork<Link, RECEIVE>,
/// }
///
/// impl_has_kthread_work! {
///     impl HasKThreadWork<SEND> for Link { self.send }
///     impl HasKThreadWork<RECEIVE> for Link { self.receive }
/// }
///
/// impl KThreadWorkItem<SEND> for Link {
///     fn run(_link: Arc<Self>, _worker: &CurrentKThread) {}
/// }
///
/// impl KThreadWorkItem<RECEIVE> for Link {
///     fn run(link: Arc<Self>, _worker: &CurrentKThread) {
///         // The answer is the next work.
///         let _ = KThreadWork::<_, SEND>::queue(link);
///     }
/// }
///
/// impl Link {
///     fn new(worker: &KThreadWorker) -> impl PinInit<Self, Error> + '_ {
///         try_pin_init!(Self {
///             send <- KThreadWork::new(worker),
///             receive <- KThreadWork::new(worker),
///         })
///     }
/// }
///
/// let worker = KThreadWorker::spawn(format_args!("link"), |_| ())?;
/// let link = Arc::pin_init(Link::new(&worker), GFP_KERNEL)?;
/// assert!(KThreadWork::<_, RECEIVE>::queue(link.clone()).is_ok());
/// // A work that the worker has not begun can be cancelled.
/// let cancelled = link.receive.cancel_sync()?;
/// # link.receive.flush()?;
/// # drop(worker);
/// # // The worker has no reference any more, nor does it take one.
/// # assert!(KThreadWork::<_, SEND>::queue(link.clone()).is_err());
/// # assert_eq!(link.send.flush(), Ok(()));
/// # assert_eq!(link.send.cancel_sync(), Ok(false));
/// # assert!(Arc::into_unique_or_drop(link).is_some());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "kthread_work")]
#[pin_data]
#[repr(C)]
pub struct KThreadWork<T, const ID: u64 = 0> {
    #[pin]
    entry: Entry,
    queue: Arc<Queue>,
    _owner: PhantomData<T>,
}

// SAFETY: C accesses `entry` under the lock of the worker, and any task may queue it. The worker
// drops and runs an `Arc<T>`, so `T` must be `Send` and `Sync`, which `KThreadWorkItem` requires.
unsafe impl<T, const ID: u64> Send for KThreadWork<T, ID> {}
// SAFETY: As above.
unsafe impl<T, const ID: u64> Sync for KThreadWork<T, ID> {}

/// The function of a [`KThreadWork`].
///
/// # Examples
///
/// See [`KThreadWork`].
#[doc(alias = "kthread_work_func_t")]
pub trait KThreadWorkItem<const ID: u64 = 0>: Send + Sync + Sized + 'static {
    /// Runs the work, in the kthread of the worker.
    ///
    /// The work can be queued again as soon as this begins. A work that takes long should return
    /// when [`should_stop()`](CurrentKThread::should_stop) of `worker` is `true`: the handle is
    /// being dropped, or the module goes. Both wait for the work.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    fn run(this: Arc<Self>, worker: &CurrentKThread);
}

/// A type with a [`KThreadWork`] as a field.
///
/// [`impl_has_kthread_work!`](crate::impl_has_kthread_work) implements it.
///
/// # Safety
///
/// [`raw_work`](Self::raw_work) must return a pointer to a field, and
/// [`container`](Self::container) must be its inverse.
///
/// # Examples
///
/// See [`KThreadWork`].
pub unsafe trait HasKThreadWork<const ID: u64 = 0>: KThreadWorkItem<ID> {
    /// Returns the work of a struct.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    unsafe fn raw_work(this: *mut Self) -> *mut KThreadWork<Self, ID>;

    /// Returns the struct that contains a work.
    ///
    /// # Safety
    ///
    /// `work` must be the field of a `Self` that is valid.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    unsafe fn container(work: *mut KThreadWork<Self, ID>) -> *mut Self;
}

/// Implements [`HasKThreadWork`](crate::kthread::HasKThreadWork) for a field of a struct.
///
/// # Examples
///
/// See [`KThreadWork`](crate::kthread::KThreadWork).
#[macro_export]
macro_rules! impl_has_kthread_work {
    ($(impl HasKThreadWork<$id:tt> for $owner:ty { self.$field:ident })*) => {$(
        // SAFETY: Both functions use the offset of the same field. `offset_of!` requires that it is
        // a field of the type itself, and the result of `raw_work()` that it is the work.
        unsafe impl $crate::kthread::HasKThreadWork<$id> for $owner {
            #[inline]
            unsafe fn raw_work(
                this: *mut Self,
            ) -> *mut $crate::kthread::KThreadWork<Self, $id> {
                // SAFETY: The caller guarantees that the struct is valid.
                unsafe { ::core::ptr::addr_of_mut!((*this).$field) }
            }

            #[inline]
            unsafe fn container(
                work: *mut $crate::kthread::KThreadWork<Self, $id>,
            ) -> *mut Self {
                // SAFETY: The caller guarantees that this is the field of a valid struct.
                unsafe { work.byte_sub(::core::mem::offset_of!(Self, $field)).cast() }
            }
        }
    )*};
}

impl<T: HasKThreadWork<ID>, const ID: u64> KThreadWork<T, ID> {
    /// Returns an initializer of a work of `worker`.
    ///
    /// # Errors
    ///
    /// The initializer returns:
    ///
    /// - `EINVAL`: the closure that was passed to [`KThreadWorker::spawn`] is code of another
    ///   module than that of `T`. The worker could run code of a module that has been unloaded.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`KThreadWork`].
    #[doc(alias = "kthread_init_work")]
    pub fn new(worker: &KThreadWorker) -> impl PinInit<Self, Error> + '_ {
        let check = || {
            let code = run::<T, ID> as *const () as usize;
            match module_going::module_of(code) == worker.queue.module {
                true => Ok(worker.queue.clone()),
                false => Err(EINVAL),
            }
        };
        // INVARIANT: The work is in no list. `run()` is that of `T` and `ID`.
        try_pin_init!(Self {
            queue: check()?,
            entry <- Entry::new(run::<T, ID>),
            _owner: PhantomData,
        }? Error)
    }

    /// Queues the work of `owner`. The worker runs it once, with this reference.
    ///
    /// What the caller has written before is visible to the work, also if it is already queued.
    ///
    /// # Errors
    ///
    /// Returns the reference if
    ///
    /// - the work is queued already and has not begun to run,
    /// - [`cancel_sync`](Self::cancel_sync) is waiting for the work, or
    /// - the worker ends: its handle is being dropped or has been, or its module goes.
    ///
    /// Dropping it may drop the struct, which must be allowed in the context.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// See [`KThreadWorker`].
    #[doc(alias = "kthread_queue_work")]
    pub fn queue(owner: Arc<T>) -> Result<(), Arc<T>> {
        let owner = Arc::into_raw(owner);
        // SAFETY: `owner` is valid: this function owns a reference to it.
        let this = unsafe { T::raw_work(owner.cast_mut()) };
        // SAFETY: As above.
        let (queue, work) = unsafe { (&*(*this).queue, (*this).entry.work.get()) };

        // SAFETY: `work` is that of an entry of `queue`, whose `Arc` is `owner`. The reference is
        // passed to the list.
        match unsafe { queue.insert(work) } {
            Inserted::Yes => Ok(()),
            // SAFETY: The list has not taken the reference, which comes from `into_raw()`.
            Inserted::Pending | Inserted::Ended => Err(unsafe { Arc::from_raw(owner) }),
        }
    }

    /// Waits until the work is neither queued nor running.
    ///
    /// If it is queued again meanwhile, this may wait for that, too, or not. The wait is that of
    /// [`KThreadWorker::flush`].
    ///
    /// # Errors
    ///
    /// - `EBUSY`: see [`KThreadWorker::flush`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`KThreadWork`].
    #[doc(alias = "kthread_flush_work")]
    pub fn flush(&self) -> Result {
        // SAFETY: By the type invariants, the work is initialized, and in no list but that of
        // `queue`, which is valid while `self` is. This task may sleep, and is not the kthread. The
        // work of `kthread_flush_work()` is added only behind one that the kthread will take from
        // the list, or is running, and the kthread empties the list before it exits.
        self.queue
            .wait(|| unsafe { bindings::kthread_flush_work(self.entry.work.get()) })
    }

    /// Removes the work from the queue, and waits until it is not running. Returns whether it was
    /// queued.
    ///
    /// While this waits, the work cannot be queued. The wait is that of [`KThreadWorker::flush`].
    /// A work may cancel others of its worker.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the work itself calls this, or another kthread for which the worker waits; or the
    ///   code must not sleep. See
    ///   [`WaitError::AtomicContext`](crate::task::WaitError::AtomicContext).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`KThreadWork`].
    #[doc(alias = "kthread_cancel_work_sync")]
    pub fn cancel_sync(&self) -> Result<bool> {
        let work = self.entry.work.get();
        // SAFETY: By the type invariants, the work is initialized, and in no list but that of
        // `queue`, which is valid while `self` is. This task may sleep. If the function waits for
        // the work, this is not the kthread, which is running the work and then runs that of
        // `kthread_flush_work()`.
        let cancel = || unsafe { bindings::kthread_cancel_work_sync(work) };
        let removed = if may_sleep() && self.queue.shared()?.is_current() {
            // SAFETY: The worker is initialized. Only its kthread writes `current_work`, and this
            // is its kthread. If the work that is running has freed its struct, this may be another
            // one at the same address, which is not cancelled: C would wait permanently.
            if unsafe { (*self.queue.worker.get()).current_work } == work {
                return Err(EBUSY);
            }
            // No other work is running, so this does not wait.
            cancel()
        } else {
            self.queue.wait(cancel)?
        };
        if removed {
            let this = core::ptr::from_ref(self).cast_mut();
            // SAFETY: `self` is a field of a `T`: the work was in the list, so `queue()` got it
            // from an `Arc`. The list had a reference to that, and has it no more.
            drop(unsafe { Arc::from_raw(T::container(this)) });
        }
        Ok(removed)
    }
}

/// Runs the work of a `KThreadWork<T, ID>`. This is code of the crate of `T`.
///
/// # Safety
///
/// `entry` must be that of a `KThreadWork<T, ID>`. The caller passes on a reference to the `Arc`
/// that contains it.
unsafe fn run<T: HasKThreadWork<ID>, const ID: u64>(entry: *mut Entry, this: &CurrentKThread) {
    // SAFETY: `entry` is the first field of a `KThreadWork<T, ID>`, which is `repr(C)`. It is in an
    // `Arc`, whose reference the caller passes on.
    let owner = unsafe { Arc::from_raw(T::container(entry.cast())) };
    T::run(owner, this);
}
