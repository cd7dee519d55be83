// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `map_kernel_pages()` needs owned pages: a borrowed page may be in use elsewhere.

use kernel::mm::vma_desc::VmaDesc;
use kernel::{page::Page, prelude::*};

pub fn mmap_prepare<'a>(
    desc: &mut VmaDesc<'a>,
    #[cfg(good)] pages: &'a KVec<Page>,
    #[cfg(bad)] pages: &'a [Page],
) -> Result {
    desc.map_kernel_pages(pages)
    //~[bad]^ ERROR: E0308: mismatched types
}
