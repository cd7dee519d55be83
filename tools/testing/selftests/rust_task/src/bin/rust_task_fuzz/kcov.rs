// SPDX-License-Identifier: GPL-2.0

//! Coverage of kernel code, by kcov.

use anyhow::{Context, Result};
use nix::sys::mman::{mmap, MapFlags, ProtFlags};
use rust_task::ioctl;
use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

/// The size of the buffer, in entries.
const ENTRIES: usize = 1 << 16;
const INIT_TRACE: u32 = ioctl::ior::<u64>(b'c' as u32, 1);
const ENABLE: u32 = (b'c' as u32) << 8 | 100;
const TRACE_PC: usize = 0;

/// An open kcov file. It records one thread at a time.
pub struct Kcov {
    file: File,
    /// The buffer. The first entry is the number of the following ones.
    buffer: NonNull<AtomicU64>,
}

impl Kcov {
    /// Returns `None` if the kernel does not have kcov.
    pub fn open() -> Result<Option<Self>> {
        let file = match File::options()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/kcov")
        {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.context("kcov")?,
        };
        ioctl::call(&file, INIT_TRACE, ENTRIES).context("KCOV_INIT_TRACE")?;
        let length = NonZeroUsize::new(ENTRIES * size_of::<u64>()).context("no entries")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
        let buffer = unsafe { mmap(None, length, prot, MapFlags::MAP_SHARED, &file, 0)? };
        Ok(Some(Self {
            file,
            buffer: buffer.cast(),
        }))
    }

    /// Records the calling thread until it exits. The buffer is shared with the process that opened
    /// the file.
    pub fn enable(&self) -> Result<()> {
        ioctl::call(&self.file, ENABLE, TRACE_PC).context("KCOV_ENABLE")
    }

    pub fn reset(&self) {
        self.entry(0).store(0, Ordering::Relaxed);
    }

    fn entry(&self, i: usize) -> &AtomicU64 {
        assert!(i < ENTRIES);
        // SAFETY: `i` is within the buffer, which is never unmapped. The kernel writes whole
        // entries.
        unsafe { self.buffer.add(i).as_ref() }
    }

    /// Returns the addresses of the covered instructions.
    pub fn covered(&self) -> impl Iterator<Item = u64> + '_ {
        let count = self.entry(0).load(Ordering::Relaxed) as usize;
        (1..=count.min(ENTRIES - 1)).map(|i| self.entry(i).load(Ordering::Relaxed))
    }
}
