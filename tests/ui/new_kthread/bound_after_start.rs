// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A kthread that has been started cannot be bound to a CPU.

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
