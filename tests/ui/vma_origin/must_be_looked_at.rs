// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `open()` is told what the VMA was made for, so that a page account cannot overlook splits.

use kernel::{
    impl_has_vm_ops,
    mm::vm_ops::{InactiveVma, MmapHook, VmOperations},
    prelude::*,
};
#[cfg(good)]
use kernel::mm::vm_ops::VmaOrigin;

include!("../../local_module.rs");

pub struct Data;

impl_has_vm_ops!(Data);

#[vtable]
impl VmOperations for Data {
    type Hook = MmapHook;

    fn open(_vma: &InactiveVma<Self>, #[cfg(good)] _origin: VmaOrigin) {}
    //~[bad]^ ERROR: E0050: method `open` has 1 parameter but the declaration in trait
}
