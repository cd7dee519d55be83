// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What only the current task may ask is not asked of any other.

#[cfg(good)]
use kernel::task::CurrentTask as Asked;
#[cfg(bad)]
use kernel::task::Task as Asked;

pub fn caller(task: &Asked) -> bool {
    let leader = task.group_leader().pid();
    //~[bad]^ ERROR: E0599: no method named `group_leader` found
    let mm = task.mm().is_some();
    //~[bad]^ ERROR: E0599: no method named `mm` found
    let ns = task.active_pid_ns().is_some();
    //~[bad]^ ERROR: E0599: no method named `active_pid_ns` found
    leader > 0 && mm && ns
}
