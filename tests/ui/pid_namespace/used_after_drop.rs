// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A PID namespace cannot be used after its reference has been dropped.

use kernel::{pid_namespace::PidNamespace, sync::aref::ARef, task::Task};

pub fn caller(task: &Task, ns: ARef<PidNamespace>) -> i32 {
    let borrowed: &PidNamespace = &ns;
    #[cfg(bad)]
    drop(ns);
    //~[bad]^ ERROR: E0505: cannot move out of `ns` because it is borrowed
    task.tgid_nr_ns(Some(borrowed))
}
