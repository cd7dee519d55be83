// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A task is used where it is.

use kernel::{sync::aref::ARef, task::Task};

#[cfg(good)]
pub fn keep(task: &Task) -> ARef<Task> {
    ARef::from(task)
}

#[cfg(bad)]
pub fn keep(task: &Task) -> Task {
    *task
    //~[bad]^ ERROR: E0507: cannot move out of `*task`
}
