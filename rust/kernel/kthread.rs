// SPDX-License-Identifier: GPL-2.0

//! Threads of the kernel.
//!
//! A [`KThread`] runs a closure. Its owner stops it, at the latest by dropping it, and that waits
//! for the closure's end: so the thread is gone before the module is that its code is in. (Who
//! leaks a `KThread` has to keep the module.)
//!
//! The closure asks [`CurrentKThread`] from time to time whether it should stop. It is dropped exactly
//! once, also if the thread was stopped before it ran.
//!
//! A thread can also be parked ([`KThread::park`]): it stays where it sleeps until it may go on.
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
    prelude::*,
    str::CString,
    sync::aref::ARef,
    task::{
        TaskState,
        Task,
        MAX_SCHEDULE_TIMEOUT, //
    },
    types::NotThreadSafe,
};
use core::{
    cell::UnsafeCell,
    fmt,
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        AtomicU32,
        Ordering, //
    },
};

/// A thread of the kernel that somebody owns.
///
/// Dropping it stops the thread and waits for its end, so it sleeps. A thread that drops its own
/// handle waits for itself, that is for ever: else it might go on in a module that has gone.
///
/// # Invariants
///
/// `task` was made by `kthread_create_on_node()`. `context`, if there is one, is the `Context<F>` that
/// it was given, of the `F` that `free` is for, and ours to free once the thread has ended. Both
/// sides only share its `Shared`.
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
///     // What `stop()` returns.
///     i32::from(rounds >= 0) * 7
/// })?;
/// assert!(thread.task().is_kthread());
/// let result = thread.stop();
/// // It may not have begun at all.
/// assert!(result == 7 || result == EINTR.to_errno());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "kthread_run")]
pub struct KThread {
    task: ARef<Task>,
    context: Option<NonNull<Shared>>,
    free: unsafe fn(NonNull<Shared>),
}

// SAFETY: Any thread may stop a thread. The closure is `Send`, and so may be dropped anywhere.
unsafe impl Send for KThread {}

// SAFETY: With a reference, one gets at `task`, which is `Sync`.
unsafe impl Sync for KThread {}

/// How C's `vsnprintf()` is told to print a string.
const FORMAT: &[u8] = b"%s\0";

/// What owner and thread tell each other.
struct Shared {
    /// Whether the owner wants the closure to be run.
    begin: AtomicBool,
    /// Where it is to be run, or [`ANY_CPU`].
    cpu: AtomicU32,
    /// One of the four below.
    parking: AtomicU32,
}

/// No number of a CPU.
const ANY_CPU: u32 = u32::MAX;

/// Neither of the others.
const RUNNING: u32 = 0;
/// The owner waits for the thread to be parked, so it must not end.
const PARKING: u32 = 1;
/// The thread is parked.
const PARKED: u32 = 2;
/// The thread ends, so the owner must not wait for it to be parked.
const ENDING: u32 = 3;

impl Shared {
    /// Goes over from one state of `parking` to another. Otherwise returns which it is.
    fn transition(&self, from: u32, to: u32) -> Result<(), u32> {
        let (good, bad) = (Ordering::AcqRel, Ordering::Acquire);
        self.parking.compare_exchange(from, to, good, bad).map(drop)
    }
}

/// What a thread begins with.
#[repr(C)]
struct Context<F> {
    shared: Shared,
    closure: UnsafeCell<Option<F>>,
}

impl KThread {
    /// Starts a thread with a name that runs `closure`.
    ///
    /// The name is cut off after 15 bytes where [`Task::comm`] tells it. Sleeps.
    ///
    /// Errors: `ENOMEM`, `EINVAL` if there is a NUL in the name, or `EINTR` if the current task is
    /// killed meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::sync::atomic::{AtomicU32, Ordering};
    /// use kernel::{kthread::KThread, sync::Arc};
    ///
    /// let count = Arc::new(AtomicU32::new(0), GFP_KERNEL)?;
    /// let theirs = count.clone();
    /// let thread = KThread::spawn(format_args!("count"), move |this| {
    ///     while !this.sleep(1) {
    ///         theirs.fetch_add(1, Ordering::Relaxed);
    ///     }
    ///     0
    /// })?;
    /// drop(thread);
    /// // It has ended, and its closure has gone.
    /// assert!(Arc::into_unique_or_drop(count).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn spawn<F>(name: fmt::Arguments<'_>, closure: F) -> Result<Self>
    where
        F: FnOnce(&CurrentKThread) -> c_int + Send + 'static,
    {
        Ok(NewKThread(Self::new(name, closure)?).start())
    }

    /// Makes a thread that waits to be started. Otherwise as [`spawn`](Self::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::KThread;
    ///
    /// // All or nothing: if the second cannot be had, the first ends without having run.
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
        let thread = Self::new(name, closure)?;
        // It waits in `run()`, where nobody minds how long that takes.
        thread.task.wake_up();
        Ok(NewKThread(thread))
    }

    // Both callers ask for a closure that may be sent and borrows nothing.
    fn new<F>(name: fmt::Arguments<'_>, closure: F) -> Result<Self>
    where
        F: FnOnce(&CurrentKThread) -> c_int,
    {
        // C prints a name twice, and warns if it is not the same both times.
        let name = CString::try_from_fmt(name)?;
        let context = KBox::new(
            Context {
                shared: Shared {
                    begin: AtomicBool::new(false),
                    cpu: AtomicU32::new(ANY_CPU),
                    parking: AtomicU32::new(RUNNING),
                },
                closure: UnsafeCell::new(Some(closure)),
            },
            GFP_KERNEL,
        )?;
        let context = KBox::into_raw(context);

        // SAFETY: `run::<F>()` is made for `context`, which stays until the thread is gone. The
        // format takes a string, which stays until the function has returned.
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(run::<F>),
                context.cast(),
                bindings::NUMA_NO_NODE,
                FORMAT.as_ptr().cast(),
                name.as_char_ptr(),
            )
        };
        let task = match from_err_ptr(task) {
            Ok(task) => task,
            Err(err) => {
                // SAFETY: There is no thread, or one that has been told not to run.
                drop(unsafe { KBox::from_raw(context) });
                return Err(err);
            }
        };

        // SAFETY: The thread is there, as it waits for `begin` or `kthread_stop()`, be it woken
        // early or not. CAST: `Task` is transparent around `task_struct`.
        let task = ARef::from(unsafe { &*task.cast::<Task>() });

        // INVARIANT: As above. CAST: `Context<F>` begins with its `Shared`.
        Ok(Self {
            task,
            context: NonNull::new(context.cast()),
            free: free::<F>,
        })
    }

    /// Returns the thread's task.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::KThread;
    ///
    /// /// There is something to do.
    /// fn kick(thread: &KThread) {
    ///     thread.task().wake_up();
    /// }
    /// ```
    #[inline]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Has the thread wait where it sleeps next ([`CurrentKThread::sleep`], [`CurrentKThread::parkme`]),
    /// until what this returns is dropped.
    ///
    /// Sleeps until the thread has come there, which no signal ends.
    ///
    /// Errors: `ESRCH` if the closure has returned, `EBUSY` in the thread itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::sync::atomic::{AtomicU32, Ordering};
    /// use kernel::kthread::KThread;
    ///
    /// static ROUNDS: AtomicU32 = AtomicU32::new(0);
    ///
    /// let mut thread = KThread::spawn(format_args!("rounds"), |this| {
    ///     while !this.sleep(1) {
    ///         ROUNDS.fetch_add(1, Ordering::Relaxed);
    ///     }
    ///     0
    /// })?;
    ///
    /// let parked = thread.park()?;
    /// let rounds = ROUNDS.load(Ordering::Relaxed);
    /// # let never = || None::<()>;
    /// # let wait = || current!().wait_until(kernel::task::TaskState::Idle, 5, never);
    /// # assert_eq!(wait(), Err(ETIME));
    /// // Whatever it works on, it does not now.
    /// assert_eq!(ROUNDS.load(Ordering::Relaxed), rounds);
    /// drop(parked);
    /// # while ROUNDS.load(Ordering::Relaxed) == rounds {
    /// #     assert_eq!(wait(), Err(ETIME));
    /// # }
    /// # // One that is forgotten leaves it parked, and so it can be stopped, too.
    /// # core::mem::forget(thread.park()?);
    /// # core::mem::forget(thread.park()?);
    /// # drop(thread.park()?);
    /// # core::mem::forget(thread.park()?);
    /// # assert_eq!(thread.stop(), 0);
    /// #
    /// # // A thread that has its own handle.
    /// # use core::sync::atomic::AtomicI32;
    /// # use kernel::{new_mutex, sync::{Arc, Mutex}};
    /// # static REFUSED: AtomicI32 = AtomicI32::new(0);
    /// # let own: Arc<Mutex<Option<KThread>>> = Arc::pin_init(new_mutex!(None), GFP_KERNEL)?;
    /// # let theirs = own.clone();
    /// # let thread = KThread::create(format_args!("own"), move |this| {
    /// #     if let Some(me) = &mut *theirs.lock() {
    /// #         REFUSED.store(me.park().map_or_else(Error::to_errno, |_| 1), Ordering::Release);
    /// #     }
    /// #     while !this.sleep(1) {}
    /// #     0
    /// # })?;
    /// # let mut slot = own.lock();
    /// # *slot = Some(thread.start());
    /// # drop(slot);
    /// # while REFUSED.load(Ordering::Acquire) == 0 {
    /// #     assert_eq!(wait(), Err(ETIME));
    /// # }
    /// # assert_eq!(REFUSED.load(Ordering::Acquire), EBUSY.to_errno());
    /// # let thread = own.lock().take().ok_or(ESRCH)?;
    /// # assert_eq!(thread.stop(), 0);
    ///
    /// // Nobody waits for a thread that has come to its end.
    /// let mut short = KThread::spawn(format_args!("short"), |_| 7)?;
    /// # // It goes on for as long as this sleeps.
    /// # while short.park().is_ok() {
    /// #     assert_eq!(wait(), Err(ETIME));
    /// # }
    /// assert_eq!(short.park().err(), Some(ESRCH));
    /// assert_eq!(short.stop(), 7);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("kthread_park", "kthread_unpark"))]
    pub fn park(&mut self) -> Result<ParkGuard<'_>> {
        let shared = self.shared().ok_or(ESRCH)?;
        // It would be told that it is parked, and go on.
        if self.task.as_ptr() == Task::current_raw() {
            return Err(EBUSY);
        }

        match shared.transition(RUNNING, PARKING) {
            Ok(()) => {
                // SAFETY: It is another thread of the kernel, and not about to exit, as it would
                // have to go over from `RUNNING`. It is not parked: only the owner does that, who
                // parks, lets go and stops one at a time. So this waits for the thread.
                let result = to_result(unsafe { bindings::kthread_park(self.task.as_ptr()) });
                let now = if result.is_ok() { PARKED } else { RUNNING };
                shared.parking.store(now, Ordering::Release);
                result?;
            }
            // It was not let go, as what `park()` has returned was forgotten.
            Err(PARKED) => (),
            Err(_) => return Err(ESRCH),
        }
        Ok(ParkGuard(self))
    }

    /// Stops the thread, and returns what its closure did.
    ///
    /// `-EINTR` if it was not run at all. Sleeps until the closure returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::KThread, prelude::*};
    ///
    /// /// The thread returns an error of its own, or 0.
    /// fn finish(thread: KThread) -> Result {
    ///     kernel::error::to_result(thread.stop())
    /// }
    /// # let thread = KThread::create(format_args!("finish"), |_| 0)?;
    /// # assert_eq!(finish(thread.start()).err().map_or(EINTR, |err| err), EINTR);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_stop")]
    #[inline]
    pub fn stop(mut self) -> c_int {
        self.end()
    }

    /// What the thread looks at before it runs the closure.
    #[inline]
    fn shared(&self) -> Option<&Shared> {
        // SAFETY: It is there until the thread has ended, by the type invariant, which `end()` sees
        // to.
        self.context.map(|context| unsafe { context.as_ref() })
    }

    /// Ends the thread, if this has not been done.
    fn end(&mut self) -> c_int {
        let Some(context) = self.context.take() else {
            return 0;
        };
        // SAFETY: It is a thread of the kernel, and its task is allocated.
        let result = unsafe { bindings::kthread_stop(self.task.as_ptr()) };
        // SAFETY: The thread has ended. So it is ours to free, by the type invariant, and nobody
        // finds it in `self` any more.
        unsafe { (self.free)(context) };
        result
    }
}

/// A thread of the kernel that waits to be started.
///
/// If it is dropped instead, it ends, and its closure is dropped without having been run.
///
/// # Examples
///
/// One with a CPU of its own:
///
/// ```
/// use kernel::kthread::KThread;
///
/// let mut thread = KThread::create(format_args!("poll/0"), |_| current!().cpu() as i32)?;
/// thread.bind(0)?;
/// let result = thread.start().stop();
/// assert!(result == 0 || result == EINTR.to_errno());
///
/// // There are not so many.
/// let mut thread = KThread::create(format_args!("poll/-1"), |_| 0)?;
/// assert_eq!(thread.bind(u32::MAX), Err(EINVAL));
/// # Ok::<(), Error>(())
/// ```
pub struct NewKThread(KThread);

impl NewKThread {
    /// Has the closure run on one CPU.
    ///
    /// The thread moves there itself when it begins. (C's function does it from outside, and relies
    /// on nobody waking the thread meanwhile.) It stays until that CPU goes offline, root moves it,
    /// or, on Linux 7.3, any CPU comes online, when the kernel finds all such threads a place anew.
    ///
    /// Errors: `EINVAL` if the CPU is not online. If it is not any more when the thread begins, the
    /// closure is not run, and that is the result of [`KThread::stop`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{kthread::{KThread, NewKThread}, prelude::*};
    ///
    /// /// One thread per CPU keeps to what that CPU owns.
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
        // SAFETY: `cpu_online()` reads one bit of a mask, and the CPU ID is in its range.
        if cpu >= nr_cpu_ids() || !unsafe { bindings::cpu_online(cpu) } {
            return Err(EINVAL);
        }
        if let Some(shared) = self.0.shared() {
            shared.cpu.store(cpu, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Starts the thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::{KThread, NewKThread};
    ///
    /// /// Starts only what was not cancelled.
    /// fn begin(waiting: Option<NewKThread>) -> Option<KThread> {
    ///     waiting.map(NewKThread::start)
    /// }
    /// # assert!(begin(None).is_none());
    /// ```
    #[inline]
    pub fn start(self) -> KThread {
        if let Some(shared) = self.0.shared() {
            shared.begin.store(true, Ordering::Release);
        }
        self.0.task.wake_up();
        self.0
    }
}

/// A thread that is parked, until this is dropped.
///
/// # Examples
///
/// ```
/// use kernel::{kthread::KThread, prelude::*};
///
/// /// Does something that the thread must not see halfway.
/// fn behind_its_back(thread: &mut KThread, change: impl FnOnce()) -> Result {
///     let _parked = thread.park()?;
///     change();
///     Ok(())
/// }
/// ```
pub struct ParkGuard<'a>(&'a mut KThread);

impl Drop for ParkGuard<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.shared() {
            // The thread may end as soon as it goes on.
            shared.parking.store(RUNNING, Ordering::Release);
        }
        // SAFETY: It is a thread of the kernel, and its task is allocated. Its owner lets it go.
        unsafe { bindings::kthread_unpark(self.0.task.as_ptr()) };
    }
}

impl Drop for KThread {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

/// Frees what a thread began with, and the closure if it was not taken.
///
/// # Safety
///
/// `context` is a `Context<F>` from a [`KBox`], and nobody uses it any more.
unsafe fn free<F>(context: NonNull<Shared>) {
    // SAFETY: As the caller says.
    drop(unsafe { KBox::from_raw(context.cast::<Context<F>>().as_ptr()) });
}

/// Runs the closure.
///
/// # Safety
///
/// To be called by `kthread()` with a `Context<F>`, which stays until the thread has ended.
unsafe extern "C" fn run<F>(context: *mut c_void) -> c_int
where
    F: FnOnce(&CurrentKThread) -> c_int,
{
    // SAFETY: As the caller says. Both sides only share it.
    let context = unsafe { &*context.cast::<Context<F>>() };

    // INVARIANT: This is the function of a thread of the kernel.
    let this = CurrentKThread(NotThreadSafe);

    let result = run_closure(context, &this);
    // Whoever waits for the thread to be parked has to be told that it is.
    while context.shared.transition(RUNNING, ENDING) == Err(PARKING) {
        this.sleep(1);
    }
    result
}

fn run_closure<F>(context: &Context<F>, this: &CurrentKThread) -> c_int
where
    F: FnOnce(&CurrentKThread) -> c_int,
{
    // Whoever finds the thread may wake it before its owner does.
    let begun = current!().wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, || {
        if context.shared.begin.load(Ordering::Acquire) {
            return Some(true);
        }
        this.should_stop().then_some(false)
    });
    if begun != Ok(true) {
        return EINTR.to_errno();
    }

    let cpu = context.shared.cpu.load(Ordering::Relaxed);
    if cpu != ANY_CPU {
        // SAFETY: `bind()` has seen that there is such a CPU. A task may move itself, and if the
        // CPU is offline by now, it stays.
        let moved = unsafe {
            bindings::set_cpus_allowed_ptr(Task::current_raw(), bindings::cpumask_of(cpu))
        };
        if moved != 0 {
            return moved;
        }
    }

    // SAFETY: The owner looks at the closure when the thread has ended.
    let closure = unsafe { &mut *context.closure.get() }.take();
    closure.map_or(0, |closure| closure(this))
}

/// The thread of the kernel that runs this code.
///
/// # Invariants
///
/// A reference is used only in a thread that is a [`KThread`]'s.
///
/// # Examples
///
/// ```
/// use kernel::kthread::CurrentKThread;
///
/// fn serve(this: &CurrentKThread) {
///     while !this.should_stop() {
///         // Something to do, and then:
///         this.sleep(10);
///     }
/// }
/// ```
pub struct CurrentKThread(NotThreadSafe);

impl CurrentKThread {
    /// Returns whether the owner wants the thread to end.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// /// Looks for it between two pieces of a long job. Returns how far it has come.
    /// fn pieces(this: &CurrentKThread, piece: impl FnMut(usize)) -> usize {
    ///     (0..1000).take_while(|_| !this.should_stop()).map(piece).count()
    /// }
    /// ```
    #[doc(alias = "kthread_should_stop")]
    #[inline]
    pub fn should_stop(&self) -> bool {
        // SAFETY: This is a thread of the kernel, by the type invariant.
        unsafe { bindings::kthread_should_stop() }
    }

    /// Returns whether the owner wants to have the thread parked.
    ///
    /// [`sleep`](Self::sleep) looks for that itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// /// Goes on without a pause, but for its owner.
    /// fn poll(this: &CurrentKThread, mut more: impl FnMut() -> bool) {
    ///     while more() && !this.should_stop() {
    ///         if this.should_park() {
    ///             // Nothing may be half done here.
    ///             this.parkme();
    ///         }
    ///     }
    /// }
    /// ```
    #[doc(alias = "kthread_should_park")]
    #[inline]
    pub fn should_park(&self) -> bool {
        // SAFETY: This is a thread of the kernel, by the type invariant.
        unsafe { bindings::kthread_should_park() }
    }

    /// Waits for as long as the owner has the thread parked.
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
        // SAFETY: This is a thread of the kernel, by the type invariant, in its own function, where
        // it may sleep.
        unsafe { bindings::kthread_parkme() };
    }

    /// Sleeps for so many jiffies, or until somebody wakes the thread or wants it to end. Returns
    /// whether that is so.
    ///
    /// If the owner parks the thread, it does not return before it is let go. It does not count as
    /// load. A wake-up that comes just before is not lost if its reason is that the thread should
    /// end or be parked; for all others, there is [`CurrentTask::wait_until`].
    ///
    /// [`CurrentTask::wait_until`]: crate::task::CurrentTask::wait_until
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// /// Does something about ten times a second, where a second has 1000 jiffies.
    /// fn regularly(this: &CurrentKThread, mut something: impl FnMut()) {
    ///     while !this.sleep(100) {
    ///         something();
    ///     }
    /// }
    /// ```
    #[doc(alias("schedule_timeout", "TASK_IDLE"))]
    pub fn sleep(&self, jiffies: c_long) -> bool {
        self.sleep_in(TaskState::Idle, jiffies)
    }

    /// The same, or until a signal comes: see [`allow_signal`](Self::allow_signal).
    ///
    /// If one is waiting already, this returns at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// /// Whether a signal has come before the owner wanted the thread to end.
    /// fn signalled(this: &CurrentKThread) -> bool {
    ///     while !this.sleep_interruptible(1000) {
    ///         if current!().signal_pending() {
    ///             return true;
    ///         }
    ///     }
    ///     false
    /// }
    /// ```
    #[doc(alias("schedule_timeout_interruptible", "TASK_INTERRUPTIBLE"))]
    pub fn sleep_interruptible(&self, jiffies: c_long) -> bool {
        self.sleep_in(TaskState::Interruptible, jiffies)
    }

    fn sleep_in(&self, how: TaskState, jiffies: c_long) -> bool {
        let reason = || self.should_stop() || self.should_park();
        current!().schedule_timeout_unless(how, jiffies.max(1), reason);
        if self.should_park() {
            self.parkme();
        }
        self.should_stop()
    }

    /// Lets `signal` come to this thread, which ignores all signals otherwise.
    ///
    /// Nothing is done about it but what the closure does:
    /// [`signal_pending()`](Task::signal_pending) says that one waits.
    ///
    /// Errors: `EINVAL` if there is no such signal, `EBUSY` with interrupts off.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::sync::atomic::{AtomicBool, Ordering};
    /// use kernel::{bindings, kthread::KThread, task::might_sleep};
    ///
    /// static SEEN: AtomicBool = AtomicBool::new(false);
    /// const SIGTERM: i32 = bindings::SIGTERM as i32;
    ///
    /// let thread = KThread::spawn(format_args!("signals"), |this| {
    ///     if this.allow_signal(SIGTERM).is_err() {
    ///         return -1;
    ///     }
    ///     while !this.sleep_interruptible(kernel::task::MAX_SCHEDULE_TIMEOUT) {
    ///         if current!().signal_pending() {
    ///             // Until this is done, there is no sleep.
    ///             this.flush_signals();
    ///             SEEN.store(true, Ordering::Release);
    ///         }
    ///     }
    ///     i32::from(current!().signal_pending())
    /// })?;
    /// # assert_eq!(thread.task().send_sig(1000, true), Err(EINVAL));
    ///
    /// while !SEEN.load(Ordering::Acquire) {
    ///     // It is ignored if the thread has not come so far.
    ///     thread.task().send_sig(SIGTERM, true)?;
    ///     might_sleep();
    /// }
    /// assert!(thread.stop() >= 0);
    /// # let refused = KThread::spawn(format_args!("no signal"), |this| {
    /// #     let all = [0, -1, 65, i32::MIN, i32::MAX].map(|signal| this.allow_signal(signal));
    /// #     while !this.sleep(1) {}
    /// #     i32::from(all == [Err(EINVAL); 5])
    /// # })?;
    /// # might_sleep();
    /// # let result = refused.stop();
    /// # assert!(result == 1 || result == EINTR.to_errno());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn allow_signal(&self, signal: c_int) -> Result {
        // C would write in front of the table of handlers, or behind it.
        if !(1..=bindings::_NSIG as c_int).contains(&signal) {
            return Err(EINVAL);
        }
        // It would turn them on.
        // SAFETY: This looks at a flag of the CPU.
        if unsafe { bindings::irqs_disabled() } {
            return Err(EBUSY);
        }
        // SAFETY: The signal has a handler in the table, which is this thread's own:
        // `create_kthread()` does not share that of its parent. The function takes its lock.
        unsafe { bindings::allow_signal(signal) };
        Ok(())
    }

    /// Forgets the signals that wait for this thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::CurrentKThread;
    ///
    /// /// They have said what they had to say.
    /// fn seen(this: &CurrentKThread) {
    ///     this.flush_signals();
    /// }
    /// ```
    pub fn flush_signals(&self) {
        // SAFETY: The current task has its signals until it exits. The function takes their lock.
        unsafe { bindings::flush_signals(Task::current_raw()) };
    }
}
