// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The same for several pages.

#[cfg(good)]
use kernel::mm::UserPage as Page;
#[cfg(bad)]
use kernel::page::Page;
use kernel::{mm::{virt::VmaMixedMap, vma_desc::VmaDesc}, prelude::*};

pub fn insert(vma: &VmaMixedMap, pages: &[Page]) -> Result {
    vma.vm_insert_pages(vma.start(), pages)
    //~[bad]^ ERROR: E0308: mismatched types
}

pub fn map<'a>(desc: &mut VmaDesc<'a>, pages: &'a KVec<Page>) -> Result {
    desc.map_kernel_pages(pages)
    //~[bad]^ ERROR: E0308: mismatched types
}
