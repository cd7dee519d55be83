// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmOpsTable` is only constructed for a type that implements `VmOperations`.

use kernel::mm::vm_ops::{VmOperations, VmOpsTable};

pub fn table<T: VmOperations>() -> VmOpsTable {
    #[cfg(good)]
    return VmOpsTable::new::<T>();
    #[cfg(bad)]
    return VmOpsTable::new::<usize>();
    //~[bad]^ ERROR: E0277: the trait bound
}
