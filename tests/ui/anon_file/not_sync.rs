// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Several tasks use a file at the same time, so its data must be `Sync`.

use core::cell::Cell;
use kernel::{anon_inode::AnonFile, impl_has_anon_file_ops, prelude::*};

include!("../../local_module.rs");

pub struct Counter;

impl_has_anon_file_ops!(Counter);

#[vtable]
impl AnonFile for Counter {
    #[cfg(good)]
    type Ptr = KBox<u32>;
    #[cfg(bad)]
    type Ptr = KBox<Cell<u32>>;
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
}
