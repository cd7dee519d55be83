// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A driver zaps only its own VMAs.

use kernel::{mm::{virt::VmaRef, vm_ops::VmOperations}, prelude::*};

pub fn caller<T: VmOperations>(vma: &VmaRef) -> Result {
    #[cfg(good)]
    let vma = vma.downcast::<T>().ok_or(EINVAL)?;
    vma.zap_vma_range(vma.start(), vma.end() - vma.start())
    //~[bad]^ ERROR: E0599: no method named `zap_vma_range` found
}
