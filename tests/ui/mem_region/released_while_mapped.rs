// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A region that a lock protects may be released while it is mapped.

use kernel::{
    mm::{pfnmap::Caching, vma_desc::VmaDesc, MemRegion},
    prelude::*,
    sync::Mutex,
};

pub struct Device {
    pub own: MemRegion,
    pub other: Pin<KBox<Mutex<Option<MemRegion>>>>,
}

pub fn mmap_prepare<'a>(me: &'a Device, desc: &mut VmaDesc<'a>) -> Result {
    #[cfg(good)]
    let region = &me.own;
    #[cfg(bad)]
    let other = me.other.lock();
    #[cfg(bad)]
    let region = other.as_ref().ok_or(ENXIO)?;
    //~[bad]^ ERROR: E0597: `other` does not live long enough
    desc.io_remap_region(region, desc.pgoff(), Caching::Noncached)
}
