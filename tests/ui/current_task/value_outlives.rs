// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What `Task::current()` returns lends the task for as long as it lives itself.

use kernel::task::{CurrentTask, Task};

pub fn caller(f: impl FnOnce(&CurrentTask)) {
    let task;
    // SAFETY: It is dropped at the end of this function.
    let here = unsafe { Task::current() };
    task = &*here;
    #[cfg(bad)]
    drop(here);
    //~[bad]^ ERROR: E0505: cannot move out of `here` because it is borrowed
    f(task);
}
