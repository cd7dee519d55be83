// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The closure of `retry_after()` cannot use the VMA, as the lock is not held.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};

pub fn fault<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>) -> Option<FaultResult<'a>> {
    let vma = vmf.vma();
    let start = vma.start();
    #[cfg(good)]
    return vmf.retry_after(|| assert_ne!(start, 0)).ok();
    #[cfg(bad)]
    return vmf.retry_after(|| assert_ne!(vma.end(), start)).ok();
    //~[bad]^ ERROR: E0502: cannot borrow `*vmf` as mutable
}
