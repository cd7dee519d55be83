// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Pages that are pinned for reading cannot be written.

use kernel::{
    mm::pin::{PinnedPages, ReadOnly, ReadWrite},
    prelude::*,
};

#[cfg(good)]
pub fn write(pages: &PinnedPages<ReadWrite>, _: &PinnedPages<ReadOnly>) -> Result {
    pages.write(0, b"x")
}

#[cfg(bad)]
pub fn write(_: &PinnedPages<ReadWrite>, pages: &PinnedPages<ReadOnly>) -> Result {
    pages.write(0, b"x")
    //~[bad]^ ERROR: no method named `write` found
}
