// SPDX-License-Identifier: GPL-2.0

//! The area of a process that its pages are mapped into.

use crate::process::Process;
use kernel::{
    mm::vm_ops::{
        InactiveVma,
        MmapHook,
        VmOperations, //
    },
    prelude::*,
    impl_has_vm_ops, //
};

impl_has_vm_ops!(Process);

#[vtable]
impl VmOperations for Process {
    type Hook = MmapHook;

    /// The program has unmapped or moved the area, or a part of it. Its pages are not mapped any
    /// more from now on, as in the C driver.
    fn close(vma: &InactiveVma<Self>) {
        vma.data().pages.forget_vma();
    }
}
