// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `kthread_use_mm()`: the closure cannot capture a `CurrentTask`, which may have another
//! `mm_struct`.

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
