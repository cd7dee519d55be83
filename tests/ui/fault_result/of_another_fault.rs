// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The result of another fault cannot be returned, whether its lifetime is shorter or longer.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};

pub fn inner<'a: 'b, 'b, T: VmOperations>(
    vmf: &'a mut VmFault<'a, T>,
    other: FaultResult<'b>,
) -> FaultResult<'a> {
    let _ = &other;
    #[cfg(good)]
    return vmf.return_nopage();
    #[cfg(bad)]
    return (vmf.return_nopage(), other).1;
    //~[bad]^ ERROR: lifetime may not live long enough
}

pub fn outer<'a, 'b: 'a, T: VmOperations>(
    vmf: &'a mut VmFault<'a, T>,
    other: FaultResult<'b>,
) -> FaultResult<'a> {
    let _ = &other;
    #[cfg(good)]
    return vmf.return_nopage();
    #[cfg(bad)]
    return (vmf.return_nopage(), other).1;
    //~[bad]^ ERROR: lifetime may not live long enough
}
