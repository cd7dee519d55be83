// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What became of another fault is no answer to this one, be it inside of it or around it.

use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};

pub fn inner<'a: 'b, 'b, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, other: FaultResult<'b>) -> FaultResult<'a> {
    let _ = &other;
    #[cfg(good)]
    return vmf.return_nopage();
    #[cfg(bad)]
    return (vmf.return_nopage(), other).1;
    //~[bad]^ ERROR: lifetime may not live long enough
}

pub fn outer<'a, 'b: 'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, other: FaultResult<'b>) -> FaultResult<'a> {
    let _ = &other;
    #[cfg(good)]
    return vmf.return_nopage();
    #[cfg(bad)]
    return (vmf.return_nopage(), other).1;
    //~[bad]^ ERROR: lifetime may not live long enough
}
