// SPDX-License-Identifier: GPL-2.0

//! A method of `Task` that later kernels do not have, for the drivers of this one.

use crate::{
    bindings,
    task::{
        Kuid,
        Task, //
    },
};

impl Task {
    /// Returns the effective user ID.
    ///
    /// It is taken from the objective credentials (`real_cred`), which are not those that the task
    /// has while it overrides its credentials. Later kernels have
    /// [`Credential::euid`](crate::cred::Credential::euid) only.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(current!().euid().into_uid_in_current_ns(), 0);
    /// ```
    #[doc(alias = "task_euid")]
    #[inline]
    pub fn euid(&self) -> Kuid {
        // SAFETY: `task_euid()` reads `real_cred` under RCU. `exit_creds()` clears that field in
        // `__put_task_struct()`, which has not run, as `task_struct` is allocated by the type
        // invariant.
        Kuid::from_raw(unsafe { bindings::task_euid(self.as_ptr()) })
    }
}
