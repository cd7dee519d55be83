// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Each type has its own table, by which its files are recognized.

use kernel::{anon_inode::AnonFile, impl_has_anon_file_ops, prelude::*};

include!("../../local_module.rs");

pub struct First;
pub struct Second;

impl_has_anon_file_ops!(First);
#[cfg(good)]
impl_has_anon_file_ops!(Second);

#[vtable]
impl AnonFile for First {
    type Ptr = KBox<Self>;
}

#[vtable]
impl AnonFile for Second {
    //~[bad]^ ERROR: E0277: the trait bound
    type Ptr = KBox<Self>;
}
