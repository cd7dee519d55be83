// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A reference to the current task cannot outlive the value that `Task::current()` returns.

use kernel::task::{CurrentTask, Task};

pub fn caller(f: impl FnOnce(&CurrentTask)) {
    let task;
    // SAFETY: It is dropped at the end of this function.
    let value = unsafe { Task::current() };
    task = &*value;
    #[cfg(bad)]
    drop(value);
    //~[bad]^ ERROR: E0505: cannot move out of `value` because it is borrowed
    f(task);
}
