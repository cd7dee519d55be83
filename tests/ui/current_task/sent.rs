// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! No other thread gets the current task, by value or by reference.

use kernel::{prelude::*, task::Task};

/// What starting a thread asks of the closure that it runs.
pub fn spawn(_: impl FnOnce() + Send) {}

pub fn caller() {
    let task = current!();
    #[cfg(good)]
    let task: &Task = task;
    spawn(|| assert!(task.pid() > 0));
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
}
