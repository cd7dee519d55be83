// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Safe code cannot construct a `Task`.

use kernel::{prelude::*, sync::aref::ARef, task::Task};

#[cfg(good)]
pub fn construct() -> ARef<Task> {
    ARef::from(&**current!())
}

#[cfg(bad)]
pub fn construct() -> Task {
    Task(kernel::types::Opaque::uninit())
    //~[bad]^ ERROR: E0423: cannot initialize a tuple struct which contains private fields
}
