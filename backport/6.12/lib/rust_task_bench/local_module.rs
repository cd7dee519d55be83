// SPDX-License-Identifier: GPL-2.0

//! What a table of callbacks asks of the module it is in. C's `main.c` has the rest of it.

use core::ptr::null_mut;
use kernel::{
    ModuleMetadata,
    ThisModule, //
};

pub(crate) struct LocalModule;

impl ModuleMetadata for LocalModule {
    // SAFETY: Null stands for the kernel itself. The table of operations of areas has no owner.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(null_mut()) };
}
