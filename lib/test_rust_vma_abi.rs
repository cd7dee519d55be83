// SPDX-License-Identifier: GPL-2.0

//! What `/dev/test_rust_vma`, `/dev/test_rust_vma_prepare` and the selftests agree on.

// Neither side uses all of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xba;
/// `_IOR(MAGIC, 1, Events)`: what has happened to the areas of all files.
pub const EVENTS: u32 = 1;
/// `_IOWR(MAGIC, 2, u64)`: an address in, what its area does out, or 1 for any area with data of
/// the other device. `ENOENT` if the area is none of this driver's, whoever has mapped it.
pub const WHAT: u32 = 2;

// What an area does, by the page of the file that it begins with. The other device knows those that
// say so; an open file of it is one piece of data.

/// Nothing special.
pub const PLAIN: u64 = 0;
/// The hook fails after it has given the area its data. (The other device, too.)
pub const FAIL: u64 = 16;
/// The hook gives the area its data twice, and returns what it gets the second time. (The other
/// device, too.)
pub const TWICE: u64 = 32;
/// It is not to be split: `EINVAL`.
pub const NO_SPLIT: u64 = 48;
/// It is not to be moved: `EINVAL`.
pub const NO_MOVE: u64 = 64;
/// Its pages do not become writable.
pub const NO_WRITE: u64 = 80;
/// A fault is repeated once, if its author can wait.
pub const LATER: u64 = 96;
/// The hook changes the flags of the area so that it could be merged. (The other device: it is
/// never written to, and neither in children nor in core dumps.)
pub const CHANGE: u64 = 112;
/// It is one page frame, from the hook on. The hook fails if it could have that twice. (The other
/// device, too.)
pub const FRAME: u64 = 128;
/// Each of its pages is one page frame, when it is touched. (The other device, too.)
pub const LATE_FRAME: u64 = 144;
/// The hook lets the area take pages, and then has it filled with a frame. (The other device: it
/// gives the area its data, and then has it filled with pages.)
pub const BOTH: u64 = 160;
/// Its pages are one page frame and one page, by turns, when they are touched.
/// (The other device: they are one page.)
pub const MIXED: u64 = 176;
/// (The other device alone.) It is two pages, from the hook on.
pub const PAGES: u64 = 192;

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
