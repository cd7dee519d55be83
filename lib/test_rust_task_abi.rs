// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/test_rust_task`.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xb8;
/// `_IOWR(MAGIC, 1, Refcounts)`: takes and drops references, and returns the refcount before
/// and after.
pub const REFCOUNTS: u32 = 1;
/// `_IOR(MAGIC, 2, u32)`: returns whether a kworker has an `mm_struct`. It does not.
pub const WORKER_HAS_MM: u32 = 2;
/// `_IOR(MAGIC, 3, Opener)`: returns information about the task that opened the file.
pub const OPENER: u32 = 3;
/// `_IOWR(MAGIC, 5, i32)`: reads the PID of the task that opened the file, until it differs from
/// the argument, or a number of times.
pub const WATCH_PID: u32 = 5;
/// `_IOWR(MAGIC, 6, ThreadInfo)`: returns information about a thread, by its PID.
pub const THREAD_INFO: u32 = 6;
/// `_IOR(MAGIC, 7, Population)`: counts the thread groups and threads of the caller's
/// PID namespace and its descendants.
pub const POPULATION: u32 = 7;
/// `_IOWR(MAGIC, 8, Kill)`: sends a signal to the task that opened the file.
pub const KILL: u32 = 8;
/// `_IOWR(MAGIC, 9, UseMm)`: a kthread uses the `mm_struct` of the caller.
pub const USE_MM: u32 = 9;
/// `_IOWR(MAGIC, 10, Spawn)`: starts, parks and stops kthreads, one after another.
pub const SPAWN: u32 = 10;
/// `_IOWR(MAGIC, 11, TaskWorkCounts)`: queues task work for the caller.
pub const TASK_WORK: u32 = 11;
/// `_IOR(MAGIC, 12, Capabilities)`: returns which of [`ASKED`] the caller and the opener have.
pub const CAPABILITIES: u32 = 12;

/// `_IOR(MAGIC, 13, Ids)`: returns the IDs of the opener.
pub const IDS: u32 = 13;

/// The numbers of the capabilities about which [`CAPABILITIES`] asks: `CAP_CHOWN`, `CAP_KILL`,
/// `CAP_SYS_ADMIN`, `CAP_SYS_NICE`, `CAP_PERFMON`, `CAP_CHECKPOINT_RESTORE`.
pub const ASKED: [u32; 6] = [0, 5, 21, 23, 38, 40];

/// [`Refcounts::kind`]: `ARef<Task>` of the caller, refcount `usage`.
pub const TASK: u32 = 0;
/// [`Refcounts::kind`]: `ARef<MmWithUser>`, refcount `mm_users`.
pub const MM_USERS: u32 = 1;
/// [`Refcounts::kind`]: `ARef<Mm>`, refcount `mm_count`.
pub const MM_COUNT: u32 = 2;
/// [`Refcounts::kind`]: `ARef<PidNamespace>`, refcount of the namespace.
pub const PID_NS: u32 = 3;
/// [`Refcounts::kind`]: `mmget_not_zero()`, refcount `mm_users`.
pub const MM_NOT_ZERO: u32 = 4;
/// [`Refcounts::kind`]: `into_mmput_async()`, refcount `mm_users`.
pub const MM_ASYNC: u32 = 5;
/// [`Refcounts::kind`]: `get_task_cred()` of the caller, refcount `usage`.
pub const CRED: u32 = 6;
/// [`Refcounts::kind`]: `ARef<UserNamespace>`, refcount of the namespace.
pub const USER_NS: u32 = 7;

/// The argument (`rounds`, `kind`) and result of [`REFCOUNTS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Refcounts {
    /// The number of references to take and drop, one after another.
    pub rounds: u32,
    /// The type of the reference.
    pub kind: u32,
    /// The refcount before the first round.
    pub before: u32,
    /// The refcount after the last round.
    pub after: u32,
}

/// The result of [`OPENER`]. The opener is the task that opened the file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Opener {
    /// The PID of the opener in the initial PID namespace.
    pub pid: i32,
    /// The TGID of the opener in the PID namespace of the caller, or 0.
    pub in_callers_ns: i32,
    /// The TGID of the caller in the PID namespace of the opener, or 0.
    pub caller: i32,
    /// Whether `mm_users` of the opener's `mm_struct` is not 0.
    pub mm_alive: u32,
    /// Whether the opener has an active PID namespace. It has none after it has been reaped.
    pub has_ns: u32,
    /// Whether the PID namespace of the opener, at the time of `open()`, is that of the caller.
    pub same_ns: u32,
    /// The PID of the opener in the PID namespace of the caller, read from its `struct pid`.
    pub held: i32,
    /// Whether a task is attached to that `struct pid`.
    pub held_has_task: u32,
    /// How many of the opener's parent, thread-group leader and PID namespace are found under RCU.
    pub relations: u32,
}

/// The argument (`nr`) and result of [`THREAD_INFO`]. PIDs and TGIDs are those in the PID namespace
/// of the caller, unless stated otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ThreadInfo {
    /// The PID.
    pub nr: i32,
    /// The PID in the initial PID namespace.
    pub in_init: i32,
    /// The PID in the active PID namespace of the thread.
    pub in_own: i32,
    /// The level of that PID namespace.
    pub level: u32,
    /// The TGID.
    pub tgid: i32,
    /// The PID of the thread-group leader.
    pub leader: i32,
    /// The TGID of the parent, or 0 if it has none in the PID namespace of the caller.
    pub parent: i32,
    /// The process group ID.
    pub group: i32,
    /// The session ID.
    pub session: i32,
    /// The number of threads of the thread group.
    pub threads: u32,
    /// Whether the thread is a kthread.
    pub is_kthread: u32,
    /// Whether the PID namespace of the caller is that of the thread, or an ancestor of it.
    pub is_below: u32,
    /// The name (`comm`).
    pub comm: [u8; 16],
    /// The start time in nanoseconds.
    pub start_time: u64,
    /// `RLIMIT_NOFILE`.
    pub files: u64,
    /// The nice value.
    pub nice: i32,
    /// The CPU that the thread is on.
    pub cpu: u32,
    /// The effective UID in the user namespace of the caller.
    pub euid: u32,
    /// The exit state: 0 if there is none, 1 for `EXIT_ZOMBIE`, 2 for `EXIT_DEAD`.
    pub exit_state: u32,
    /// The effective UID in the user namespace of the thread.
    pub euid_own_ns: u32,
    /// The effective GID in the user namespace of the thread.
    pub egid_own_ns: u32,
}

/// The result of [`POPULATION`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Population {
    /// The number of thread groups.
    pub processes: u32,
    /// The number of threads of these thread groups.
    pub threads: u32,
}

/// The argument (`addr`, `rounds`) and result of [`USE_MM`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UseMm {
    /// The address of a `u64` in the caller's memory.
    pub addr: u64,
    /// How often the kthread adds one to it.
    pub rounds: u32,
    /// How many additions succeeded.
    pub done: u32,
    /// How often `current->mm` was wrong, inside or outside of `kthread_use_mm()`, or the EUID of
    /// the kthread or the caller was wrong inside.
    pub wrong: u32,
    /// The error of a nested `kthread_use_mm()`.
    pub nested: i32,
    /// The error of a `kthread_use_mm()` by the caller, which is not a kthread.
    pub caller: i32,
    /// The return value of the kthread.
    pub result: i32,
}

/// The argument (`rounds`) and result of [`SPAWN`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spawn {
    /// The number of kthreads.
    pub rounds: u32,
    /// How many kthreads have run.
    pub ran: u32,
    /// How many closures have been dropped.
    pub dropped: u32,
    /// How many return values were neither that of the closure nor `-EINTR`, plus how many calls of
    /// `park()` failed with another error than `ESRCH`.
    pub wrong: u32,
}

/// The argument (`rounds`, `again`) and result of [`TASK_WORK`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskWorkCounts {
    /// The number of work items to queue.
    pub rounds: u32,
    /// How often each work item queues another one when it runs.
    pub again: u32,
    /// The number of work items of this file that had run when the ioctl returned.
    pub done: u32,
    /// How many of them were run by another task, or without the PID that was stored after
    /// queueing.
    pub wrong: u32,
}

/// The result of [`CAPABILITIES`]. Each field has the bits of [`ASKED`] that are set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// What the caller has in the initial user namespace.
    pub init_ns: u64,
    /// The same, asked without a message in the audit log.
    pub noaudit: u64,
    /// What the caller has in its own user namespace.
    pub own_ns: u64,
    /// What the opener had in the initial user namespace at the time of `open()`.
    pub file: u64,
    /// What the opener has in the initial user namespace now.
    pub opener: u64,
    /// Whether the caller may observe the performance of the system.
    pub perfmon: u64,
}

/// The result of [`IDS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ids {
    /// The real, effective, saved and file-system UID in the initial user namespace.
    pub uids: [u32; 4],
    /// The GIDs, likewise.
    pub gids: [u32; 4],
    /// The effective UID and GID in the user namespace of the caller, or the overflow IDs.
    pub munged: [u32; 2],
}

/// [`KILL`]: to the thread.
pub const TO_THREAD: u32 = 1;
/// [`KILL`]: to the process group.
pub const TO_PGRP: u32 = 2;

/// The argument and result (`fatal`) of [`KILL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kill {
    /// The signal number.
    pub signal: i32,
    /// Whether the kernel is the sender, so that permissions are not checked.
    pub privileged: u32,
    /// The receiver: 0 for the thread group, [`TO_THREAD`] or [`TO_PGRP`].
    pub target: u32,
    /// Whether a fatal signal is pending for the thread afterwards.
    pub fatal: u32,
}
