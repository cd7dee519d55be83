// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! While a task is on the queue, the queue cannot be freed.

use kernel::{prelude::*, task::WaitQueue};

pub fn wait(queue: Pin<KBox<WaitQueue>>) {
    queue.queued(|| {
        //~[bad]^ ERROR: E0505: cannot move out of `queue` because it is borrowed
        #[cfg(good)]
        queue.wake_up();
        #[cfg(bad)]
        drop(queue);
    });
}
