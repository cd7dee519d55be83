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

pub struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static kernel::str::CStr = kernel::c_str!("none");
    const THIS_MODULE: ThisModule =
        // SAFETY: Null stands for the kernel itself.
        unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
}

#[vtable]
impl TaskWorkItem for Item {
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    fn run(self) {}
}
