// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `KThreadWorker` must be used: dropping it stops the kthread at once.

#![deny(unused_must_use)]

use kernel::{kthread::KThreadWorker, prelude::*};

pub fn start() -> Result<KThreadWorker> {
    #[cfg(bad)]
    KThreadWorker::spawn(format_args!("unused"), |_| ())?;
    //~[bad]^ ERROR: unused_must_use: unused
    KThreadWorker::spawn(format_args!("used"), |_| ())
}
