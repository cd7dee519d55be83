// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! From an area that comes or goes, there is no way to its address space.

use kernel::{mm::{vm_ops::{VmOperations, InactiveVma, DriverVma}, MmWithUser}, sync::aref::ARef};

pub fn keep<T: VmOperations>(vma: &DriverVma<T>, _new: &InactiveVma<T>) -> ARef<MmWithUser> {
    #[cfg(good)]
    return ARef::from(vma.mm());
    #[cfg(bad)]
    return (ARef::from(vma.mm()), ARef::from(_new.mm())).1;
    //~[bad]^ ERROR: E0599: no method named `mm` found
}
