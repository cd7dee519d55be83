// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A fault has one outcome.

use kernel::mm::{fault::{Served, VmFault}, vm_ops::VmOperations};
use kernel::{page::Page, prelude::*};

pub fn fault<'a, T: VmOperations>(vmf: VmFault<'a, T>, page: &Page) -> Served<'a> {
    let served = vmf.page(page);
    #[cfg(good)]
    return served;
    #[cfg(bad)]
    return vmf.error(ENOMEM);
    //~[bad]^ ERROR: E0382: use of moved value: `vmf`
}
