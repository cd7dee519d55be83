// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_mailbox`, as used from userspace.

use crate::{
    child::wait_for,
    ioctl::{ask, exchange, ior, iow, iowr},
    memory::PAGE,
};
use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    fcntl::{fcntl, FcntlArg, OFlag},
    sys::mman::{mmap, munmap, MapFlags, ProtFlags},
    unistd::Pid,
};
use std::{
    ffi::c_void,
    fs::{File, OpenOptions},
    num::NonZeroUsize,
    os::fd::{AsRawFd, RawFd},
    ptr::NonNull,
    slice,
};

#[path = "../../../../../samples/rust/rust_mailbox_abi.rs"]
pub mod abi;

const DEVICE: &str = "/dev/rust_mailbox";
const BIND: u32 = iow::<u32>(abi::MAGIC, abi::BIND);
const SEND: u32 = iow::<abi::Send>(abi::MAGIC, abi::SEND);
const RECEIVE: u32 = iowr::<abi::Received>(abi::MAGIC, abi::RECEIVE);
const RELEASE: u32 = iow::<u64>(abi::MAGIC, abi::RELEASE);
const STATS: u32 = ior::<abi::Stats>(abi::MAGIC, abi::STATS);

/// No limit of a wait.
pub const FOREVER: u64 = u64::MAX;

/// An open file of the driver, and its window.
pub struct Mailbox {
    file: File,
    /// The address of the window, and its size. It is not a pointer, so that threads can share this.
    window: Option<(usize, usize)>,
}

impl Mailbox {
    pub fn open() -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(DEVICE);
        Ok(Self {
            file: file.context(DEVICE)?,
            window: None,
        })
    }

    /// Opens a mailbox with a window and a port.
    pub fn new(pages: usize, port: u64) -> Result<Self> {
        let mut mailbox = Self::open()?;
        mailbox.map(pages)?;
        mailbox.bind(port)?;
        Ok(mailbox)
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn map_with(
        &self,
        pages: usize,
        prot: ProtFlags,
        flags: MapFlags,
    ) -> Result<NonNull<c_void>, Errno> {
        let len = NonZeroUsize::new(pages * PAGE).ok_or(Errno::EINVAL)?;
        // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
        unsafe { mmap(None, len, prot, flags, &self.file, 0) }
    }

    pub fn map(&mut self, pages: usize) -> Result<(), Errno> {
        let at = self.map_with(pages, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
        self.window = Some((at.as_ptr() as usize, pages * PAGE));
        Ok(())
    }

    /// Returns the address of the window.
    pub fn window(&self) -> NonNull<c_void> {
        let (at, _) = self.window.expect("the file is mapped");
        NonNull::new(at as *mut c_void).expect("the address is not null")
    }

    pub fn unmap(&mut self) -> Result<(), Errno> {
        let (_, len) = self.window.ok_or(Errno::EINVAL)?;
        let at = self.window();
        self.window = None;
        // SAFETY: Nothing has a reference to the window.
        unsafe { munmap(at, len) }
    }

    pub fn bind(&self, port: u64) -> Result<(), Errno> {
        let mut port = u32::try_from(port).map_err(|_| Errno::EINVAL)?;
        exchange(&self.file, BIND, &mut port)
    }

    pub fn nonblocking(&self) -> Result<(), Errno> {
        fcntl(
            self.file.as_raw_fd(),
            FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK),
        )
        .map(drop)
    }

    pub fn send_raw(&self, mut args: abi::Send) -> Result<(), Errno> {
        exchange(&self.file, SEND, &mut args)
    }

    pub fn send(&self, to: Pid, port: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.send_raw(abi::Send {
            addr: bytes.as_ptr() as u64,
            len: bytes.len() as u64,
            port,
            to: to.as_raw() as u64,
            flags: 0,
        })
    }

    pub fn send_to_pidfd(&self, pidfd: RawFd, port: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.send_raw(abi::Send {
            addr: bytes.as_ptr() as u64,
            len: bytes.len() as u64,
            port,
            to: pidfd as u64,
            flags: abi::PIDFD,
        })
    }

    pub fn receive_raw(&self, args: abi::Received) -> Result<abi::Received, Errno> {
        ask(&self.file, RECEIVE, args)
    }

    pub fn receive(&self, timeout: u64) -> Result<abi::Received, Errno> {
        self.receive_raw(abi::Received {
            timeout,
            ..Default::default()
        })
    }

    pub fn release(&self, mut id: u64) -> Result<(), Errno> {
        exchange(&self.file, RELEASE, &mut id)
    }

    /// Returns the bytes of the window from `offset` on.
    pub fn bytes(&self, offset: u64, len: u64) -> &[u8] {
        let (at, size) = self.window.expect("the file is mapped");
        assert!((offset + len) as usize <= size);
        // SAFETY: The message is in the window, and nothing writes to it before it is released.
        unsafe { slice::from_raw_parts((at + offset as usize) as *const u8, len as usize) }
    }

    /// Receives a message, and releases it. Returns it and its bytes.
    pub fn take(&self, timeout: u64) -> Result<(abi::Received, Vec<u8>), Errno> {
        let message = self.receive(timeout)?;
        let bytes = self.bytes(message.offset, message.len).to_vec();
        self.release(message.id)?;
        Ok((message, bytes))
    }

    pub fn stats(&self) -> Result<abi::Stats, Errno> {
        ask(&self.file, STATS, abi::Stats::default())
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = self.unmap();
    }
}

/// Waits until the driver has freed everything. A work item may do that.
pub fn wait_until_free() -> Result<()> {
    let mailbox = Mailbox::open()?;
    wait_for("the driver has not freed everything", || {
        Ok(mailbox.stats()? == abi::Stats::default())
    })
}
