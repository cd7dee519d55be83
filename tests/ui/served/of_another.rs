// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! What became of another fault is no answer to this one, be it inside of it or around it.

use kernel::mm::{fault::{Served, VmFault}, vm_ops::VmOperations};

pub fn inner<'a: 'b, 'b, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, other: Served<'b>) -> Served<'a> {
    let _ = &other;
    #[cfg(good)]
    return vmf.no_page();
    #[cfg(bad)]
    return (vmf.no_page(), other).1;
    //~[bad]^ ERROR: lifetime may not live long enough
}

pub fn outer<'a, 'b: 'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, other: Served<'b>) -> Served<'a> {
    let _ = &other;
    #[cfg(good)]
    return vmf.no_page();
    #[cfg(bad)]
    return (vmf.no_page(), other).1;
    //~[bad]^ ERROR: lifetime may not live long enough
}
