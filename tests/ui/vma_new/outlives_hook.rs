// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmaNew` cannot be stored beyond `->mmap()`.

use kernel::mm::virt::VmaNew;

pub struct Driver<'a> {
    pub vma: Option<&'a VmaNew>,
    pub start: usize,
}

pub fn hook(driver: &mut Driver<'_>, vma: &VmaNew) {
    driver.start = vma.start();
    #[cfg(bad)]
    (driver.vma = Some(vma));
    //~[bad]^ ERROR: lifetime may not live long enough
}
