// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A driver makes no task.

use kernel::{prelude::*, sync::aref::ARef, task::Task};

#[cfg(good)]
pub fn make() -> ARef<Task> {
    ARef::from(&**current!())
}

#[cfg(bad)]
pub fn make() -> Task {
    Task(kernel::types::Opaque::uninit())
    //~[bad]^ ERROR: E0423: cannot initialize a tuple struct which contains private fields
}
