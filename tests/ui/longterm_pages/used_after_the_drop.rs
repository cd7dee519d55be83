// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The pages are borrowed from their owner.

use kernel::{
    mm::pin::{LongtermPages, PinnedPages, ReadOnly},
    prelude::*,
};

pub fn read(owner: LongtermPages<ReadOnly>) -> Result<u8> {
    let pages: &PinnedPages<ReadOnly> = &owner;
    #[cfg(bad)]
    drop(owner);
    //~[bad]^ ERROR: cannot move out of `owner` because it is borrowed
    let mut byte = [0];
    pages.read(0, &mut byte)?;
    Ok(byte[0])
}
