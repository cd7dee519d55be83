// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/rust_task_known`.

#![allow(dead_code, unreachable_pub)]

pub const MAGIC: u32 = 0xb9;
/// `_IO(MAGIC, 1)`: reads the PID of the opener until it changes.
pub const WATCH_PID: u32 = 1;
/// `_IO(MAGIC, 2)`: reads the flags of the VMA at the argument until they change.
pub const WATCH_FLAGS: u32 = 2;
/// `_IO(MAGIC, 3)`: maps a page of this driver at the argument, in the VMA of another driver.
pub const INSERT: u32 = 3;
/// `_IO(MAGIC, 4)`: reads the group leader of the current task in a timer on this CPU, every
/// millisecond. The argument is the duration in milliseconds.
pub const WATCH_LEADER: u32 = 4;

/// `mmap()` zaps half of this page of the new VMA.
pub const ZAPPED: usize = 1;
