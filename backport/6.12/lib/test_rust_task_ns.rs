// SPDX-License-Identifier: GPL-2.0

//! Where this kernel keeps the count of a PID namespace.

use kernel::{
    bindings,
    ffi::c_int, //
};

/// Returns where the count of `ns` is.
///
/// # Safety
///
/// `ns` points to a namespace that is allocated.
pub(crate) unsafe fn count_of(ns: *const bindings::ns_common) -> *const c_int {
    // SAFETY: The caller has it allocated, and a `refcount_t` is an `int`.
    unsafe { core::ptr::addr_of!((*ns).count).cast() }
}
