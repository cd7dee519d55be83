// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The parent of a task cannot outlive the RCU read-side critical section.

use kernel::{sync::rcu, task::Task};

pub fn parent(task: &Task) -> Option<i32> {
    let guard = rcu::read_lock();
    let parent = task.real_parent(&guard)?;
    #[cfg(bad)]
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard` because it is borrowed
    Some(parent.pid())
}
