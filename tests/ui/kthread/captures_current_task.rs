// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The closure of a kthread cannot capture the `CurrentTask` of the function that starts it.

use kernel::{current, kthread::{KThread, NewKThread}, prelude::*, sync::aref::ARef, task::Task};

pub fn start() -> Result<NewKThread> {
    #[cfg(good)]
    let starter: ARef<Task> = ARef::from(&**current!());
    #[cfg(bad)]
    let starter = current!();
    KThread::create(format_args!("starter"), move |_| starter.pid())
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
}
