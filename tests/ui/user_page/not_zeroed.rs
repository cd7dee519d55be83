// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A page that may hold old contents of the memory is not mapped to userspace.

use kernel::{mm::{virt::VmaMixedMap, UserPage}, page::Page, prelude::*};

pub fn caller(vma: &VmaMixedMap, zeroed: &UserPage, other: &Page) -> Result {
    #[cfg(good)]
    let (page, _) = (zeroed, other);
    #[cfg(bad)]
    let (_, page) = (zeroed, other);
    vma.vm_insert_page(vma.start(), page)
    //~[bad]^ ERROR: E0308: mismatched types
}
