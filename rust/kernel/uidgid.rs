// SPDX-License-Identifier: GPL-2.0

//! User and group IDs.
//!
//! C header: [`include/linux/uidgid.h`](srctree/include/linux/uidgid.h)

use crate::{
    bindings,
    user_namespace::UserNamespace, //
};

/// The invalid ID (`INVALID_UID`, `INVALID_GID`). No user and no group has it.
const INVALID_ID: u32 = u32::MAX;

/// A kernel user ID (`kuid_t`), which is independent of user namespaces.
///
/// Userspace knows a UID instead, whose meaning depends on its [`UserNamespace`].
///
/// # Examples
///
/// ```
/// use kernel::task::Kuid;
///
/// // A kthread runs as root.
/// assert!(current!().uid() == Kuid::current_euid());
/// assert_eq!(Kuid::current_euid().into_uid_in_current_ns(), 0);
/// ```
#[doc(alias = "kuid_t")]
#[derive(Clone, Copy, Debug)]
pub struct Kuid {
    // A plain integer, not a `kuid_t`: with `CONFIG_CC_OPTIMIZE_FOR_SIZE`, an `Option` of the C
    // struct is packed into a word and unpacked again.
    val: bindings::uid_t,
}

impl Kuid {
    /// Returns the effective user ID of the current task.
    ///
    /// In a kthread, and so in a work item, this is root, also within
    /// [`kthread_use_mm`](crate::mm::MmWithUser::kthread_use_mm). Work that is done for a process
    /// must be decided by the credentials of that process:
    ///
    /// - `File::cred()`: those of the task that opened the file.
    /// - `ARef::from(current!().cred())`, taken in the system call: those of the task that asked.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: Only a task itself replaces its subjective credentials, so `current` may read
        // them without a lock.
        Self::from_raw(unsafe { bindings::current_euid() })
    }

    /// Creates a value from a `kuid_t`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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

    /// Returns the value as a `kuid_t`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// // For a C function that takes this type.
    /// let root = Kuid::current_euid().into_raw();
    /// assert_eq!(root.val, 0);
    /// ```
    #[inline]
    pub fn into_raw(self) -> bindings::kuid_t {
        bindings::kuid_t { val: self.val }
    }

    /// Returns the UID of this user in the user namespace of the current task.
    ///
    /// Returns `uid_t::MAX` if the user is not mapped there.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: The namespace is that of the subjective credentials of `current`. They hold a
        // reference on it, and only `current` itself could replace them. The `kuid_t` may have any
        // value.
        unsafe { bindings::from_kuid(bindings::current_user_ns(), self.into_raw()) }
    }

    /// Returns the UID of this user in `ns`, or `None` if the user is not mapped there.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{cred::Credential, task::Kuid};
    ///
    /// /// Returns the effective UID of the caller in the user namespace of `cred`.
    /// fn caller_uid(cred: &Credential) -> Option<u32> {
    ///     Kuid::current_euid().into_uid(cred.user_ns())
    /// }
    /// # assert_eq!(caller_uid(&current!().get_task_cred()), Some(0));
    /// ```
    #[doc(alias = "from_kuid")]
    #[inline]
    pub fn into_uid(self, ns: &UserNamespace) -> Option<bindings::uid_t> {
        // SAFETY: The namespace is allocated by its type invariant. `from_kuid()` reads its ID map,
        // which is written once, without a lock. The `kuid_t` may have any value.
        let uid = unsafe { bindings::from_kuid(ns.as_ptr(), self.into_raw()) };
        (uid != INVALID_ID).then_some(uid)
    }

    /// Returns the UID of this user in `ns`, or the overflow UID (`/proc/sys/kernel/overflowuid`)
    /// if the user is not mapped there.
    ///
    /// This is for values that are shown to userspace. For a check, use
    /// [`into_uid`](Self::into_uid): the overflow UID, usually 65534, may be that of a real user as
    /// well.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// /// Returns what `stat()` shows as the owner.
    /// fn shown_owner(owner: Kuid) -> u32 {
    ///     owner.into_uid_munged(current!().user_ns())
    /// }
    /// assert_eq!(shown_owner(current!().uid()), 0);
    /// ```
    #[doc(alias = "from_kuid_munged")]
    #[inline]
    pub fn into_uid_munged(self, ns: &UserNamespace) -> bindings::uid_t {
        // SAFETY: As in `into_uid()`. `overflowuid` is an integer that a sysctl changes.
        unsafe { bindings::from_kuid_munged(ns.as_ptr(), self.into_raw()) }
    }
}

impl PartialEq for Kuid {
    #[inline]
    fn eq(&self, other: &Kuid) -> bool {
        // SAFETY: `uid_eq()` compares two integers and has no preconditions.
        unsafe { bindings::uid_eq(self.into_raw(), other.into_raw()) }
    }
}

impl Eq for Kuid {}

/// A kernel group ID (`kgid_t`), which is independent of user namespaces.
///
/// Userspace knows a GID instead, whose meaning depends on its [`UserNamespace`].
///
/// # Examples
///
/// ```
/// use kernel::{uidgid::Kgid, user_namespace::UserNamespace};
///
/// /// Returns whether the effective group of the caller is the owner of a device.
/// fn may_open(owner: Kgid) -> bool {
///     current!().cred().egid() == owner
/// }
/// let ns = UserNamespace::init();
/// assert!(may_open(ns.make_kgid(0).ok_or(EINVAL)?));
/// assert!(!may_open(ns.make_kgid(100).ok_or(EINVAL)?));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "kgid_t")]
#[derive(Clone, Copy, Debug)]
pub struct Kgid {
    // A plain integer for the same reason as in `Kuid`.
    val: bindings::gid_t,
}

impl Kgid {
    /// Creates a value from a `kgid_t`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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

    /// Returns the value as a `kgid_t`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// // For a C function that takes this type.
    /// let group = current!().cred().egid().into_raw();
    /// assert_eq!(group.val, 0);
    /// ```
    #[inline]
    pub fn into_raw(self) -> bindings::kgid_t {
        bindings::kgid_t { val: self.val }
    }

    /// Returns the GID of this group in `ns`, or `None` if the group is not mapped there.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::uidgid::Kgid;
    ///
    /// /// Returns the GID of `group` as the calling process sees it.
    /// fn gid_for_caller(group: Kgid) -> Result<u32> {
    ///     group.into_gid(current!().user_ns()).ok_or(EINVAL)
    /// }
    /// assert_eq!(gid_for_caller(current!().cred().egid()), Ok(0));
    /// ```
    #[doc(alias = "from_kgid")]
    #[inline]
    pub fn into_gid(self, ns: &UserNamespace) -> Option<bindings::gid_t> {
        // SAFETY: The namespace is allocated by its type invariant. `from_kgid()` reads its ID map,
        // which is written once, without a lock. The `kgid_t` may have any value.
        let gid = unsafe { bindings::from_kgid(ns.as_ptr(), self.into_raw()) };
        (gid != INVALID_ID).then_some(gid)
    }

    /// Returns the GID of this group in `ns`, or the overflow GID (`/proc/sys/kernel/overflowgid`)
    /// if the group is not mapped there. See [`Kuid::into_uid_munged`].
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert_eq!(cred.egid().into_gid_munged(cred.user_ns()), 0);
    /// ```
    #[doc(alias = "from_kgid_munged")]
    #[inline]
    pub fn into_gid_munged(self, ns: &UserNamespace) -> bindings::gid_t {
        // SAFETY: As in `into_gid()`. `overflowgid` is an integer that a sysctl changes.
        unsafe { bindings::from_kgid_munged(ns.as_ptr(), self.into_raw()) }
    }
}

impl PartialEq for Kgid {
    #[inline]
    fn eq(&self, other: &Kgid) -> bool {
        // SAFETY: `gid_eq()` compares two integers and has no preconditions.
        unsafe { bindings::gid_eq(self.into_raw(), other.into_raw()) }
    }
}

impl Eq for Kgid {}

impl UserNamespace {
    /// Returns the user with the UID `uid` in this namespace, or `None` if `uid` is not mapped.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::task::Kuid;
    ///
    /// /// Converts a UID that userspace has passed to an ioctl.
    /// fn user(uid: u32) -> Result<Kuid> {
    ///     current!().user_ns().make_kuid(uid).ok_or(EINVAL)
    /// }
    /// assert!(user(0)? == Kuid::current_euid());
    /// # assert!(user(u32::MAX).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn make_kuid(&self, uid: bindings::uid_t) -> Option<Kuid> {
        // SAFETY: The namespace is allocated by the type invariant. `make_kuid()` reads
        // its ID map, which is written once, without a lock. `uid` may have any value.
        let kuid = unsafe { bindings::make_kuid(self.as_ptr(), uid) };
        (kuid.val != INVALID_ID).then_some(Kuid::from_raw(kuid))
    }

    /// Returns the group with the GID `gid` in this namespace, or `None` if `gid` is not mapped.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: The namespace is allocated by the type invariant. `make_kgid()` reads its ID map,
        // which is written once, without a lock. `gid` may have any value.
        let kgid = unsafe { bindings::make_kgid(self.as_ptr(), gid) };
        (kgid.val != INVALID_ID).then_some(Kgid::from_raw(kgid))
    }
}
