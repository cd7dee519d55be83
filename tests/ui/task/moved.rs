// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A task cannot be moved out of its allocation.

use kernel::{sync::aref::ARef, task::Task};

#[cfg(good)]
pub fn hold(task: &Task) -> ARef<Task> {
    ARef::from(task)
}

#[cfg(bad)]
pub fn hold(task: &Task) -> Task {
    *task
    //~[bad]^ ERROR: E0507: cannot move out of `*task`
}
