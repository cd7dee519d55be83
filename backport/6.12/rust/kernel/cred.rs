// SPDX-License-Identifier: GPL-2.0

//! Credentials: in whose name something is done.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use crate::{
    bindings,
    sync::aref::AlwaysRefCounted,
    task::Kuid,
    types::Opaque, //
};
use core::ptr::NonNull;

/// A set of credentials.
///
/// This is C's `struct cred`. Once in use it is not changed: a task that becomes somebody else gets
/// another one. An `ARef<Credential>` owns a count on it, and may be dropped in any context.
///
/// # Invariants
///
/// The `cred` stays allocated for as long as a reference to it exists, because somebody owns a
/// count.
#[doc(alias = "cred")]
#[repr(transparent)]
pub struct Credential(Opaque<bindings::cred>);

// SAFETY: What a thread can do with a `Credential` that it was sent is to drop its count, and
// `put_cred()` may be called by any thread.
unsafe impl Send for Credential {}

// SAFETY: The fields that are read here do not change once others can see the `cred`.
unsafe impl Sync for Credential {}

impl Credential {
    /// Borrows credentials that C code points to.
    ///
    /// # Safety
    ///
    /// `ptr` points to a `cred`, and somebody owns a count on it for the whole of `'a`.
    #[inline]
    pub unsafe fn from_ptr<'a>(ptr: *const bindings::cred) -> &'a Credential {
        // SAFETY: Valid for `'a`, says the caller. CAST: `Self` is transparent around it.
        unsafe { &*ptr.cast() }
    }

    /// Returns the C side's pointer to these credentials.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{cred::Credential, fs::File};
    ///
    /// fn same(file: &File) -> &Credential {
    ///     // SAFETY: The file has these credentials for as long as it is borrowed.
    ///     unsafe { Credential::from_ptr(file.cred().as_ptr()) }
    /// }
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *const bindings::cred {
        self.0.get()
    }

    /// Returns the number that the security modules know these credentials by. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::cred::Credential;
    ///
    /// fn same_label(a: &Credential, b: &Credential) -> bool {
    ///     a.get_secid() == b.get_secid()
    /// }
    /// ```
    #[doc(alias = "security_cred_getsecid")]
    #[inline]
    pub fn get_secid(&self) -> u32 {
        let mut secid = 0;
        // SAFETY: The `cred` is allocated by the type invariant, and the result is written to a
        // local variable.
        unsafe { bindings::security_cred_getsecid(self.as_ptr(), &mut secid) };
        secid
    }

    /// Returns the effective user ID. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{cred::Credential, task::Kuid};
    ///
    /// fn is_caller(cred: &Credential) -> bool {
    ///     cred.euid() == Kuid::current_euid()
    /// }
    /// ```
    #[inline]
    pub fn euid(&self) -> Kuid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kuid::from_raw(unsafe { (*self.as_ptr()).euid })
    }
}

// SAFETY: `put_cred()` frees a `cred` when the last count is gone, and by the type invariant there
// is no `Credential` without one.
unsafe impl AlwaysRefCounted for Credential {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: A reference exists, so the count is not zero.
        unsafe { bindings::get_cred(self.as_ptr()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns.
        unsafe { bindings::put_cred(obj.cast().as_ptr()) };
    }
}
