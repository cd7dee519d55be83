// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Pages that are pinned for reading do not become pages that are pinned for writing.

use kernel::{
    mm::pin::{LongtermPages, ReadOnly, ReadWrite},
    prelude::*,
};

#[cfg(good)]
pub fn store(pages: LongtermPages<ReadWrite>, _: LongtermPages<ReadOnly>) -> LongtermPages<ReadWrite> {
    pages
}

#[cfg(bad)]
pub fn store(_: LongtermPages<ReadWrite>, pages: LongtermPages<ReadOnly>) -> LongtermPages<ReadWrite> {
    pages
    //~[bad]^ ERROR: mismatched types
}
