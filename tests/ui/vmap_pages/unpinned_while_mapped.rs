// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Mapping the pages takes their owner, so they cannot be unpinned before they are unmapped.

use kernel::{
    mm::pin::{LongtermPages, ReadOnly},
    prelude::*,
};

pub fn read(pages: LongtermPages<ReadOnly>) -> Result<u8> {
    let mapped = pages.vmap()?;
    #[cfg(bad)]
    drop(pages);
    //~[bad]^ ERROR: use of moved value: `pages`
    let mut byte = [0];
    mapped.read(0, &mut byte)?;
    Ok(byte[0])
}
