// SPDX-License-Identifier: GPL-2.0

//! User namespaces: what number a user or a group has for whom.
//!
//! In the kernel, a user is a [`Kuid`] and a group a [`Kgid`]. Each namespace maps some of them to
//! numbers, and a program only ever sees the numbers of its own. So whoever tells a program a
//! number or takes one from it has to say which namespace it is of.
//!
//! C header: [`include/linux/user_namespace.h`](srctree/include/linux/user_namespace.h)

use crate::{
    bindings,
    c_struct::{
        impl_c_struct,
        impl_refcounted, //
    },
    task::CurrentTask,
    types::Opaque,
};
use core::ptr;

/// A user namespace.
///
/// An [`ARef<UserNamespace>`](crate::sync::aref::ARef) owns a count, and dropping it is allowed in
/// any context.
///
/// # Invariants
///
/// The `user_namespace` stays allocated for as long as a reference to it exists, because somebody
/// owns a count on it or because it is the initial one.
///
/// # Examples
///
/// ```
/// use kernel::task::Kuid;
///
/// let task = current!();
/// let ns = task.user_ns();
///
/// // A number that the program has given us, and what to tell it of a user.
/// let user = ns.make_kuid(1000).ok_or(EINVAL)?;
/// assert_eq!(user.into_uid(ns), Some(1000));
///
/// // There is no such user.
/// assert!(ns.make_kuid(u32::MAX).is_none());
/// # assert_eq!(Kuid::current_euid().into_uid(ns), Some(0));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "user_namespace")]
#[repr(transparent)]
pub struct UserNamespace {
    inner: Opaque<bindings::user_namespace>,
}

impl_c_struct!(UserNamespace, user_namespace);

impl UserNamespace {
    /// Returns the initial namespace, in which each user's number is the kernel's own.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::user_namespace::UserNamespace;
    ///
    /// let init = UserNamespace::init();
    /// assert!(current!().user_ns() == init);
    /// assert!(current!().get_task_cred().user_ns() == init);
    /// ```
    #[doc(alias = "init_user_ns")]
    #[inline]
    pub fn init() -> &'static Self {
        // SAFETY: It is a static of the kernel, and nobody makes a `&mut` of it.
        unsafe { Self::from_ptr(ptr::addr_of!(bindings::init_user_ns)) }
    }

}

// SAFETY: `put_user_ns()` schedules the namespace to be freed when its last reference is released; the
// initial one is never freed. By the type invariant, one of the two keeps each `UserNamespace`
// allocated.
impl_refcounted!(unsafe UserNamespace: get_user_ns, put_user_ns);

// SAFETY: What a thread can do with a `UserNamespace` that it was sent is to drop its count, and
// `put_user_ns()` may be called by any thread.
unsafe impl Send for UserNamespace {}

// SAFETY: What is read here is the address and the maps, which the C side guards by barriers.
unsafe impl Sync for UserNamespace {}

impl CurrentTask {
    /// Borrows the user namespace of this task: the one whose numbers its program knows.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{sync::aref::ARef, user_namespace::UserNamespace};
    ///
    /// // Whoever opens a file may hand it to a program with other numbers.
    /// let opener: ARef<UserNamespace> = current!().user_ns().into();
    /// assert!(*opener == *UserNamespace::init());
    /// ```
    #[doc(alias = "current_user_ns")]
    #[inline]
    pub fn user_ns(&self) -> &UserNamespace {
        // SAFETY: It is the namespace of the task's own credentials, which keep a count on it and
        // are not replaced while the context lasts that `self` is used in.
        unsafe { UserNamespace::from_ptr(bindings::current_user_ns()) }
    }
}
