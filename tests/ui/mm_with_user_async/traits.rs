// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What other threads may do with the type, and whether it may be copied or moved.

use kernel::mm::MmWithUserAsync;

pub fn send<T: Send>() {}
pub fn sync<T: Sync>() {}
pub fn clone<T: Clone>() {}
pub fn unpin<T: Unpin>() {}
pub fn types() {
    send::<MmWithUserAsync>();
    sync::<MmWithUserAsync>();
    #[cfg(bad)]
    clone::<MmWithUserAsync>();
    //~[bad]^ ERROR: E0277: the trait bound
    #[cfg(bad)]
    unpin::<MmWithUserAsync>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
}
