// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Another thread does not look at an area under the lock of this one.

use kernel::mm::virt::VmaRef;

/// What starting a thread asks of the closure that it runs.
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
