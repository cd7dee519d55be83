// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `KThread` must be used: dropping it stops the kthread at once.

#![deny(unused_must_use)]

use kernel::{kthread::KThread, prelude::*};

pub fn start() -> Result<KThread> {
    #[cfg(bad)]
    KThread::spawn(format_args!("unused"), |_| 0)?;
    //~[bad]^ ERROR: unused_must_use: unused
    KThread::spawn(format_args!("used"), |_| 0)
}
