// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The result of `mm()` cannot outlive the scope of `current!()`.

use kernel::mm::MmWithUser;
use kernel::{prelude::*, sync::aref::ARef};

#[cfg(good)]
pub fn caller() -> Option<ARef<MmWithUser>> {
    current!().mm().map(ARef::from)
}

#[cfg(bad)]
pub fn caller<'a>() -> Option<&'a MmWithUser> {
    current!().mm()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
