// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `HasAnonFileOps` is unsafe to implement: an implementation says which table belongs to the type.

use kernel::anon_inode::{AnonFileOps, HasAnonFileOps};

pub struct Data;

#[cfg(good)]
// SAFETY: `table()` is not called.
unsafe impl HasAnonFileOps for Data {
    fn table() -> &'static AnonFileOps {
        loop {}
    }
}

#[cfg(bad)]
impl HasAnonFileOps for Data {
    //~[bad]^ ERROR: E0200: the trait
    fn table() -> &'static AnonFileOps {
        loop {}
    }
}
