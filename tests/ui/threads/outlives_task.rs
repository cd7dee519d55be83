// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A walk over threads cannot outlive the reference to the task of the thread group. Its tasks can.

use kernel::{sync::aref::ARef, task::Task};

pub fn second(task: ARef<Task>) -> Option<ARef<Task>> {
    let mut threads = task.threads();
    let first = threads.next();
    #[cfg(bad)]
    drop(task);
    //~[bad]^ ERROR: E0505: cannot move out of `task` because it is borrowed
    let second = threads.next();
    #[cfg(good)]
    drop(task);
    drop(first);
    second
}
