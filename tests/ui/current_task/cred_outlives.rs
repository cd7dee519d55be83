// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The result of `cred()` cannot outlive the scope of `current!()`.

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
