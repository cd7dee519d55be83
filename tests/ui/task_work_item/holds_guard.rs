// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `TaskWorkItem` must be `Send`, so it cannot hold an RCU guard until the return to userspace.

use kernel::{
    prelude::*,
    sync::rcu,
    task::TaskWorkItem, //
};

#[cfg(good)]
type Data = u32;
#[cfg(bad)]
type Data = rcu::Guard;

pub struct Item(pub Data);

include!("../../local_module.rs");

#[vtable]
impl TaskWorkItem for Item {
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    fn run(self) {}
}
