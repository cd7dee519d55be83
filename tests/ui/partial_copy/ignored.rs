// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A copy may end early, so its result must be used.

#![deny(unused_must_use)]

use kernel::{
    mm::remote::{PartialCopy, UserMemory},
    prelude::*,
};

pub fn read(memory: &impl UserMemory, addr: usize) -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    #[cfg(good)]
    memory
        .read(addr, &mut bytes)
        .map_err(|PartialCopy { error, .. }| error)?;
    #[cfg(bad)]
    {
        let _ = PartialCopy {
            copied: 0,
            error: EFAULT,
        };
        memory.read(addr, &mut bytes);
        //~[bad]^ ERROR: that must be used
    }
    Ok(bytes)
}
