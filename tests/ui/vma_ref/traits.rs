// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What other threads may do with the type, and whether it may be copied or moved.

use kernel::mm::virt::VmaRef;

pub fn send<T: Send>() {}
pub fn sync<T: Sync>() {}
pub fn clone<T: Clone>() {}
pub fn unpin<T: Unpin>() {}
pub fn types() {
    #[cfg(bad)]
    send::<VmaRef>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    #[cfg(bad)]
    sync::<VmaRef>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    #[cfg(bad)]
    clone::<VmaRef>();
    //~[bad]^ ERROR: E0277: the trait bound
    #[cfg(bad)]
    unpin::<VmaRef>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
}
