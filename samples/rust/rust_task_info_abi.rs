// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/rust_task_info`.
//!
//! The driver and the programs that use it are compiled with this file, so they cannot differ.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xb7;
/// `_IOR(MAGIC, 1, TaskInfo)`: returns information about the calling thread and its thread group.
pub const GET_INFO: u32 = 1;
/// `_IOWR(MAGIC, 2, VmaInfo)`: returns the VMA at an address. `ENOENT` if there is none.
pub const GET_VMA: u32 = 2;
/// `_IOW(MAGIC, 3, ZapRange)`: removes pages of the device from the page tables of the caller.
/// `ENOENT` if nothing is mapped at the address, `EINVAL` if the range is not in a VMA of the
/// device.
pub const ZAP: u32 = 3;

/// The number of pages of an open file.
pub const PAGES: usize = 16;
/// Page `i` begins with this value plus `i`, in native byte order.
pub const PAGE_MAGIC: u64 = 0x7461_736b_0000_0000;

/// Set in [`VmaInfo::flags`] if the VMA has `VM_READ`.
pub const READ: u64 = 1;
/// Set in [`VmaInfo::flags`] if the VMA has `VM_WRITE`.
pub const WRITE: u64 = 2;
/// Set in [`VmaInfo::flags`] if the VMA has `VM_EXEC`.
pub const EXEC: u64 = 4;
/// Set in [`VmaInfo::flags`] if the VMA has `VM_SHARED`.
pub const SHARED: u64 = 8;

/// [`VmaInfo::lock`]: the VMA was read under its VMA lock.
pub const VMA_LOCK: u32 = 1;
/// [`VmaInfo::lock`]: the VMA was read under the mmap lock.
pub const MMAP_LOCK: u32 = 2;

/// The result of [`GET_INFO`].
///
/// PIDs and TGIDs are those of the initial PID namespace unless stated otherwise; user IDs are
/// those of the user namespace of the caller.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskInfo {
    /// The PID.
    pub pid: i32,
    /// The TGID.
    pub tgid: i32,
    /// Real user ID.
    pub uid: u32,
    /// Effective user ID.
    pub euid: u32,
    /// The PID of the thread-group leader.
    pub leader: i32,
    /// The TGID in the PID namespace of the task.
    pub ns_tgid: i32,
    /// 1 if the task has an `mm_struct`.
    pub has_mm: u32,
    /// 1 if a signal is pending.
    pub signal_pending: u32,
}

/// The argument (`addr`) and result (the other fields) of [`GET_VMA`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VmaInfo {
    /// The address to look up.
    pub addr: u64,
    /// The start address of the VMA.
    pub start: u64,
    /// The exclusive end address of the VMA.
    pub end: u64,
    /// [`READ`], [`WRITE`], [`EXEC`], [`SHARED`].
    pub flags: u64,
    /// [`VMA_LOCK`] or [`MMAP_LOCK`].
    pub lock: u32,
    /// Zero.
    pub reserved: u32,
}

/// The argument of [`ZAP`]. Both fields must be multiples of the page size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ZapRange {
    /// The start address.
    pub addr: u64,
    /// The length in bytes.
    pub len: u64,
}
