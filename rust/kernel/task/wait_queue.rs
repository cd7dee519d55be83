// SPDX-License-Identifier: GPL-2.0

//! Wait queues.
//!
//! A [`WaitQueue`] is for tasks that wait for a condition without a lock, and for wakers that do
//! not know which task waits:
//!
//! - One known task waits: [`CurrentTask::wait_until`] and [`Task::wake_up`] suffice.
//! - A lock protects the condition: use [`WaitQueue::wait_event_lock`], or a `CondVar`, which
//!   does not check the condition itself.
//! - Each event happens once: use a `Completion`.
//!
//! Processes wait for a file by `poll()`, `select()` and `epoll_wait()`. The driver of the file
//! adds them to a queue by a [`FilePollTable`].
//!
//! Guide: [choosing a wait](srctree/Documentation/rust/task-mm/guide/choosing-a-wait.rst)
//!
//! C headers: [`include/linux/wait.h`](srctree/include/linux/wait.h),
//! [`include/linux/poll.h`](srctree/include/linux/poll.h)

use super::{
    in_task,
    may_sleep,
    poll_events,
    CurrentTask,
    Task,
    TaskState,
    WaitError,
    TASK_NORMAL, //
};
use crate::{
    bindings,
    prelude::*,
    sync::lock::{
        Backend,
        Guard, //
    },
    types::Opaque, //
};
use core::{
    ffi::c_void,
    marker::PhantomData, //
};

/// A queue of tasks that wait for something.
///
/// The waker makes the condition true, and then calls [`wake_up`](Self::wake_up). No wake-up is
/// lost: a task is on the queue, and its state is set, before it checks the condition for the last
/// time.
///
/// # Invariants
///
/// - `head` is initialized.
/// - Each entry is one of these:
///   - It is on the stack of the task that it wakes, its function is `default_wake_function()`, and
///     it is removed before the function of this type that has added it returns.
///   - [`FilePollTable::poll_wait`] has added it, and it is removed before the file is released.
///
/// # Examples
///
/// ```
/// use kernel::{
///     kthread::KThread,
///     sync::{atomic::{Acquire, Atomic, Release}, Arc},
///     task::{TaskState, WaitQueue, MAX_SCHEDULE_TIMEOUT},
/// };
///
/// #[pin_data]
/// struct Device {
///     ready: Atomic<bool>,
///     #[pin]
///     waiters: WaitQueue,
/// }
///
/// impl Device {
///     fn wait(&self) -> Result {
///         let ready = || self.ready.load(Acquire).then_some(());
///         Ok(self.waiters.wait_event(TaskState::Killable, MAX_SCHEDULE_TIMEOUT, ready)?)
///     }
///
///     fn interrupt(&self) {
///         // Make the condition true before the wake-up.
///         self.ready.store(true, Release);
///         self.waiters.wake_up();
///     }
/// }
///
/// let device = Arc::pin_init(
///     pin_init!(Device { ready: Atomic::new(false), waiters <- WaitQueue::new() }),
///     GFP_KERNEL,
/// )?;
/// let of_thread = device.clone();
/// let thread = KThread::spawn(format_args!("device"), move |this| {
///     of_thread.interrupt();
///     while !this.sleep(MAX_SCHEDULE_TIMEOUT) {}
///     0
/// })?;
/// device.wait()?;
/// # assert_eq!(thread.stop(), 0);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("wait_queue_head", "wait_queue_head_t"))]
#[pin_data]
pub struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: The queue belongs to no thread: the functions of C may be called from any.
unsafe impl Send for WaitQueue {}

// SAFETY: C accesses the list under `head.lock`, but for `wq_has_sleeper()`, which may be called
// without it.
unsafe impl Sync for WaitQueue {}

/// An entry of a queue, which is removed on drop.
///
/// # Invariants
///
/// `entry` is on the list of `queue`.
struct Entry<'a> {
    queue: &'a WaitQueue,
    entry: &'a Opaque<bindings::wait_queue_entry>,
}

impl Drop for Entry<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the queue is initialized and the entry is on its list.
        // `remove_wait_queue()` takes `head.lock`, and wakers use an entry only while they hold it.
        unsafe { bindings::remove_wait_queue(self.queue.head.get(), self.entry.get()) };
    }
}

impl WaitQueue {
    /// Creates an empty queue.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    #[doc(alias("init_waitqueue_head", "DECLARE_WAIT_QUEUE_HEAD"))]
    #[inline]
    pub fn new() -> impl PinInit<Self> {
        // INVARIANT: The queue is initialized, and has no entry.
        pin_init!(Self {
            // SAFETY: `head` is the memory of a queue that is not used yet, and stays where it is.
            head <- Opaque::ffi_init(|head| unsafe { bindings::init_waitqueue_head(head) }),
        })
    }

    /// Sleeps until `condition` returns `Some(value)`, and returns `value`. Gives up after
    /// `timeout`.
    ///
    /// `state`, `timeout` and `condition` are those of [`CurrentTask::wait_until`]: `condition`
    /// must not sleep, and the timeout is in jiffies. If `condition` is true at once, the task does
    /// not use the queue.
    ///
    /// In the closure of a [`KThread`](crate::kthread::KThread), use [`queued`](Self::queued) with
    /// [`CurrentKThread::wait_until`](crate::kthread::CurrentKThread::wait_until), which also ends
    /// when the owner stops the kthread.
    ///
    /// # Errors
    ///
    /// Those of [`CurrentTask::wait_until`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::{TaskState, WaitError, WaitQueue};
    ///
    /// let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    ///
    /// let never = || None::<()>;
    /// let waited = queue.wait_event(TaskState::Interruptible, 1, never);
    /// assert_eq!(waited, Err(WaitError::Timeout));
    /// # assert_eq!(queue.wait_event(TaskState::Idle, 0, || Some(3)), Ok(3));
    /// # assert_eq!(queue.wait_event(TaskState::Idle, 0, never), Err(WaitError::Timeout));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias(
        "wait_event_interruptible",
        "wait_event_killable",
        "wait_event_timeout",
        "wait_event_freezable",
        "prepare_to_wait",
        "finish_wait"
    ))]
    #[inline]
    pub fn wait_event<R>(
        &self,
        state: TaskState,
        timeout: c_long,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        self.wait_for(false, state, timeout, condition)
    }

    /// Like [`wait_event`](Self::wait_event), but [`wake_up`](Self::wake_up) wakes only one of the
    /// tasks that wait in this way, which is the one that has waited longest.
    ///
    /// All tasks that wait in this way must wait for the same condition, such as an entry in a
    /// list: a wake-up of a task whose condition is still false is lost to the others. A task that
    /// has waited wakes the next one when it leaves, as it may have been woken once more after its
    /// condition was true. So a task may find its condition false when it is woken.
    ///
    /// Do not use a freezable state: the freezer stops the task on the queue, and it keeps the
    /// wake-up until it runs again.
    ///
    /// # Errors
    ///
    /// Those of [`CurrentTask::wait_until`]. The condition is checked after each wake-up and before
    /// an error is returned, so an error does not consume the wake-up of another task.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     sync::atomic::{Acquire, Atomic, Relaxed, Release},
    ///     task::{TaskState, WaitError, WaitQueue},
    /// };
    ///
    /// /// Takes one of several buffers, and waits for at most `timeout` jiffies.
    /// fn take(free: &Atomic<u32>, queue: &WaitQueue, timeout: c_long) -> Result<(), WaitError> {
    ///     queue.wait_event_exclusive(TaskState::Killable, timeout, || {
    ///         let mut n = free.load(Relaxed);
    ///         while n > 0 {
    ///             match free.cmpxchg(n, n - 1, Acquire) {
    ///                 Ok(_) => return Some(()),
    ///                 // Another task has taken one. The condition is false only if none is left.
    ///                 Err(now) => n = now,
    ///             }
    ///         }
    ///         None
    ///     })
    /// }
    ///
    /// fn put(free: &Atomic<u32>, queue: &WaitQueue) {
    ///     // The next owner sees what this one has written to the buffer.
    ///     free.fetch_add(1, Release);
    ///     queue.wake_up();
    /// }
    ///
    /// let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    /// let free = Atomic::new(1);
    /// take(&free, &queue, 1)?;
    /// assert_eq!(take(&free, &queue, 1), Err(WaitError::Timeout));
    /// put(&free, &queue);
    /// take(&free, &queue, 1)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("wait_event_interruptible_exclusive", "prepare_to_wait_exclusive"))]
    #[inline]
    pub fn wait_event_exclusive<R>(
        &self,
        state: TaskState,
        timeout: c_long,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        self.wait_for(true, state, timeout, condition)
    }

    /// Checks the condition, and waits on the queue if it is false.
    #[inline]
    fn wait_for<R>(
        &self,
        exclusive: bool,
        state: TaskState,
        timeout: c_long,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        match condition() {
            Some(value) => Ok(value),
            None => self.wait(exclusive, state, timeout, condition),
        }
    }

    /// Waits on the queue, unless the wait ends at once with an error.
    // Out of line, so that the fast path of the caller is small.
    #[inline(never)]
    fn wait<R>(
        &self,
        exclusive: bool,
        state: TaskState,
        timeout: c_long,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        let mut remaining = timeout;
        if remaining <= 0 {
            return Err(WaitError::Timeout);
        }
        let result = self.with_entry(exclusive, || {
            CurrentTask::wait(state, &mut remaining, condition)
        });
        // A wake-up may have come after the condition was true, but before the task was on its way.
        // It counted for this task, so the task that it was for is woken here. A task that queues
        // itself later sees the condition. After most errors there is no such wake-up: the
        // condition has been checked since. After `AtomicContext` it has not, as it may hold a lock
        // that it takes.
        let passes_on = matches!(result, Ok(_) | Err(WaitError::AtomicContext));
        // MODEL: wait-exclusive/pass
        if exclusive && passes_on && self.has_sleeper() {
            self.wake(1, 0);
        }
        result
    }

    /// Like [`wait_event`](Self::wait_event), for a condition that a lock protects: `condition` is
    /// called with the lock of `guard` held, which is released for each sleep. C's functions with
    /// `_locked` are about the lock of the queue, which is not exposed.
    ///
    /// The lock is held when this returns, also with an error, and has been since `condition`
    /// returned `Some(value)`. So what the value says of the protected data is still true. The
    /// waker changes the data with the lock held, and calls [`wake_up`](Self::wake_up) then or
    /// later.
    ///
    /// The lock may be a mutex or a spinlock, also one that disables interrupts. On Linux 6.12, the
    /// kernel crate has none of the latter. `condition` must not sleep, as in
    /// [`CurrentTask::wait_until`].
    ///
    /// # Errors
    ///
    /// Those of [`CurrentTask::wait_until`]. [`WaitError::AtomicContext`] also if the caller holds
    /// another spinlock, or interrupts are disabled by something else than the lock.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     new_spinlock,
    ///     sync::{Arc, SpinLock},
    ///     task::{TaskState, WaitError, WaitQueue},
    /// };
    ///
    /// #[pin_data]
    /// struct Ring {
    ///     #[pin]
    ///     free: SpinLock<u32>,
    ///     #[pin]
    ///     waiters: WaitQueue,
    /// }
    ///
    /// impl Ring {
    ///     fn new(free: u32) -> impl PinInit<Self> {
    ///         pin_init!(Self { free <- new_spinlock!(free), waiters <- WaitQueue::new() })
    ///     }
    ///
    ///     /// Takes `slots` slots at once, and waits until there are as many.
    ///     fn reserve(&self, slots: u32, timeout: c_long) -> Result<(), WaitError> {
    ///         let mut free = self.free.lock();
    ///         self.waiters
    ///             .wait_event_lock(&mut free, TaskState::Killable, timeout, |free| {
    ///                 (**free >= slots).then_some(())
    ///             })?;
    ///         // The lock has been held since the check.
    ///         *free -= slots;
    ///         Ok(())
    ///     }
    ///
    ///     fn release(&self, slots: u32) {
    ///         *self.free.lock() += slots;
    ///         self.waiters.wake_up();
    ///     }
    /// }
    ///
    /// let ring = Arc::pin_init(Ring::new(4), GFP_KERNEL)?;
    /// ring.reserve(3, 1)?;
    /// assert_eq!(ring.reserve(2, 1), Err(WaitError::Timeout));
    /// ring.release(1);
    /// ring.reserve(2, 1)?;
    /// # assert_eq!(ring.reserve(1, 0), Err(WaitError::Timeout));
    /// # ring.reserve(0, -1)?;
    /// # // Two tasks that take turns.
    /// # use kernel::{kthread::KThread, task::{yield_now, MAX_SCHEDULE_TIMEOUT}};
    /// # let [there, back] = [(); 2].map(|()| Arc::pin_init(Ring::new(0), GFP_KERNEL));
    /// # let (there, back) = (there?, back?);
    /// # let (theirs, mine) = (there.clone(), back.clone());
    /// # let thread = KThread::spawn(format_args!("turns"), move |this| {
    /// #     let mut turns = 0;
    /// #     while !this.should_stop() && turns < 500 {
    /// #         if theirs.reserve(2, 100).is_ok() {
    /// #             mine.release(1);
    /// #             mine.release(1);
    /// #             turns += 1;
    /// #         }
    /// #     }
    /// #     while !this.sleep(MAX_SCHEDULE_TIMEOUT) {}
    /// #     turns
    /// # })?;
    /// # for turn in 0..500 {
    /// #     there.release(1);
    /// #     if turn % 2 == 0 {
    /// #         yield_now();
    /// #     }
    /// #     there.release(1);
    /// #     back.reserve(2, MAX_SCHEDULE_TIMEOUT)?;
    /// # }
    /// # assert_eq!(thread.stop(), 500);
    /// # // The caller holds another lock.
    /// # let other = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;
    /// # let result = || {
    /// #     let _other = other.lock();
    /// #     ring.reserve(9, MAX_SCHEDULE_TIMEOUT)
    /// # };
    /// # #[cfg(CONFIG_PREEMPT_COUNT)]
    /// # assert_eq!(result(), Err(WaitError::AtomicContext));
    /// # // A mutex.
    /// # let mutex = KBox::pin_init(kernel::new_mutex!(1), GFP_KERNEL)?;
    /// # let mut guard = mutex.lock();
    /// # let queue = &ring.waiters;
    /// # let waited = queue.wait_event_lock(&mut guard, TaskState::Idle, 1, |value| {
    /// #     **value += 1;
    /// #     (**value == 4).then_some(7)
    /// # });
    /// # assert_eq!((waited, *guard), (Ok(7), 4));
    /// # assert!(!queue.has_sleeper());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias(
        "wait_event_lock_irq",
        "wait_event_interruptible_lock_irq",
        "wait_event_interruptible_lock_irq_timeout"
    ))]
    #[inline]
    pub fn wait_event_lock<'a, T, B, R>(
        &self,
        guard: &mut Guard<'a, T, B>,
        state: TaskState,
        timeout: c_long,
        mut condition: impl FnMut(&mut Guard<'a, T, B>) -> Option<R>,
    ) -> Result<R, WaitError>
    where
        T: ?Sized,
        B: Backend,
    {
        match condition(guard) {
            Some(value) => Ok(value),
            None => self.wait_locked(guard, state, timeout, condition),
        }
    }

    /// The part of [`wait_event_lock`](Self::wait_event_lock) that follows the first check.
    // `CurrentTask::wait()` cannot be used: it calls the condition without the lock.
    #[inline(never)]
    fn wait_locked<'a, T, B, R>(
        &self,
        guard: &mut Guard<'a, T, B>,
        state: TaskState,
        mut timeout: c_long,
        mut condition: impl FnMut(&mut Guard<'a, T, B>) -> Option<R>,
    ) -> Result<R, WaitError>
    where
        T: ?Sized,
        B: Backend,
    {
        if timeout <= 0 {
            return Err(WaitError::Timeout);
        }
        // Whether the code may sleep is known when the lock has been released.
        if !in_task() {
            return Err(WaitError::AtomicContext);
        }
        let entry = Opaque::uninit();
        // SAFETY: This is process context. `_entry` is dropped at the end of this function.
        // MODEL: wait-locked/add
        let _entry = unsafe { self.add(&entry, false) };

        let bits = state.bits();
        while timeout > 0 {
            // SAFETY: `signal_pending_state()` reads the thread flags and the pending signals of
            // `current`, which is valid while this code runs.
            if unsafe { bindings::signal_pending_state(bits, Task::current_raw()) } != 0 {
                return Err(WaitError::Signal { remaining: timeout });
            }
            // SAFETY: This writes the state of `current`, which belongs to this code in process
            // context. `condition` is called after the store: see `CurrentTask::wait_until()`.
            // MODEL: wait-locked/state
            unsafe { bindings::set_current_state(bits) };
            let value = condition(guard);
            let may_sleep = value.is_some()
                || guard.do_unlocked(|| {
                    let may_sleep = may_sleep();
                    if may_sleep {
                        // SAFETY: This is process context with interrupts enabled, and no critical
                        // section is known. The timeout is not negative. The task does not sleep
                        // after a wake-up or with a signal pending: see `CurrentTask::wait()`.
                        timeout = unsafe { bindings::schedule_timeout(timeout) };
                    }
                    // The lock may be a mutex, for which the task must not wait in another state.
                    //
                    // SAFETY: This writes the state of `current`, as above.
                    unsafe { bindings::__set_current_state(bindings::TASK_RUNNING) };
                    may_sleep
                });
            if let Some(value) = value {
                // SAFETY: As above.
                unsafe { bindings::__set_current_state(bindings::TASK_RUNNING) };
                return Ok(value);
            }
            if let Some(value) = condition(guard) {
                return Ok(value);
            }
            if !may_sleep {
                return Err(WaitError::AtomicContext);
            }
        }
        Err(WaitError::Timeout)
    }

    /// Calls `f`, with the current task on the queue: each [`wake_up`](Self::wake_up) wakes it.
    ///
    /// For a wait in `f` by another function, such as
    /// [`CurrentKThread::wait_until`](crate::kthread::CurrentKThread::wait_until), and for a wait
    /// on several queues. Where `f` cannot wait, such as in an interrupt, it is called without the
    /// queue: the conditions are those of [`WaitError::AtomicContext`].
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     kthread::CurrentKThread,
    ///     task::{TaskState, WaitError, WaitQueue, MAX_SCHEDULE_TIMEOUT},
    /// };
    ///
    /// /// Waits until one of two rings has an entry, or until the kthread is stopped.
    /// fn next(
    ///     this: &CurrentKThread,
    ///     rings: [&WaitQueue; 2],
    ///     pop: impl Fn() -> Option<u32>,
    /// ) -> Result<u32, WaitError> {
    ///     let wait = || this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, &pop);
    ///     rings[0].queued(|| rings[1].queued(wait))
    /// }
    /// # let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    /// # assert!(!queue.has_sleeper());
    /// # assert!(queue.queued(|| queue.queued(|| queue.has_sleeper())));
    /// # assert!(!queue.has_sleeper());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("add_wait_queue", "remove_wait_queue"))]
    #[inline]
    pub fn queued<R>(&self, f: impl FnOnce() -> R) -> R {
        self.with_entry(false, f)
    }

    #[inline]
    fn with_entry<R>(&self, exclusive: bool, f: impl FnOnce() -> R) -> R {
        // In an interrupt, `current` is the interrupted task, which may be about to exit.
        if !may_sleep() {
            return f();
        }

        let entry = Opaque::uninit();
        // SAFETY: This is process context. `_entry` is dropped at the end of this function.
        let _entry = unsafe { self.add(&entry, exclusive) };
        f()
    }

    /// Adds the current task to the queue by `entry`, until the result is dropped.
    ///
    /// # Safety
    ///
    /// - This must be process context.
    /// - `entry` must not be on a list. The result must be dropped before the function that calls
    ///   this returns.
    #[inline]
    unsafe fn add<'a>(
        &'a self,
        entry: &'a Opaque<bindings::wait_queue_entry>,
        exclusive: bool,
    ) -> Entry<'a> {
        // SAFETY: The entry is not on a list. In process context, `current` is the task that
        // executes this, so it is valid until the entry is removed, in the same function.
        unsafe { bindings::init_waitqueue_entry(entry.get(), Task::current_raw()) };
        let add = match exclusive {
            false => bindings::add_wait_queue,
            true => bindings::add_wait_queue_exclusive,
        };
        // SAFETY: `head` is initialized by the type invariants. The entry is initialized, and is
        // borrowed by the result from here on, so it does not move, and is removed before the stack
        // frame ends. `self` is borrowed for as long.
        unsafe { add(self.head.get(), entry.get()) };
        // INVARIANT: The entry has just been added to the list of `self`.
        Entry { queue: self, entry }
    }

    /// Wakes all tasks on the queue, but only one of those in
    /// [`wait_event_exclusive`](Self::wait_event_exclusive).
    ///
    /// The condition for which they wait must be true before the call. Whatever the caller wrote
    /// before is visible to the condition.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// See [`WaitQueue`].
    #[doc(alias("wake_up_interruptible", "__wake_up"))]
    #[inline]
    pub fn wake_up(&self) {
        self.wake(1, 0);
    }

    /// Wakes up to `nr` of the tasks in [`wait_event_exclusive`](Self::wait_event_exclusive), those
    /// that have waited longest, and all others on the queue.
    ///
    /// For a waker that has made the condition true for `nr` tasks, such as that of a pool to which
    /// `nr` buffers have returned. With 0, no condition is true, and this does nothing. C's
    /// `wake_up_nr()` takes 0 for all tasks.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{sync::atomic::{Atomic, Release}, task::WaitQueue};
    ///
    /// fn put(free: &Atomic<u32>, buffers: u32, queue: &WaitQueue) {
    ///     free.fetch_add(buffers, Release);
    ///     queue.wake_up_nr(buffers);
    /// }
    /// # use kernel::{
    /// #     kthread::KThread,
    /// #     sync::{atomic::{Acquire, Full}, Arc},
    /// #     task::{TaskState, MAX_SCHEDULE_TIMEOUT},
    /// # };
    /// # let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    /// # put(&Atomic::new(0), 1, &queue);
    /// # // Four tasks whose condition stays false. After a wake-up, a task checks it twice.
    /// # static CHECKS: Atomic<u32> = Atomic::new(0);
    /// # let waiter = |i: u32| {
    /// #     let queue = queue.clone();
    /// #     KThread::spawn(format_args!("waiter/{i}"), move |this| {
    /// #         let stopped = || {
    /// #             CHECKS.fetch_add(1, Full);
    /// #             this.should_stop().then_some(())
    /// #         };
    /// #         let timeout = MAX_SCHEDULE_TIMEOUT;
    /// #         queue.wait_event_exclusive(TaskState::Idle, timeout, stopped).is_err().into()
    /// #     })
    /// # };
    /// # let waiters = [waiter(0)?, waiter(1)?, waiter(2)?, waiter(3)?];
    /// # let mut expected = 8;
    /// # for nr in [0, 1, 0, 2, 3, u32::MAX] {
    /// #     while CHECKS.load(Acquire) < expected {
    /// #         current!().sleep(TaskState::Idle, 1)?;
    /// #     }
    /// #     queue.wake_up_nr(nr);
    /// #     expected += 2 * nr.min(4);
    /// #     current!().sleep(TaskState::Idle, 3)?;
    /// #     assert!(CHECKS.load(Acquire) <= expected);
    /// # }
    /// # while CHECKS.load(Acquire) < expected {
    /// #     current!().sleep(TaskState::Idle, 1)?;
    /// # }
    /// # drop(waiters);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn wake_up_nr(&self, nr: u32) {
        if nr > 0 {
            self.wake(c_int::try_from(nr).unwrap_or(c_int::MAX), 0);
        }
    }

    /// Wakes tasks as [`wake_up`](Self::wake_up) does, but of those that poll a file only the ones
    /// that wait for one of `events`.
    ///
    /// `events` are of [`poll_events`]. Other bits are ignored. The caller passes each event that
    /// is there now, by all its names: a task that asked for another name is not woken, and aio and
    /// io_uring report the events to userspace without calling `poll()`. Without an event, this is
    /// `wake_up()`. [`wait_event`](Self::wait_event) and the like do not look at events.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     sync::atomic::{Atomic, Release},
    ///     task::{poll_events, WaitQueue},
    /// };
    ///
    /// fn received(ready: &Atomic<bool>, queue: &WaitQueue) {
    ///     ready.store(true, Release);
    ///     queue.wake_up_poll(poll_events::EPOLLIN | poll_events::EPOLLRDNORM);
    /// }
    /// # let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    /// # received(&Atomic::new(false), &queue);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("wake_up_interruptible_poll", "poll_to_key"))]
    #[inline]
    pub fn wake_up_poll(&self, events: u32) {
        self.wake(1, events);
    }

    /// Wakes all tasks on the queue, also those in
    /// [`wait_event_exclusive`](Self::wait_event_exclusive).
    ///
    /// For a condition that stays true, such as that of a device which is gone.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{sync::atomic::{Atomic, Release}, task::WaitQueue};
    ///
    /// fn disconnect(gone: &Atomic<bool>, queue: &WaitQueue) {
    ///     gone.store(true, Release);
    ///     queue.wake_up_all();
    /// }
    /// # let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    /// # disconnect(&Atomic::new(false), &queue);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "wake_up_interruptible_all")]
    #[inline]
    pub fn wake_up_all(&self) {
        self.wake(0, 0);
    }

    /// Wakes `exclusive` of the exclusive tasks, or all of them if it is 0, and all others. If
    /// there are `events`, a task that polls is only woken if it waits for one of them.
    #[inline]
    fn wake(&self, exclusive: c_int, events: u32) {
        // As `poll_to_key()`. The mask removes `POLLFREE`, with which the functions of `poll()`
        // remove their entries.
        let key = (events & poll_events::ALL) as usize as *mut c_void;

        // SAFETY: `head` is initialized by the type invariants. Each entry wakes a task that is
        // valid while the entry is on the list, which `head.lock` protects, or was added by
        // `poll_wait()`: C removes it under that lock before the file is released.
        // `default_wake_function()` does not use the key. The functions of `poll()`, such as
        // `pollwake()`, take it for events, or 0 for any event.
        unsafe { bindings::__wake_up(self.head.get(), TASK_NORMAL, exclusive, key) };
    }

    /// Returns whether a task is on the queue.
    ///
    /// For a waker that has something else to do only then. A full memory barrier comes first: if
    /// the condition was made true before, a task that is not seen here sees that it is true.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::WaitQueue;
    ///
    /// let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    /// assert!(!queue.has_sleeper());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("wq_has_sleeper", "waitqueue_active"))]
    #[inline]
    pub fn has_sleeper(&self) -> bool {
        // SAFETY: `head` is initialized by the type invariants. Without the lock,
        // `list_empty()` reads one pointer, and does not dereference it.
        unsafe { bindings::wq_has_sleeper(self.head.get()) }
    }
}

/// The queues on which a process waits for a file.
///
/// `poll()` of a driver adds each queue whose wake-up may change its result, and then looks at the
/// state of the device: see [`CharDevice::poll`](crate::cdev::CharDevice::poll).
///
/// `'a` ends when the file is released. So a queue must belong to the data of the file, or to what
/// that owns. A `sync::poll::PollTable` of later kernels takes a `PollCondVar` instead, which may
/// be dropped earlier, as its drop wakes epoll, though not `select()`.
///
/// # Invariants
///
/// - `file` is being polled, and `table` was passed to its `->poll()`. `table` may be null.
/// - A reference with the lifetime `'a` is valid until the file is released.
#[doc(alias("poll_table", "poll_table_struct"))]
pub struct FilePollTable<'a> {
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
    // `'a` must not be shortened.
    _data: PhantomData<*mut &'a ()>,
}

impl<'a> FilePollTable<'a> {
    /// Creates a table from the arguments of `->poll()`.
    ///
    /// # Safety
    ///
    /// - The caller must be `->poll()` of `file`, and `table` its argument. The table must be
    ///   dropped before that returns.
    /// - Each reference with the lifetime `'a` that safe code can get must be valid until the file
    ///   is released.
    pub(crate) unsafe fn from_raw(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> Self {
        // INVARIANT: Guaranteed by the caller.
        Self {
            file,
            table,
            _data: PhantomData,
        }
    }

    /// Adds the polling task to `queue`, unless it does not wait.
    ///
    /// The caller must look at what the wake-ups of the queue announce after this. A full memory
    /// barrier follows, for wakers that call [`WaitQueue::has_sleeper`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`CharDevice::poll`](crate::cdev::CharDevice::poll).
    #[inline]
    pub fn poll_wait(&mut self, queue: &'a WaitQueue) {
        // SAFETY: By the type invariants, `file` is being polled with `table`. The queue is valid
        // until the file is released: `poll()` and `select()` remove their entries before they drop
        // their references to the file, as do io_uring and others, and `__fput()` removes those of
        // epoll before it releases the file.
        unsafe { bindings::poll_wait(self.file, queue.head.get(), self.table) };
    }
}
