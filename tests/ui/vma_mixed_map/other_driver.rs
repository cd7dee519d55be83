// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A driver maps pages only in its own VMAs: the driver of another VMA may depend on what is
//! mapped.

use kernel::{mm::{virt::VmaRef, vm_ops::VmOperations, UserPage}, prelude::*};

pub fn caller<T: VmOperations>(vma: &VmaRef, page: &UserPage) -> Result {
    #[cfg(good)]
    let vma = vma.downcast::<T>().ok_or(EINVAL)?;
    let vma = vma.as_mixedmap_vma().ok_or(EINVAL)?;
    //~[bad]^ ERROR: E0599: no method named `as_mixedmap_vma` found
    vma.vm_insert_page(vma.start(), page)
}
