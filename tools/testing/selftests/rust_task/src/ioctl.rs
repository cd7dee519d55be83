// SPDX-License-Identifier: GPL-2.0

//! Commands of devices.

use nix::errno::Errno;
use std::{fs::File, os::fd::AsRawFd};

const fn command(direction: u32, magic: u32, number: u32, size: u32) -> u32 {
    direction << 30 | size << 16 | magic << 8 | number
}

const fn size<T>() -> u32 {
    size_of::<T>() as u32
}

/// `_IOR()` with any size.
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

/// Calls `ioctl()` with whatever `arg` is.
pub fn call(file: &File, command: u32, arg: usize) -> Result<(), Errno> {
    call_for(file, command, arg).map(drop)
}

/// The same for the number that it returns.
pub fn call_for(file: &File, command: u32, arg: usize) -> Result<i32, Errno> {
    // SAFETY: The drivers read and write the memory at `arg` as their commands say, which the
    // callers here have ready, or which is meant to be refused.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), u64::from(command), arg) })
}

/// Calls `ioctl()` with a value that it reads and writes.
pub fn exchange<T>(file: &File, command: u32, value: &mut T) -> Result<(), Errno> {
    call(file, command, std::ptr::from_mut(value) as usize)
}

/// The same for who wants the answer.
pub fn ask<T>(file: &File, command: u32, mut question: T) -> Result<T, Errno> {
    exchange(file, command, &mut question)?;
    Ok(question)
}
