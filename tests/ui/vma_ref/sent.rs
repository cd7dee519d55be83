// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A VMA cannot be used by another thread under this thread's lock.

use kernel::mm::virt::VmaRef;

/// Has the bounds of a function that runs a closure in another thread.
pub fn spawn(_: impl FnOnce() + Send) {}

pub fn caller(vma: &VmaRef) {
    #[cfg(good)]
    let start = vma.start();
    #[cfg(good)]
    spawn(|| assert_ne!(start, 0));
    #[cfg(bad)]
    spawn(|| assert_ne!(vma.start(), 0));
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
}
