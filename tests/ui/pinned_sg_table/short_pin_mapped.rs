// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Pages of a short pin cannot be mapped for DMA: the device uses them when the closure has
//! returned.

// Linux 6.18 and later

use kernel::{
    device::{Bound, Device},
    dma::DataDirection::ToDevice,
    prelude::*,
    scatterlist::PinnedSGTable,
};

#[cfg(good)]
use kernel::mm::pin::{Accounting, LongtermPages, ReadOnly};
#[cfg(bad)]
use kernel::mm::pin::{PinnedPages, ReadOnly};

#[cfg(good)]
pub fn map(dev: &Device<Bound>, addr: usize, len: usize) -> Result {
    let pages: LongtermPages<ReadOnly> =
        kernel::current!().pin_user_pages_longterm(addr, len, Accounting::PinnedVm)?;
    PinnedSGTable::new(dev, pages, ToDevice).map(drop)
}

#[cfg(bad)]
pub fn map(dev: &Device<Bound>, addr: usize, len: usize) -> Result {
    kernel::current!().with_pinned_user_pages(addr, len, |pages: &PinnedPages<ReadOnly>| {
        PinnedSGTable::<ReadOnly>::new(dev, pages, ToDevice).map(drop)
        //~[bad]^ ERROR: E0308: mismatched types
    })?
}
