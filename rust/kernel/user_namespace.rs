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
    cred::Credential,
    sync::aref::AlwaysRefCounted,
    task::{
        CurrentTask,
        Kuid, //
    },
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

impl UserNamespace {
    /// Returns the C side's pointer to this namespace.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::user_namespace {
        // As for `PidNamespace`.
        ptr::from_ref(self).cast_mut().cast()
    }

    /// Borrows a namespace that C code points to.
    ///
    /// # Safety
    ///
    /// `ptr` points to a `user_namespace`. For the whole of `'a`, somebody owns a count on it, or
    /// it is the initial one.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::user_namespace::UserNamespace;
    ///
    /// let task = current!();
    /// let ns = task.user_ns();
    /// // SAFETY: `ns` is borrowed for longer than this.
    /// let same = unsafe { UserNamespace::from_ptr(ns.as_ptr()) };
    /// assert!(same == ns);
    /// ```
    #[inline]
    pub unsafe fn from_ptr<'a>(ptr: *const bindings::user_namespace) -> &'a Self {
        // SAFETY: Valid for `'a`, says the caller. CAST: `Self` is transparent around it.
        unsafe { &*ptr.cast() }
    }

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

/// What the kernel has in the place of a number if there is none, and no user and no group has.
const NONE: u32 = u32::MAX;

// SAFETY: `put_user_ns()` frees the namespace, or has it freed, when the last count is gone; the
// initial one is never freed. By the type invariant there is no `UserNamespace` that neither holds
// for.
unsafe impl AlwaysRefCounted for UserNamespace {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: A reference exists, so the count is not zero.
        unsafe { bindings::get_user_ns(self.as_ptr()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: ptr::NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns.
        unsafe { bindings::put_user_ns(obj.cast().as_ptr()) }
    }
}

/// Two namespaces are equal when they are the same one.
impl PartialEq for UserNamespace {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for UserNamespace {}

// SAFETY: What a thread can do with a `UserNamespace` that it was sent is to drop its count, and
// `put_user_ns()` may be called by any thread.
unsafe impl Send for UserNamespace {}

// SAFETY: What is read here is the address and the maps, which the C side guards by barriers.
unsafe impl Sync for UserNamespace {}

/// A group, by the kernel's own number.
///
/// It is no number that a program knows: see [`UserNamespace`].
///
/// # Examples
///
/// ```
/// use kernel::user_namespace::{Kgid, UserNamespace};
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
    /// use kernel::{bindings, user_namespace::{Kgid, UserNamespace}};
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
    /// use kernel::user_namespace::Kgid;
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

impl Kuid {
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

impl Credential {
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
        // SAFETY: As for `user_ns()`.
        Kgid::from_raw(unsafe { (*self.as_ptr()).egid })
    }
}
