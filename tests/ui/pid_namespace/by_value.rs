// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A namespace is used where it is.

use kernel::{pid_namespace::PidNamespace, sync::aref::ARef};

#[cfg(good)]
pub fn keep(ns: &PidNamespace) -> ARef<PidNamespace> {
    ARef::from(ns)
}

#[cfg(bad)]
pub fn keep(ns: &PidNamespace) -> PidNamespace {
    *ns
    //~[bad]^ ERROR: E0507: cannot move out of `*ns`
}
