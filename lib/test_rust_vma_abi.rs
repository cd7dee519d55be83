// SPDX-License-Identifier: GPL-2.0

//! What `/dev/rust_vma_test` and the selftests agree on.

// Neither side uses all of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xba;
/// `_IOR(MAGIC, 1, Events)`: what has happened to the areas of all files.
pub const EVENTS: u32 = 1;
/// `_IOWR(MAGIC, 2, u64)`: an address in, what its area does out. `ENOENT` if the area is none of
/// this driver's, whoever has mapped it.
pub const WHAT: u32 = 2;

// What an area does, by the page of the file that it begins with.

/// Nothing special.
pub const PLAIN: u64 = 0;
/// The hook fails after it has given the area its data.
pub const FAIL: u64 = 16;
/// The hook gives the area its data twice, and returns what it gets the second time.
pub const TWICE: u64 = 32;
/// It is not to be split: `EINVAL`.
pub const NO_SPLIT: u64 = 48;
/// It is not to be moved: `EINVAL`.
pub const NO_MOVE: u64 = 64;
/// Its pages do not become writable.
pub const NO_WRITE: u64 = 80;
/// A fault is repeated once, if its author can wait.
pub const LATER: u64 = 96;
/// The hook changes the flags of the area so that it could be merged.
pub const CHANGE: u64 = 112;
/// It is one page frame, from the hook on. The hook fails if it could have that twice.
pub const FRAME: u64 = 128;
/// Each of its pages is one page frame, when it is touched.
pub const LATE_FRAME: u64 = 144;
/// The hook lets the area take pages, and then has it filled with a frame.
pub const BOTH: u64 = 160;
/// Its pages are one page frame and one page, by turns, when they are touched.
pub const MIXED: u64 = 176;

/// The answer to [`EVENTS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Events {
    /// Pieces of data that have been made.
    pub made: u64,
    /// Pieces of data that have been dropped.
    pub dropped: u64,
    /// Areas that were copied.
    pub opened: u64,
    /// Areas that have gone.
    pub closed: u64,
    /// Faults.
    pub faults: u64,
    /// Faults that were repeated.
    pub repeated: u64,
    /// Pages that have become writable.
    pub written: u64,
    /// Areas that were moved.
    pub moved: u64,
    /// Files that were released.
    pub released: u64,
}
