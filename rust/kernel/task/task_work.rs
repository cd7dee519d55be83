// SPDX-License-Identifier: GPL-2.0

//! What a task does before it returns to user space.
//!
//! Nothing of the kernel's own is under way then: no lock is held, and no file that was borrowed
//! from the task's table is in use any more. So this is the place for what must not happen in the
//! middle of a call, such as the last `fput()` of a file that the call has closed.
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
    prelude::*,
};
use core::{
    mem::MaybeUninit,
    ptr, //
};

/// What there is to do.
///
/// It is `Send` for what it keeps out: a guard must not be taken to user space.
///
/// # Examples
///
/// ```
/// use kernel::{fs::File, prelude::*, sync::aref::ARef, task::TaskWorkItem};
/// # use kernel::ModuleMetadata;
/// # // What `module!` declares for a driver.
/// # struct LocalModule;
/// # impl ModuleMetadata for LocalModule {
/// #     const NAME: &'static CStr = kernel::c_str!("doctest");
/// #     const THIS_MODULE: ThisModule =
/// #         // SAFETY: This is a part of the kernel itself.
/// #         unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
/// # }
///
/// /// A file that the call has closed, but may still be using.
/// struct Closed(ARef<File>);
///
/// #[vtable]
/// impl TaskWorkItem for Closed {
///     fn run(self) {
///         // This may be the last count.
///         drop(self.0);
///     }
/// }
/// ```
#[vtable]
pub trait TaskWorkItem: Sized + Send + 'static {
    /// Does it, in the task that has added it.
    ///
    /// May sleep. A task that is exiting has no address space and no files any more.
    fn run(self);
}

/// The C side's part of a [`TaskWork`].
#[repr(C)]
struct Head {
    work: bindings::callback_head,
    run: unsafe fn(*mut Head),
    module: *mut bindings::module,
}

/// Something to do, and the memory that adding it takes.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, task::{TaskWork, TaskWorkItem}};
/// # use kernel::ModuleMetadata;
///
/// struct Say(u32);
/// # // What `module!` declares for a driver.
/// # struct LocalModule;
/// # impl ModuleMetadata for LocalModule {
/// #     const NAME: &'static CStr = kernel::c_str!("doctest");
/// #     const THIS_MODULE: ThisModule =
/// #         // SAFETY: This is a part of the kernel itself.
/// #         unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
/// # }
///
/// #[vtable]
/// impl TaskWorkItem for Say {
///     fn run(self) {
///         pr_info!("back to user space, with {}\n", self.0);
///     }
/// }
///
/// let task = current!();
/// match task.task_work_add(TaskWork::new(Say(1), GFP_KERNEL)?) {
///     // There is time to change it until then.
///     Ok(say) => say.0 += 1,
///     // KUnit runs this in a kernel thread, which never returns to user space.
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

// SAFETY: Nobody looks at `head` before the work is added, and by then it belongs to the C side.
unsafe impl<T: Send> Send for TaskWork<T> {}

// SAFETY: As above.
unsafe impl<T: Sync> Sync for TaskWork<T> {}

impl<T> TaskWork<T> {
    /// Allocates memory for `item`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::TaskWork;
    ///
    /// // Adding it cannot fail for want of memory any more.
    /// let work = TaskWork::new(5, GFP_KERNEL)?;
    /// # assert_eq!(TaskWork::into_item(work), 5);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn new(item: T, flags: Flags) -> Result<KBox<Self>, AllocError> {
        let head = MaybeUninit::uninit();

        KBox::new(Self { head, item }, flags)
    }

    /// Takes the item out.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::{TaskWork, TaskWorkItem};
    ///
    /// /// Does the work now if the task takes none.
    /// fn soon<T: TaskWorkItem>(work: KBox<TaskWork<T>>) {
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
    /// Has the task do something before it returns to user space, or else when it exits.
    ///
    /// What was added last is done first. Until this context ends, the item can still be changed.
    /// The module that it is of stays loaded. Any context but NMI: an interrupt adds it to the task
    /// that was interrupted.
    ///
    /// The work is handed back if the task is a kernel thread, which never returns there, or has
    /// got too far in exiting, or if the module is not loaded yet or is being unloaded. (The user
    /// workers of vhost and io_uring come by when they get a signal, or exit.)
    // The reference is to what the caller has given, and no part of `self`.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub fn task_work_add<T: TaskWorkItem>(
        &self,
        work: KBox<TaskWork<T>>,
    ) -> Result<&mut T, KBox<TaskWork<T>>> {
        let module = this_module::<T::OwnerModule>().as_ptr();

        if self.is_kthread() {
            return Err(work);
        }
        // A module whose `init()` fails is freed whatever its count is.
        // SAFETY: Unless it is null, the module is that of the caller, which is there.
        if !module.is_null() && unsafe { bindings::module_is_coming(module) } {
            return Err(work);
        }
        // SAFETY: As above. Once loaded, a module is either there or going, which this refuses.
        if !unsafe { bindings::try_module_get(module) } {
            return Err(work);
        }

        let work = KBox::into_raw(work);
        // SAFETY: The box was ours alone.
        let TaskWork { head, item } = unsafe { &mut *work };
        head.write(Head {
            work: bindings::callback_head {
                next: ptr::null_mut(),
                func: Some(run),
            },
            run: run_item::<T>,
            module,
        });

        // SAFETY: The task is the current one, so it is alive. If it takes the work, `run()` gets
        // the box from it, once. Nobody else touches `head` until then, which is where it begins.
        let added = unsafe {
            bindings::task_work_add(
                self.as_ptr(),
                work.cast(),
                bindings::task_work_notify_mode_TWA_RESUME,
            )
        };
        if added != 0 {
            // SAFETY: The count was taken above.
            unsafe { bindings::module_put(module) };
            // SAFETY: The box has not been taken, so it is ours as before.
            return Err(unsafe { KBox::from_raw(work) });
        }

        // `run()` is called by this task, in `task_work_run()`. That is on its way back to user
        // space, where no code of drivers is below it, or in `do_exit()`, after which none of that
        // goes on. So it is outside of the context in which `self` may be used, and the item is
        // borrowed for as long. Nobody else has a pointer to it.
        Ok(item)
    }
}

/// Does what was added, and then lets go of its module, which this function is no part of.
///
/// # Safety
///
/// `work` is that of a `Head` which [`CurrentTask::task_work_add`] has filled in, and is the
/// caller's to give away.
unsafe extern "C" fn run(work: *mut bindings::callback_head) {
    let head = work.cast::<Head>();
    // SAFETY: The caller says that it is filled in.
    let &Head { run, module, .. } = unsafe { &*head };

    // SAFETY: It is the function for this work, which the caller gives away.
    unsafe { run(head) };
    // SAFETY: This is the count that `task_work_add()` took. Nothing of the module is running.
    unsafe { bindings::module_put(module) };
}

/// # Safety
///
/// `head` is that of a box of `TaskWork<T>`, which is the caller's to give away.
unsafe fn run_item<T: TaskWorkItem>(head: *mut Head) {
    // SAFETY: The box begins with the head, and C code has kept the pointer that came from it.
    let work = unsafe { KBox::from_raw(head.cast::<TaskWork<T>>()) };

    TaskWork::into_item(work).run();
}
