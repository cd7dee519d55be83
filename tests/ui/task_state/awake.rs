// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! There is no state that one would not be woken from.

use kernel::{bindings, prelude::*, task::TaskState};

pub fn wait(reason: impl FnMut() -> Option<()>) -> Result {
    #[cfg(good)]
    let how = TaskState::Interruptible;
    #[cfg(bad)]
    let how = bindings::TASK_RUNNING;
    current!().wait_until(how, 1, reason)
    //~[bad]^ ERROR: E0308: mismatched types
}
