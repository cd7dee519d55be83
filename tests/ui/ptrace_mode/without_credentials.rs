// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A check for access says which credentials it is about. `__ptrace_may_access()` warns about
//! `PTRACE_MODE_READ` alone.

use kernel::{
    mm::{remote::PtraceMode, MmWithUser},
    prelude::*,
    sync::aref::ARef,
    task::Task,
};

pub fn mm(task: &Task) -> Result<ARef<MmWithUser>> {
    #[cfg(good)]
    return task.mm_access(PtraceMode::ReadFsCreds);
    #[cfg(bad)]
    {
        const PTRACE_MODE_READ: u32 = 1;
        let _ = PtraceMode::ReadFsCreds;
        task.mm_access(PTRACE_MODE_READ)
        //~[bad]^ ERROR: E0308: mismatched types
    }
}
