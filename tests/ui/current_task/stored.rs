// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `CurrentTask` cannot be stored where another task could find it.

use kernel::{
    prelude::*,
    sync::aref::ARef,
    task::{CurrentTask, Task},
};

#[cfg(good)]
pub struct Session {
    pub opener: ARef<Task>,
}

#[cfg(good)]
pub fn open() -> Session {
    Session {
        opener: ARef::from(&**current!()),
    }
}

#[cfg(bad)]
pub struct Session {
    pub opener: &'static CurrentTask,
}

#[cfg(bad)]
pub fn open() -> Session {
    let opener = current!();
    //~[bad]^ ERROR: E0716: temporary value dropped while borrowed
    Session { opener }
}
