// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The parent of a task cannot be kept without a reference, not even behind a leaked RCU guard.

use kernel::{prelude::*, sync::{aref::ARef, rcu}, task::Task};

#[cfg(good)]
pub fn parent(task: &Task) -> Result<ARef<Task>> {
    let _guard = KBox::leak(KBox::new(rcu::read_lock(), GFP_KERNEL)?);
    task.real_parent().ok_or(ESRCH)
}

#[cfg(bad)]
pub fn parent(task: &Task) -> Result<&'static Task> {
    let guard: &'static rcu::Guard = KBox::leak(KBox::new(rcu::read_lock(), GFP_KERNEL)?);
    task.real_parent(guard).ok_or(ESRCH)
    //~[bad]^ ERROR: E0061: this method takes 0 arguments but 1 argument was supplied
    //~[bad]| ERROR: E0308: mismatched types
}
