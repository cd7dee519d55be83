// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The item in a queued `TaskWork` cannot be used after the task may have run the work.

use kernel::{
    prelude::*,
    task::{
        TaskWork,
        TaskWorkItem, //
    },
};

#[cfg(good)]
pub fn caller<T: TaskWorkItem>(work: KBox<TaskWork<T>>, change: impl FnOnce(&mut T)) {
    if let Ok(item) = kernel::current!().task_work_add(work) {
        change(item);
    }
}

#[cfg(bad)]
pub fn caller<T: TaskWorkItem>(work: KBox<TaskWork<T>>) -> Option<&'static mut T> {
    kernel::current!().task_work_add(work).ok()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
