// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `open()` and `close()` cannot reach the `mm_struct`: an `InactiveVma` has no `mm()`.

use kernel::{mm::{vm_ops::{VmOperations, InactiveVma, DriverVma}, MmWithUser}, sync::aref::ARef};

pub fn keep<T: VmOperations>(vma: &DriverVma<T>, _inactive: &InactiveVma<T>) -> ARef<MmWithUser> {
    #[cfg(good)]
    return ARef::from(vma.mm());
    #[cfg(bad)]
    return (ARef::from(vma.mm()), ARef::from(_inactive.mm())).1;
    //~[bad]^ ERROR: E0599: no method named `mm` found
}
