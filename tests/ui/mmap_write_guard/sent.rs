// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The mmap write lock must be released by the thread that has taken it.

use kernel::mm::MmWithUser;

/// Has the bounds of a function that runs a closure in another thread.
pub fn spawn(_: impl FnOnce() + Send) {}

pub fn caller(mm: &MmWithUser) {
    let guard = mm.mmap_write_lock();
    #[cfg(good)]
    drop(guard);
    #[cfg(bad)]
    spawn(|| drop(guard));
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
}
