// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/rust_remote`.
//!
//! The driver and the programs that use it are compiled with this file, so they cannot differ.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xbd;
/// `_IOWR(MAGIC, 1, Request)`: copies from the memory of the process to that of the caller.
pub const READ: u32 = 1;
/// `_IOWR(MAGIC, 2, Request)`: copies from the memory of the caller to that of the process.
pub const WRITE: u32 = 2;
/// `_IOWR(MAGIC, 3, Request)`: sets bytes of the process to `byte`.
pub const FILL: u32 = 3;
/// `_IOWR(MAGIC, 4, Request)`: copies a string of the process, with its NUL byte, to the caller. At
/// most `len` bytes are copied, and at most 256.
pub const STRING: u32 = 4;

/// The argument of each ioctl.
///
/// All fail with `EBADF` or `ESRCH` if `pidfd` does not refer to a process that has an address
/// space, and with `EACCES` if the caller may not access it as `process_vm_readv()` does. They fail
/// with `EFAULT` or `EINTR` if not all bytes could be accessed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// A pidfd of the process.
    pub pidfd: i32,
    /// For [`FILL`].
    pub byte: u32,
    /// The address in the process.
    pub remote: u64,
    /// The address in the caller.
    pub local: u64,
    /// The number of bytes.
    pub len: u64,
    /// Out: the number of bytes that have been copied, also if the ioctl fails. For [`STRING`], the
    /// length with the NUL byte.
    pub copied: u64,
}
