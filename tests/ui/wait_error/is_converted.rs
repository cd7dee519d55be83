// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `WaitError` says more than an `Error`: a driver that returns only the latter converts it.

use kernel::{prelude::*, task::TaskState};

pub fn wait(condition: impl FnMut() -> Option<u32>) -> Result<u32> {
    let waited = current!().wait_until(TaskState::Killable, 10, condition);
    #[cfg(good)]
    return Ok(waited?);
    #[cfg(bad)]
    return waited;
    //~[bad]^ ERROR: E0308: mismatched types
}
