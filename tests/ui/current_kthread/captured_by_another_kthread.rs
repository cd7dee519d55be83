// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `CurrentKThread` cannot be captured by the closure of another kthread.

use kernel::{kthread::{KThread, CurrentKThread}, prelude::*};

pub fn start() -> Result<KThread> {
    KThread::spawn(format_args!("outer"), |this: &CurrentKThread| {
        #[cfg(good)]
        let inner = KThread::spawn(format_args!("inner"), |this| this.should_stop().into());
        #[cfg(bad)]
        let inner = KThread::spawn(format_args!("inner"), |_| this.should_stop().into());
        //~[bad]^ ERROR: E0277: cannot be shared between threads safely
        drop(inner);
        this.should_stop().into()
    })
}
