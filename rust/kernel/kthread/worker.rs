// SPDX-License-Identifier: GPL-2.0

//! Kthread workers.
//!
//! A [`KThreadWorker`] is a kthread that runs works one after the other, in the order in which they
//! were queued. Unlike a workqueue, it has a thread of its own, whose priority, CPU and so on the
//! driver can set.
//!
//! A [`KThreadWork`] is a field of a struct in an [`Arc`]. While the work is queued, the queue owns
//! a reference to the struct. It belongs to one worker from the start, so it cannot be queued on
//! two. A [`KThreadDelayedWork`] can also be queued after a delay.
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
    ffi::c_void,
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
        MAX_JIFFY_OFFSET,
        MAX_SCHEDULE_TIMEOUT, //
    },
    time::Jiffies,
    types::Opaque, //
};
use core::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    mem::offset_of,
    ptr::{
        addr_of,
        null_mut,
        NonNull, //
    },
};

/// A handle that owns a kthread which runs works.
///
/// Dropping it stops the kthread, and waits until it has left this worker. The kthread drops the
/// reference to the struct of each [delayed work](KThreadDelayedWork) whose timer has not expired,
/// and runs the works that are queued. Meanwhile [`CurrentKThread::should_stop`] returns `true`, so
/// that a long work can return early. A work that is queued during the drop is refused or run. The
/// caller must not hold a lock that a work, or the drop of such a struct, may take.
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
/// - A work in the list of delayed works is that of an `Entry<kthread_delayed_work>`, with such a
///   reference. Its timer is set, or the function of the timer waits for the lock of `worker`.
/// - Works are added to either list only in an RCU read-side critical section, after `state` has
///   been found to be [`BEGUN`] in it. Besides, timers move works to the list of `worker`, and
///   `kthread_flush_work()` adds one behind another work or the one that is running.
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
    /// Whether a [`KThreadDelayedWork`] was created. If not, the kthread need not wait for the
    /// functions of timers before it exits.
    has_timers: Atomic<bool>,
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
            has_timers: Atomic::new(false),
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

    /// Adds a work to one of the lists by `queue`.
    ///
    /// # Safety
    ///
    /// `queue` must be a call of `kthread_queue_work()` or `kthread_queue_delayed_work()`, with the
    /// worker. The work must be `marker`, or that of an `Entry` of this queue for which the caller
    /// owns a reference. If this returns [`Inserted::Yes`], the list has taken over that reference.
    unsafe fn insert(&self, queue: impl FnOnce(*mut bindings::kthread_worker) -> bool) -> Inserted {
        // MODEL: worker-end/section
        let _guard = rcu::read_lock();

        // MODEL: worker-begin/insert, worker-end/insert
        if self.state.load(Relaxed) != BEGUN {
            return Inserted::Ended;
        }
        // By the safety requirements, the work is initialized and valid until it is in the list,
        // and has never been in the list of another worker. The C function takes a raw spinlock,
        // with interrupts disabled. It does not use the work after it has released the lock, and
        // until then neither the kthread nor a timer can take it. The kthread has a reference to
        // the worker until it has waited for the end of this critical section.
        match queue(self.worker.get()) {
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

    /// Stops the timer of a delayed work, and removes the work from its list. The caller owns the
    /// reference to its struct. May be called only after `state` has become [`ENDED`] and a grace
    /// period has passed.
    fn next_delayed(&self) -> Option<NonNull<bindings::kthread_work>> {
        // SAFETY: The worker is initialized. By the type invariants, the works in the list of
        // delayed works are of type `kthread_delayed_work`, and valid while they are there: the
        // function removes them under the lock. It takes a raw spinlock, with interrupts disabled.
        NonNull::new(unsafe { bindings::kthread_worker_next_delayed(self.worker.get()) })
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
            // SAFETY: By the type invariants, this is the work of an `Entry`. It has been taken
            // from the list, with its reference, which this passes on.
            None => unsafe { Entry::run_or_drop(work, Some(this)) },
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
        // MODEL: worker-begin/set-task
        unsafe { bindings::kthread_worker_set_task(queue.worker.get(), Task::current_raw()) };
        // MODEL: worker-begin/begun
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

        // MODEL: worker-end/end
        queue.state.store(ENDED, Relaxed);
        // `insert()` either sees this, or its critical section ends before this returns. In the
        // latter case, the work is found below.
        //
        // SAFETY: This code may sleep: `end_sections()` has been called otherwise.
        // MODEL: worker-end/wait
        unsafe { bindings::synchronize_rcu() };
        // A destructor below may cancel the work that was the last to run, or wait for a lock that
        // is held by a task which does.
        queue.idle();
        // A timer that expires meanwhile moves its work to the other list.
        while let Some(work) = queue.next_delayed() {
            // SAFETY: This is the work of an `Entry`. It has been taken from the list, with its
            // reference, which this passes on.
            unsafe { Entry::run_or_drop(work.as_ptr(), None) };
            between_works();
        }
        // MODEL: worker-end/timers
        if queue.has_timers.load(Relaxed) {
            // The function of a timer runs with softirqs disabled. It may not have returned from
            // the release of the lock.
            //
            // SAFETY: As above: `between_works()` has been called.
            unsafe { bindings::synchronize_rcu() };
        }
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

        // MODEL: worker-begin/wait
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
                // SAFETY: `marker` is initialized, and `self` has a reference to the queue.
                let queue = |worker| unsafe { bindings::kthread_queue_work(worker, marker) };
                // SAFETY: This is the marker.
                let inserted = unsafe { self.queue.insert(queue) };
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

/// The part of a work that does not depend on the type of its struct. `W` is `kthread_work` or
/// `kthread_delayed_work`, which begins with a `kthread_work`.
///
/// # Invariants
///
/// - `work` is initialized. The `func` of its `kthread_work` is null.
/// - `work` is in no list but those of `queue`. While it is there, the list owns a reference to the
///   `Arc` that contains the entry.
#[pin_data]
#[repr(C)]
struct Entry<W> {
    /// Runs the work, or drops its reference if there is no kthread, see [`run`].
    run: unsafe fn(*mut c_void, Option<&CurrentKThread>),
    queue: Arc<Queue>,
    #[pin]
    work: Opaque<W>,
}

type WorkEntry = Entry<bindings::kthread_work>;
type DelayedWorkEntry = Entry<bindings::kthread_delayed_work>;

static_assert!(offset_of!(WorkEntry, work) == offset_of!(DelayedWorkEntry, work));
static_assert!(offset_of!(bindings::kthread_delayed_work, work) == 0);

impl<W> Entry<W> {
    /// Returns an initializer of an entry of `worker`.
    ///
    /// # Safety
    ///
    /// `init` must initialize the work, with a `func` that is null. `run` must be called with a
    /// pointer to this entry.
    unsafe fn new<'a>(
        worker: &'a KThreadWorker,
        run: unsafe fn(*mut c_void, Option<&CurrentKThread>),
        init: impl FnOnce(*mut W) + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        W: 'a,
    {
        let check = move || match module_going::module_of(run as usize) == worker.queue.module {
            true => Ok(worker.queue.clone()),
            false => Err(EINVAL),
        };
        // INVARIANT: The work is in no list.
        try_pin_init!(Self {
            run,
            queue: check()?,
            work <- Opaque::ffi_init(init),
        }? Error)
    }

    /// Queues the work of `owner` by `queue`. Returns the reference if it has not been queued.
    ///
    /// # Safety
    ///
    /// `entry` must return the entry of the work that a `T` contains. `queue` must be as
    /// [`Queue::insert`] requires it, for the work that it gets.
    unsafe fn queue<T>(
        owner: Arc<T>,
        entry: impl FnOnce(*mut T) -> *const Self,
        queue: impl FnOnce(*mut bindings::kthread_worker, *mut W) -> bool,
    ) -> Result<(), Arc<T>> {
        let owner = Arc::into_raw(owner);
        let this = entry(owner.cast_mut());
        // SAFETY: `this` is valid until the work is queued, as this function owns a reference to
        // `owner`. The queue is valid until the end of the critical section in `insert()`: the
        // kthread has a reference to it. By the safety requirements, `queue` is as required.
        let inserted = unsafe {
            let work = (*this).work.get();
            (*this).queue.insert(|worker| queue(worker, work))
        };
        match inserted {
            Inserted::Yes => Ok(()),
            // SAFETY: The list has not taken the reference, which comes from `into_raw()`.
            Inserted::Pending | Inserted::Ended => Err(unsafe { Arc::from_raw(owner) }),
        }
    }

    /// Cancels the work by `cancel`, and drops the reference of the list if the work was in one.
    /// Returns whether it was.
    ///
    /// # Safety
    ///
    /// `work` must be the work of this entry. `cancel` must return whether it has removed the work
    /// from a list.
    unsafe fn cancel_sync<T: HasKThreadWork<ID>, const ID: u64>(
        &self,
        work: &T::Work,
        cancel: impl FnOnce(*mut bindings::kthread_worker, *mut W) -> bool,
    ) -> Result<bool> {
        let removed = self.cancel(cancel)?;
        if removed {
            let work = core::ptr::from_ref(work).cast_mut();
            // SAFETY: The work was in a list, so it is a field of a `T` in an `Arc`. The list had a
            // reference to that, and has it no more.
            drop(unsafe { Arc::from_raw(T::container(work)) });
        }
        Ok(removed)
    }

    fn cancel(
        &self,
        cancel: impl FnOnce(*mut bindings::kthread_worker, *mut W) -> bool,
    ) -> Result<bool> {
        let worker = self.queue.worker.get();
        if may_sleep() && self.queue.shared()?.is_current() {
            // SAFETY: The worker is initialized. Only its kthread writes `current_work`, and this
            // is its kthread. If the work that is running has freed its struct, this may be another
            // one at the same address, which is not cancelled: C would wait permanently.
            if unsafe { (*worker).current_work } == self.work.get().cast() {
                return Err(EBUSY);
            }
            // No other work is running, so this does not wait.
            return Ok(cancel(worker, self.work.get()));
        }
        self.queue.wait(|| cancel(worker, self.work.get()))
    }
}

impl WorkEntry {
    /// Runs a work of either type, or drops its reference if `this` is `None`.
    ///
    /// # Safety
    ///
    /// `work` must be that of a `WorkEntry` or a `DelayedWorkEntry`. The caller passes on a
    /// reference to the `Arc` that contains the entry.
    unsafe fn run_or_drop(work: *mut bindings::kthread_work, this: Option<&CurrentKThread>) {
        // SAFETY: `work` is in an entry of one of the two types, both of which have it at this
        // offset: see the assertions above.
        let entry = unsafe { work.byte_sub(offset_of!(WorkEntry, work)) }.cast::<Self>();
        // SAFETY: The entry is valid, as the caller has a reference. Both types begin with `run`,
        // which gets a pointer to its entry.
        unsafe { ((*entry).run)(entry.cast(), this) }
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
/// The `run` of `entry` is that of `T` and `ID`. If the work is in a list, this is a field of a `T`
/// in an `Arc`.
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
    entry: WorkEntry,
    // `run` is that of this `T` and of no other, also if that is a subtype or a supertype.
    _owner: PhantomData<fn(T) -> T>,
}

// SAFETY: C accesses `entry` under the lock of the worker, and any task may queue it. The worker
// drops and runs an `Arc<T>`, so `T` must be `Send` and `Sync`, which `KThreadWorkItem` requires.
unsafe impl<T, const ID: u64> Send for KThreadWork<T, ID> {}
// SAFETY: As above.
unsafe impl<T, const ID: u64> Sync for KThreadWork<T, ID> {}

/// The function of a [`KThreadWork`] or a [`KThreadDelayedWork`].
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

/// A type with a [`KThreadWork`] or a [`KThreadDelayedWork`] as a field.
///
/// [`impl_has_kthread_work!`](crate::impl_has_kthread_work) and
/// [`impl_has_kthread_delayed_work!`](crate::impl_has_kthread_delayed_work) implement it.
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
    /// The type of the field.
    type Work;

    /// Returns the work of a struct.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    unsafe fn raw_work(this: *mut Self) -> *mut Self::Work;

    /// Returns the struct that contains a work.
    ///
    /// # Safety
    ///
    /// `work` must be the field of a `Self` that is valid.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    unsafe fn container(work: *mut Self::Work) -> *mut Self;
}

/// Implements [`HasKThreadWork`](crate::kthread::HasKThreadWork) for a field of a struct.
///
/// # Examples
///
/// See [`KThreadWork`](crate::kthread::KThreadWork).
#[macro_export]
macro_rules! impl_has_kthread_work {
    (@$type:ident, $(impl HasKThreadWork<$id:tt> for $owner:ty { self.$field:ident })*) => {$(
        // SAFETY: Both functions use the offset of the same field. `offset_of!` requires that it is
        // a field of the type itself, and the result of `raw_work()` that it is the work.
        unsafe impl $crate::kthread::HasKThreadWork<$id> for $owner {
            type Work = $crate::kthread::$type<Self, $id>;

            #[inline]
            unsafe fn raw_work(this: *mut Self) -> *mut Self::Work {
                // SAFETY: The caller guarantees that the struct is valid.
                unsafe { ::core::ptr::addr_of_mut!((*this).$field) }
            }

            #[inline]
            unsafe fn container(work: *mut Self::Work) -> *mut Self {
                // SAFETY: The caller guarantees that this is the field of a valid struct.
                unsafe { work.byte_sub(::core::mem::offset_of!(Self, $field)).cast() }
            }
        }
    )*};
    ($(impl $($work:tt)*)?) => {
        $crate::impl_has_kthread_work!(@KThreadWork, $(impl $($work)*)?);
    };
}

/// Implements [`HasKThreadWork`](crate::kthread::HasKThreadWork) for a field of a struct that is a
/// [`KThreadDelayedWork`](crate::kthread::KThreadDelayedWork).
///
/// # Examples
///
/// See [`KThreadDelayedWork`](crate::kthread::KThreadDelayedWork).
#[macro_export]
macro_rules! impl_has_kthread_delayed_work {
    ($($work:tt)*) => {
        $crate::impl_has_kthread_work!(@KThreadDelayedWork, $($work)*);
    };
}

impl<T, const ID: u64> KThreadWork<T, ID>
where
    T: HasKThreadWork<ID, Work = Self>,
{
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
        // INVARIANT: `run()` is that of `T` and `ID`. The work is in no list, and `queue()` adds it
        // as a field of a `T` in an `Arc`.
        try_pin_init!(Self {
            // SAFETY: The memory of the work is pinned, and belongs to one that is not used yet.
            // `entry` is the first field of `Self`, which is `repr(C)`.
            entry <- unsafe {
                WorkEntry::new(worker, run::<T, ID>, |work| bindings::kthread_init_work(work, None))
            },
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
        // SAFETY: `Entry::queue()` calls this with a pointer that is valid. So is its field.
        let entry = |owner| unsafe { addr_of!((*T::raw_work(owner)).entry) };
        // SAFETY: See `Queue::insert()`, which calls this with its worker.
        let queue = |worker, work| unsafe { bindings::kthread_queue_work(worker, work) };
        // SAFETY: `entry` returns the entry of a `Self`, which a `T` contains.
        unsafe { Entry::queue(owner, entry, queue) }
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
        self.entry
            .queue
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
        // SAFETY: By the type invariants, the work is initialized, and in no list but that of its
        // queue, which is valid while `self` is. This task may sleep. If the function waits for
        // the work, this is not the kthread, which is running the work and then runs that of
        // `kthread_flush_work()`.
        let cancel = |_, work| unsafe { bindings::kthread_cancel_work_sync(work) };
        // SAFETY: `entry` is that of `self`. The function returns whether it has removed the work.
        unsafe { self.entry.cancel_sync::<T, ID>(self, cancel) }
    }
}

/// A delayed work: a [`KThreadWork`] with a timer that queues it.
///
/// [`KThreadWorker::flush`] does not wait for the timer. A worker that stops cancels its delayed
/// works, and drops their references. The macro
/// [`impl_has_kthread_delayed_work!`](crate::impl_has_kthread_delayed_work) names the field. Unlike
/// in [`workqueue`](crate::workqueue), there is no trait for structs with a delayed work:
/// [`HasKThreadWork::Work`] says of which kind the field is.
///
/// # Invariants
///
/// As for [`KThreadWork`].
///
/// # Examples
///
/// A device that is polled every 10 milliseconds:
///
/// ```
/// use kernel::{
///     impl_has_kthread_delayed_work,
///     kthread::{CurrentKThread, KThreadDelayedWork, KThreadWorkItem, KThreadWorker},
///     sync::{atomic::{Atomic, Relaxed}, Arc},
///     time::msecs_to_jiffies,
/// };
/// # use kernel::ffi::c_ulong;
///
/// #[pin_data]
/// struct Sensor {
///     reads: Atomic<u32>,
///     #[pin]
///     poll: KThreadDelayedWork<Sensor>,
/// }
///
/// impl_has_kthread_delayed_work! {
///     impl HasKThreadWork<0> for Sensor { self.poll }
/// }
///
/// impl Sensor {
///     fn new(worker: &KThreadWorker) -> impl PinInit<Self, Error> + '_ {
///         try_pin_init!(Self {
///             reads: Atomic::new(0),
///             poll <- KThreadDelayedWork::new(worker),
///         })
///     }
/// }
///
/// impl KThreadWorkItem for Sensor {
///     fn run(this: Arc<Self>, _worker: &CurrentKThread) {
///         this.reads.fetch_add(1, Relaxed);
///         // Refused when the worker ends, or while it is being cancelled.
///         let _ = KThreadDelayedWork::queue(this, msecs_to_jiffies(10));
///     }
/// }
///
/// let worker = KThreadWorker::spawn(format_args!("sensor"), |_| ())?;
/// let sensor = Arc::pin_init(Sensor::new(&worker), GFP_KERNEL)?;
/// // The first poll is at once.
/// assert!(KThreadDelayedWork::queue(sensor.clone(), 0).is_ok());
/// # worker.flush()?;
/// # assert!(sensor.reads.load(Relaxed) >= 1);
///
/// // No poll is running or queued after this.
/// sensor.poll.cancel_sync()?;
/// # assert_eq!(sensor.poll.cancel_sync(), Ok(false));
/// # for delay in [1, msecs_to_jiffies(60_000), c_ulong::MAX] {
/// #     assert!(KThreadDelayedWork::queue(sensor.clone(), delay).is_ok());
/// #     assert!(KThreadDelayedWork::queue(sensor.clone(), 0).is_err() || delay == 1);
/// #     // One that has a delay of a tick may have run.
/// #     assert!(sensor.poll.cancel_sync()? || delay == 1);
/// # }
/// # assert!(KThreadDelayedWork::queue(sensor.clone(), msecs_to_jiffies(60_000)).is_ok());
/// # // This does not wait for a minute.
/// # drop(worker);
/// # assert!(KThreadDelayedWork::queue(sensor.clone(), 1).is_err());
/// # assert_eq!(sensor.poll.cancel_sync(), Ok(false));
/// # assert!(Arc::into_unique_or_drop(sensor).is_some());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "kthread_delayed_work")]
#[pin_data]
#[repr(C)]
pub struct KThreadDelayedWork<T, const ID: u64 = 0> {
    #[pin]
    entry: DelayedWorkEntry,
    // `run` is that of this `T` and of no other, also if that is a subtype or a supertype.
    _owner: PhantomData<fn(T) -> T>,
}

// SAFETY: As for `KThreadWork`. The timer runs code of the kernel only.
unsafe impl<T, const ID: u64> Send for KThreadDelayedWork<T, ID> {}
// SAFETY: As above.
unsafe impl<T, const ID: u64> Sync for KThreadDelayedWork<T, ID> {}

impl<T, const ID: u64> KThreadDelayedWork<T, ID>
where
    T: HasKThreadWork<ID, Work = Self>,
{
    /// Returns an initializer of a work of `worker`.
    ///
    /// # Errors
    ///
    /// Those of [`KThreadWork::new`].
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// See [`KThreadDelayedWork`].
    #[doc(alias = "kthread_init_delayed_work")]
    pub fn new(worker: &KThreadWorker) -> impl PinInit<Self, Error> + '_ {
        // MODEL: worker-end/has-timer
        worker.queue.has_timers.store(true, Relaxed);
        // INVARIANT: As in `KThreadWork::new()`.
        try_pin_init!(Self {
            // SAFETY: As in `KThreadWork::new()`.
            entry <- unsafe {
                DelayedWorkEntry::new(worker, run::<T, ID>, |work| {
                    bindings::kthread_init_delayed_work(work, None)
                })
            },
            _owner: PhantomData,
        }? Error)
    }

    /// Queues the work of `owner` when `delay`, in jiffies, has passed. The worker runs it once,
    /// with this reference.
    ///
    /// With a delay of 0, it is queued at once. The kernel's timers cannot express delays of more
    /// than some days, 12 with a `CONFIG_HZ` of 1000. Such a delay ends after that time.
    ///
    /// # Errors
    ///
    /// Those of [`KThreadWork::queue`]. A work whose delay has not passed is queued already.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// See [`KThreadDelayedWork`].
    #[doc(alias = "kthread_queue_delayed_work")]
    pub fn queue(owner: Arc<T>, delay: Jiffies) -> Result<(), Arc<T>> {
        let delay = delay.min(MAX_JIFFY_OFFSET);
        // SAFETY: `Entry::queue()` calls this with a pointer that is valid. So is its field.
        let entry = |owner| unsafe { addr_of!((*T::raw_work(owner)).entry) };
        // SAFETY: See `Queue::insert()`, which calls this with its worker. The work is in no list
        // if the function sets the timer, so the timer is not set, see `cancel_sync()`.
        let queue =
            |worker, work| unsafe { bindings::kthread_queue_delayed_work(worker, work, delay) };
        // SAFETY: `entry` returns the entry of a `Self`, which a `T` contains.
        unsafe { Entry::queue(owner, entry, queue) }
    }

    /// Queues the work of `owner` when `delay`, in jiffies, has passed, also if it is queued
    /// already: then it is removed from the queue first. Returns whether it was.
    ///
    /// A work that is running is not waited for, and is queued again. If another task queues the
    /// work at the same time, the delay of one of the two is used.
    ///
    /// # Errors
    ///
    /// As for [`queue`](Self::queue), which return the reference. The work is queued already only
    /// if another task has queued it meanwhile. If the worker has ended, the work is not queued any
    /// more.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::{
    /// #     impl_has_kthread_delayed_work,
    /// #     kthread::{CurrentKThread, KThreadWorkItem, KThreadWorker},
    /// #     sync::atomic::{Atomic, Full},
    /// # };
    /// use kernel::{kthread::KThreadDelayedWork, sync::Arc, time::msecs_to_jiffies};
    /// # #[pin_data]
    /// # struct Clock {
    /// #     ticks: Atomic<u32>,
    /// #     #[pin]
    /// #     tick: KThreadDelayedWork<Clock>,
    /// # }
    /// # impl_has_kthread_delayed_work! {
    /// #     impl HasKThreadWork<0> for Clock { self.tick }
    /// # }
    /// # impl KThreadWorkItem for Clock {
    /// #     fn run(this: Arc<Self>, _worker: &CurrentKThread) {
    /// #         this.ticks.fetch_add(1, Full);
    /// #     }
    /// # }
    ///
    /// /// Has the next tick in `ms` milliseconds, whenever it would have been.
    /// fn schedule(clock: &Arc<Clock>, ms: u32) -> bool {
    ///     KThreadDelayedWork::mod_delay(clock.clone(), msecs_to_jiffies(ms)).unwrap_or(false)
    /// }
    /// # let worker = KThreadWorker::spawn(format_args!("clock"), |_| ())?;
    /// # let handle = &worker;
    /// # let clock = Arc::pin_init(try_pin_init!(Clock {
    /// #     ticks: Atomic::new(0),
    /// #     tick <- KThreadDelayedWork::new(handle),
    /// # }), GFP_KERNEL)?;
    /// # assert!(!schedule(&clock, 60_000));
    /// # assert!(schedule(&clock, 50_000));
    /// # // It was queued once, with one reference, and this one runs at once.
    /// # assert!(schedule(&clock, 0));
    /// # worker.flush()?;
    /// # assert_eq!(clock.ticks.xchg(0, Full), 1);
    /// # assert!(!schedule(&clock, 60_000));
    /// # assert_eq!(clock.tick.cancel_sync(), Ok(true));
    /// # // While its timer expires and while it is running.
    /// # let mut queued = 0;
    /// # for round in 0..2000 {
    /// #     queued += u32::from(!schedule(&clock, round % 3));
    /// #     kernel::task::schedule();
    /// # }
    /// # queued -= u32::from(clock.tick.cancel_sync()?);
    /// # worker.flush()?;
    /// # assert_eq!(clock.ticks.xchg(0, Full), queued);
    /// # assert!(!schedule(&clock, 60_000));
    /// # drop(worker);
    /// # assert!(KThreadDelayedWork::mod_delay(clock.clone(), 1).is_err());
    /// # assert!(Arc::into_unique_or_drop(clock).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_mod_delayed_work")]
    pub fn mod_delay(owner: Arc<T>, delay: Jiffies) -> Result<bool, Arc<T>> {
        let owner = Arc::into_raw(owner);
        // SAFETY: `owner` is valid, as this function has its reference, and so is its field. By the
        // type invariants, the work is initialized, and in no list but those of `worker`, which is
        // valid while the work is. The helper takes the lock of `worker` with interrupts disabled.
        // It does not wait for an interrupt of this CPU: the function of the timer has interrupts
        // disabled. On PREEMPT_RT, the timer runs in a hard interrupt handler or a thread on
        // another CPU.
        let removed = unsafe {
            let entry = &*addr_of!((*T::raw_work(owner.cast_mut())).entry);
            let worker = entry.queue.worker.get();
            bindings::kthread_worker_remove_delayed(worker, entry.work.get())
        };
        if removed {
            // SAFETY: The work was in a list, which had a reference to the `Arc` that contains it,
            // and has it no more. It is not the last one.
            drop(unsafe { Arc::from_raw(owner) });
        }
        // SAFETY: This is the reference of the caller, which comes from `into_raw()`.
        let owner = unsafe { Arc::from_raw(owner) };
        Self::queue(owner, delay).map(|()| removed)
    }

    /// Stops the timer or removes the work from the queue, and waits until it is not running.
    /// Returns whether it was queued, or its delay had not passed.
    ///
    /// While this waits for the work to end, it cannot be queued. If it is queued before that,
    /// while its timer expires, that is cancelled, too. The wait is that of
    /// [`KThreadWorker::flush`]. A work may cancel others of its worker.
    ///
    /// # Errors
    ///
    /// Those of [`KThreadWork::cancel_sync`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`KThreadDelayedWork`].
    #[doc(alias = "kthread_cancel_delayed_work_sync")]
    pub fn cancel_sync(&self) -> Result<bool> {
        // SAFETY: As in `KThreadWork::cancel_sync()`. `worker` is that of the work. The function
        // removes the work from its list when the timer is not set and its function is not running,
        // so both end together.
        let cancel =
            |worker, work| unsafe { bindings::kthread_worker_cancel_delayed(worker, work) };
        // SAFETY: `entry` is that of `self`. The function returns whether it has removed the work.
        unsafe { self.entry.cancel_sync::<T, ID>(self, cancel) }
    }
}

/// Runs a work, or drops its reference if `this` is `None`, as the worker has stopped.
///
/// This is generic, so it is code of the module of `T`: see the check in [`Entry::new`].
///
/// # Safety
///
/// `entry` must be that of the work of a `T`. The caller passes on a reference to the `Arc` that
/// contains it.
unsafe fn run<T: HasKThreadWork<ID>, const ID: u64>(
    entry: *mut c_void,
    this: Option<&CurrentKThread>,
) {
    // SAFETY: `entry` is the first field of the work, whose type is `repr(C)`. It is in an `Arc`,
    // whose reference the caller passes on.
    let owner = unsafe { Arc::from_raw(T::container(entry.cast())) };
    if let Some(this) = this {
        T::run(owner, this);
    }
}
