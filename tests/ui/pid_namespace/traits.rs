// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What other threads may do with the type, and whether it may be copied or moved.

use kernel::pid_namespace::PidNamespace;

pub fn send<T: Send>() {}
pub fn sync<T: Sync>() {}
pub fn clone<T: Clone>() {}
pub fn unpin<T: Unpin>() {}
pub fn types() {
    send::<PidNamespace>();
    sync::<PidNamespace>();
    #[cfg(bad)]
    clone::<PidNamespace>();
    //~[bad]^ ERROR: E0277: the trait bound
    #[cfg(bad)]
    unpin::<PidNamespace>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
}
