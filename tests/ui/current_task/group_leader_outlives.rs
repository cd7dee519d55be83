// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What `group_leader()` returns is for the scope of the current task only.

use kernel::{prelude::*, sync::aref::ARef, task::Task};

#[cfg(good)]
pub fn caller() -> ARef<Task> {
    current!().group_leader().into()
}

#[cfg(bad)]
pub fn caller<'a>() -> &'a Task {
    current!().group_leader()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
