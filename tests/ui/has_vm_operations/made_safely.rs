// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Which table belongs to a type is not for safe code to say.

use kernel::mm::vm_ops::{HasVmOperations, VmOperationsTable};

pub struct Data;

#[cfg(good)]
// SAFETY: Nobody calls it.
unsafe impl HasVmOperations for Data {
    fn table() -> &'static VmOperationsTable {
        loop {}
    }
}

#[cfg(bad)]
impl HasVmOperations for Data {
    //~[bad]^ ERROR: E0200: the trait
    fn table() -> &'static VmOperationsTable {
        loop {}
    }
}
