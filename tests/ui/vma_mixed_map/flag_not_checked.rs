// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Pages can only be inserted into a VMA after a check of `VM_MIXEDMAP`.

use kernel::{mm::{vm_ops::{DriverVma, VmOperations}, UserPage}, prelude::*};

pub fn caller<T: VmOperations>(vma: &DriverVma<T>, page: &UserPage) -> Result {
    #[cfg(good)]
    let vma = vma.as_mixedmap_vma().ok_or(EINVAL)?;
    vma.vm_insert_page(vma.start(), page)
    //~[bad]^ ERROR: E0599: no method named `vm_insert_page` found
}
