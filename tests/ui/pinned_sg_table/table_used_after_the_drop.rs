// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The table is borrowed from the owner of the mapping.

// Linux 6.18 and later

use kernel::{
    device::{Bound, Device},
    mm::pin::ReadWrite,
    prelude::*,
    scatterlist::PinnedSGTable,
};

pub fn entries(buffer: PinnedSGTable<ReadWrite>, dev: &Device<Bound>) -> Result<usize> {
    let table = buffer.sg_table(dev)?;
    #[cfg(bad)]
    drop(buffer);
    //~[bad]^ ERROR: cannot move out of `buffer` because it is borrowed
    Ok(table.iter().count())
}
