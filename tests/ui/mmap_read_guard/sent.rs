// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The mmap read lock must be released by the thread that has taken it.

use kernel::{mm::MmWithUser, sync::aref::ARef};

/// Has the bounds of a function that runs a closure in another thread.
pub fn spawn(_: impl FnOnce() + Send) {}

pub fn caller(mm: ARef<MmWithUser>) {
    #[cfg(good)]
    spawn(move || drop(mm.mmap_read_lock()));
    #[cfg(bad)]
    let guard = mm.mmap_read_lock();
    #[cfg(bad)]
    spawn(move || drop(guard));
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
}
