// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/test_rust_gup`: those of `mm/gup_test.c` that pin pages, and others.

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

/// `_IOWR(MAGIC, 66, Usage)`: returns figures of a process.
pub const USAGE: u32 = 66;

/// The argument and result of [`USAGE`]: numbers of pages.
#[repr(C)]
#[derive(Copy, Clone, Default, Debug)]
pub struct Usage {
    /// In: a pidfd of the process, which the caller must be permitted to read.
    pub pidfd: i32,
    /// Out: 1 if it executes the file that the caller executes.
    pub same_program: u32,
    pub rss: u64,
    pub total: u64,
    pub locked: u64,
    pub pinned: u64,
}

/// `_IOWR(MAGIC, 67, Map)`: maps memory in the calling process.
pub const MAP: u32 = 67;
/// `_IOW(MAGIC, 68, Map)`: unmaps it. Of the argument, `addr` and `len` are used.
pub const UNMAP: u32 = 68;
/// `_IOR(MAGIC, 69, i32)`: returns the error number of the last attempt to unmap memory in a
/// callback of a VMA of the file, or 0, and sets it to 0.
///
/// When such a VMA is closed while the task has another address space, the driver tries to unmap
/// that.
pub const LAST_UNMAP: u32 = 69;

/// The argument and result of [`MAP`].
#[repr(C)]
#[derive(Copy, Clone, Default, Debug)]
pub struct Map {
    /// The address, or a hint. Out: the address of the mapping.
    pub addr: u64,
    pub len: u64,
    pub offset: u64,
    /// Bits of `PROT_READ`, `PROT_WRITE` and `PROT_EXEC`.
    pub prot: u32,
    /// Bits from here on.
    pub flags: u32,
}

/// The file of the device is mapped, not anonymous memory.
pub const MAP_DEVICE: u32 = 1;
pub const MAP_SHARED: u32 = 2;
pub const MAP_FIXED: u32 = 4;
pub const MAP_FIXED_NOREPLACE: u32 = 8;
pub const MAP_POPULATE: u32 = 16;
pub const MAP_NORESERVE: u32 = 32;

/// `_IOWR(MAGIC, 70, Add)`: adds to a word of the pages, which must have been pinned with
/// [`USE_VMAP`], or else it fails with `EINVAL`.
pub const ADD: u32 = 70;

/// The argument and result of [`ADD`].
#[repr(C)]
#[derive(Copy, Clone, Default, Debug)]
pub struct Add {
    /// The offset of the word in the pages.
    pub offset: u64,
    /// What is added. Out: the value before.
    pub value: u64,
    /// How many bytes the word has: 4, or 8, which a 32-bit kernel refuses with `EINVAL`.
    pub bytes: u64,
}

/// `_IOW(MAGIC, 71, u64)`: charges this many pages to `locked_vm` of the process, until the next
/// request or the end of the file. 0 only removes the charge. [`STOP_ATOMIC`] removes it as well.
pub const CHARGE: u32 = 71;

/// `_IOWR(MAGIC, 72, Dma)`: pins pages, and maps them for DMA by a device that the driver makes,
/// in place of those before. `ENOTTY` if the kernel has no abstraction of scatterlists.
pub const DMA_MAP: u32 = 72;
/// `_IO(MAGIC, 73)`: unbinds the device, once.
pub const DMA_UNBIND: u32 = 73;
/// `_IO(MAGIC, 74)`: unmaps and unpins the pages, and removes the device.
pub const DMA_UNMAP: u32 = 74;

/// The argument and result of [`DMA_MAP`].
#[repr(C)]
#[derive(Copy, Clone, Default, Debug)]
pub struct Dma {
    pub addr: u64,
    pub len: u64,
    /// The address of an array, for an address and a length of each entry.
    pub entries: u64,
    /// How many entries it has room for. Out: how many the table has.
    pub count: u64,
    /// A value of `enum dma_data_direction`.
    pub dir: u32,
    /// [`USE_WRITE`], or 0.
    pub flags: u32,
}

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
/// The bit of `flags` for pages that are mapped in the kernel, and accessed there. C has no such
/// flag.
pub const USE_VMAP: u32 = 1 << 9;
