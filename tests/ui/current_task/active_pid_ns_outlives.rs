// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The result of `active_pid_ns()` cannot outlive the scope of `current!()`.

use kernel::pid_namespace::PidNamespace;
use kernel::{prelude::*, sync::aref::ARef};

#[cfg(good)]
pub fn caller() -> Option<ARef<PidNamespace>> {
    current!().active_pid_ns().map(ARef::from)
}

#[cfg(bad)]
pub fn caller<'a>() -> Option<&'a PidNamespace> {
    current!().active_pid_ns()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
