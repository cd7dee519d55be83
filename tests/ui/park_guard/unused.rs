// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `ParkGuard` must be used: dropping it unparks the kthread at once.

#![deny(unused_must_use)]

use kernel::{kthread::KThread, prelude::*};

pub fn park(thread: &mut KThread) -> Result {
    #[cfg(good)]
    let _guard = thread.park()?;
    #[cfg(bad)]
    thread.park()?;
    //~[bad]^ ERROR: unused_must_use: unused
    Ok(())
}
