// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The kind of a PID is a `PidType`: an integer may be out of range.

use kernel::{pid::{Pid, PidType}, sync::aref::ARef, task::Task};

pub fn any(pid: &Pid) -> Option<ARef<Task>> {
    #[cfg(good)]
    let kind = PidType::Sid;
    #[cfg(bad)]
    let kind = 7;
    pid.get_pid_task(kind)
    //~[bad]^ ERROR: E0308: mismatched types
}
