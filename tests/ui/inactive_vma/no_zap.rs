// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `open()` and `close()` cannot zap pages: an `InactiveVma` has no `zap_vma_range()`.

use kernel::mm::vm_ops::{VmOperations, InactiveVma, DriverVma};

pub fn revoke<T: VmOperations>(vma: &DriverVma<T>, inactive: &InactiveVma<T>) {
    let size = inactive.end() - inactive.start();
    #[cfg(good)]
    let _ = vma.zap_vma_range(vma.start(), size);
    #[cfg(bad)]
    (vma.start(), inactive.zap_vma_range(inactive.start(), size));
    //~[bad]^ ERROR: E0599: no method named `zap_vma_range` found
}
