// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A fault handler returns only pages that were zeroed, and no page of a `VBox`.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
#[cfg(good)]
use kernel::mm::UserPage as Page;
#[cfg(bad)]
use kernel::page::Page;

pub fn fault<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, page: &Page) -> FaultResult<'a> {
    if vmf.is_write() {
        return vmf.return_page(page);
        //~[bad]^ ERROR: E0308: mismatched types
    }
    vmf.vmf_insert_page(page)
    //~[bad]^ ERROR: E0308: mismatched types
}
