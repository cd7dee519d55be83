// SPDX-License-Identifier: GPL-2.0

//! Access to the refcounts of namespaces.

use kernel::{
    bindings,
    ffi::c_int, //
};

/// Returns a pointer to the refcount of `ns`.
///
/// # Safety
///
/// `ns` must point to an allocated namespace.
pub(crate) unsafe fn count_of(ns: *mut bindings::pid_namespace) -> *const c_int {
    // CAST: A `refcount_t` is transparent over an `int`.
    // SAFETY: The caller guarantees that `ns` points to an allocated namespace.
    unsafe { core::ptr::addr_of!((*ns).ns.__ns_ref).cast() }
}

/// Returns a pointer to the refcount of a user namespace.
///
/// # Safety
///
/// `ns` must point to an allocated namespace.
pub(crate) unsafe fn count_of_user_ns(ns: *mut bindings::user_namespace) -> *const c_int {
    // CAST: A `refcount_t` is transparent over an `int`.
    // SAFETY: The caller guarantees that `ns` points to an allocated namespace.
    unsafe { core::ptr::addr_of!((*ns).ns.__ns_ref).cast() }
}
