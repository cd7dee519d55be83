// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `HasVmOps` is unsafe to implement: an implementation says which `vm_ops` belong to the type.

use kernel::mm::vm_ops::{HasVmOps, VmOpsTable};

pub struct Data;

#[cfg(good)]
// SAFETY: `table()` is not called.
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
