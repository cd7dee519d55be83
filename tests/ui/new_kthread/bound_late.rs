// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A thread that runs is not bound to a CPU any more.

use kernel::kthread::{KThread, NewKThread};
use kernel::prelude::*;

pub fn start(mut thread: NewKThread) -> Result<KThread> {
    #[cfg(good)]
    thread.bind(0)?;
    let running = thread.start();
    #[cfg(bad)]
    thread.bind(0)?;
    //~[bad]^ ERROR: E0382: borrow of moved value: `thread`
    Ok(running)
}
