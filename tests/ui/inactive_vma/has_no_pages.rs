// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! An area that comes or goes has no pages to be taken away.

use kernel::mm::vm_ops::{VmOperations, InactiveVma, DriverVma};

pub fn revoke<T: VmOperations>(vma: &DriverVma<T>, gone: &InactiveVma<T>) {
    let size = gone.end() - gone.start();
    #[cfg(good)]
    vma.zap_vma_range(vma.start(), size);
    #[cfg(bad)]
    (vma.start(), gone.zap_vma_range(gone.start(), size));
    //~[bad]^ ERROR: E0599: no method named `zap_vma_range` found
}
