// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The memory of an address space that may have no users any more cannot be accessed.

use kernel::{
    mm::{remote::UserMemory, Mm},
    prelude::*,
};

pub fn read(mm: &Mm, addr: usize, out: &mut [u8]) -> Result {
    #[cfg(good)]
    let memory = mm.mmget_not_zero().ok_or(ESRCH)?;
    #[cfg(bad)]
    let memory = mm;
    memory.read(addr, out)?;
    //~[bad]^ ERROR: no method named `read` found
    Ok(())
}
