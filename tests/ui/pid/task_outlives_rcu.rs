// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A task without a reference of its own cannot outlive the RCU read-side critical section.

use kernel::{pid::{Pid, PidType}, sync::rcu};

pub fn nr(pid: &Pid) -> Option<i32> {
    let guard = rcu::read_lock();
    let task = pid.pid_task(PidType::Pid, &guard)?;
    #[cfg(bad)]
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard` because it is borrowed
    Some(task.pid())
}
