// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `struct pid` cannot be used after its reference has been dropped.

use kernel::{pid::Pid, sync::aref::ARef};

pub fn nr(pid: ARef<Pid>) -> i32 {
    let borrowed: &Pid = &pid;
    #[cfg(bad)]
    drop(pid);
    //~[bad]^ ERROR: E0505: cannot move out of `pid` because it is borrowed
    borrowed.pid_nr()
}
