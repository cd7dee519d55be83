// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Only an area that is being set up is given its nature.

#[cfg(good)]
use kernel::mm::virt::VmaNew as Area;
#[cfg(bad)]
use kernel::mm::virt::VmaRef as Area;

pub fn caller(vma: &Area) {
    vma.set_dontexpand();
    //~[bad]^ ERROR: E0599: no method named `set_dontexpand` found
    vma.set_mixedmap();
    //~[bad]^ ERROR: E0599: no method named `set_mixedmap` found
}
