// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/test_rust_lifetime`.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xbb;
/// `_IOWR(MAGIC, 1, Walk)`: walks over tasks, and sleeps after the first one.
pub const WALK: u32 = 1;
/// `_IOWR(MAGIC, 2, Saturation)`: leaks references of a refcount that is close to its limit.
pub const SATURATION: u32 = 2;
/// `_IO(MAGIC, 3)`: drops the reference to the address space that mapped the file last. Meanwhile,
/// the driver holds a lock that `close()` of the VMA takes.
pub const DROP_LAST: u32 = 3;
/// `_IOR(MAGIC, 4, u32)`: returns how many VMAs of the file have released their data.
pub const RELEASED: u32 = 4;
/// `_IOW(MAGIC, 5, i32)`: sends a signal to the process that opened the file, with the credentials
/// that it had then.
pub const SIGNAL_AS_OPENER: u32 = 5;

/// `_IOW(MAGIC, 6, i64)`: registers a shrinker with this number of objects, instead of the one that
/// is registered. 0 registers none, [`STUBBORN`] one that has many objects and frees none. With a
/// negative number, it frees one object in each call, and says that it has looked at all.
pub const SHRINKER: u32 = 6;
/// `_IOR(MAGIC, 7, Shrunk)`: returns what has happened to the shrinkers of the file.
pub const SHRUNK: u32 = 7;

/// See [`SHRINKER`].
pub const STUBBORN: i64 = i64::MAX;

/// The result of [`SHRUNK`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shrunk {
    /// The number of objects that are left.
    pub objects: i64,
    /// How often a function of a shrinker was called.
    pub calls: i64,
    /// How often one was called whose registration had ended.
    pub late: i64,
    /// How many shrinkers have dropped their data.
    pub dropped: i64,
    /// How often a function was called for memory that is allocated with `GFP_KERNEL`.
    pub full: i64,
}

/// [`Walk::kind`]: the threads of the caller.
pub const THREADS: u32 = 0;
/// [`Walk::kind`]: the thread groups in the PID namespace of the caller.
pub const PROCESSES: u32 = 1;

/// The argument (`kind`, `pause`) and result of [`WALK`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk {
    /// What to walk over.
    pub kind: u32,
    /// How long to sleep after the first task, in milliseconds.
    pub pause: u32,
    /// The number of tasks.
    pub found: u32,
    /// Their PIDs in the initial PID namespace, in the order of the walk.
    pub pids: [i32; Walk::MAX],
}

impl Walk {
    /// The number of PIDs that are returned.
    pub const MAX: usize = 512;
}

/// [`Saturation::kind`]: `ARef<MmWithUser>`, refcount `mm_users`.
pub const MM_USERS: u32 = 0;
/// [`Saturation::kind`]: `ARef<Mm>`, refcount `mm_count`.
pub const MM_COUNT: u32 = 1;
/// [`Saturation::kind`]: `mmget_not_zero()`, refcount `mm_users`.
pub const MM_NOT_ZERO: u32 = 2;

/// The argument (`kind`) and result of [`SATURATION`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Saturation {
    /// The type of the reference.
    pub kind: u32,
    /// The refcount before references are leaked.
    pub before: u32,
    /// The refcount after some have been leaked.
    pub leaked: u32,
    /// The refcount after as many have been dropped.
    pub dropped: u32,
}
