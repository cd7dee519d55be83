// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A PID namespace without a reference of its own cannot outlive the `struct pid` it was found by.

use kernel::{pid::Pid, pid_namespace::PidNamespace, sync::aref::ARef};

#[cfg(good)]
pub fn namespace(pid: ARef<Pid>) -> ARef<PidNamespace> {
    pid.ns_of_pid().into()
}

#[cfg(bad)]
pub fn namespace<'a>(pid: ARef<Pid>) -> &'a PidNamespace {
    pid.ns_of_pid()
    //~[bad]^ ERROR: E0515: cannot return value referencing function parameter `pid`
}
