// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The address space of the current task is not known by it outside of the scope.

use kernel::{current, mm::MmWithUser, prelude::*, sync::aref::ARef};

pub fn outside(mm: &MmWithUser) -> Result<bool> {
    #[cfg(good)]
    let own = mm.kthread_use_mm(|| current!().mm().map(ARef::from))?;
    #[cfg(bad)]
    let own = mm.kthread_use_mm(|| current!().mm())?;
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
    Ok(own.is_some())
}
