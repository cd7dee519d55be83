// SPDX-License-Identifier: GPL-2.0

//! Threads of the kernel.
//!
//! A [`KThread`] runs a closure. Its owner stops it, at the latest by dropping it, and that waits
//! for the closure's end: so the thread is gone before the module is that its code is in. (Who
//! leaks a `KThread` has to keep the module.)
//!
//! The closure asks [`ThisKThread`] from time to time whether it should stop. It is dropped exactly
//! once, also if the thread was stopped before it ran.
//!
//! A thread can also be parked ([`KThread::park`]): it stays where it sleeps until it may go on.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result,
        Result, //
    },
    prelude::*,
    str::CString,
    sync::aref::ARef,
    task::{
        Sleep,
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
/// `task` was made by `kthread_create_on_node()`. `start`, if there is one, is the `Start<F>` that
/// it was given, of the `F` that `free` is for, and ours to free once the thread has ended. Both
/// sides only share its `Signs`.
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
    start: Option<NonNull<Signs>>,
    free: unsafe fn(NonNull<Signs>),
}

// SAFETY: Any thread may stop a thread. The closure is `Send`, and so may be dropped anywhere.
unsafe impl Send for KThread {}

// SAFETY: With a reference, one gets at `task`, which is `Sync`.
unsafe impl Sync for KThread {}

/// How C's `vsnprintf()` is told to print a string.
const FORMAT: &[u8] = b"%s\0";

/// What owner and thread tell each other.
struct Signs {
    /// Whether the owner wants the closure to be run.
    begin: AtomicBool,
    /// Where it is to be run, or [`ANYWHERE`].
    cpu: AtomicU32,
    /// One of the four below.
    parking: AtomicU32,
}

/// No number of a CPU.
const ANYWHERE: u32 = u32::MAX;

/// Neither of the others.
const AT_LARGE: u32 = 0;
/// The owner waits for the thread to be parked, so it must not end.
const PARKING: u32 = 1;
/// The thread is parked.
const PARKED: u32 = 2;
/// The thread ends, so the owner must not wait for it to be parked.
const ENDING: u32 = 3;

impl Signs {
    /// Goes over from one state of `parking` to another. Otherwise returns which it is.
    fn go(&self, from: u32, to: u32) -> Result<(), u32> {
        let (good, bad) = (Ordering::AcqRel, Ordering::Acquire);
        self.parking.compare_exchange(from, to, good, bad).map(drop)
    }
}

/// What a thread begins with.
#[repr(C)]
struct Start<F> {
    signs: Signs,
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
        F: FnOnce(&ThisKThread) -> c_int + Send + 'static,
    {
        Ok(Unstarted(Self::new(name, closure)?).start())
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
    pub fn create<F>(name: fmt::Arguments<'_>, closure: F) -> Result<Unstarted>
    where
        F: FnOnce(&ThisKThread) -> c_int + Send + 'static,
    {
        let thread = Self::new(name, closure)?;
        // It waits in `run()`, where nobody minds how long that takes.
        thread.task.wake_up();
        Ok(Unstarted(thread))
    }

    // Both callers ask for a closure that may be sent and borrows nothing.
    fn new<F>(name: fmt::Arguments<'_>, closure: F) -> Result<Self>
    where
        F: FnOnce(&ThisKThread) -> c_int,
    {
        // C prints a name twice, and warns if it is not the same both times.
        let name = CString::try_from_fmt(name)?;
        let start = KBox::new(
            Start {
                signs: Signs {
                    begin: AtomicBool::new(false),
                    cpu: AtomicU32::new(ANYWHERE),
                    parking: AtomicU32::new(AT_LARGE),
                },
                closure: UnsafeCell::new(Some(closure)),
            },
            GFP_KERNEL,
        )?;
        let start = KBox::into_raw(start);

        // SAFETY: `run::<F>()` is made for `start`, which stays until the thread is gone. The
        // format takes a string, which stays until the function has returned.
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(run::<F>),
                start.cast(),
                bindings::NUMA_NO_NODE,
                FORMAT.as_ptr().cast(),
                name.as_char_ptr(),
            )
        };
        let task = match from_err_ptr(task) {
            Ok(task) => task,
            Err(err) => {
                // SAFETY: There is no thread, or one that has been told not to run.
                drop(unsafe { KBox::from_raw(start) });
                return Err(err);
            }
        };

        // SAFETY: The thread is there, as it waits for `begin` or `kthread_stop()`, be it woken
        // early or not. CAST: `Task` is transparent around `task_struct`.
        let task = ARef::from(unsafe { &*task.cast::<Task>() });

        // INVARIANT: As above. CAST: `Start<F>` begins with its `Signs`.
        Ok(Self {
            task,
            start: NonNull::new(start.cast()),
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

    /// Has the thread wait where it sleeps next ([`ThisKThread::sleep`], [`ThisKThread::parkme`]),
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
    /// # let wait = || current!().sleep_until(kernel::task::Sleep::Idle, 5, never);
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
    pub fn park(&mut self) -> Result<Parked<'_>> {
        let signs = self.signs().ok_or(ESRCH)?;
        // It would be told that it is parked, and go on.
        if self.task.as_ptr() == Task::current_raw() {
            return Err(EBUSY);
        }

        match signs.go(AT_LARGE, PARKING) {
            Ok(()) => {
                // SAFETY: It is another thread of the kernel, and not about to exit, as it would
                // have to go over from `AT_LARGE`. It is not parked: only the owner does that, who
                // parks, lets go and stops one at a time. So this waits for the thread.
                let result = to_result(unsafe { bindings::kthread_park(self.task.as_ptr()) });
                let now = if result.is_ok() { PARKED } else { AT_LARGE };
                signs.parking.store(now, Ordering::Release);
                result?;
            }
            // It was not let go, as what `park()` has returned was forgotten.
            Err(PARKED) => (),
            Err(_) => return Err(ESRCH),
        }
        Ok(Parked(self))
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
    fn signs(&self) -> Option<&Signs> {
        // SAFETY: It is there until the thread has ended, by the type invariant, which `end()` sees
        // to.
        self.start.map(|start| unsafe { start.as_ref() })
    }

    /// Ends the thread, if this has not been done.
    fn end(&mut self) -> c_int {
        let Some(start) = self.start.take() else {
            return 0;
        };
        // SAFETY: It is a thread of the kernel, and its task is allocated.
        let result = unsafe { bindings::kthread_stop(self.task.as_ptr()) };
        // SAFETY: The thread has ended. So it is ours to free, by the type invariant, and nobody
        // finds it in `self` any more.
        unsafe { (self.free)(start) };
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
pub struct Unstarted(KThread);

impl Unstarted {
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
    /// use kernel::{kthread::{KThread, Unstarted}, prelude::*};
    ///
    /// /// One thread per CPU keeps to what that CPU owns.
    /// fn poller(cpu: u32) -> Result<Unstarted> {
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
        // SAFETY: This asks in any context.
        if !unsafe { bindings::cpu_online(cpu) } {
            return Err(EINVAL);
        }
        if let Some(signs) = self.0.signs() {
            signs.cpu.store(cpu, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Starts the thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::{KThread, Unstarted};
    ///
    /// /// Starts only what was not cancelled.
    /// fn begin(waiting: Option<Unstarted>) -> Option<KThread> {
    ///     waiting.map(Unstarted::start)
    /// }
    /// # assert!(begin(None).is_none());
    /// ```
    #[inline]
    pub fn start(self) -> KThread {
        if let Some(signs) = self.0.signs() {
            signs.begin.store(true, Ordering::Release);
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
pub struct Parked<'a>(&'a mut KThread);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if let Some(signs) = self.0.signs() {
            // The thread may end as soon as it goes on.
            signs.parking.store(AT_LARGE, Ordering::Release);
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
/// `start` is a `Start<F>` from a [`KBox`], and nobody uses it any more.
unsafe fn free<F>(start: NonNull<Signs>) {
    // SAFETY: As the caller says.
    drop(unsafe { KBox::from_raw(start.cast::<Start<F>>().as_ptr()) });
}

/// Runs the closure.
///
/// # Safety
///
/// To be called by `kthread()` with a `Start<F>`, which stays until the thread has ended.
unsafe extern "C" fn run<F>(start: *mut c_void) -> c_int
where
    F: FnOnce(&ThisKThread) -> c_int,
{
    // SAFETY: As the caller says. Both sides only share it.
    let start = unsafe { &*start.cast::<Start<F>>() };

    // INVARIANT: This is the function of a thread of the kernel.
    let this = ThisKThread(NotThreadSafe);

    let result = run_closure(start, &this);
    // Whoever waits for the thread to be parked has to be told that it is.
    while start.signs.go(AT_LARGE, ENDING) == Err(PARKING) {
        this.sleep(1);
    }
    result
}

fn run_closure<F>(start: &Start<F>, this: &ThisKThread) -> c_int
where
    F: FnOnce(&ThisKThread) -> c_int,
{
    // Whoever finds the thread may wake it before its owner does.
    let begun = current!().sleep_until(Sleep::Idle, MAX_SCHEDULE_TIMEOUT, || {
        if start.signs.begin.load(Ordering::Acquire) {
            return Some(true);
        }
        this.should_stop().then_some(false)
    });
    if begun != Ok(true) {
        return EINTR.to_errno();
    }

    let cpu = start.signs.cpu.load(Ordering::Relaxed);
    if cpu != ANYWHERE {
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
    let closure = unsafe { &mut *start.closure.get() }.take();
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
/// use kernel::kthread::ThisKThread;
///
/// fn serve(this: &ThisKThread) {
///     while !this.should_stop() {
///         // Something to do, and then:
///         this.sleep(10);
///     }
/// }
/// ```
pub struct ThisKThread(NotThreadSafe);

impl ThisKThread {
    /// Returns whether the owner wants the thread to end.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::ThisKThread;
    ///
    /// /// Looks for it between two pieces of a long job. Returns how far it has come.
    /// fn pieces(this: &ThisKThread, piece: impl FnMut(usize)) -> usize {
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
    /// use kernel::kthread::ThisKThread;
    ///
    /// /// Goes on without a pause, but for its owner.
    /// fn poll(this: &ThisKThread, mut more: impl FnMut() -> bool) {
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
    /// use kernel::kthread::ThisKThread;
    ///
    /// fn between_two_jobs(this: &ThisKThread) -> bool {
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
    /// end or be parked; for all others, there is [`CurrentTask::sleep_until`].
    ///
    /// [`CurrentTask::sleep_until`]: crate::task::CurrentTask::sleep_until
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::ThisKThread;
    ///
    /// /// Does something about ten times a second, where a second has 1000 jiffies.
    /// fn regularly(this: &ThisKThread, mut something: impl FnMut()) {
    ///     while !this.sleep(100) {
    ///         something();
    ///     }
    /// }
    /// ```
    #[doc(alias("schedule_timeout", "TASK_IDLE"))]
    pub fn sleep(&self, jiffies: c_long) -> bool {
        self.sleep_how(Sleep::Idle, jiffies)
    }

    /// The same, or until a signal comes: see [`allow_signal`](Self::allow_signal).
    ///
    /// If one is waiting already, this returns at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kthread::ThisKThread;
    ///
    /// /// Whether a signal has come before the owner wanted the thread to end.
    /// fn signalled(this: &ThisKThread) -> bool {
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
        self.sleep_how(Sleep::Interruptible, jiffies)
    }

    fn sleep_how(&self, how: Sleep, jiffies: c_long) -> bool {
        let reason = || self.should_stop() || self.should_park();
        current!().sleep_unless(how, jiffies.max(1), reason);
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
    /// use kernel::kthread::ThisKThread;
    ///
    /// /// They have said what they had to say.
    /// fn seen(this: &ThisKThread) {
    ///     this.flush_signals();
    /// }
    /// ```
    pub fn flush_signals(&self) {
        // SAFETY: The current task has its signals until it exits. The function takes their lock.
        unsafe { bindings::flush_signals(Task::current_raw()) };
    }
}
