// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The memory of another task can only be accessed by its address space, which `mm_access()` gives
//! after a check, and which stays the same when the task calls `execve()`.

use kernel::{
    mm::remote::{PtraceMode, UserMemory},
    prelude::*,
    task::Task,
};

pub fn read(task: &Task, addr: usize, out: &mut [u8]) -> Result {
    #[cfg(good)]
    let memory = task.mm_access(PtraceMode::ReadFsCreds)?;
    #[cfg(bad)]
    let (memory, _) = (task, PtraceMode::ReadFsCreds);
    memory.read(addr, out)?;
    //~[bad]^ ERROR: no method named `read` found
    Ok(())
}
