// SPDX-License-Identifier: GPL-2.0

//! ioctl() commands and calls.

use nix::errno::Errno;
use std::{fs::File, os::fd::AsRawFd};

const fn command(direction: u32, magic: u32, number: u32, size: u32) -> u32 {
    direction << 30 | size << 16 | magic << 8 | number
}

const fn size<T>() -> u32 {
    size_of::<T>() as u32
}

/// C's `_IOR()`, with a size instead of a type.
pub const fn ior_sized(magic: u32, number: u32, size: u32) -> u32 {
    command(2, magic, number, size)
}

/// C's `_IO()`.
pub const fn io(magic: u32, number: u32) -> u32 {
    command(0, magic, number, 0)
}

/// C's `_IOR()`.
pub const fn ior<T>(magic: u32, number: u32) -> u32 {
    ior_sized(magic, number, size::<T>())
}

/// C's `_IOW()`.
pub const fn iow<T>(magic: u32, number: u32) -> u32 {
    command(1, magic, number, size::<T>())
}

/// C's `_IOWR()`.
pub const fn iowr<T>(magic: u32, number: u32) -> u32 {
    command(3, magic, number, size::<T>())
}

/// Calls `ioctl()` with an arbitrary argument.
pub fn call(file: &File, command: u32, arg: usize) -> Result<(), Errno> {
    call_for(file, command, arg).map(drop)
}

/// As [`call`], and returns the return value.
pub fn call_for(file: &File, command: u32, arg: usize) -> Result<i32, Errno> {
    // SAFETY: The drivers access the memory at `arg` as encoded in `command`. The callers pass
    // memory that is valid for this, or an address that the kernel must refuse.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), u64::from(command), arg) })
}

/// Calls `ioctl()` with a pointer to a value, which it may read and write.
pub fn exchange<T>(file: &File, command: u32, value: &mut T) -> Result<(), Errno> {
    call(file, command, std::ptr::from_mut(value) as usize)
}

/// As [`exchange`], and returns the value.
pub fn ask<T>(file: &File, command: u32, mut value: T) -> Result<T, Errno> {
    exchange(file, command, &mut value)?;
    Ok(value)
}
