// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What the hook sets up is not kept after it.

use kernel::mm::virt::VmaNew;

pub struct Driver<'a> {
    pub area: Option<&'a VmaNew>,
    pub start: usize,
}

pub fn hook(driver: &mut Driver<'_>, vma: &VmaNew) {
    driver.start = vma.start();
    #[cfg(bad)]
    (driver.area = Some(vma));
    //~[bad]^ ERROR: lifetime may not live long enough
}
