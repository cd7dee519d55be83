// SPDX-License-Identifier: GPL-2.0

//! How a VMA takes its reference on the data of an `->mmap_prepare()` hook.
//!
//! The core mm calls `vm_ops->mapped()` when it has allocated the VMA.

use super::{
    take,
    Hook,
    VmOperations, //
};
use crate::{
    bindings,
    prelude::*, //
};
use core::mem::MaybeUninit;

/// This kernel's `vm_operations_struct` has all that is needed.
pub(super) struct Mapped;

impl Mapped {
    pub(super) const fn new<T: VmOperations>() -> Self {
        Self
    }
}

/// Returns the `vm_ops` of `T` with `mapped` filled in, and all else null.
pub(super) const fn vm_ops<T: VmOperations>() -> bindings::vm_operations_struct {
    bindings::vm_operations_struct {
        mapped: if <T::Hook as Hook>::PREPARE {
            Some(mapped::<T>)
        } else {
            None
        },
        // SAFETY: All fields are nullable pointers, for which zero is a valid value.
        ..unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

/// # Safety
///
/// To be called by `mmap_action_complete()` for an area that an `mmap_prepare` hook has given the
/// table of `T` and an `ArcBorrow<T>`, which is still there. The mmap lock has been held for
/// writing since the area has been within reach.
unsafe extern "C" fn mapped<T: VmOperations>(
    _start: c_ulong,
    _end: c_ulong,
    _pgoff: c_ulong,
    _file: *const bindings::file,
    data: *mut *mut c_void,
) -> c_int {
    // SAFETY: The caller lends a copy of the field.
    let data = unsafe { *data };
    // SAFETY: It is the pointer of the `ArcBorrow<T>`.
    unsafe { take::<T>(data) };
    0
}
