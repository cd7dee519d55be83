// SPDX-License-Identifier: GPL-2.0

//! The module that a type belongs to.

use crate::{
    c_str,
    str::CStr, //
};

pub use crate::{
    InPlaceModule,
    Module,
    ModuleMetadata,
    ThisModule, //
};

/// The metadata of the kernel crate, which `#[vtable]` uses in this crate.
pub(crate) struct LocalModule;

impl ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c_str!("kernel");
    // SAFETY: The crate is built into the kernel, so its `THIS_MODULE` is null.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
}

/// Returns `THIS_MODULE` of the module with the metadata `M`.
pub const fn this_module<M: ModuleMetadata>() -> &'static ThisModule {
    &M::THIS_MODULE
}
