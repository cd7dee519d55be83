// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The VMA lock must be released by the thread that has taken it.

use kernel::{mm::MmWithUser, sync::aref::ARef};

/// Has the bounds of a function that runs a closure in another thread.
pub fn spawn(_: impl FnOnce() + Send) {}

pub fn caller(mm: ARef<MmWithUser>) {
    #[cfg(good)]
    spawn(move || drop(mm.lock_vma_under_rcu(0)));
    #[cfg(bad)]
    let guard = mm.lock_vma_under_rcu(0);
    #[cfg(bad)]
    spawn(move || drop(guard));
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    //~[bad]| ERROR: E0277: cannot be shared between threads safely
}
