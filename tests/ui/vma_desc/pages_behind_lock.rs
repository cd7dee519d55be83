// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Pages behind a lock may be dropped before the core mm maps them.

use kernel::mm::{vma_desc::VmaDesc, UserPage};
use kernel::{prelude::*, sync::Mutex};

pub struct Opened {
    pub fixed: KVec<UserPage>,
    pub changing: Pin<KBox<Mutex<KVec<UserPage>>>>,
}

pub fn mmap_prepare<'a>(opened: &'a Opened, desc: &mut VmaDesc<'a>) -> Result {
    #[cfg(good)]
    let pages = &opened.fixed;
    #[cfg(bad)]
    let pages = &*opened.changing.lock();
    //~[bad]^ ERROR: E0716: temporary value dropped while borrowed
    desc.map_kernel_pages(pages)
}
