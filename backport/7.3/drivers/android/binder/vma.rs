// SPDX-License-Identifier: GPL-2.0

//! The area of a process that its pages are mapped into.

use crate::process::Process;
use kernel::{
    mm::vm_ops::{
        VmOperations,
        VmaIdle, //
    },
    prelude::*,
    vm_operations, //
};

vm_operations!(Process);

#[vtable]
impl VmOperations for Process {
    /// The program has unmapped or moved the area, or a part of it. Its pages are not mapped any
    /// more from now on, as in the C driver.
    fn close(vma: &VmaIdle<Self>) {
        vma.data().pages.forget_vma();
    }
}
