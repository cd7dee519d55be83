// SPDX-License-Identifier: GPL-2.0

//! The devices that access the memory of a process, as used from userspace.

use crate::{
    ioctl::{ask, call, exchange, io, ior, iow, iowr},
    memory::PAGE,
};
use anyhow::{Context, Result};
use nix::{errno::Errno, unistd::Pid};
use std::{
    fs::{File, OpenOptions},
    os::fd::{FromRawFd, OwnedFd},
};

#[path = "../../../../../samples/rust/rust_remote_abi.rs"]
pub mod abi;
#[path = "../../../../../lib/test_rust_gup_abi.rs"]
pub mod gup_abi;

const READ: u32 = iowr::<abi::Request>(abi::MAGIC, abi::READ);
const WRITE: u32 = iowr::<abi::Request>(abi::MAGIC, abi::WRITE);
const FILL: u32 = iowr::<abi::Request>(abi::MAGIC, abi::FILL);
const STRING: u32 = iowr::<abi::Request>(abi::MAGIC, abi::STRING);

const PIN: u32 = iow::<gup_abi::LongtermTest>(gup_abi::MAGIC, gup_abi::PIN_LONGTERM_TEST_START);
const UNPIN: u32 = io(gup_abi::MAGIC, gup_abi::PIN_LONGTERM_TEST_STOP);
const READ_PINNED: u32 = iow::<u64>(gup_abi::MAGIC, gup_abi::PIN_LONGTERM_TEST_READ);
const WRITE_PINNED: u32 = iow::<u64>(gup_abi::MAGIC, gup_abi::WRITE);
const MAP: u32 = iowr::<gup_abi::Map>(gup_abi::MAGIC, gup_abi::MAP);
const UNMAP: u32 = iow::<gup_abi::Map>(gup_abi::MAGIC, gup_abi::UNMAP);
const LAST_UNMAP: u32 = ior::<i32>(gup_abi::MAGIC, gup_abi::LAST_UNMAP);
const ADD: u32 = iowr::<gup_abi::Add>(gup_abi::MAGIC, gup_abi::ADD);
const CHARGE: u32 = iow::<u64>(gup_abi::MAGIC, gup_abi::CHARGE);
const DMA_MAP: u32 = iowr::<gup_abi::Dma>(gup_abi::MAGIC, gup_abi::DMA_MAP);
const DMA_UNBIND: u32 = io(gup_abi::MAGIC, gup_abi::DMA_UNBIND);
const DMA_UNMAP: u32 = io(gup_abi::MAGIC, gup_abi::DMA_UNMAP);
const USAGE: u32 = iowr::<gup_abi::Usage>(gup_abi::MAGIC, gup_abi::USAGE);
const UNPIN_ATOMIC: u32 = io(gup_abi::MAGIC, gup_abi::STOP_ATOMIC);

fn open(path: &'static str) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.context(path)
}

/// Returns a pidfd of a process.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: The system call has no pointer.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: The descriptor is new.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The result of an ioctl, and how many bytes it says have been copied.
pub type Copied = (Result<(), Errno>, usize);

/// `/dev/rust_remote`.
pub struct Remote(File);

impl Remote {
    pub fn open() -> Result<Self> {
        open("/dev/rust_remote").map(Self)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    fn call(&self, command: u32, request: abi::Request) -> Copied {
        let mut request = request;
        let result = exchange(&self.0, command, &mut request);
        (result, request.copied as usize)
    }

    fn copy(&self, command: u32, pidfd: i32, remote: usize, local: usize, len: usize) -> Copied {
        let request = abi::Request {
            pidfd,
            remote: remote as u64,
            local: local as u64,
            len: len as u64,
            ..Default::default()
        };
        self.call(command, request)
    }

    /// Copies from the address `remote` of a process.
    pub fn read(&self, pidfd: i32, remote: usize, out: &mut [u8]) -> Copied {
        self.copy(READ, pidfd, remote, out.as_mut_ptr() as usize, out.len())
    }

    /// As [`read`](Self::read), to any address.
    ///
    /// # Safety
    ///
    /// If `local` is an address of this process, the bytes there may be written.
    pub unsafe fn read_to(&self, pidfd: i32, remote: usize, local: usize, len: usize) -> Copied {
        self.copy(READ, pidfd, remote, local, len)
    }

    /// Copies to the address `remote` of a process.
    pub fn write(&self, pidfd: i32, remote: usize, bytes: &[u8]) -> Copied {
        self.write_from(pidfd, remote, bytes.as_ptr() as usize, bytes.len())
    }

    /// As [`write`](Self::write), from any address.
    pub fn write_from(&self, pidfd: i32, remote: usize, local: usize, len: usize) -> Copied {
        self.copy(WRITE, pidfd, remote, local, len)
    }

    /// Copies a string from the address `remote` of a process, and the NUL byte.
    pub fn string(&self, pidfd: i32, remote: usize, out: &mut [u8]) -> Copied {
        self.copy(STRING, pidfd, remote, out.as_mut_ptr() as usize, out.len())
    }

    /// Sets bytes at the address `remote` of a process.
    pub fn fill(&self, pidfd: i32, remote: usize, len: usize, byte: u8) -> Copied {
        let request = abi::Request {
            pidfd,
            byte: byte.into(),
            remote: remote as u64,
            len: len as u64,
            ..Default::default()
        };
        self.call(FILL, request)
    }
}

/// `/dev/test_rust_gup`.
pub struct Gup(File);

impl Gup {
    pub fn open() -> Result<Self> {
        open("/dev/test_rust_gup").map(Self)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    /// Pins memory of this process, by the flags of [`gup_abi::LongtermTest`].
    pub fn pin(&self, addr: usize, len: usize, flags: u32) -> Result<(), Errno> {
        let mut request = gup_abi::LongtermTest {
            addr: addr as u64,
            size: len as u64,
            flags,
            ..Default::default()
        };
        exchange(&self.0, PIN, &mut request)
    }

    pub fn unpin(&self) -> Result<(), Errno> {
        call(&self.0, UNPIN, 0)
    }

    /// Unpins where the task may not sleep.
    pub fn unpin_atomic(&self) -> Result<(), Errno> {
        call(&self.0, UNPIN_ATOMIC, 0)
    }

    /// Maps memory, and returns the address.
    pub fn map(&self, request: gup_abi::Map) -> Result<usize, Errno> {
        Ok(ask(&self.0, MAP, request)?.addr as usize)
    }

    /// Unmaps memory.
    pub fn unmap(&self, addr: usize, len: usize) -> Result<(), Errno> {
        let mut request = gup_abi::Map {
            addr: addr as u64,
            len: len as u64,
            ..Default::default()
        };
        exchange(&self.0, UNMAP, &mut request)
    }

    /// Returns the error of the last attempt to unmap memory in a callback.
    pub fn last_unmap(&self) -> Result<Errno> {
        Ok(Errno::from_raw(ask(&self.0, LAST_UNMAP, 0)?))
    }

    /// Returns figures of a process.
    pub fn usage(&self, pidfd: i32) -> Result<gup_abi::Usage, Errno> {
        let usage = gup_abi::Usage {
            pidfd,
            ..Default::default()
        };
        ask(&self.0, USAGE, usage)
    }

    /// Adds to a word of the pages that are mapped in the kernel, and returns the value before.
    pub fn add(&self, offset: usize, value: u64, bytes: u64) -> Result<u64, Errno> {
        let request = gup_abi::Add {
            offset: offset as u64,
            value,
            bytes,
        };
        Ok(ask(&self.0, ADD, request)?.value)
    }

    /// Maps memory for DMA, and returns the address and the length of each entry.
    pub fn dma_map(
        &self,
        addr: usize,
        len: usize,
        dir: u32,
        flags: u32,
    ) -> Result<Vec<[u64; 2]>, Errno> {
        // Each page may be an entry.
        let mut entries = vec![[0; 2]; len / PAGE + 2];
        let request = gup_abi::Dma {
            addr: addr as u64,
            len: len as u64,
            entries: entries.as_mut_ptr() as u64,
            count: entries.len() as u64,
            dir,
            flags,
        };
        let count = ask(&self.0, DMA_MAP, request)?.count;
        entries.truncate(count as usize);
        Ok(entries)
    }

    /// Unbinds the device that memory is mapped for.
    pub fn dma_unbind(&self) -> Result<(), Errno> {
        call(&self.0, DMA_UNBIND, 0)
    }

    /// Unmaps and unpins the memory.
    pub fn dma_unmap(&self) -> Result<(), Errno> {
        call(&self.0, DMA_UNMAP, 0)
    }

    /// Charges pages to `locked_vm` of this process, in place of those before.
    pub fn charge(&self, pages: u64) -> Result<(), Errno> {
        exchange(&self.0, CHARGE, &mut { pages })
    }

    /// Copies all pinned pages. `out` must have as many bytes as the pages.
    pub fn read(&self, out: &mut [u8]) -> Result<(), Errno> {
        exchange(&self.0, READ_PINNED, &mut (out.as_mut_ptr() as u64))
    }

    /// Copies to all pinned pages. `bytes` must have as many bytes as the pages.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        exchange(&self.0, WRITE_PINNED, &mut (bytes.as_ptr() as u64))
    }
}
