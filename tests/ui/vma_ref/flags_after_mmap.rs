// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Only a VMA that is being mapped has setters for `VM_DONTEXPAND` and `VM_MIXEDMAP`.

#[cfg(good)]
use kernel::mm::virt::VmaNew as Vma;
#[cfg(bad)]
use kernel::mm::virt::VmaRef as Vma;

pub fn caller(vma: &Vma) {
    vma.set_dontexpand();
    //~[bad]^ ERROR: E0599: no method named `set_dontexpand` found
    vma.set_mixedmap();
    //~[bad]^ ERROR: E0599: no method named `set_mixedmap` found
}
