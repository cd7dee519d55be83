// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The lock is given back by who took it.

use kernel::mm::MmWithUser;

/// What starting a thread asks of the closure that it runs.
pub fn spawn(_: impl FnOnce() + Send) {}

pub fn caller(mm: &MmWithUser) {
    let guard = mm.mmap_write_lock();
    #[cfg(good)]
    drop(guard);
    #[cfg(bad)]
    spawn(|| drop(guard));
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
}
