// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Who has given the lock back has no fault any more.

use kernel::mm::{fault::{Served, VmFault}, vm_ops::VmOperations};

pub fn fault<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>) -> Served<'a> {
    let address = vmf.address();
    let retried = vmf.retry_after(|| assert_ne!(address, 0));
    #[cfg(good)]
    return retried.unwrap_or_else(|vmf| vmf.no_page());
    #[cfg(bad)]
    return retried.unwrap_or_else(|_| vmf.no_page());
    //~[bad]^ ERROR: E0502: cannot borrow `*vmf` as immutable
}
