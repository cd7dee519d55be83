// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Mapping the pages takes their owner, so they cannot be unpinned before they are unmapped.

// Linux 6.18 and later

use kernel::{
    device::{Bound, Device},
    dma::DataDirection::FromDevice,
    mm::pin::{LongtermPages, ReadWrite},
    prelude::*,
    scatterlist::PinnedSGTable,
};

pub fn map(
    dev: &Device<Bound>,
    pages: LongtermPages<ReadWrite>,
) -> Result<PinnedSGTable<ReadWrite>> {
    let buffer = PinnedSGTable::new(dev, pages, FromDevice)?;
    #[cfg(bad)]
    drop(pages);
    //~[bad]^ ERROR: use of moved value: `pages`
    Ok(buffer)
}
