// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A word of pages that are mapped for reading cannot be written.

use kernel::{
    mm::pin::{ReadOnly, ReadWrite, VmapPages},
    prelude::*,
    sync::atomic::Relaxed,
};

#[cfg(good)]
pub fn store(pages: &VmapPages<ReadWrite>, _: &VmapPages<ReadOnly>) -> Result {
    pages.atomic_u32(0)?.store(1, Relaxed);
    Ok(())
}

#[cfg(bad)]
pub fn store(_: &VmapPages<ReadWrite>, pages: &VmapPages<ReadOnly>) -> Result {
    pages.atomic_u32(0)?.store(1, Relaxed);
    //~[bad]^ ERROR: no method named `atomic_u32` found
    Ok(())
}
