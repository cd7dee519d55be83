// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The task of a `Pid` cannot be used without a reference.

use kernel::{pid::{Pid, PidType}, task::Task};

pub fn nr(pid: &Pid) -> Option<i32> {
    let task: &Task;
    #[cfg(good)]
    let reference = pid.get_pid_task(PidType::Pid)?;
    #[cfg(good)]
    {
        task = &reference;
    }
    #[cfg(bad)]
    {
        task = &*pid.get_pid_task(PidType::Pid)?;
        //~[bad]^ ERROR: E0716: temporary value dropped while borrowed
    }
    Some(task.pid())
}
