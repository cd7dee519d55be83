// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Which table belongs to a type is not for safe code to say.

use kernel::mm::vm_ops::{HasVmOps, VmOpsTable};

pub struct Data;

#[cfg(good)]
// SAFETY: Nobody calls it.
unsafe impl HasVmOps for Data {
    fn table() -> &'static VmOpsTable {
        loop {}
    }
}

#[cfg(bad)]
impl HasVmOps for Data {
    //~[bad]^ ERROR: E0200: the trait
    fn table() -> &'static VmOpsTable {
        loop {}
    }
}
