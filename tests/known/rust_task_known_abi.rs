// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/rust_task_known`.

#![allow(dead_code, unreachable_pub)]

pub const MAGIC: u32 = 0xb9;
/// `_IO(MAGIC, 1)`: looks at the thread number of the opener until it changes.
pub const WATCH_PID: u32 = 1;
/// `_IO(MAGIC, 2)`: looks at the flags of the area at the argument until they change.
pub const WATCH_FLAGS: u32 = 2;
/// `_IOW(MAGIC, 3, Zap)`: zaps a range.
pub const ZAP: u32 = 3;
/// `_IO(MAGIC, 4)`: looks at the leader of whatever runs here in each tick, for as many milliseconds
/// as the argument says.
pub const WATCH_LEADER: u32 = 4;

/// Argument of [`ZAP`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Zap {
    /// An address in the area.
    pub area: u64,
    /// Where the range begins.
    pub addr: u64,
    /// How many bytes it has.
    pub len: u64,
}
