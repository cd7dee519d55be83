// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/test_rust_gup`: those of `mm/gup_test.c` that pin pages, and one more.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = b'g' as u32;
/// `_IOWR(MAGIC, 2, Test)`: pins pages for a short time.
pub const PIN_FAST_BENCHMARK: u32 = 2;
/// `_IOWR(MAGIC, 3, Test)`: pins pages for a long time.
pub const PIN_LONGTERM_BENCHMARK: u32 = 3;
/// `_IOWR(MAGIC, 5, Test)`: as `PIN_FAST_BENCHMARK`.
pub const PIN_BASIC_TEST: u32 = 5;
/// `_IOW(MAGIC, 7, LongtermTest)`: pins pages, until the next request or the end of the file.
pub const PIN_LONGTERM_TEST_START: u32 = 7;
/// `_IO(MAGIC, 8)`: unpins them.
pub const PIN_LONGTERM_TEST_STOP: u32 = 8;
/// `_IOW(MAGIC, 9, u64)`: copies them to this address.
pub const PIN_LONGTERM_TEST_READ: u32 = 9;
/// `_IOW(MAGIC, 64, u64)`: copies bytes from this address to all of them. `EPERM` if they have been
/// pinned for reading.
pub const WRITE: u32 = 64;
/// `_IO(MAGIC, 65)`: unpins them in a context that may not sleep.
pub const STOP_ATOMIC: u32 = 65;

/// `struct gup_test`.
#[repr(C)]
#[derive(Copy, Clone, Default)]
pub struct Test {
    pub get_delta_usec: u64,
    pub put_delta_usec: u64,
    pub addr: u64,
    pub size: u64,
    pub nr_pages_per_call: u32,
    pub gup_flags: u32,
    pub test_flags: u32,
    pub which_pages: [u32; 8],
    pub padding: u32,
}

/// The bit of `gup_flags` for pages that are written.
pub const FOLL_WRITE: u32 = 1;

/// `struct pin_longterm_test`.
#[repr(C)]
#[derive(Copy, Clone, Default)]
pub struct LongtermTest {
    pub addr: u64,
    pub size: u64,
    pub flags: u32,
    pub padding: u32,
}

/// The bit of `flags` for pages that are written.
pub const USE_WRITE: u32 = 1;
/// The bit of `flags` for `pin_user_pages_fast()`.
pub const USE_FAST: u32 = 2;
/// The bit of `flags` for pages that are charged to `locked_vm`, not to `pinned_vm`. C has no such
/// flag.
pub const USE_LOCKED_VM: u32 = 1 << 8;
