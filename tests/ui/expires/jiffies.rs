// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A time says of which clock it is, so it is not taken for a number of jiffies.

use kernel::task::{CurrentTask, Expires, TaskState, WaitError};

pub fn wait(task: &CurrentTask, time: i64, ready: bool) -> Result<(), WaitError> {
    #[cfg(good)]
    let expires = Expires::Monotonic(time);
    #[cfg(bad)]
    let expires = time;
    task.wait_until_expires(TaskState::Killable, expires, || ready.then_some(()))
    //~[bad]^ ERROR: E0308: mismatched types
}
