// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The table is borrowed from the owner of the mapping.

// Linux 6.18 and later

use kernel::{mm::pin::ReadWrite, prelude::*, scatterlist::PinnedSGTable, sync::rcu};

pub fn entries(buffer: PinnedSGTable<ReadWrite>) -> Result<usize> {
    let guard = rcu::read_lock();
    let table = buffer.sg_table(&guard)?;
    #[cfg(bad)]
    drop(buffer);
    //~[bad]^ ERROR: cannot move out of `buffer` because it is borrowed
    Ok(table.iter().count())
}
