// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What other threads may do with the type, and whether it may be copied or moved.

use kernel::task::Task;

pub fn send<T: Send>() {}
pub fn sync<T: Sync>() {}
pub fn clone<T: Clone>() {}
pub fn unpin<T: Unpin>() {}
pub fn types() {
    send::<Task>();
    sync::<Task>();
    #[cfg(bad)]
    clone::<Task>();
    //~[bad]^ ERROR: E0277: the trait bound
    #[cfg(bad)]
    unpin::<Task>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
}
