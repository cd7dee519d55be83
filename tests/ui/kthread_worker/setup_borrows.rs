// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The kthread calls `setup` when `spawn()` may have returned, so `setup` cannot borrow.

use kernel::{kthread::KThreadWorker, prelude::*};

pub fn start(fifo: bool) -> Result<KThreadWorker> {
    #[cfg(good)]
    let setup = move |_: &_| drop(fifo.then_some(()));
    #[cfg(bad)]
    let setup = |_: &_| drop(fifo.then_some(()));
    //~[bad]^ ERROR: E0373: closure may outlive the current function
    KThreadWorker::spawn(format_args!("setup"), setup)
}
