// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What `cred()` returns is for the scope of the current task only.

use kernel::{cred::Credential, prelude::*, sync::aref::ARef};

#[cfg(good)]
pub fn caller() -> ARef<Credential> {
    current!().cred().into()
}

#[cfg(bad)]
pub fn caller<'a>() -> &'a Credential {
    current!().cred()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
