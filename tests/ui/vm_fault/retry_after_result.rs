// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The lock cannot be released by `retry_after()` while a result of the fault exists.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations, UserPage};

pub fn fault<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, page: &UserPage) -> FaultResult<'a> {
    let result = vmf.return_page(page);
    #[cfg(good)]
    let other = vmf.return_page(page);
    #[cfg(bad)]
    let other = vmf.retry_after(|| ()).ok();
    //~[bad]^ ERROR: E0502: cannot borrow `*vmf` as mutable
    drop(other);
    result
}
