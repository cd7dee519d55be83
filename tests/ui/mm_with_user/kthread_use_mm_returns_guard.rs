// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `kthread_use_mm()`: the closure cannot return a guard of the mmap lock.

use kernel::{mm::MmWithUser, prelude::*};

pub fn outside(mm: &MmWithUser) -> Result {
    #[cfg(good)]
    let _lock = mm.kthread_use_mm(|| drop(mm.mmap_read_lock()))?;
    #[cfg(bad)]
    let _lock = mm.kthread_use_mm(|| mm.mmap_read_lock())?;
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    Ok(())
}
