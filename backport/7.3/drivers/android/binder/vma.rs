// SPDX-License-Identifier: GPL-2.0

//! The VMA that the pages of a Binder process are mapped into.

use crate::process::Process;
use kernel::{
    impl_has_vm_ops, //
    mm::vm_ops::{
        InactiveVma,
        MmapHook,
        VmOperations, //
    },
    prelude::*,
};

impl_has_vm_ops!(Process);

#[vtable]
impl VmOperations for Process {
    type Hook = MmapHook;

    /// Called when userspace has unmapped or moved the VMA or a part of it. No pages are mapped
    /// into a VMA of this process afterwards, as in the C driver.
    fn close(vma: &InactiveVma<Self>) {
        vma.data().pages.forget_vma();
    }
}
