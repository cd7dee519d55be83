// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmaDesc` cannot be stored beyond `->mmap_prepare()`.

use kernel::mm::vma_desc::VmaDesc;

pub struct Driver<'a, 'b> {
    pub desc: Option<&'b mut VmaDesc<'a>>,
    pub pages: usize,
}

pub fn mmap_prepare<'a>(driver: &mut Driver<'a, '_>, desc: &mut VmaDesc<'a>) {
    driver.pages = desc.vma_pages();
    #[cfg(bad)]
    (driver.desc = Some(desc));
    //~[bad]^ ERROR: lifetime may not live long enough
}
