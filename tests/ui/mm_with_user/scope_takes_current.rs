// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Nothing of the current task is used in a scope with another address space.

use kernel::{current, mm::MmWithUser, prelude::*};

pub fn inside(mm: &MmWithUser) -> Result<bool> {
    let task = current!();
    let _ = task;
    #[cfg(good)]
    return mm.kthread_use_mm(|| current!().mm().is_some());
    #[cfg(bad)]
    return mm.kthread_use_mm(|| task.mm().is_some());
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
}
