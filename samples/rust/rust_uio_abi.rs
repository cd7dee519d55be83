// SPDX-License-Identifier: GPL-2.0

//! What `/dev/rust_uio` maps.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The page offset of the registers.
pub const REGISTERS: usize = 0;
/// The number of pages of the registers.
pub const REGISTER_PAGES: usize = 4;
/// The page offset of the memory.
pub const MEMORY: usize = 1;
/// The number of pages of the memory.
pub const MEMORY_PAGES: usize = 2;

/// The physical address of the registers. The test machine has no device there, and each read
/// returns the same bytes.
#[cfg(not(target_arch = "aarch64"))]
pub const ADDRESS: u64 = 0xfe10_0000;
/// The physical address of the registers. The test machine has an empty flash memory there.
#[cfg(target_arch = "aarch64")]
pub const ADDRESS: u64 = 0x0400_0000;
