// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A table is only made for a type that implements `AnonFile`.

use kernel::anon_inode::{AnonFile, AnonFileOps};

pub fn table<T: AnonFile>() -> AnonFileOps {
    #[cfg(good)]
    return AnonFileOps::new::<T>();
    #[cfg(bad)]
    return AnonFileOps::new::<usize>();
    //~[bad]^ ERROR: E0277: the trait bound
}
