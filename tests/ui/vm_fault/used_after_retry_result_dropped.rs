// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `VmFault` cannot be used after `retry_after()`, even if its result has been dropped.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};

pub fn fault<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>) -> FaultResult<'a> {
    #[cfg(good)]
    let _ = (&*vmf).address();
    #[cfg(bad)]
    let _ = (&mut *vmf).retry_after(|| ());
    vmf.return_nopage()
    //~[bad]^ ERROR: E0502: cannot borrow `*vmf` as immutable
}
