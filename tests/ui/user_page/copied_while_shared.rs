// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A copy from userspace needs the page for itself.

use kernel::{mm::UserPage, prelude::*, uaccess::UserSliceReader};

pub fn copy(
    #[cfg(good)] page: &mut UserPage,
    #[cfg(bad)] page: &UserPage,
    from: &mut UserSliceReader,
) -> Result {
    page.copy_from_user(0, from, 1)
    //~[bad]^ ERROR: E0596: cannot borrow `*page` as mutable
}
