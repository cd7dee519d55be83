// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A task cannot be used after its reference has been dropped.

use kernel::{sync::aref::ARef, task::Task};

pub fn caller(task: ARef<Task>) -> i32 {
    let borrowed: &Task = &task;
    #[cfg(bad)]
    drop(task);
    //~[bad]^ ERROR: E0505: cannot move out of `task` because it is borrowed
    borrowed.pid()
}
