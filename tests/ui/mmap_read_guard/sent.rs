// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The lock is given back by the thread that took it.

use kernel::{mm::MmWithUser, sync::aref::ARef};

/// What starting a thread asks of the closure that it runs.
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
