// SPDX-License-Identifier: GPL-2.0

//! User namespaces.
//!
//! The kernel identifies a user by a [`Kuid`] and a group by a [`Kgid`]. A user namespace maps some
//! of them to UIDs and GIDs. A process only sees the UIDs and GIDs of its own user namespace, so an
//! ID that a driver receives from userspace or reports to it must be converted with the namespace
//! of that process. The conversions are in [`uidgid`](crate::uidgid).
//!
//! C header: [`include/linux/user_namespace.h`](srctree/include/linux/user_namespace.h)
//!
//! [`Kgid`]: crate::uidgid::Kgid
//! [`Kuid`]: crate::uidgid::Kuid

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

/// A user namespace (`struct user_namespace`).
///
/// An [`ARef<UserNamespace>`](crate::sync::aref::ARef) holds a reference on it, and may be dropped
/// in any context except NMI: `put_user_ns()` leaves the freeing to a workqueue.
///
/// # Invariants
///
/// The `user_namespace` stays allocated while a Rust reference to it exists, because its refcount
/// is not zero or because it is the initial one.
///
/// # Examples
///
/// ```
/// use kernel::task::Kuid;
///
/// let task = current!();
/// let ns = task.user_ns();
///
/// // Convert a UID from userspace to a `Kuid`, and a `Kuid` to a UID for userspace.
/// let user = ns.make_kuid(1000).ok_or(EINVAL)?;
/// assert_eq!(user.into_uid(ns), Some(1000));
///
/// // -1 is not a valid UID.
/// assert!(ns.make_kuid(u32::MAX).is_none());
/// # assert_eq!(Kuid::current_euid().into_uid(ns), Some(0));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "user_namespace")]
#[repr(transparent)]
pub struct UserNamespace {
    inner: Opaque<bindings::user_namespace>,
}

impl_c_struct! {
    /// # Examples
    ///
    /// ```
    /// use kernel::user_namespace::UserNamespace;
    ///
    /// let task = current!();
    /// let ns = task.user_ns();
    /// // SAFETY: `ns` is borrowed for longer than `same`.
    /// let same = unsafe { UserNamespace::from_ptr(ns.as_ptr()) };
    /// assert!(same == ns);
    /// ```
    UserNamespace, user_namespace
}

impl UserNamespace {
    /// Returns the initial user namespace (`init_user_ns`).
    ///
    /// It maps each UID and GID to the [`Kuid`] and [`Kgid`] of the same value.
    ///
    /// [`Kgid`]: crate::uidgid::Kgid
    /// [`Kuid`]: crate::uidgid::Kuid
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: `init_user_ns` is a static of the kernel, so it is valid for `'static`. No Rust
        // code creates a `&mut` to it.
        unsafe { Self::from_ptr(ptr::addr_of!(bindings::init_user_ns)) }
    }
}

// SAFETY: `get_user_ns()` takes a reference and `put_user_ns()` drops one. The last `put_user_ns()`
// schedules the work that frees the namespace (`__put_user_ns()`). The initial namespace is never
// freed. By the type invariant, one of the two keeps a `UserNamespace` allocated, and its refcount
// is not zero while it is borrowed: `init_user_ns` is created with a reference that is never
// dropped.
impl_refcounted!(unsafe UserNamespace(user_namespace): get_user_ns, put_user_ns);

// SAFETY: A thread that owns an `ARef<UserNamespace>` can only drop its reference, beyond what
// `Sync` allows. `put_user_ns()` may be called from any thread.
unsafe impl Send for UserNamespace {}

// SAFETY: The methods use the address, the atomic refcount, and the ID maps. Each map is written
// once, by `map_write()`, which stores `nr_extents` after an `smp_wmb()`. The readers,
// `map_id_range_down()` and `map_id_up()`, execute an `smp_rmb()` between the load of `nr_extents`
// and that of the extents.
unsafe impl Sync for UserNamespace {}

impl CurrentTask {
    /// Returns the user namespace of this task, which defines the UIDs and GIDs that its process
    /// sees.
    ///
    /// It is that of the subjective credentials (`task_struct::cred`). No reference is taken.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{sync::aref::ARef, user_namespace::UserNamespace};
    ///
    /// // Keep the namespace of the process that opens a file: the file may be passed to a process
    /// // in another user namespace.
    /// let opener: ARef<UserNamespace> = current!().user_ns().into();
    /// assert!(*opener == *UserNamespace::init());
    /// ```
    #[doc(alias = "current_user_ns")]
    #[inline]
    pub fn user_ns(&self) -> &UserNamespace {
        // SAFETY: `current_user_ns()` reads `user_ns` of `current->cred`, or is `&init_user_ns`
        // without CONFIG_USER_NS. The credentials hold a reference on the namespace, and the task
        // holds one on its credentials. Only the task itself replaces them: `commit_creds()` ends
        // the task context, and `override_creds()` opens a nested one. `self` is used in neither,
        // by its type invariant.
        unsafe { UserNamespace::from_ptr(bindings::current_user_ns()) }
    }
}
