// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `map_kernel_pages()` needs a vector.

use kernel::mm::{vma_desc::VmaDesc, UserPage};
use kernel::prelude::*;

pub fn mmap_prepare<'a>(
    desc: &mut VmaDesc<'a>,
    #[cfg(good)] pages: &'a KVec<UserPage>,
    #[cfg(bad)] pages: &'a [UserPage],
) -> Result {
    desc.map_kernel_pages(pages)
    //~[bad]^ ERROR: E0308: mismatched types
}
