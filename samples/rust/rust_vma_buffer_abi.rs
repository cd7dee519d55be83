// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/rust_vma_buffer`.
//!
//! The driver and the programs that use it are compiled with this file, so they cannot differ.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xb9;
/// `_IOR(MAGIC, 1, State)`: returns how many VMAs, mapped pages and buffers exist.
pub const STATE: u32 = 1;
/// `_IOWR(MAGIC, 2, Vmas)`: lists the VMAs of the file in the address space of the caller.
pub const VMAS: u32 = 2;
/// `_IOW(MAGIC, 3, u64)`: maps the page at an address before the first access. `EINVAL` if there is
/// no VMA of the file at the address, `EBUSY` if the page is mapped, `EPERM` while the pages are
/// withheld.
pub const INSERT: u32 = 3;
/// `_IO(MAGIC, 4)`: unmaps all pages of the file from all processes. Private copies stay. The next
/// access maps the page again.
pub const REVOKE: u32 = 4;
/// `_IOW(MAGIC, 5, u64)`: does the same. If the value is not zero, accesses raise `SIGBUS` from
/// then on, until this is called with zero.
pub const WITHHOLD: u32 = 5;

/// The size of the buffer of an open file, in pages.
pub const PAGES: usize = 16;
/// Page `i` begins with this value plus `i`, in native byte order.
pub const PAGE_MAGIC: u64 = 0x766d_6100_0000_0000;

/// The result of [`STATE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// The VMAs of this file, in all processes.
    pub vmas: u64,
    /// The pages that these VMAs map.
    pub mapped: u64,
    /// The buffers of all open files.
    pub buffers: u64,
}

/// A VMA.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vma {
    /// The start address.
    pub start: u64,
    /// The exclusive end address.
    pub end: u64,
    /// The page offset of the start address in the buffer.
    pub pgoff: u64,
}

/// The maximum number of VMAs that one call returns.
pub const MAX_VMAS: usize = 16;

/// The argument and result of [`VMAS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Vmas {
    /// In: VMAs that end at or below this address are skipped.
    pub from: u64,
    /// Out: how many elements of [`vmas`](Self::vmas) are valid. If all of them are, there may be
    /// more VMAs.
    pub found: u64,
    /// Out: the VMAs, in ascending order of addresses.
    pub vmas: [Vma; MAX_VMAS],
}
