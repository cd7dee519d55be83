// SPDX-License-Identifier: GPL-2.0

//! Address spaces that a thread of the kernel borrows.
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
    mm::MmWithUser,
};

impl MmWithUser {
    /// Has the current thread of the kernel use this address space while `scope` runs.
    ///
    /// There, [`current!`](crate::current!)`().mm()` is this one, and user pointers are those of
    /// its programs. They may do anything to their memory meanwhile: unmap it, execute another
    /// program, end. The address space stays.
    ///
    /// A task is the same inside and outside, but its address space is not. So nothing of the
    /// current task crosses the border: what `scope` uses of the outside has to be [`Send`], which
    /// neither a [`CurrentTask`](crate::task::CurrentTask) nor a guard is, and what it leaves
    /// behind has to outlive it, which nothing does that was borrowed from a `current!()` inside.
    ///
    /// Process context; `scope` may sleep.
    ///
    /// Errors: `EINVAL` if the current task is not a thread of the kernel, `EBUSY` if it uses an
    /// address space already.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::MmWithUser;
    ///
    /// /// To be called by a workqueue's thread, for example.
    /// fn has_it(mm: &MmWithUser) -> Result<bool> {
    ///     mm.kthread_use_mm(|| current!().mm().is_some())
    /// }
    /// # // SAFETY: No `current!()` is in use yet.
    /// # unsafe { kernel::mm::kunit::user_page() }?;
    /// # // KUnit's thread has an address space by now.
    /// # assert_eq!(has_it(current!().mm().ok_or(EINVAL)?).err(), Some(EBUSY));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "kthread_unuse_mm")]
    pub fn kthread_use_mm<R: Send>(&self, scope: impl FnOnce() -> R + Send) -> Result<R> {
        if !crate::current!().is_kthread() {
            return Err(EINVAL);
        }
        if crate::current!().mm().is_some() {
            return Err(EBUSY);
        }

        // SAFETY: A thread of the kernel without an address space may take one. It has users for as
        // long as `self` is borrowed, that is to the end of this function.
        unsafe { bindings::kthread_use_mm(self.as_raw()) };
        let result = scope();
        // SAFETY: It is still the one from above: whoever else takes one gives it back before
        // `scope()` returns, or has been refused.
        unsafe { bindings::kthread_unuse_mm(self.as_raw()) };
        Ok(result)
    }
}
