// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The state of a wait is a `TaskState`: `TASK_RUNNING` cannot be passed.

use kernel::{bindings, prelude::*, task::TaskState};

pub fn wait(condition: impl FnMut() -> Option<()>) -> Result {
    #[cfg(good)]
    let state = TaskState::Interruptible;
    #[cfg(bad)]
    let state = bindings::TASK_RUNNING;
    Ok(current!().wait_until(state, 1, condition)?)
    //~[bad]^ ERROR: E0308: mismatched types
}
