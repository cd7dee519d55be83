// SPDX-License-Identifier: GPL-2.0

//! What `/dev/rust_task_test` and the selftests agree on.

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
