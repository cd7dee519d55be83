// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A walk over thread groups cannot outlive the reference to the PID namespace. Its tasks can.

use kernel::{pid_namespace::PidNamespace, sync::aref::ARef, task::Task};

pub fn second(ns: ARef<PidNamespace>) -> Option<ARef<Task>> {
    let mut all = ns.processes();
    let first = all.next();
    #[cfg(bad)]
    drop(ns);
    //~[bad]^ ERROR: E0505: cannot move out of `ns` because it is borrowed
    let second = all.next();
    #[cfg(good)]
    drop(ns);
    drop(first);
    second
}
