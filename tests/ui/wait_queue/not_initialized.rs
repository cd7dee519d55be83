// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The list of a `WaitQueue` points to itself, so the queue is initialized where it stays.

use kernel::{prelude::*, task::WaitQueue};

pub fn wake() -> Result {
    #[cfg(good)]
    let queue = KBox::pin_init(WaitQueue::new(), GFP_KERNEL)?;
    #[cfg(bad)]
    let queue = WaitQueue::new();
    queue.wake_up();
    //~[bad]^ ERROR: E0599: no method named `wake_up` found for opaque type
    Ok(())
}
