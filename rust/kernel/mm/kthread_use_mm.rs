// SPDX-License-Identifier: GPL-2.0

//! Kthreads that use a userspace address space.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use crate::{
    bindings,
    error::{
        code::{
            EBUSY,
            EINVAL, //
        },
        Result, //
    },
    kthread::end_sections,
    mm::MmWithUser,
    task::may_sleep, //
};

impl MmWithUser {
    /// Runs `scope` while the current kthread uses this address space.
    ///
    /// Within `scope`, [`current!`](crate::current!)`().mm()` returns this address space, and
    /// userspace pointers refer to it. Userspace may run at the same time: it may unmap memory,
    /// call `execve()` or exit. The address space stays alive until `scope` has returned.
    ///
    /// The kthread does not get the credentials of the process. It still acts as root, so
    /// [`Kuid::current_euid`](crate::task::Kuid::current_euid) and
    /// [`CurrentTask::cred`](crate::task::CurrentTask::cred) are no basis for a decision on what
    /// the process may do. Capture the [`Credential`](crate::cred::Credential) of the task that
    /// asked.
    ///
    /// `current->mm` differs inside and outside of `scope`, so no reference that depends on it may
    /// cross the boundary. The bounds guarantee this:
    ///
    /// - What `scope` captures must be [`Send`]. Neither a
    ///   [`CurrentTask`](crate::task::CurrentTask) nor a guard is.
    /// - What `scope` stores outside must outlive it. A reference obtained from a `current!()`
    ///   inside does not.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the current task is not a kthread.
    /// - `EBUSY`: the current task uses an address space, this is an interrupt, or interrupts are
    ///   disabled.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::sync::aref::ARef;
    /// # let mut new_mm = None;
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// #     assert_eq!(mm.kthread_use_mm(|| ()), Err(EBUSY));
    /// #     new_mm = Some(ARef::from(mm));
    /// #     Ok(())
    /// # })?;
    /// # let mm = new_mm.ok_or(EINVAL)?;
    /// // In a kthread, such as a worker of a workqueue:
    /// assert!(current!().mm().is_none());
    /// let uses_mm = mm.kthread_use_mm(|| current!().mm().is_some())?;
    /// assert!(uses_mm);
    /// # assert!(current!().mm().is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_unuse_mm")]
    pub fn kthread_use_mm<R: Send>(&self, scope: impl FnOnce() -> R + Send) -> Result<R> {
        // In an interrupt, the current task is the interrupted one. `kthread_use_mm()` takes
        // `alloc_lock`, which the task may hold, and enables interrupts.
        if !may_sleep() {
            return Err(EBUSY);
        }
        if !crate::current!().is_kthread() {
            return Err(EINVAL);
        }
        if crate::current!().mm().is_some() {
            return Err(EBUSY);
        }

        // SAFETY: This is process context with interrupts enabled, and the current task is a
        // kthread that uses no address space, as checked above, so `kthread_use_mm()` may be
        // called. `self` is borrowed until the end of this function, so `mm_users` is not zero
        // until after `kthread_unuse_mm()`.
        unsafe { bindings::kthread_use_mm(self.as_raw()) };
        let result = scope();
        // `kthread_unuse_mm()` enables interrupts and, on PREEMPT_RT, may sleep. So a section whose
        // guard `scope` has leaked must end before.
        if !may_sleep() {
            end_sections();
        }
        // SAFETY: The current task still uses the address space set above: a nested call of this
        // function within `scope()` fails with `EBUSY`, and other code that calls
        // `kthread_use_mm()` undoes it before it returns. `scope()` has returned, so no reference
        // that depends on `current->mm` exists.
        unsafe { bindings::kthread_unuse_mm(self.as_raw()) };
        Ok(result)
    }
}
