// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What is written to a page must be initialized, which the caller promises.

use kernel::{mm::UserPage, prelude::*};

pub fn fill(page: &UserPage, bytes: *const u8) -> Result {
    #[cfg(good)]
    // SAFETY: The test is not run.
    unsafe {
        page.write_raw(bytes, 0, 1)
    }
    #[cfg(bad)]
    page.write_raw(bytes, 0, 1)
    //~[bad]^ ERROR: E0133: call to unsafe function
}
