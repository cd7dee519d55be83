// SPDX-License-Identifier: GPL-2.0

//! The ioctls and VMA kinds of `/dev/test_rust_vma` and `/dev/test_rust_vma_prepare`.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xba;
/// `_IOR(MAGIC, 1, Events)`: returns how often each event has occurred, for all files.
pub const EVENTS: u32 = 1;
/// `_IOWR(MAGIC, 2, u64)`: takes an address and returns the kind of the VMA there, or 1 for a VMA
/// of `test_rust_vma_prepare`. `ENOENT` if there is no VMA of this driver.
pub const KIND: u32 = 2;
/// `_IOW(MAGIC, 3, i32)`: maps the first page of a file of a misc device, while the file's
/// `file_operations` have no `owner`, as those of built-in code.
pub const MAP_WITHOUT_OWNER: u32 = 3;
/// `_IO(MAGIC, 4)` of `/dev/test_rust_char0` and `/dev/test_rust_vma_prepare`: takes events, for
/// which it wakes the queue of the file. After that, `poll()` of the second reports `EPOLLIN`.
pub const WAKE: u32 = 4;
/// `_IO(MAGIC, 5)` of `/dev/test_rust_char0`: creates an anonymous inode file with this number, and
/// returns its descriptor. Each `ioctl()` of the file returns the number.
pub const ANON_FILE: u32 = 5;
/// The number of a file that cannot be written.
pub const READ_ONLY: u32 = 1_000_000;
/// `_IO(MAGIC, 6)` of `/dev/test_rust_char0`: takes the descriptor of a file of [`ANON_FILE`], and
/// returns its number. `EINVAL` for any other file.
pub const NUMBER_OF: u32 = 6;
/// `_IO(MAGIC, 7)` of `/dev/test_rust_char0`: returns how many files of [`ANON_FILE`] a task has
/// released in `do_exit()`, after `exit_files()`.
pub const DROPPED_BY_EXIT: u32 = 7;

/// The physical address of the region that an open file of `/dev/test_rust_char2` has, and that can
/// be mapped. A file cannot be opened while another one has the region.
pub const REGION: u64 = 0xfe00_0000;
/// The number of pages of the region.
pub const REGION_PAGES: usize = 4;

// The kinds of VMAs. The page offset of the VMA selects the kind, rounded down to a multiple of 16.
// "prepare:" describes the same kind of `test_rust_vma_prepare`, if that device supports it. There,
// all VMAs of an open file have the same `vm_private_data`.

/// No special behavior. (prepare: the same.)
pub const PLAIN: u64 = 0;
/// `->mmap()` fails with `ENODEV` after `set_ops()`. (prepare: the same.)
pub const HOOK_FAILS: u64 = 16;
/// `->mmap()` calls `set_ops()` twice, and returns the second result. (prepare: the same.)
pub const SET_OPS_TWICE: u64 = 32;
/// `may_split()` fails with `EINVAL`.
pub const SPLIT_FAILS: u64 = 48;
/// `mremap()` fails with `EINVAL`.
pub const MREMAP_FAILS: u64 = 64;
/// `page_mkwrite()` fails with `EPERM`.
pub const MKWRITE_FAILS: u64 = 80;
/// `fault()` releases the lock and has the fault retried once, if retrying is allowed.
pub const RETRY: u64 = 96;
/// `->mmap()` sets `VM_DONTDUMP`, so that the flags of adjacent VMAs are equal. (prepare: clears
/// `VM_MAYWRITE`, and sets `VM_DONTCOPY`, `VM_DONTDUMP` and `VM_IO`.)
pub const CHANGE_FLAGS: u64 = 112;
/// `->mmap()` maps one PFN with `remap_pfn_range()`. It fails if a second call succeeds. (prepare:
/// the same.)
pub const MAP_PFN: u64 = 128;
/// `fault()` maps the same PFN at each page with `vmf_insert_pfn()`. (prepare: the same.)
pub const FAULT_PFN: u64 = 144;
/// `->mmap()` sets `VM_MIXEDMAP` and then calls `remap_pfn_range()`, which fails. (prepare: calls
/// `set_ops()` and then `map_kernel_pages()`, which fails.)
pub const CONFLICT: u64 = 160;
/// `fault()` maps the same memory at each page: as a PFN at even page offsets, as a page at odd
/// ones. (prepare: always as a page.)
pub const MIXED: u64 = 176;
/// `fault()` waits for [`WAIT_MS`], or until a signal interrupts the wait.
pub const WAIT: u64 = 1024;
/// The duration of a fault of [`WAIT`].
pub const WAIT_MS: u32 = 200;
/// `->mmap()` calls `try_clear_mayread()`.
pub const NO_READ: u64 = 1040;
/// (prepare only: `->mmap_prepare()` maps two pages with `map_kernel_pages()`. It fails with `EIO`
/// if a page can be mapped while its refcount is close to the maximum.)
pub const MAP_PAGES: u64 = 192;
/// `->mmap()` fails with `EIO` if a page can be mapped while its refcount is close to the maximum.
/// The first `fault()` tries the same.
pub const FULL_PAGE: u64 = 1056;
/// `fault()` fails with `ENOMEM`.
pub const NO_MEMORY: u64 = 1072;
/// `fault()` calls `return_nopage()` and maps no page.
pub const NO_PAGE: u64 = 1088;

/// The result of [`EVENTS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Events {
    /// `vm_private_data` that was allocated.
    pub allocated: u64,
    /// `vm_private_data` that was dropped.
    pub dropped: u64,
    /// Calls of `open()` for copies.
    pub opened: u64,
    /// Calls of `close()`.
    pub closed: u64,
    /// Calls of `fault()`.
    pub faults: u64,
    /// Faults that released the lock in order to be retried.
    pub retried: u64,
    /// Calls of `page_mkwrite()` that succeeded.
    pub written: u64,
    /// Calls of `mremap()` that succeeded.
    pub moved: u64,
    /// Files that were released.
    pub released: u64,
    /// Calls of `open()` by `mmap()`.
    pub mapped: u64,
    /// Calls of `open()` by `fork()`.
    pub forked: u64,
    /// Calls of `open()` by `mremap()`.
    pub remapped: u64,
    /// Calls of `open()` by a split.
    pub split: u64,
    /// The pages in all VMAs.
    pub pages: u64,
}
