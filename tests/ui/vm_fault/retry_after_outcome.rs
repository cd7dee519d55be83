// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Who has dealt with a fault cannot give the lock back any more.

use kernel::mm::{fault::{Served, VmFault}, vm_ops::VmOperations};
use kernel::page::Page;

pub fn fault<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, page: &Page) -> Served<'a> {
    let served = vmf.page(page);
    #[cfg(good)]
    let other = vmf.page(page);
    #[cfg(bad)]
    let other = vmf.retry_after(|| ()).ok();
    //~[bad]^ ERROR: E0502: cannot borrow `*vmf` as mutable
    drop(other);
    served
}
