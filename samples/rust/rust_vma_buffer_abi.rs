// SPDX-License-Identifier: GPL-2.0

//! What `/dev/rust_vma_buffer` and its users agree on.
//!
//! The driver and the programs that call it build this same file, so the two cannot differ.

// Neither side uses all of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xb9;
/// `_IOR(MAGIC, 1, State)`: what there is.
pub const STATE: u32 = 1;
/// `_IOWR(MAGIC, 2, Areas)`: where the caller has mapped the file.
pub const AREAS: u32 = 2;
/// `_IOW(MAGIC, 3, u64)`: map the page of an address now. `EINVAL` if the caller has mapped nothing
/// there or something else, `EBUSY` if the page is mapped, `EPERM` in a private area.
pub const INSERT: u32 = 3;
/// `_IOW(MAGIC, 4, u64)`: take the pages of the area at an address away. Errors as for [`INSERT`].
pub const REVOKE: u32 = 4;

/// How many pages an open file has to map.
pub const PAGES: usize = 16;
/// Page `i` begins with this number plus `i`, in the byte order of the machine.
pub const PAGE_MAGIC: u64 = 0x766d_6100_0000_0000;

/// The answer to [`STATE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// Areas, in all processes, that hold this file's buffer.
    pub areas: u64,
    /// Buffers of all files.
    pub buffers: u64,
}

/// A part of the buffer that is mapped.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Area {
    /// The address of the first byte.
    pub start: u64,
    /// The address behind the last byte.
    pub end: u64,
    /// The page of the buffer it begins with.
    pub pgoff: u64,
}

/// How many areas are told at a time.
pub const AT_A_TIME: usize = 16;

/// Question and answer of [`AREAS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Areas {
    /// In: the address to begin with.
    pub from: u64,
    /// Out: how many of [`areas`](Self::areas) are filled in. If that is all of them, there may be
    /// more.
    pub found: u64,
    /// Out: the areas, from low to high addresses.
    pub areas: [Area; AT_A_TIME],
}
