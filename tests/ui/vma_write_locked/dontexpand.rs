// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `VM_DONTEXPAND` is for a driver's own VMA that is being set up.

#[cfg(good)]
use kernel::mm::virt::VmaNew as Vma;
#[cfg(bad)]
use kernel::mm::virt::VmaWriteLocked as Vma;

pub fn caller(vma: &Vma) {
    vma.set_dontexpand();
    //~[bad]^ ERROR: E0599: no method named `set_dontexpand` found
}
