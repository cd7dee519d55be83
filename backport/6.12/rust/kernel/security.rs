// SPDX-License-Identifier: GPL-2.0

//! Security modules.
//!
//! This has the part of the module of later kernels that the drivers use.
//!
//! C header: [`include/linux/security.h`](srctree/include/linux/security.h).

use crate::{
    bindings,
    error::{
        to_result,
        Result, //
    },
    ffi::c_char,
};
use core::{
    mem,
    ptr,
    slice, //
};

/// The security context of a task or an object, as a string.
///
/// # Invariants
///
/// `data` and `len` are what `security_secid_to_secctx()` has stored, and have not been released.
///
/// # Examples
///
/// ```
/// use kernel::cred::Credential;
///
/// /// Logs the label of a caller, if a security module has given it one.
/// fn log(cred: &Credential) {
///     if let Ok(ctx) = cred.security_ctx() {
///         pr_info!("{} bytes: {:?}\n", ctx.len(), ctx.as_bytes());
///     }
/// }
/// log(current!().cred());
/// ```
#[doc(alias = "lsm_context")]
pub struct SecurityCtx {
    data: *mut c_char,
    len: u32,
}

impl SecurityCtx {
    /// Returns the security context of an ID.
    ///
    /// [`Credential::security_ctx`](crate::cred::Credential::security_ctx) is the safe function.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: no security module has contexts.
    /// - Those of the security module.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Safety
    ///
    /// The ID must be that of an object which keeps it until this returns. For another one,
    /// `apparmor_secid_to_secctx()` takes no reference on the label that it finds.
    ///
    /// # Examples
    ///
    /// See [`SecurityCtx`].
    #[doc(alias = "security_secid_to_secctx")]
    pub unsafe fn from_secid(secid: u32) -> Result<Self> {
        let mut ctx = Self {
            data: ptr::null_mut(),
            len: 0,
        };
        // SAFETY: Both pointers are valid for writes. The caller guarantees the ID.
        let result =
            unsafe { bindings::security_secid_to_secctx(secid, &mut ctx.data, &mut ctx.len) };
        if let Err(err) = to_result(result) {
            // Nothing has been stored that would have to be released.
            mem::forget(ctx);
            return Err(err);
        }
        // INVARIANT: The call has succeeded.
        Ok(ctx)
    }

    /// Returns whether the security context has no bytes.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!current!().cred().security_ctx().is_ok_and(|ctx| ctx.is_empty()));
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the length in bytes.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`SecurityCtx`].
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Returns the bytes. Whether the last one is null depends on the security module.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`SecurityCtx`].
    pub fn as_bytes(&self) -> &[u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: By the type invariants, a security module has stored the pointer and the length.
        // The bytes are not released while `self` is borrowed, and nothing writes them: SELinux
        // allocates a copy, and the strings of Smack do not change.
        unsafe { slice::from_raw_parts(self.data.cast(), self.len()) }
    }
}

impl Drop for SecurityCtx {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this is the result of `security_secid_to_secctx()`, and
        // it has not been released.
        unsafe { bindings::security_release_secctx(self.data, self.len) };
    }
}
