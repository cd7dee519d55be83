// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The result of `group_leader()` cannot outlive the scope of `current!()`.

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
