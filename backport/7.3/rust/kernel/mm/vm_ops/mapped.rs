// SPDX-License-Identifier: GPL-2.0

//! Taking the reference of a VMA to the data of an `->mmap_prepare()` hook.
//!
//! The core mm calls `vm_ops->mapped()` when it has allocated the VMA.

use super::{
    opened_by_prepare,
    Hook,
    VmOperations, //
};
use crate::{
    bindings,
    prelude::*, //
};
use core::mem::MaybeUninit;

/// Empty: `vm_operations_struct` has the function in its `mapped` field.
pub(super) struct Mapped;

impl Mapped {
    #[expect(
        clippy::extra_unused_type_parameters,
        reason = "other kernels have a field that depends on the type"
    )]
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

/// `->mapped()`.
///
/// # Safety
///
/// Must only be called by `mmap_action_complete()`, for a VMA whose `->mmap_prepare()` hook has set
/// the `vm_ops` of `T` and an `ArcBorrow<T>`, which must still be live. The mmap lock must have
/// been held for writing since the VMA became reachable.
unsafe extern "C" fn mapped<T: VmOperations>(
    start: c_ulong,
    end: c_ulong,
    pgoff: c_ulong,
    _file: *const bindings::file,
    data: *mut *mut c_void,
) -> c_int {
    // SAFETY: `data` points to the caller's copy of `vm_private_data`, valid for the call.
    let data = unsafe { *data };
    // SAFETY: `data` is the pointer of the `ArcBorrow<T>`, which keeps the refcount from zero.
    unsafe { opened_by_prepare::<T>(start, end, pgoff, data) };
    0
}
