// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A word of the pages is borrowed from the owner of the mapping.

use kernel::{
    mm::pin::{LongtermPages, ReadWrite},
    prelude::*,
    sync::atomic::Relaxed,
};

pub fn load(pages: LongtermPages<ReadWrite>) -> Result<u32> {
    let owner = pages.vmap()?;
    let word = owner.atomic_u32(0)?;
    #[cfg(bad)]
    drop(owner);
    //~[bad]^ ERROR: cannot move out of `owner` because it is borrowed
    Ok(word.load(Relaxed))
}
