// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A queued `TaskWork` can be neither dropped nor queued again, unless `task_work_add()` returns
//! it.

use kernel::{
    prelude::*,
    task::{
        TaskWork,
        TaskWorkItem, //
    },
};

pub fn caller<T: TaskWorkItem>(work: KBox<TaskWork<T>>) {
    #[cfg(good)]
    let work = match kernel::current!().task_work_add(work) {
        Ok(_) => return,
        Err(work) => work,
    };
    #[cfg(bad)]
    let _ = kernel::current!().task_work_add(work);
    drop(work);
    //~[bad]^ ERROR: E0382: use of moved value: `work`
}
