// SPDX-License-Identifier: GPL-2.0

//! What `/dev/rust_task_info` and its users agree on.
//!
//! The driver and the programs that call it build this same file, so the two cannot differ.

// Neither side uses all of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xb7;
/// `_IOR(MAGIC, 1, TaskInfo)`: facts about the calling thread and its process.
pub const GET_INFO: u32 = 1;
/// `_IOWR(MAGIC, 2, VmaInfo)`: the area that holds an address, `ENOENT` if none does.
pub const GET_VMA: u32 = 2;
/// `_IOW(MAGIC, 3, ZapRange)`: take pages of the device out of the caller's page tables. Areas of
/// other devices that are made of single pages are not told from its own.
pub const ZAP: u32 = 3;

/// How many pages an open file has to map.
pub const PAGES: usize = 16;
/// Page `i` begins with this number plus `i`, in the byte order of the machine.
pub const PAGE_MAGIC: u64 = 0x7461_736b_0000_0000;

/// Set in [`VmaInfo::flags`] when the area may be read.
pub const READ: u64 = 1;
/// Set in [`VmaInfo::flags`] when the area may be written.
pub const WRITE: u64 = 2;
/// Set in [`VmaInfo::flags`] when the area may be executed.
pub const EXEC: u64 = 4;
/// Set in [`VmaInfo::flags`] when the area is shared.
pub const SHARED: u64 = 8;

/// [`VmaInfo::lock`]: the area was read under its own lock.
pub const VMA_LOCK: u32 = 1;
/// [`VmaInfo::lock`]: the area was read under the lock of the whole address space.
pub const MMAP_LOCK: u32 = 2;

/// The answer to [`GET_INFO`].
///
/// Process numbers are those of the initial PID namespace unless named otherwise; user IDs are as
/// the caller's user namespace has them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskInfo {
    /// The thread.
    pub pid: i32,
    /// The process.
    pub tgid: i32,
    /// Real user ID.
    pub uid: u32,
    /// Effective user ID.
    pub euid: u32,
    /// The thread that leads the process.
    pub leader: i32,
    /// The process, as its own PID namespace numbers it.
    pub ns_tgid: i32,
    /// 1 if the thread has an address space.
    pub has_mm: u32,
    /// 1 if a signal waits to be delivered.
    pub signal_pending: u32,
}

/// Question (`addr`) and answer (the rest) of [`GET_VMA`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VmaInfo {
    /// The address asked for.
    pub addr: u64,
    /// First byte of the area.
    pub start: u64,
    /// First byte behind the area.
    pub end: u64,
    /// [`READ`], [`WRITE`], [`EXEC`], [`SHARED`].
    pub flags: u64,
    /// [`VMA_LOCK`] or [`MMAP_LOCK`].
    pub lock: u32,
    /// Zero.
    pub reserved: u32,
}

/// The argument of [`ZAP`], both in bytes and multiples of the page size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ZapRange {
    /// First byte.
    pub addr: u64,
    /// How many.
    pub len: u64,
}
