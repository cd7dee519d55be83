// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `DriverVma` of one type is not a `DriverVma` of another.

use kernel::mm::{virt::VmaRef, vm_ops::{VmOperations, DriverVma}};

pub fn find<T: VmOperations, U: VmOperations>(vma: &VmaRef) -> Option<&DriverVma<T>> {
    #[cfg(good)]
    return vma.downcast::<T>();
    #[cfg(bad)]
    return vma.downcast::<U>();
    //~[bad]^ ERROR: E0308: mismatched types
}
