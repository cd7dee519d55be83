// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `Task::current()` is unsafe: safe code must use `current!()`.

use kernel::task::Task;

pub fn caller() -> i32 {
    #[cfg(good)]
    // SAFETY: It is dropped at the end of this function.
    let task = unsafe { Task::current() };
    #[cfg(bad)]
    let task = Task::current();
    //~[bad]^ ERROR: E0133: call to unsafe function
    task.pid()
}
