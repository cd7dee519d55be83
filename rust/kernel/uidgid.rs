// SPDX-License-Identifier: GPL-2.0

//! User and group IDs.
//!
//! C header: [`include/linux/uidgid.h`](srctree/include/linux/uidgid.h)

use crate::{
    bindings,
    user_namespace::UserNamespace, //
};

/// What the kernel has in the place of a number if there is none, and no user and no group has.
const NONE: u32 = u32::MAX;

/// A user ID as the kernel has it, before any user namespace gives it a number.
///
/// # Examples
///
/// ```
/// use kernel::task::Kuid;
///
/// // A kernel thread is root.
/// assert!(current!().uid() == Kuid::current_euid());
/// assert_eq!(Kuid::current_euid().into_uid_in_current_ns(), 0);
/// ```
#[doc(alias = "kuid_t")]
#[derive(Copy, Clone)]
pub struct Kuid {
    // The number alone: an `Option` of a C struct is packed into a word and taken apart again where
    // the kernel is optimized for size.
    val: bindings::uid_t,
}

impl Kuid {
    /// Returns the effective user ID that the current task acts with.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// let root = Kuid::current_euid();
    /// assert!(root == current!().uid());
    /// ```
    #[inline]
    pub fn current_euid() -> Kuid {
        // SAFETY: A task's own subjective credentials are replaced by no one else, so `current`
        // may read them at any time.
        Self::from_raw(unsafe { bindings::current_euid() })
    }

    /// Takes the C type.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// let user = Kuid::from_raw(Kuid::current_euid().into_raw());
    /// assert!(user == Kuid::current_euid());
    /// ```
    #[inline]
    pub fn from_raw(kuid: bindings::kuid_t) -> Self {
        Self { val: kuid.val }
    }

    /// Returns the C type.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// // What a function of C takes.
    /// let root = Kuid::current_euid().into_raw();
    /// assert_eq!(root.val, 0);
    /// ```
    #[inline]
    pub fn into_raw(self) -> bindings::kuid_t {
        bindings::kuid_t { val: self.val }
    }

    /// Returns the number that the current task's user namespace gives to this user.
    ///
    /// `uid_t::MAX` if it gives none. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{bindings, task::Kuid};
    ///
    /// let user = Kuid::from_raw(bindings::kuid_t { val: 1000 });
    /// assert_eq!(user.into_uid_in_current_ns(), 1000);
    /// ```
    #[doc(alias = "from_kuid")]
    #[inline]
    pub fn into_uid_in_current_ns(self) -> bindings::uid_t {
        // SAFETY: The namespace is that of the current task's own credentials, which keep a count
        // on it and are not replaced during the call. Any `kuid_t` may be looked up.
        unsafe { bindings::from_kuid(bindings::current_user_ns(), self.into_raw()) }
    }

    /// Returns the number that this user has in a namespace, if it has one.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{cred::Credential, task::Kuid};
    ///
    /// /// Returns how the task with these credentials calls the caller.
    /// fn caller_there(cred: &Credential) -> Option<u32> {
    ///     Kuid::current_euid().into_uid(cred.user_ns())
    /// }
    /// # assert_eq!(caller_there(&current!().get_task_cred()), Some(0));
    /// ```
    #[doc(alias = "from_kuid")]
    #[inline]
    pub fn into_uid(self, ns: &UserNamespace) -> Option<bindings::uid_t> {
        // SAFETY: As for `make_kuid()`. Any `kuid_t` may be looked up.
        let uid = unsafe { bindings::from_kuid(ns.as_ptr(), self.into_raw()) };
        (uid != NONE).then_some(uid)
    }
}

impl PartialEq for Kuid {
    #[inline]
    fn eq(&self, other: &Kuid) -> bool {
        // SAFETY: `uid_eq()` compares two numbers.
        unsafe { bindings::uid_eq(self.into_raw(), other.into_raw()) }
    }
}

impl Eq for Kuid {}

/// A group, by the kernel's own number.
///
/// It is no number that a program knows: see [`UserNamespace`].
///
/// # Examples
///
/// ```
/// use kernel::{uidgid::Kgid, user_namespace::UserNamespace};
///
/// /// Returns whether the caller acts for the group that a device belongs to.
/// fn may_open(owner: Kgid) -> bool {
///     current!().cred().egid() == owner
/// }
/// let ns = UserNamespace::init();
/// assert!(may_open(ns.make_kgid(0).ok_or(EINVAL)?));
/// assert!(!may_open(ns.make_kgid(100).ok_or(EINVAL)?));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "kgid_t")]
#[derive(Clone, Copy)]
pub struct Kgid {
    // As for `Kuid`.
    val: bindings::gid_t,
}

impl Kgid {
    /// Takes the C type.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{bindings, uidgid::Kgid, user_namespace::UserNamespace};
    ///
    /// let group = Kgid::from_raw(bindings::kgid_t { val: 100 });
    /// assert_eq!(group.into_gid(UserNamespace::init()), Some(100));
    /// ```
    #[inline]
    pub fn from_raw(kgid: bindings::kgid_t) -> Self {
        Self { val: kgid.val }
    }

    /// Returns the C type.
    ///
    /// # Examples
    ///
    /// ```
    /// // What a function of C takes.
    /// let group = current!().cred().egid().into_raw();
    /// assert_eq!(group.val, 0);
    /// ```
    #[inline]
    pub fn into_raw(self) -> bindings::kgid_t {
        bindings::kgid_t { val: self.val }
    }

    /// Returns the number that this group has in a namespace, if it has one.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::uidgid::Kgid;
    ///
    /// /// Returns what a program is told that asks for the group of something.
    /// fn told(group: Kgid) -> Result<u32> {
    ///     group.into_gid(current!().user_ns()).ok_or(EINVAL)
    /// }
    /// assert_eq!(told(current!().cred().egid()), Ok(0));
    /// ```
    #[doc(alias = "from_kgid")]
    #[inline]
    pub fn into_gid(self, ns: &UserNamespace) -> Option<bindings::gid_t> {
        // SAFETY: As for `make_kuid()`. Any `kgid_t` may be looked up.
        let gid = unsafe { bindings::from_kgid(ns.as_ptr(), self.into_raw()) };
        (gid != NONE).then_some(gid)
    }
}

impl PartialEq for Kgid {
    #[inline]
    fn eq(&self, other: &Kgid) -> bool {
        // SAFETY: `gid_eq()` compares two numbers.
        unsafe { bindings::gid_eq(self.into_raw(), other.into_raw()) }
    }
}

impl Eq for Kgid {}

impl UserNamespace {
    /// Returns the user that a number means here, if it means one.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// /// Takes the user that a program has given to an ioctl.
    /// fn user(uid: u32) -> Result<Kuid> {
    ///     current!().user_ns().make_kuid(uid).ok_or(EINVAL)
    /// }
    /// assert!(user(0)? == Kuid::current_euid());
    /// # assert!(user(u32::MAX).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn make_kuid(&self, uid: bindings::uid_t) -> Option<Kuid> {
        // SAFETY: The namespace is allocated by the type invariant. Its map is written once, and
        // looked up without a lock.
        let kuid = unsafe { bindings::make_kuid(self.as_ptr(), uid) };
        (kuid.val != NONE).then_some(Kuid::from_raw(kuid))
    }

    /// Returns the group that a number means here, if it means one.
    ///
    /// Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// let task = current!();
    /// let ns = task.user_ns();
    ///
    /// let group = ns.make_kgid(100).ok_or(EINVAL)?;
    /// assert_eq!(group.into_gid(ns), Some(100));
    /// assert!(group != task.get_task_cred().egid());
    /// # assert!(ns.make_kgid(u32::MAX).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn make_kgid(&self, gid: bindings::gid_t) -> Option<Kgid> {
        // SAFETY: As for `make_kuid()`.
        let kgid = unsafe { bindings::make_kgid(self.as_ptr(), gid) };
        (kgid.val != NONE).then_some(Kgid::from_raw(kgid))
    }
}
