// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A kthread cannot be stopped while a `ParkGuard` borrows its handle.

use kernel::{kthread::KThread, prelude::*};

pub fn end(mut thread: KThread) -> Result<i32> {
    let parked = thread.park()?;
    #[cfg(good)]
    drop(parked);
    let result = thread.stop();
    //~[bad]^ ERROR: E0505: cannot move out of `thread` because it is borrowed
    #[cfg(bad)]
    drop(parked);
    Ok(result)
}
