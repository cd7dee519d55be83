// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `kthread_use_mm()`: the closure cannot return the borrowed `mm_struct` of the current task.

use kernel::{current, mm::MmWithUser, prelude::*, sync::aref::ARef};

pub fn outside(mm: &MmWithUser) -> Result<bool> {
    #[cfg(good)]
    let own = mm.kthread_use_mm(|| current!().mm().map(ARef::from))?;
    #[cfg(bad)]
    let own = mm.kthread_use_mm(|| current!().mm())?;
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
    Ok(own.is_some())
}
