// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmFault` cannot be used after `retry_after()` has released the lock.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};

pub fn fault<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>) -> FaultResult<'a> {
    let address = vmf.address();
    let retried = vmf.retry_after(|| assert_ne!(address, 0));
    #[cfg(good)]
    return retried.unwrap_or_else(|vmf| vmf.return_nopage());
    #[cfg(bad)]
    return retried.unwrap_or_else(|_| vmf.return_nopage());
    //~[bad]^ ERROR: E0502: cannot borrow `*vmf` as immutable
}
