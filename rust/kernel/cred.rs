// SPDX-License-Identifier: GPL-2.0

//! Credentials: in whose name something is done.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use crate::{
    bindings,
    c_struct::impl_refcounted,
    sync::aref::ARef,
    task::{
        CurrentTask,
        Task, //
    },
    types::Opaque,
    uidgid::{
        Kgid,
        Kuid, //
    },
    user_namespace::UserNamespace,
};
use core::ptr::{
    self,
    NonNull, //
};

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

    /// Returns the effective group ID.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    ///
    /// assert_eq!(cred.egid().into_gid(cred.user_ns()), Some(0));
    /// ```
    #[inline]
    pub fn egid(&self) -> Kgid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kgid::from_raw(unsafe { (*self.as_ptr()).egid })
    }

    /// Borrows the user namespace that these credentials are of.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::cred::Credential;
    ///
    /// /// Returns whether this is root, be it that of a container.
    /// fn is_root_there(cred: &Credential) -> bool {
    ///     cred.user_ns().make_kuid(0) == Some(cred.euid())
    /// }
    /// assert!(is_root_there(current!().cred()));
    /// ```
    #[inline]
    pub fn user_ns(&self) -> &UserNamespace {
        // SAFETY: The credentials are allocated, and do not change. They keep a count on the
        // namespace until they are freed.
        unsafe { UserNamespace::from_ptr((*self.as_ptr()).user_ns) }
    }
}

// SAFETY: `put_cred()` frees a `cred` when its last reference is released. By the type invariant, a
// `Credential` exists only while one is held.
impl_refcounted!(unsafe Credential: get_cred, put_cred);

impl Task {
    /// Returns the task's objective credentials, with a count of its own.
    ///
    /// They count when others act upon the task. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert!(cred.euid() == current!().cred().euid());
    /// ```
    #[inline]
    pub fn get_task_cred(&self) -> ARef<Credential> {
        // SAFETY: `get_task_cred()` takes a count under RCU. The task has credentials until
        // `__put_task_struct()`, and it is allocated by the type invariant.
        let cred = unsafe { bindings::get_task_cred(self.as_ptr()) };

        // SAFETY: The count is ours, and the `ARef` becomes its owner. CAST: `Credential` is
        // transparent around `cred`.
        unsafe { ARef::from_raw(NonNull::new_unchecked(cred.cast_mut().cast())) }
    }
}

impl CurrentTask {
    /// Borrows the subjective credentials, in whose name the current task acts. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// assert!(current!().cred().euid() == Kuid::current_euid());
    /// ```
    #[doc(alias = "current_cred")]
    #[inline]
    pub fn cred(&self) -> &Credential {
        // SAFETY: `task_struct` is allocated by the type invariant. Nobody but the task stores to
        // this field, and this is the task.
        let cred = unsafe { ptr::addr_of!((*self.as_ptr()).cred).read() };

        // SAFETY: Somebody keeps the credentials for as long as the task has them. It takes others
        // by `commit_creds()` or `revert_creds()`, which end the context, or by `override_creds()`.
        // After that, whoever is to revert keeps those from before.
        unsafe { Credential::from_ptr(cred) }
    }
}
