// SPDX-License-Identifier: GPL-2.0

//! Work that a task runs before it returns to userspace.
//!
//! At that point the task holds no lock, and no system call of it still uses a file borrowed from
//! its file descriptor table. Task work is therefore the place for what must not happen during a
//! system call, such as the last `fput()` of a file that the call has closed.
//!
//! C header: [`include/linux/task_work.h`](srctree/include/linux/task_work.h)

use super::CurrentTask;
use crate::{
    alloc::{
        AllocError,
        Flags, //
    },
    bindings,
    module::this_module,
    module_going,
    prelude::*,
};
use core::{
    mem::MaybeUninit,
    ptr, //
};

/// Work that a task runs before it returns to userspace.
///
/// `Send` keeps out lock and RCU guards, which must not be held there.
///
/// # Examples
///
/// ```
/// use kernel::{fs::File, prelude::*, sync::aref::ARef, task::TaskWorkItem};
///
/// /// A file that the system call has closed and may still use.
/// struct Closed(ARef<File>);
///
/// #[vtable]
/// impl TaskWorkItem for Closed {
///     fn run(self) {
///         // This may drop the last reference.
///         drop(self.0);
///     }
/// }
/// ```
#[vtable]
pub trait TaskWorkItem: Sized + Send + 'static {
    /// Runs the work in the task that added it.
    ///
    /// In a task that is exiting, `exit_mm()` and `exit_files()` have already run: it has neither
    /// an mm nor files.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    fn run(self);
}

/// The part of a [`TaskWork`] that `task_work_add()` and [`run`] use.
#[repr(C)]
struct Head {
    work: bindings::callback_head,
    run: unsafe fn(*mut Head),
    module: *mut bindings::module,
}

/// A [`TaskWorkItem`] with the memory that [`CurrentTask::task_work_add`] needs.
///
/// The memory is allocated in advance, so adding the work does not allocate.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, task::{TaskWork, TaskWorkItem}};
///
/// struct Message(u32);
///
/// #[vtable]
/// impl TaskWorkItem for Message {
///     fn run(self) {
///         pr_info!("back to userspace, with {}\n", self.0);
///     }
/// }
///
/// let task = current!();
/// match task.task_work_add(TaskWork::new(Message(1), GFP_KERNEL)?) {
///     // The item can be changed until the work runs.
///     Ok(message) => message.0 += 1,
///     // KUnit runs this in a kthread, which never returns to userspace.
///     Err(work) => assert_eq!(TaskWork::into_item(work).0, 1),
/// }
/// # assert!(task.is_kthread());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "callback_head")]
#[repr(C)]
pub struct TaskWork<T> {
    head: MaybeUninit<Head>,
    item: T,
}

// SAFETY: `head` is uninitialized, and not accessed, until `task_work_add()` takes the box. From
// then on only the task that added the work accesses it. The item is `Send`.
unsafe impl<T: Send> Send for TaskWork<T> {}

// SAFETY: No method accesses `head` through a shared reference. The item is `Sync`.
unsafe impl<T: Sync> Sync for TaskWork<T> {}

impl<T> TaskWork<T> {
    /// Allocates memory for `item`.
    ///
    /// The context below is that of `GFP_ATOMIC`. With `GFP_KERNEL` the allocation may sleep.
    ///
    /// # Errors
    ///
    /// - `AllocError`: the allocation failed.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::TaskWork;
    ///
    /// // Adding it does not allocate memory.
    /// let work = TaskWork::new(5, GFP_KERNEL)?;
    /// # assert_eq!(TaskWork::into_item(work), 5);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn new(item: T, flags: Flags) -> Result<KBox<Self>, AllocError> {
        let head = MaybeUninit::uninit();

        KBox::new(Self { head, item }, flags)
    }

    /// Returns the item and frees the memory of `work`.
    ///
    /// # Context
    ///
    /// Hard IRQ except on PREEMPT_RT, softirq, process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::{TaskWork, TaskWorkItem};
    ///
    /// /// Runs the work at once if it cannot be added.
    /// fn run_soon<T: TaskWorkItem>(work: KBox<TaskWork<T>>) {
    ///     if let Err(work) = current!().task_work_add(work) {
    ///         TaskWork::into_item(work).run();
    ///     }
    /// }
    /// # assert_eq!(TaskWork::into_item(TaskWork::new(5, GFP_KERNEL)?), 5);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn into_item(work: KBox<Self>) -> T {
        KBox::into_inner(work).item
    }
}

impl CurrentTask {
    /// Adds work that the task runs before it returns to userspace, or in `do_exit()`.
    ///
    /// Work that was added last runs first. The item can be changed through the returned reference
    /// until the context of `self` ends. The work holds a reference on the module of `T`, so the
    /// module is not unloaded before it has run. In an interrupt, the work is added to the
    /// interrupted task.
    ///
    /// A vhost or io_uring worker never returns to userspace. It runs the work when it handles a
    /// signal, or when it exits.
    ///
    /// # Errors
    ///
    /// Returns the work if it cannot be added:
    ///
    /// - The task is a kthread, which never returns to userspace.
    /// - The task is exiting and has already run its task work for the last time.
    /// - The module of `T` is still in its `init()` or is being unloaded.
    /// - `T` is part of a module, and its `OwnerModule` is that of code that is built in.
    ///
    /// # Context
    ///
    /// Any context except NMI.
    #[expect(
        clippy::mut_from_ref,
        reason = "the result borrows from `work`; `self` only bounds the lifetime"
    )]
    #[inline]
    pub fn task_work_add<T: TaskWorkItem>(
        &self,
        work: KBox<TaskWork<T>>,
    ) -> Result<&mut T, KBox<TaskWork<T>>> {
        let module = this_module::<T::OwnerModule>().as_ptr();

        if self.is_kthread() {
            return Err(work);
        }
        // An implementation may have set `OwnerModule` to the type of code that is built in.
        let code = run_item::<T> as *const () as usize;
        if module.is_null() && !module_going::module_of(code).is_null() {
            return Err(work);
        }
        // If `init()` fails, the module is freed regardless of its refcount.
        // SAFETY: If the pointer is not null, it is the module of `T`, whose code calls this
        // function or has been instantiated by the caller, so it is not freed during the call.
        if !module.is_null() && unsafe { bindings::module_is_coming(module) } {
            return Err(work);
        }
        // SAFETY: The module is null or not freed during the call, as above. A module that is not
        // coming is live or going, and `try_module_get()` refuses one that is going.
        // MODEL: task-work/get
        if !unsafe { bindings::try_module_get(module) } {
            return Err(work);
        }

        let work = KBox::into_raw(work);
        // SAFETY: `work` comes from a `KBox`, so it is valid and exclusive.
        let TaskWork { head, item } = unsafe { &mut *work };
        head.write(Head {
            work: bindings::callback_head {
                next: ptr::null_mut(),
                func: Some(run),
            },
            run: run_item::<T>,
            module,
        });

        // SAFETY: `self` is `current`, so it is alive. `head` is at offset 0 of the `repr(C)`
        // struct and `work` at offset 0 of `head`. If `task_work_add()` succeeds, `task_work_run()`
        // calls `run()` once and passes this pointer. Until then only C code accesses `head`.
        let added = unsafe {
            bindings::task_work_add(
                self.as_ptr(),
                work.cast(),
                bindings::task_work_notify_mode_TWA_RESUME,
            )
        };
        if added != 0 {
            // SAFETY: `try_module_get()` above took this reference.
            unsafe { bindings::module_put(module) };
            // SAFETY: `task_work_add()` failed, so it has not kept the pointer from `into_raw()`.
            return Err(unsafe { KBox::from_raw(work) });
        }

        // The returned reference is exclusive: `task_work_run()` calls `run()` in this task, either
        // on the return to userspace, with no driver code below it on the stack, or in `do_exit()`,
        // which does not return to the code below it. Both are outside the task context in which
        // `self` may be used, and the reference is borrowed for no longer than `self`. No other
        // pointer to the item exists.
        Ok(item)
    }
}

/// Runs the work and then drops the reference on its module. This function is not part of that
/// module, so it may run after the module is gone.
///
/// # Safety
///
/// `work` must point to the `work` field of a `Head` that [`CurrentTask::task_work_add`] has
/// initialized. The caller passes on ownership of the box that contains it.
unsafe extern "C" fn run(work: *mut bindings::callback_head) {
    let head = work.cast::<Head>();
    // SAFETY: `work` is at offset 0 of a `Head`. The caller guarantees that it is initialized.
    let &Head { run, module, .. } = unsafe { &*head };

    // SAFETY: `task_work_add()` has stored the `run_item` of the type of this work, and the caller
    // passes on ownership.
    // MODEL: task-work/put
    unsafe { run(head) };
    // SAFETY: `task_work_add()` took this reference. The item's `run()` and drop have returned.
    unsafe { bindings::module_put(module) };
}

/// Runs the item of a `TaskWork<T>`.
///
/// # Safety
///
/// `head` must point to the head of a `TaskWork<T>` in a `KBox`, whose ownership the caller passes
/// on.
unsafe fn run_item<T: TaskWorkItem>(head: *mut Head) {
    // SAFETY: `head` is at offset 0 of the `TaskWork<T>`. The pointer is the one from
    // `KBox::into_raw()`, and the caller passes on ownership.
    let work = unsafe { KBox::from_raw(head.cast::<TaskWork<T>>()) };

    TaskWork::into_item(work).run();
}
