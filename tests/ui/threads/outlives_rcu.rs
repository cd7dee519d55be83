// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! An iterator over threads cannot outlive the RCU read-side critical section.

use kernel::{sync::rcu, task::Task};

pub fn count(task: &Task) -> usize {
    let guard = rcu::read_lock();
    let threads = task.threads(&guard);
    #[cfg(bad)]
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard` because it is borrowed
    threads.count()
}
