// SPDX-License-Identifier: GPL-2.0

//! Capabilities: what a task may do beyond the rights of its user.
//!
//! A capability is held in a user namespace. [`capable`] asks about the initial one, which is right
//! for hardware and for what all containers share; [`ns_capable`] asks about another one, for what
//! belongs to a container.
//!
//! A security module may log each question, and the kernel records that the task has used the
//! capability. So a driver asks last: after it knows that the operation needs the capability.
//!
//! C header: [`include/linux/capability.h`](srctree/include/linux/capability.h)

use crate::{
    bindings,
    fs::File,
    prelude::*,
    task::{
        in_task,
        Task, //
    },
    user_namespace::UserNamespace, //
};

/// A capability, for example `CAP_SYS_ADMIN`.
///
/// # Invariants
///
/// The number is at most `CAP_LAST_CAP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability(c_int);

impl Capability {
    /// May change the owner of a file.
    #[doc(alias = "CAP_CHOWN")]
    pub const CHOWN: Self = Self::new(bindings::CAP_CHOWN);
    /// Is not subject to file permissions.
    #[doc(alias = "CAP_DAC_OVERRIDE")]
    pub const DAC_OVERRIDE: Self = Self::new(bindings::CAP_DAC_OVERRIDE);
    /// May read any file and search any directory.
    #[doc(alias = "CAP_DAC_READ_SEARCH")]
    pub const DAC_READ_SEARCH: Self = Self::new(bindings::CAP_DAC_READ_SEARCH);
    /// Has the rights of the owner of any file.
    #[doc(alias = "CAP_FOWNER")]
    pub const FOWNER: Self = Self::new(bindings::CAP_FOWNER);
    /// Keeps the set-user-ID bits of a file that it changes.
    #[doc(alias = "CAP_FSETID")]
    pub const FSETID: Self = Self::new(bindings::CAP_FSETID);
    /// May signal any process.
    #[doc(alias = "CAP_KILL")]
    pub const KILL: Self = Self::new(bindings::CAP_KILL);
    /// May change its group IDs.
    #[doc(alias = "CAP_SETGID")]
    pub const SETGID: Self = Self::new(bindings::CAP_SETGID);
    /// May change its user IDs.
    #[doc(alias = "CAP_SETUID")]
    pub const SETUID: Self = Self::new(bindings::CAP_SETUID);
    /// May change its bounding and inheritable capabilities.
    #[doc(alias = "CAP_SETPCAP")]
    pub const SETPCAP: Self = Self::new(bindings::CAP_SETPCAP);
    /// May change the attributes "immutable" and "append only".
    #[doc(alias = "CAP_LINUX_IMMUTABLE")]
    pub const LINUX_IMMUTABLE: Self = Self::new(bindings::CAP_LINUX_IMMUTABLE);
    /// May bind privileged ports.
    #[doc(alias = "CAP_NET_BIND_SERVICE")]
    pub const NET_BIND_SERVICE: Self = Self::new(bindings::CAP_NET_BIND_SERVICE);
    /// May broadcast. Not used.
    #[doc(alias = "CAP_NET_BROADCAST")]
    pub const NET_BROADCAST: Self = Self::new(bindings::CAP_NET_BROADCAST);
    /// May configure the network.
    #[doc(alias = "CAP_NET_ADMIN")]
    pub const NET_ADMIN: Self = Self::new(bindings::CAP_NET_ADMIN);
    /// May use raw sockets.
    #[doc(alias = "CAP_NET_RAW")]
    pub const NET_RAW: Self = Self::new(bindings::CAP_NET_RAW);
    /// May lock memory beyond `RLIMIT_MEMLOCK`.
    #[doc(alias = "CAP_IPC_LOCK")]
    pub const IPC_LOCK: Self = Self::new(bindings::CAP_IPC_LOCK);
    /// Is not subject to the permissions of System V IPC.
    #[doc(alias = "CAP_IPC_OWNER")]
    pub const IPC_OWNER: Self = Self::new(bindings::CAP_IPC_OWNER);
    /// May load and unload modules.
    #[doc(alias = "CAP_SYS_MODULE")]
    pub const SYS_MODULE: Self = Self::new(bindings::CAP_SYS_MODULE);
    /// May access I/O ports and hardware directly.
    #[doc(alias = "CAP_SYS_RAWIO")]
    pub const SYS_RAWIO: Self = Self::new(bindings::CAP_SYS_RAWIO);
    /// May call `chroot()` and change mount namespaces.
    #[doc(alias = "CAP_SYS_CHROOT")]
    pub const SYS_CHROOT: Self = Self::new(bindings::CAP_SYS_CHROOT);
    /// May trace any process.
    #[doc(alias = "CAP_SYS_PTRACE")]
    pub const SYS_PTRACE: Self = Self::new(bindings::CAP_SYS_PTRACE);
    /// May configure process accounting.
    #[doc(alias = "CAP_SYS_PACCT")]
    pub const SYS_PACCT: Self = Self::new(bindings::CAP_SYS_PACCT);
    /// Many administrative operations. Prefer a narrower one.
    #[doc(alias = "CAP_SYS_ADMIN")]
    pub const SYS_ADMIN: Self = Self::new(bindings::CAP_SYS_ADMIN);
    /// May reboot.
    #[doc(alias = "CAP_SYS_BOOT")]
    pub const SYS_BOOT: Self = Self::new(bindings::CAP_SYS_BOOT);
    /// May raise priorities, and set the affinity of other tasks.
    #[doc(alias = "CAP_SYS_NICE")]
    pub const SYS_NICE: Self = Self::new(bindings::CAP_SYS_NICE);
    /// May exceed resource limits and quotas.
    #[doc(alias = "CAP_SYS_RESOURCE")]
    pub const SYS_RESOURCE: Self = Self::new(bindings::CAP_SYS_RESOURCE);
    /// May set the clock.
    #[doc(alias = "CAP_SYS_TIME")]
    pub const SYS_TIME: Self = Self::new(bindings::CAP_SYS_TIME);
    /// May configure terminals.
    #[doc(alias = "CAP_SYS_TTY_CONFIG")]
    pub const SYS_TTY_CONFIG: Self = Self::new(bindings::CAP_SYS_TTY_CONFIG);
    /// May create device nodes.
    #[doc(alias = "CAP_MKNOD")]
    pub const MKNOD: Self = Self::new(bindings::CAP_MKNOD);
    /// May take leases of files of other users.
    #[doc(alias = "CAP_LEASE")]
    pub const LEASE: Self = Self::new(bindings::CAP_LEASE);
    /// May write to the audit log.
    #[doc(alias = "CAP_AUDIT_WRITE")]
    pub const AUDIT_WRITE: Self = Self::new(bindings::CAP_AUDIT_WRITE);
    /// May configure auditing.
    #[doc(alias = "CAP_AUDIT_CONTROL")]
    pub const AUDIT_CONTROL: Self = Self::new(bindings::CAP_AUDIT_CONTROL);
    /// May set the capabilities of a file.
    #[doc(alias = "CAP_SETFCAP")]
    pub const SETFCAP: Self = Self::new(bindings::CAP_SETFCAP);
    /// Is not subject to mandatory access control.
    #[doc(alias = "CAP_MAC_OVERRIDE")]
    pub const MAC_OVERRIDE: Self = Self::new(bindings::CAP_MAC_OVERRIDE);
    /// May configure mandatory access control.
    #[doc(alias = "CAP_MAC_ADMIN")]
    pub const MAC_ADMIN: Self = Self::new(bindings::CAP_MAC_ADMIN);
    /// May configure the kernel log, and see kernel addresses.
    #[doc(alias = "CAP_SYSLOG")]
    pub const SYSLOG: Self = Self::new(bindings::CAP_SYSLOG);
    /// May set alarms that wake the system.
    #[doc(alias = "CAP_WAKE_ALARM")]
    pub const WAKE_ALARM: Self = Self::new(bindings::CAP_WAKE_ALARM);
    /// May prevent suspend.
    #[doc(alias = "CAP_BLOCK_SUSPEND")]
    pub const BLOCK_SUSPEND: Self = Self::new(bindings::CAP_BLOCK_SUSPEND);
    /// May read the audit log.
    #[doc(alias = "CAP_AUDIT_READ")]
    pub const AUDIT_READ: Self = Self::new(bindings::CAP_AUDIT_READ);
    /// May observe the performance of the system.
    #[doc(alias = "CAP_PERFMON")]
    pub const PERFMON: Self = Self::new(bindings::CAP_PERFMON);
    /// May use the privileged parts of BPF.
    #[doc(alias = "CAP_BPF")]
    pub const BPF: Self = Self::new(bindings::CAP_BPF);
    /// May checkpoint and restore processes.
    #[doc(alias = "CAP_CHECKPOINT_RESTORE")]
    pub const CHECKPOINT_RESTORE: Self = Self::new(bindings::CAP_CHECKPOINT_RESTORE);

    const fn new(number: u32) -> Self {
        assert!(number <= bindings::CAP_LAST_CAP);

        // INVARIANT: The assertion holds.
        Self(number as c_int)
    }
}

/// Returns whether the current task has `cap` in the initial user namespace.
///
/// If it has, the kernel records that the task has used it (`PF_SUPERPRIV`). In an interrupt, this
/// returns false: the interrupted task is unrelated to it. On PREEMPT_RT, interrupts must not be
/// disabled, as a security module may take a spinlock.
///
/// # Context
///
/// Process context.
///
/// # Examples
///
/// ```
/// use kernel::capability::{
///     capable,
///     Capability, //
/// };
///
/// /// Gives a buffer of `pages` pages to the caller. A large one needs a capability.
/// fn reserve(pages: usize) -> Result {
///     if pages > 1024 && !capable(Capability::SYS_RESOURCE) {
///         return Err(EPERM);
///     }
///     // ...
///     Ok(())
/// }
/// assert!(reserve(1).is_ok());
/// // A kthread has all capabilities.
/// assert!(reserve(2048).is_ok());
/// ```
#[inline]
pub fn capable(cap: Capability) -> bool {
    // SAFETY: By the type invariant, the number is one that `cap_valid()` accepts; `ns_capable()`
    // would `BUG()` otherwise. `security_capable()` reads the subjective credentials of the current
    // task, which only this task replaces. The function also writes `current->flags`, which only
    // the task itself does: this is process context. For the same reason, it does not interrupt a
    // security module that uses its data of this CPU.
    in_task() && unsafe { bindings::capable(cap.0) }
}

/// Returns whether the current task has `CAP_PERFMON` or `CAP_SYS_ADMIN` in the initial user
/// namespace.
///
/// It asks about one after the other, so a refusal may be logged twice.
///
/// # Context
///
/// Process context.
///
/// # Examples
///
/// ```
/// use kernel::capability::perfmon_capable;
///
/// // A kthread has all capabilities.
/// assert!(perfmon_capable());
/// ```
#[inline]
pub fn perfmon_capable() -> bool {
    capable(Capability::PERFMON) || capable(Capability::SYS_ADMIN)
}

/// Returns whether the current task has `CAP_BPF` or `CAP_SYS_ADMIN` in the initial user namespace.
///
/// It asks about one after the other, so a refusal may be logged twice.
///
/// # Context
///
/// Process context.
///
/// # Examples
///
/// ```
/// use kernel::capability::bpf_capable;
///
/// // A kthread has all capabilities.
/// assert!(bpf_capable());
/// ```
#[inline]
pub fn bpf_capable() -> bool {
    capable(Capability::BPF) || capable(Capability::SYS_ADMIN)
}

/// Returns whether the current task has `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN` in the user
/// namespace `ns`.
///
/// It asks about one after the other, so a refusal may be logged twice.
///
/// # Context
///
/// Process context.
///
/// # Examples
///
/// ```
/// use kernel::{
///     capability::checkpoint_restore_ns_capable,
///     user_namespace::UserNamespace, //
/// };
///
/// /// Sets what only the restore of a checkpoint may set, such as a number that the kernel
/// /// chooses.
/// fn restore(ns: &UserNamespace) -> Result {
///     if !checkpoint_restore_ns_capable(ns) {
///         return Err(EPERM);
///     }
///     // ...
///     Ok(())
/// }
/// assert!(restore(UserNamespace::init()).is_ok());
/// ```
#[inline]
pub fn checkpoint_restore_ns_capable(ns: &UserNamespace) -> bool {
    ns_capable(ns, Capability::CHECKPOINT_RESTORE) || ns_capable(ns, Capability::SYS_ADMIN)
}

/// Returns whether the current task has `cap` in the user namespace `ns`.
///
/// Otherwise, it is like [`capable`].
///
/// # Context
///
/// Process context.
///
/// # Examples
///
/// ```
/// use kernel::{
///     capability::{
///         ns_capable,
///         Capability, //
///     },
///     user_namespace::UserNamespace, //
/// };
///
/// /// Configures what belongs to a container, which was created in the user namespace `owner`.
/// fn configure(owner: &UserNamespace) -> Result {
///     // Each user has all capabilities in a namespace of their own, so `current!().user_ns()` in
///     // place of `owner` would permit it to all.
///     if !ns_capable(owner, Capability::NET_ADMIN) {
///         return Err(EPERM);
///     }
///     // ...
///     Ok(())
/// }
/// assert!(configure(UserNamespace::init()).is_ok());
/// ```
#[inline]
pub fn ns_capable(ns: &UserNamespace, cap: Capability) -> bool {
    // SAFETY: As for `capable()`. `ns` is allocated for the duration of the call, and holds a
    // reference on its parent, which `cap_capable()` reads.
    in_task() && unsafe { bindings::ns_capable(ns.as_ptr(), cap.0) }
}

/// Returns whether the current task has `cap` in the user namespace `ns`, without a message in the
/// audit log.
///
/// For a question whose answer does not decide alone whether an operation is permitted. Otherwise,
/// it is like [`capable`].
///
/// # Context
///
/// Process context.
///
/// # Examples
///
/// ```
/// use kernel::{
///     capability::{
///         ns_capable_noaudit,
///         Capability, //
///     },
///     user_namespace::UserNamespace, //
/// };
///
/// // Report more to those who may see it.
/// let addresses = ns_capable_noaudit(UserNamespace::init(), Capability::SYSLOG);
/// # assert!(addresses);
/// ```
#[doc(alias = "capable_noaudit")]
#[inline]
pub fn ns_capable_noaudit(ns: &UserNamespace, cap: Capability) -> bool {
    // SAFETY: As for `ns_capable()`.
    in_task() && unsafe { bindings::ns_capable_noaudit(ns.as_ptr(), cap.0) }
}

/// Returns whether the task that opened `file` had `cap` in the user namespace `ns` at that time.
///
/// A process may pass an open file to another one. A driver that asks for the capabilities of the
/// current task instead lets a privileged process, which is given the file, act for the other one.
/// In an interrupt, this returns false.
///
/// # Context
///
/// Process context.
///
/// # Examples
///
/// ```
/// use kernel::{
///     capability::{
///         file_ns_capable,
///         Capability, //
///     },
///     fs::File,
///     user_namespace::UserNamespace, //
/// };
///
/// /// Implements an ioctl that changes a setting of the hardware.
/// fn configure(file: &File) -> Result {
///     if !file_ns_capable(file, UserNamespace::init(), Capability::SYS_RAWIO) {
///         return Err(EPERM);
///     }
///     // ...
///     Ok(())
/// }
/// ```
#[inline]
pub fn file_ns_capable(file: &File, ns: &UserNamespace, cap: Capability) -> bool {
    // SAFETY: The file's refcount is not zero, so `file::f_cred`, which is set when the file is
    // allocated and whose reference is dropped when it is freed, points to valid credentials. The
    // number is valid, so there is no `WARN_ON_ONCE()`. The rest is as for `ns_capable()`.
    in_task() && unsafe { bindings::file_ns_capable(file.as_ptr(), ns.as_ptr(), cap.0) }
}

impl Task {
    /// Returns whether this task has `cap` in the initial user namespace, without a message in the
    /// audit log.
    ///
    /// It asks about the objective credentials. The result may be stale when it is returned. In an
    /// interrupt, this returns false.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::capability::Capability;
    ///
    /// /// Returns whether the priority of a task may be raised for one that waits for it.
    /// fn may_raise(task: &kernel::task::Task) -> bool {
    ///     task.has_capability_noaudit(Capability::SYS_NICE)
    /// }
    /// assert!(may_raise(current!()));
    /// ```
    // Linux 7.3 does not export `has_capability_noaudit()`, so a module must not contain the call.
    #[inline(never)]
    pub fn has_capability_noaudit(&self, cap: Capability) -> bool {
        // SAFETY: `task_struct` is allocated by the type invariant, and its objective credentials
        // are put in `__put_task_struct()` at the earliest. `has_ns_capability_noaudit()` reads
        // them in an RCU read-side critical section, as `commit_creds()` may replace them. The
        // rest is as for `capable()`.
        in_task() && unsafe { bindings::has_capability_noaudit(self.as_ptr(), cap.0) }
    }
}
