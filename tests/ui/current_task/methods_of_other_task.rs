// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `Task` that may be another task has no `group_leader()`, `mm()` or `active_pid_ns()`.

#[cfg(good)]
use kernel::task::CurrentTask as Subject;
#[cfg(bad)]
use kernel::task::Task as Subject;

pub fn caller(task: &Subject) -> bool {
    let leader = task.group_leader().pid();
    //~[bad]^ ERROR: E0599: no method named `group_leader` found
    let mm = task.mm().is_some();
    //~[bad]^ ERROR: E0599: no method named `mm` found
    let ns = task.active_pid_ns().is_some();
    //~[bad]^ ERROR: E0599: no method named `active_pid_ns` found
    leader > 0 && mm && ns
}
