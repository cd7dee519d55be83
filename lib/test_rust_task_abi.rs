// SPDX-License-Identifier: GPL-2.0

//! What `/dev/test_rust_task` and the selftests agree on.

// Neither side uses all of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xb8;
/// `_IOWR(MAGIC, 1, Counts)`: take and drop counted references, and tell the raw count.
pub const COUNTS: u32 = 1;
/// `_IOR(MAGIC, 2, u32)`: whether a workqueue's kernel thread has an address space (it has not).
pub const WORKER_HAS_MM: u32 = 2;
/// `_IOR(MAGIC, 3, Opener)`: what is known about the process that has opened the file.
pub const OPENER: u32 = 3;
/// `_IOW(MAGIC, 4, Zap)`: zap a range as it is, with no look at it before the crate's own.
pub const ZAP: u32 = 4;
/// `_IOWR(MAGIC, 5, i32)`: look at the thread number of who has opened the file, until it is not
/// the one given, or for a while.
pub const WATCH: u32 = 5;
/// `_IOWR(MAGIC, 6, Relatives)`: what is known of a thread, by its number.
pub const RELATIVES: u32 = 6;
/// `_IOR(MAGIC, 7, Population)`: how many the caller's namespace and those below it have.
pub const POPULATION: u32 = 7;
/// `_IOWR(MAGIC, 8, Kill)`: send a signal to who has opened the file.
pub const KILL: u32 = 8;
/// `_IOWR(MAGIC, 9, Borrow)`: threads of the kernel borrow the caller's address space.
pub const BORROW: u32 = 9;
/// `_IOWR(MAGIC, 10, Spawn)`: start, park and stop threads of the kernel, one after the other.
pub const SPAWN: u32 = 10;
/// `_IOWR(MAGIC, 11, Later)`: leave something for the caller to do before it returns.
pub const LATER: u32 = 11;

/// [`Counts::kind`]: `ARef<Task>` of the caller, counted in `usage`.
pub const TASK: u32 = 0;
/// [`Counts::kind`]: `ARef<MmWithUser>`, counted in `mm_users`.
pub const MM_USERS: u32 = 1;
/// [`Counts::kind`]: `ARef<Mm>`, counted in `mm_count`.
pub const MM_COUNT: u32 = 2;
/// [`Counts::kind`]: `ARef<PidNamespace>`, counted in the namespace.
pub const PID_NS: u32 = 3;
/// [`Counts::kind`]: `mmget_not_zero()`, counted in `mm_users`.
pub const MM_NOT_ZERO: u32 = 4;
/// [`Counts::kind`]: `into_mmput_async()`, counted in `mm_users`.
pub const MM_ASYNC: u32 = 5;
/// [`Counts::kind`]: `get_task_cred()` of the caller, counted in `usage`.
pub const CRED: u32 = 6;
/// [`Counts::kind`]: `ARef<UserNamespace>`, counted in the namespace.
pub const USER_NS: u32 = 7;

/// Question (`rounds`, `kind`) and answer of [`COUNTS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// How many references to take and drop, one after the other.
    pub rounds: u32,
    /// Which type.
    pub kind: u32,
    /// The count before the first.
    pub before: u32,
    /// The count after the last.
    pub after: u32,
}

/// Answer of [`OPENER`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Opener {
    /// The thread that has opened the file, in the initial namespace.
    pub pid: i32,
    /// The number of the opener's process in the caller's namespace; 0 if it has none.
    pub in_callers_ns: i32,
    /// The number of the caller's process in the opener's namespace; 0 if it has none.
    pub caller: i32,
    /// Whether the opener's address space is alive.
    pub mm_alive: u32,
    /// Whether the opener has a PID namespace: not when it has been reaped.
    pub has_ns: u32,
    /// Whether the namespace that it was opened from is the caller's.
    pub same_ns: u32,
    /// The thread that has opened the file, in the caller's namespace, from its `struct pid`.
    pub held: i32,
    /// Whether that is still a thread.
    pub held_has_task: u32,
    /// How many of its parent, its leader and its namespace are found under RCU.
    pub relatives: u32,
}

/// Question (`nr`) and answer of [`RELATIVES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Relatives {
    /// A thread, in the caller's namespace.
    pub nr: i32,
    /// Its number in the initial namespace.
    pub in_init: i32,
    /// Its number in its own namespace.
    pub in_own: i32,
    /// How many namespaces are above its own.
    pub level: u32,
    /// Its process, in the caller's namespace.
    pub tgid: i32,
    /// The thread that leads its process, in the caller's namespace.
    pub leader: i32,
    /// The process that has made it, in the caller's namespace; 0 if it has no number there.
    pub parent: i32,
    /// Its process group, in the caller's namespace.
    pub group: i32,
    /// Its session, in the caller's namespace.
    pub session: i32,
    /// How many threads its process has.
    pub threads: u32,
    /// Whether it is a thread of the kernel.
    pub is_kthread: u32,
    /// Whether the caller's namespace is that of the thread or above it.
    pub is_below: u32,
    /// Its name.
    pub comm: [u8; 16],
    /// When it was made, in nanoseconds.
    pub start_time: u64,
    /// How many files its process may have open.
    pub files: u64,
    /// Its nice value.
    pub nice: i32,
    /// The CPU that it runs on, or ran on last.
    pub cpu: u32,
    /// Its effective user.
    pub euid: u32,
    /// 1 if it is a zombie, 2 if it is dead.
    pub exit_state: u32,
    /// Its effective user and group, as itself knows them.
    pub euid_there: u32,
    pub egid_there: u32,
}

/// Answer of [`POPULATION`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Population {
    /// How many processes.
    pub processes: u32,
    /// How many threads they have.
    pub threads: u32,
}

/// Question (`addr`, `rounds`) and answer of [`BORROW`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Borrow {
    /// A number of 64 bits in the caller's memory.
    pub addr: u64,
    /// How many times one is added to it.
    pub rounds: u32,
    /// How many times that was possible.
    pub done: u32,
    /// How often the thread had another address space than it should: inside, and outside.
    pub wrong: u32,
    /// What a scope within a scope was refused with.
    pub nested: i32,
    /// What the caller itself was refused with.
    pub caller: i32,
    /// What the closure has returned.
    pub result: i32,
}

/// Question (`rounds`) and answer of [`SPAWN`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spawn {
    /// How many threads.
    pub rounds: u32,
    /// How many have run.
    pub ran: u32,
    /// How many closures have been dropped.
    pub dropped: u32,
    /// How many results were neither the closure's nor `-EINTR`, and how many threads could neither
    /// be parked nor had ended.
    pub wrong: u32,
}

/// Question (`rounds`, `again`) and answer of [`LATER`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Later {
    /// How many things to leave.
    pub rounds: u32,
    /// How often each of them leaves itself again when it is done.
    pub again: u32,
    /// How many calls of this file had been done at the end of this one.
    pub done: u32,
    /// How many were done by somebody else, or without what they were told last.
    pub wrong: u32,
}

/// Question and answer (`fatal`) of [`KILL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kill {
    /// Which signal.
    pub signal: i32,
    /// Whether the kernel sends it.
    pub privileged: u32,
    /// Whether it is for the thread, and not for its process.
    pub to_thread: u32,
    /// Whether the thread is to be killed, after that.
    pub fatal: u32,
}

/// Argument of [`ZAP`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Zap {
    /// An address in the area that is asked to do it.
    pub area: u64,
    /// Where the range begins.
    pub addr: u64,
    /// How many bytes it has.
    pub len: u64,
}
