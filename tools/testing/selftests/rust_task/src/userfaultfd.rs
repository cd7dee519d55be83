// SPDX-License-Identifier: GPL-2.0

//! Memory whose page faults a thread of this process resolves.
//!
//! The kernel releases the mmap lock while it waits for that, also in a fault for another process.

use crate::ioctl::{exchange, iowr};
use anyhow::{ensure, Context, Result};
use nix::errno::Errno;
use std::{
    fs::File,
    io::Read,
    os::fd::{FromRawFd, OwnedFd},
    thread::{spawn, JoinHandle},
};

const MAGIC: u32 = 0xaa;
const UFFD_API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;
const EVENT_PAGEFAULT: u8 = 0x12;

#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioRegister {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioCopy {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    copy: i64,
}

const UFFDIO_API: u32 = iowr::<UffdioApi>(MAGIC, 0x3f);
const UFFDIO_REGISTER: u32 = iowr::<UffdioRegister>(MAGIC, 0);
const UFFDIO_COPY: u32 = iowr::<UffdioCopy>(MAGIC, 3);

/// The size of a message, and where the address is in it.
const MESSAGE: usize = 32;
const ADDRESS: std::ops::Range<usize> = 16..24;

/// Has a thread resolve the next `faults` page faults at the pages from `addr` on, with pages of
/// this byte. Join it after these faults.
pub fn serve(
    addr: usize,
    len: usize,
    page: usize,
    faults: usize,
    byte: u8,
) -> Result<JoinHandle<Result<()>>> {
    // SAFETY: The system call has no pointer.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) })
        .context("userfaultfd")?;
    // SAFETY: The descriptor is new.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    let mut api = UffdioApi {
        api: UFFD_API,
        features: 0,
        ioctls: 0,
    };
    exchange(&file, UFFDIO_API, &mut api).context("UFFDIO_API")?;
    let mut register = UffdioRegister {
        start: addr as u64,
        len: len as u64,
        mode: MODE_MISSING,
        ioctls: 0,
    };
    exchange(&file, UFFDIO_REGISTER, &mut register).context("UFFDIO_REGISTER")?;
    Ok(spawn(move || {
        let source = vec![byte; page];
        for _ in 0..faults {
            let mut message = [0; MESSAGE];
            file.read_exact(&mut message)?;
            ensure!(message[0] == EVENT_PAGEFAULT, "{message:?}");
            let fault = u64::from_ne_bytes(message[ADDRESS].try_into()?);
            let mut copy = UffdioCopy {
                dst: fault & !(page as u64 - 1),
                src: source.as_ptr() as u64,
                len: page as u64,
                mode: 0,
                copy: 0,
            };
            exchange(&file, UFFDIO_COPY, &mut copy).context("UFFDIO_COPY")?;
        }
        Ok(())
    }))
}
