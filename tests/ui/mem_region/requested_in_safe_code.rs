// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The driver must know that userspace may access the range.

use kernel::{mm::MemRegion, prelude::*};

pub fn request(start: u64, name: &CStr) -> Result<MemRegion> {
    #[cfg(good)]
    // SAFETY: This is not called.
    return unsafe { MemRegion::request(start, 4096, name) };
    #[cfg(bad)]
    return MemRegion::request(start, 4096, name);
    //~[bad]^ ERROR: E0133: call to unsafe function
}
