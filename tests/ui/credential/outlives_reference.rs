// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Borrowed credentials cannot outlive the reference that `get_task_cred()` returns.

use kernel::{cred::Credential, sync::aref::ARef, task::Task};

#[cfg(good)]
pub fn credentials(task: &Task) -> ARef<Credential> {
    task.get_task_cred()
}

#[cfg(bad)]
pub fn credentials(task: &Task) -> &Credential {
    &*task.get_task_cred()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
