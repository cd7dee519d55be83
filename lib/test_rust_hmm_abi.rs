// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/test_rust_hmm`: those of `lib/test_hmm.c` that need no device memory, and
//! more.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = b'H' as u32;
/// `_IOWR(MAGIC, 0, Command)`: the device reads pages, and copies them to `ptr`.
pub const READ: u32 = 0;
/// `_IOWR(MAGIC, 1, Command)`: the device writes to pages what is at `ptr`.
pub const WRITE: u32 = 1;
/// `_IOWR(MAGIC, 4, Command)`: stores a byte for each page at `ptr`: see [`PROT_ERROR`].
pub const SNAPSHOT: u32 = 4;
/// `_IOWR(MAGIC, 9, Command)`: as `READ`.
pub const READ_UNLOCKED: u32 = 9;
/// `_IOWR(MAGIC, 64, Command)`: stores a `u64` for each page at `ptr`, the entry of the device's
/// page table: zero, or twice the PFN, plus one if the device may write.
pub const TABLE: u32 = 64;
/// `_IOWR(MAGIC, 65, Events)`: the number of invalidations so far.
pub const EVENTS: u32 = 65;
/// `_IO(MAGIC, 66)`: ends the mirror in a context that may not sleep.
pub const STOP_ATOMIC: u32 = 66;

/// `struct hmm_dmirror_cmd`.
#[repr(C)]
#[derive(Copy, Clone, Default)]
pub struct Command {
    /// The address of the first page.
    pub addr: u64,
    /// The address of a buffer.
    pub ptr: u64,
    pub npages: u64,
    /// Out: the number of pages that have been copied.
    pub cpages: u64,
    /// Out: how often pages were missing in the device's page table.
    pub faults: u64,
}

/// A byte of [`SNAPSHOT`]: no page can be faulted in.
pub const PROT_ERROR: u8 = 0xff;
/// There is no page.
pub const PROT_NONE: u8 = 0;
/// A page that can be read.
pub const PROT_READ: u8 = 1;
/// A page that can be written.
pub const PROT_WRITE: u8 = 2;
/// In addition, a page table entry maps 2 MiB.
pub const PROT_PMD: u8 = 4;

/// The result of [`EVENTS`].
#[repr(C)]
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Events {
    pub unmap: u64,
    pub clear: u64,
    pub protection: u64,
    pub release: u64,
    pub other: u64,
}
