// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Neither a `CurrentTask` nor a reference to it can be sent to another thread.

use kernel::{prelude::*, task::Task};

/// Has the bounds of a function that runs a closure in another thread.
pub fn spawn(_: impl FnOnce() + Send) {}

pub fn caller() {
    let task = current!();
    #[cfg(good)]
    let task: &Task = task;
    spawn(|| assert!(task.pid() > 0));
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
}
