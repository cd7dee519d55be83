// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A thread-group leader without a reference of its own cannot outlive the RCU read-side critical
//! section.

use kernel::{sync::{aref::ARef, rcu}, task::Task};

pub fn first() -> Option<ARef<Task>> {
    let guard = rcu::read_lock();
    let mut all = Task::processes(&guard);
    #[cfg(good)]
    let first = all.next().map(ARef::from);
    #[cfg(bad)]
    let first = all.next();
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard` because it is borrowed
    #[cfg(bad)]
    return first.map(ARef::from);
    #[cfg(good)]
    first
}
