// SPDX-License-Identifier: GPL-2.0

//! `/dev/test_rust_hmm`, as used from userspace.

use crate::{
    ioctl::{ask, call, io, iowr},
    memory::PAGE,
};
use anyhow::{Context, Result};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};

#[path = "../../../../../lib/test_rust_hmm_abi.rs"]
pub mod abi;

pub const PATH: &str = "/dev/test_rust_hmm";

const READ: u32 = iowr::<abi::Command>(abi::MAGIC, abi::READ);
const WRITE: u32 = iowr::<abi::Command>(abi::MAGIC, abi::WRITE);
const SNAPSHOT: u32 = iowr::<abi::Command>(abi::MAGIC, abi::SNAPSHOT);
const TABLE: u32 = iowr::<abi::Command>(abi::MAGIC, abi::TABLE);
const EVENTS: u32 = iowr::<abi::Events>(abi::MAGIC, abi::EVENTS);
const STOP_ATOMIC: u32 = io(abi::MAGIC, abi::STOP_ATOMIC);

/// The mirror of the process that has opened it.
pub struct Mirror(File);

impl From<File> for Mirror {
    fn from(file: File) -> Self {
        Self(file)
    }
}

impl Mirror {
    pub fn open() -> Result<Self> {
        Self::open_at(PATH)
    }

    /// Opens a device that has the same interface.
    pub fn open_at(path: &'static str) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(Self(file.context(path)?))
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    fn call(
        &self,
        command: u32,
        addr: usize,
        pages: usize,
        ptr: usize,
    ) -> Result<abi::Command, Errno> {
        let request = abi::Command {
            addr: addr as u64,
            ptr: ptr as u64,
            npages: pages as u64,
            ..Default::default()
        };
        ask(&self.0, command, request)
    }

    /// Reads pages as the device does.
    pub fn read(&self, addr: usize, pages: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0xee; pages * PAGE];
        self.call(READ, addr, pages, bytes.as_mut_ptr() as usize)?;
        Ok(bytes)
    }

    /// Fills pages as the device does.
    pub fn write(&self, addr: usize, pages: usize, byte: u8) -> Result<(), Errno> {
        let bytes = vec![byte; pages * PAGE];
        self.call(WRITE, addr, pages, bytes.as_ptr() as usize)?;
        Ok(())
    }

    pub fn snapshot(&self, addr: usize, pages: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0xee; pages];
        self.call(SNAPSHOT, addr, pages, bytes.as_mut_ptr() as usize)?;
        Ok(bytes)
    }

    /// Returns the PFNs of the device's page table, and whether it may write.
    pub fn table(&self, addr: usize, pages: usize) -> Result<Vec<Option<(u64, bool)>>, Errno> {
        let mut list = vec![0u64; pages];
        self.call(TABLE, addr, pages, list.as_mut_ptr() as usize)?;
        let entry = |entry: u64| (entry != 0).then_some((entry / 2, entry % 2 == 1));
        Ok(list.into_iter().map(entry).collect())
    }

    pub fn events(&self) -> Result<abi::Events, Errno> {
        ask(&self.0, EVENTS, abi::Events::default())
    }

    /// Ends the mirror where the task may not sleep.
    pub fn stop_atomic(&self) -> Result<(), Errno> {
        call(&self.0, STOP_ATOMIC, 0)
    }
}
