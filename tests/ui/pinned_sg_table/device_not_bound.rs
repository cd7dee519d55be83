// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The addresses are only reached while the driver is bound to the device.

// Linux 6.18 and later

#[cfg(good)]
use kernel::device::Bound;
#[cfg(bad)]
use kernel::device::Normal as Bound;
use kernel::{device::Device, mm::pin::ReadWrite, prelude::*, scatterlist::PinnedSGTable};

pub fn entries(buffer: &PinnedSGTable<ReadWrite>, dev: &Device<Bound>) -> Result<usize> {
    let table = buffer.sg_table(dev)?;
    //~[bad]^ ERROR: E0308: mismatched types
    Ok(table.iter().count())
}
