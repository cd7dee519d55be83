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
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use crate::{
    bindings,
    error::{
        from_err_ptr,
        Result, //
    },
    prelude::*,
    sync::aref::ARef,
    task::{
        Task,
        TASK_UNINTERRUPTIBLE, //
    },
    types::NotThreadSafe,
};
use core::{
    cell::UnsafeCell,
    fmt,
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
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
/// it was given, of the `F` that `free` is for, and ours to free once the thread has ended.
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
    start: Option<NonNull<c_void>>,
    free: unsafe fn(NonNull<c_void>),
}

// SAFETY: Any thread may stop a thread. The closure is `Send`, and so may be dropped anywhere.
unsafe impl Send for KThread {}

// SAFETY: With a reference, one gets at `task`, which is `Sync`.
unsafe impl Sync for KThread {}

/// How C's `vsnprintf()` is told to print [`fmt::Arguments`].
const FORMAT: &[u8] = b"%pA\0";

/// What a thread begins with.
struct Start<F> {
    /// Whether the owner has a count on the task.
    counted: AtomicBool,
    closure: UnsafeCell<Option<F>>,
}

impl KThread {
    /// Starts a thread with a name that runs `closure`.
    ///
    /// The name is cut off after 15 bytes where [`Task::comm`] tells it. Sleeps.
    ///
    /// Errors: `ENOMEM`, or `EINTR` if the current task is killed meanwhile.
    pub fn spawn<F>(name: fmt::Arguments<'_>, closure: F) -> Result<Self>
    where
        F: FnOnce(&ThisKThread) -> c_int + Send + 'static,
    {
        let start = KBox::new(
            Start {
                counted: AtomicBool::new(false),
                closure: UnsafeCell::new(Some(closure)),
            },
            GFP_KERNEL,
        )?;
        let start = KBox::into_raw(start);

        // SAFETY: `run::<F>()` is made for `start`, which stays until the thread is gone. The
        // format is one of the kernel's own, and takes a pointer to what the compiler has made of a
        // name.
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(run::<F>),
                start.cast(),
                bindings::NUMA_NO_NODE,
                FORMAT.as_ptr().cast(),
                core::ptr::from_ref(&name).cast::<c_void>(),
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

        // SAFETY: The thread is there, as it waits for `counted` at least, be it woken early or
        // not. CAST: `Task` is transparent around `task_struct`.
        let task = ARef::from(unsafe { &*task.cast::<Task>() });
        // SAFETY: The thread has not taken anything yet.
        unsafe { &*start }.counted.store(true, Ordering::Release);
        task.wake_up();

        // INVARIANT: As above.
        Ok(Self {
            task,
            start: NonNull::new(start.cast()),
            free: free::<F>,
        })
    }

    /// Returns the thread's task.
    #[inline]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Stops the thread, and returns what its closure did.
    ///
    /// `-EINTR` if it was not run at all. Sleeps until the closure returns.
    #[doc(alias = "kthread_stop")]
    #[inline]
    pub fn stop(mut self) -> c_int {
        self.end()
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
unsafe fn free<F>(start: NonNull<c_void>) {
    // SAFETY: As the caller says.
    drop(unsafe { KBox::from_raw(start.cast::<Start<F>>().as_ptr()) });
}

/// Runs the closure.
///
/// # Safety
///
/// To be called by `kthread()` with a `Start<F>`, which stays until this has taken the closure.
unsafe extern "C" fn run<F>(start: *mut c_void) -> c_int
where
    F: FnOnce(&ThisKThread) -> c_int,
{
    // SAFETY: As the caller says. Both sides only share it.
    let start = unsafe { &*start.cast::<Start<F>>() };

    // Whoever finds the thread may wake it before its owner does.
    loop {
        set_current_state(TASK_UNINTERRUPTIBLE);
        if start.counted.load(Ordering::Acquire) {
            break;
        }
        // SAFETY: A thread of the kernel may sleep in its own function.
        unsafe { bindings::schedule() };
    }
    set_current_state(bindings::TASK_RUNNING as c_int);

    // SAFETY: The owner looks at the closure when the thread has ended.
    let closure = unsafe { &mut *start.closure.get() }.take();
    // INVARIANT: This is the function of a thread of the kernel.
    closure.map_or(0, |closure| closure(&ThisKThread(NotThreadSafe)))
}

/// Sets the state of the current task, before it looks for the reason to be woken.
#[inline]
fn set_current_state(state: c_int) {
    // SAFETY: It is the current task's own state, and a full memory barrier follows.
    unsafe { bindings::set_current_state(state as c_uint) };
}

/// The thread of the kernel that runs this code.
///
/// # Invariants
///
/// A reference is used only in a thread that [`KThread::spawn`] has made.
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
    #[doc(alias = "kthread_should_stop")]
    #[inline]
    pub fn should_stop(&self) -> bool {
        // SAFETY: This is a thread of the kernel, by the type invariant.
        unsafe { bindings::kthread_should_stop() }
    }

    /// Sleeps for so many jiffies, or until somebody wakes the thread or wants it to end. Returns
    /// whether that is so.
    ///
    /// It does not count as load. A wake-up that comes just before is not lost if its reason is
    /// that the thread should end; for all others, there are condition variables.
    #[doc(alias("schedule_timeout", "TASK_IDLE"))]
    pub fn sleep(&self, jiffies: c_long) -> bool {
        set_current_state(bindings::TASK_IDLE as c_int);
        if !self.should_stop() {
            // SAFETY: A thread of the kernel may sleep in its own function. Whatever the number is,
            // this returns: at once, if it is negative.
            unsafe { bindings::schedule_timeout(jiffies.max(0)) };
        }
        set_current_state(bindings::TASK_RUNNING as c_int);
        self.should_stop()
    }
}
