// SPDX-License-Identifier: GPL-2.0

//! Which module a type belongs to.

use crate::{
    str::CStr,
    ThisModule, //
};

/// What `module!` knows of the module that it declares.
///
/// A `#[vtable]` trait reaches it through the associated type `OwnerModule`, which the attribute
/// fills in. That is how a table of callbacks gets the `owner` that keeps its code loaded.
pub trait ModuleMetadata {
    /// Its name.
    const NAME: &'static CStr;

    /// C's `THIS_MODULE`, null for code that is built into the kernel.
    const THIS_MODULE: ThisModule;
}

/// Returns the module that `M` stands for.
pub const fn this_module<M: ModuleMetadata>() -> &'static ThisModule {
    &M::THIS_MODULE
}
