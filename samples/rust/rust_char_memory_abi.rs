// SPDX-License-Identifier: GPL-2.0

//! The interface of `/dev/rust_char_memory0` and the other nodes of the sample.
//!
//! The driver and the programs that use it are compiled with this file, so they cannot differ.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The number of nodes. Each has a memory of its own.
pub const NODES: u32 = 4;
/// The size of a memory, in bytes.
pub const SIZE: usize = 16 * 1024;

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xba;
/// `_IO(MAGIC, 1)`: sets all bytes of the memory to zero.
pub const CLEAR: u32 = 1;

/// A file can be mapped at page offset zero, with one page, which begins with this value plus the
/// number of the node, in native byte order.
pub const LABEL: u64 = 0x6d65_6d6f_7279_0000;
