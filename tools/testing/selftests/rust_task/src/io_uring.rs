// SPDX-License-Identifier: GPL-2.0

//! An io_uring that opens one file at a time.

use anyhow::{ensure, Result};
use nix::{errno::Errno, fcntl::OFlag, sys::mman::MapFlags};
use std::{
    ffi::CStr,
    fs::File,
    os::fd::{AsRawFd, FromRawFd},
    ptr::null_mut,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{device::map_file, vma::READ_WRITE};

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread: [u32; 2],
    features: u32,
    wq_fd: u32,
    resv: [u32; 3],
    /// The offsets of `head`, `tail`, `ring_mask`, `ring_entries`, `flags`, `dropped` and `array`.
    sq_off: [u32; 10],
    /// The offsets of `head`, `tail`, `ring_mask`, `ring_entries`, `overflow` and `cqes`.
    cq_off: [u32; 10],
}

/// `struct io_uring_sqe` of `IORING_OP_OPENAT`.
#[repr(C)]
struct OpenAt {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    path: u64,
    mode: u32,
    open_flags: i32,
    rest: [u64; 4],
}

const OP_OPENAT: u8 = 18;
const ENTER_GETEVENTS: u32 = 1;
const OFF_SQES: i64 = 0x1000_0000;
const FEAT_SINGLE_MMAP: u32 = 1;
const PAGE: usize = 4096;

/// An io_uring with one entry. Its memory stays mapped when this is dropped.
pub struct Ring {
    file: File,
    rings: *mut u8,
    sqe: *mut OpenAt,
    params: Params,
}

impl Ring {
    /// Returns `None` if the kernel has no io_uring.
    pub fn new() -> Result<Option<Self>> {
        let mut params = Params::default();
        // SAFETY: `params` is as large as `struct io_uring_params`.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, &mut params) };
        let fd = match Errno::result(fd) {
            Err(Errno::ENOSYS) => return Ok(None),
            fd => fd?,
        };
        // SAFETY: The file descriptor is new.
        let file = unsafe { File::from_raw_fd(fd as i32) };
        ensure!(params.features & FEAT_SINGLE_MMAP != 0);
        let map = |offset| map_file(&file, offset, PAGE, READ_WRITE, MapFlags::MAP_SHARED);
        let rings = map(0)?.cast().as_ptr();
        let sqe = map(OFF_SQES)?.cast().as_ptr();
        Ok(Some(Self {
            file,
            rings,
            sqe,
            params,
        }))
    }

    /// Opens a file, and returns the file descriptor or the error.
    pub fn open(&mut self, path: &CStr, flags: OFlag) -> Result<Result<i32, Errno>> {
        let [_, tail, _, _, _, _, array, ..] = self.params.sq_off;
        let [head, .., cqes, _, _, _, _] = self.params.cq_off;
        // SAFETY: The offsets are those of aligned words in the mapped page.
        let word = |offset: u32| unsafe { &*self.rings.add(offset as usize).cast::<AtomicU32>() };
        // SAFETY: The entry is mapped, and the kernel reads it only during the call.
        unsafe {
            self.sqe.write(OpenAt {
                opcode: OP_OPENAT,
                flags: 0,
                ioprio: 0,
                fd: libc::AT_FDCWD,
                off: 0,
                path: path.as_ptr() as u64,
                mode: 0,
                open_flags: flags.bits(),
                rest: [0; 4],
            })
        };
        word(array).store(0, Ordering::Relaxed);
        word(tail).fetch_add(1, Ordering::Release);
        // SAFETY: `path` is valid until the operation has completed, for which the call waits.
        Errno::result(unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.file.as_raw_fd(),
                1,
                1,
                ENTER_GETEVENTS,
                null_mut::<u8>(),
                0,
            )
        })?;
        // Each entry has 16 bytes, of which bytes 8 to 11 are the result.
        let done = word(head).fetch_add(1, Ordering::AcqRel) % self.params.cq_entries;
        let result = word(cqes + 16 * done + 8).load(Ordering::Relaxed) as i32;
        Ok(match result {
            fd @ 0.. => Ok(fd),
            err => Err(Errno::from_raw(-err)),
        })
    }
}
