// SPDX-License-Identifier: GPL-2.0

//! Credentials: the user and group IDs and the user namespace that a task acts with.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

#[cfg(not(CONFIG_64BIT))]
use crate::c_struct::saturate;
use crate::{
    bindings,
    c_struct::impl_refcounted,
    error::Result,
    security::SecurityCtx,
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

/// A set of credentials (`struct cred`).
///
/// The IDs and the user namespace do not change after the `cred` is published: `commit_creds()`
/// gives a task another `cred`. An `ARef<Credential>` holds a reference on it, and may be dropped
/// in any context except NMI.
///
/// # Invariants
///
/// The `cred` stays allocated while a Rust reference to it exists, because its `usage` refcount is
/// not zero.
#[doc(alias = "cred")]
#[repr(transparent)]
pub struct Credential(Opaque<bindings::cred>);

// SAFETY: A thread that owns an `ARef<Credential>` can only drop its reference, beyond what `Sync`
// allows. `put_cred()` may be called from any thread.
unsafe impl Send for Credential {}

// SAFETY: The methods read only fields that are not written after the `cred` is published.
unsafe impl Sync for Credential {}

impl Credential {
    /// Creates a reference to a `struct cred`.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a valid `cred` whose refcount does not reach zero for the duration of
    /// `'a`.
    #[inline]
    pub unsafe fn from_ptr<'a>(ptr: *const bindings::cred) -> &'a Credential {
        // CAST: `Self` is transparent around `cred`.
        // INVARIANT: The caller guarantees that the refcount is not zero for the duration of `'a`.
        // SAFETY: The caller guarantees that `ptr` is valid for the duration of `'a`.
        unsafe { &*ptr.cast() }
    }

    /// Returns a pointer to the `struct cred`.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{cred::Credential, fs::File};
    ///
    /// fn same(file: &File) -> &Credential {
    ///     // SAFETY: The file holds a reference on its credentials while it is borrowed.
    ///     unsafe { Credential::from_ptr(file.cred().as_ptr()) }
    /// }
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *const bindings::cred {
        self.0.get()
    }

    /// Returns the security ID (secid) that the LSMs have assigned to these credentials.
    ///
    /// # Context
    ///
    /// Any context except NMI.
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
        // SAFETY: The `cred` is allocated by the type invariant, and
        // `security_cred_getsecid()` writes the result to a local variable.
        unsafe { bindings::security_cred_getsecid(self.as_ptr(), &mut secid) };
        secid
    }

    /// Returns the label that the LSMs have assigned to these credentials, as a string.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: No security module has labels.
    /// - Those of the security module.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::cred::Credential;
    ///
    /// /// Returns the length of a label, or 0 if there is none.
    /// fn label_len(cred: &Credential) -> usize {
    ///     cred.security_ctx().map_or(0, |label| label.as_bytes().len())
    /// }
    /// # let _ = label_len(current!().cred());
    /// ```
    #[doc(alias("security_secid_to_secctx", "security_cred_getlsmblob"))]
    pub fn security_ctx(&self) -> Result<SecurityCtx> {
        // Later kernels have a safe function.
        #[allow(unused_unsafe)]
        // SAFETY: These credentials have the ID, and are allocated by the type invariant.
        unsafe {
            SecurityCtx::from_secid(self.get_secid())
        }
    }

    /// Returns the real user ID. Processes of this user may send signals to the task.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// /// Returns whether the caller acts with the rights of another user, as after `execve()` of
    /// /// a set-user-ID file.
    /// fn is_setuid() -> bool {
    ///     let task = current!();
    ///     task.cred().uid() != task.cred().euid()
    /// }
    /// assert!(!is_setuid());
    /// ```
    #[inline]
    pub fn uid(&self) -> Kuid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kuid::from_raw(unsafe { (*self.as_ptr()).uid })
    }

    /// Returns the real group ID.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert_eq!(cred.gid().into_gid(cred.user_ns()), Some(0));
    /// ```
    #[inline]
    pub fn gid(&self) -> Kgid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kgid::from_raw(unsafe { (*self.as_ptr()).gid })
    }

    /// Returns the saved user ID, to which the task may change its effective one.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert_eq!(cred.suid().into_uid(cred.user_ns()), Some(0));
    /// ```
    #[inline]
    pub fn suid(&self) -> Kuid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kuid::from_raw(unsafe { (*self.as_ptr()).suid })
    }

    /// Returns the saved group ID, to which the task may change its effective one.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert_eq!(cred.sgid().into_gid(cred.user_ns()), Some(0));
    /// ```
    #[inline]
    pub fn sgid(&self) -> Kgid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kgid::from_raw(unsafe { (*self.as_ptr()).sgid })
    }

    /// Returns the user ID that decides about accesses to files, and owns new files.
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
    /// /// Returns whether the caller may change an object of `owner` in a file system of the
    /// /// driver.
    /// fn is_owner(owner: Kuid) -> bool {
    ///     current!().cred().fsuid() == owner
    /// }
    /// assert!(is_owner(Kuid::current_euid()));
    /// ```
    #[inline]
    pub fn fsuid(&self) -> Kuid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kuid::from_raw(unsafe { (*self.as_ptr()).fsuid })
    }

    /// Returns the group ID that decides about accesses to files, and that new files get.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert!(cred.fsgid() == cred.egid());
    /// ```
    #[inline]
    pub fn fsgid(&self) -> Kgid {
        // SAFETY: The `cred` is allocated by the type invariant, and its IDs do not change.
        Kgid::from_raw(unsafe { (*self.as_ptr()).fsgid })
    }

    /// Returns the effective user ID.
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
    /// # Context
    ///
    /// Any context, including NMI.
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

    /// Returns the user namespace of these credentials.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::cred::Credential;
    ///
    /// /// Returns the effective UID as processes in the same user namespace see it. 0 says nothing
    /// /// about privileges: each user may be root in a namespace of their own.
    /// fn uid_there(cred: &Credential) -> Option<u32> {
    ///     cred.euid().into_uid(cred.user_ns())
    /// }
    /// assert_eq!(uid_there(current!().cred()), Some(0));
    /// ```
    #[inline]
    pub fn user_ns(&self) -> &UserNamespace {
        // SAFETY: The `cred` is allocated by the type invariant, and `user_ns` does not change
        // after it is published. It holds a reference on the namespace until `put_cred_rcu()` frees
        // it.
        unsafe { UserNamespace::from_ptr((*self.as_ptr()).user_ns) }
    }
}

// SAFETY: `put_cred()` frees a `cred` when its last reference is released. By the type invariant, a
// `Credential` exists only while one is held. `usage` has 64 bits: it takes centuries to wrap.
#[cfg(CONFIG_64BIT)]
impl_refcounted!(unsafe Credential(cred): get_cred, put_cred);

// SAFETY: The functions are those above, but `usage` has 32 bits: an `atomic_long_t` is an
// `atomic_t` there. `get_task_cred()` calls `saturate()`.
#[cfg(not(CONFIG_64BIT))]
impl_refcounted!(unsafe Credential(cred): get_cred, put_cred, usage);

impl Task {
    /// Returns the objective credentials of the task (`real_cred`) and takes a reference on them.
    ///
    /// They apply when another task acts on this one.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// let cred = current!().get_task_cred();
    /// assert!(cred.euid() == current!().cred().euid());
    /// ```
    #[inline]
    pub fn get_task_cred(&self) -> ARef<Credential> {
        // SAFETY: `get_task_cred()` takes a reference under RCU. `exit_creds()` clears `real_cred`
        // in `__put_task_struct()`, which has not run, as `task_struct` is allocated by the type
        // invariant.
        let cred = unsafe { bindings::get_task_cred(self.as_ptr()) };

        // CAST: An `atomic_long_t` consists of an `int` on a 32-bit kernel.
        // SAFETY: The reference taken above is held.
        #[cfg(not(CONFIG_64BIT))]
        unsafe {
            saturate(ptr::addr_of!((*cred).usage).cast_mut().cast());
        }

        // CAST: `Credential` is transparent around `cred`.
        // SAFETY: `get_task_cred()` never returns null. The `ARef` becomes the owner of the
        // reference that it has taken.
        unsafe { ARef::from_raw(NonNull::new_unchecked(cred.cast_mut().cast())) }
    }
}

impl CurrentTask {
    /// Returns the subjective credentials, which the current task acts with.
    ///
    /// No reference is taken. Use [`ARef::from`] to keep the credentials for work that is done
    /// later for this task. In a kthread, and so in a work item, this method returns the
    /// credentials of root, also within [`kthread_use_mm`](crate::mm::MmWithUser::kthread_use_mm).
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{cred::Credential, sync::aref::ARef, task::Kuid};
    ///
    /// /// A request of a process, which a work item processes.
    /// struct Request {
    ///     cred: ARef<Credential>,
    /// }
    ///
    /// impl Request {
    ///     /// Called in the system call of the process.
    ///     fn new() -> Self {
    ///         Self { cred: current!().cred().into() }
    ///     }
    ///
    ///     /// Called in the work item, where `current!()` is a kworker.
    ///     fn is_for(&self, owner: Kuid) -> bool {
    ///         self.cred.euid() == owner
    ///     }
    /// }
    /// assert!(Request::new().is_for(Kuid::current_euid()));
    /// ```
    #[doc(alias = "current_cred")]
    #[inline]
    pub fn cred(&self) -> &Credential {
        // SAFETY: `task_struct` is allocated by the type invariant. Only the task itself stores to
        // this field, and the task is executing this read, so there is no data race.
        let cred = unsafe { ptr::addr_of!((*self.as_ptr()).cred).read() };

        // SAFETY: The task holds a reference on its subjective credentials, or the caller of
        // `override_creds()` holds one on the credentials it has installed. They are replaced by
        // `commit_creds()` or `revert_creds()`, which end the task context, or by
        // `override_creds()`, whose caller keeps the previous credentials until `revert_creds()`.
        unsafe { Credential::from_ptr(cred) }
    }
}
