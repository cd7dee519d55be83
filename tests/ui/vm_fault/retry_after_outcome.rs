// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Who has dealt with a fault cannot give the lock back any more.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
use kernel::page::Page;

pub fn fault<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, page: &Page) -> FaultResult<'a> {
    let served = vmf.return_page(page);
    #[cfg(good)]
    let other = vmf.return_page(page);
    #[cfg(bad)]
    let other = vmf.retry_after(|| ()).ok();
    //~[bad]^ ERROR: E0502: cannot borrow `*vmf` as mutable
    drop(other);
    served
}
