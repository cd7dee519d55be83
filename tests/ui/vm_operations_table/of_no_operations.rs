// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A table belongs to a type with operations.

use kernel::mm::vm_ops::{VmOperations, VmOperationsTable};

pub fn table<T: VmOperations>() -> VmOperationsTable {
    #[cfg(good)]
    return VmOperationsTable::new::<T>();
    #[cfg(bad)]
    return VmOperationsTable::new::<usize>();
    //~[bad]^ ERROR: E0277: the trait bound
}
