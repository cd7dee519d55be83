// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The `VmaMixedMap` of a `VmaNew` cannot outlive `->mmap()`.

use kernel::mm::virt::{VmaMixedMap, VmaNew};

#[cfg(good)]
pub fn hook(vma: &VmaNew) -> &VmaMixedMap {
    vma.set_mixedmap()
}

#[cfg(bad)]
pub fn hook(vma: &VmaNew) -> &'static VmaMixedMap {
    vma.set_mixedmap()
    //~[bad]^ ERROR: lifetime may not live long enough
}
