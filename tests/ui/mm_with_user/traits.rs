// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What other threads may do with the type, and whether it may be copied or moved.

use kernel::mm::MmWithUser;

pub fn send<T: Send>() {}
pub fn sync<T: Sync>() {}
pub fn clone<T: Clone>() {}
pub fn unpin<T: Unpin>() {}
pub fn types() {
    send::<MmWithUser>();
    sync::<MmWithUser>();
    #[cfg(bad)]
    clone::<MmWithUser>();
    //~[bad]^ ERROR: E0277: the trait bound
    #[cfg(bad)]
    unpin::<MmWithUser>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
}
