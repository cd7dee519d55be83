// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The closure of a kthread cannot borrow from the function that starts the kthread.

use kernel::{kthread::KThread, prelude::*};

pub fn start(numbers: KVec<i32>) -> Result<KThread> {
    #[cfg(good)]
    return KThread::spawn(format_args!("sum"), move |_| numbers.iter().sum());
    #[cfg(bad)]
    return KThread::spawn(format_args!("sum"), |_| numbers.iter().sum());
    //~[bad]^ ERROR: E0373: closure may outlive the current function
}
