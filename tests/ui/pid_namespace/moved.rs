// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A PID namespace cannot be moved out of its allocation.

use kernel::{pid_namespace::PidNamespace, sync::aref::ARef};

#[cfg(good)]
pub fn hold(ns: &PidNamespace) -> ARef<PidNamespace> {
    ARef::from(ns)
}

#[cfg(bad)]
pub fn hold(ns: &PidNamespace) -> PidNamespace {
    *ns
    //~[bad]^ ERROR: E0507: cannot move out of `*ns`
}
