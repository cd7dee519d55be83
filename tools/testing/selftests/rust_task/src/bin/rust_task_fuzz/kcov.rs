// SPDX-License-Identifier: GPL-2.0

//! Which instructions of the kernel a process has come by.

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

/// How many are noted; what comes then is not.
const ROOM: usize = 1 << 16;
const INIT_TRACE: u32 = ioctl::ior::<u64>(b'c' as u32, 1);
const ENABLE: u32 = (b'c' as u32) << 8 | 100;
const TRACE_PC: usize = 0;

/// An open `kcov`. It follows one thread at a time.
pub struct Kcov {
    file: File,
    /// The first says how many follow.
    notes: NonNull<AtomicU64>,
}

impl Kcov {
    /// Returns `None` if the kernel does not offer it.
    pub fn open() -> Result<Option<Self>> {
        let file = match File::options()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/kcov")
        {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.context("kcov")?,
        };
        ioctl::call(&file, INIT_TRACE, ROOM).context("KCOV_INIT_TRACE")?;
        let length = NonZeroUsize::new(ROOM * size_of::<u64>()).context("no room")?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: The kernel chooses where, so nothing that is in use is replaced.
        let notes = unsafe { mmap(None, length, rights, MapFlags::MAP_SHARED, &file, 0)? };
        Ok(Some(Self {
            file,
            notes: notes.cast(),
        }))
    }

    /// Follows the calling thread until its end. What it comes by is seen in the process that has
    /// opened this, too.
    pub fn follow(&self) -> Result<()> {
        ioctl::call(&self.file, ENABLE, TRACE_PC).context("KCOV_ENABLE")
    }

    pub fn forget(&self) {
        self.note(0).store(0, Ordering::Relaxed);
    }

    fn note(&self, i: usize) -> &AtomicU64 {
        assert!(i < ROOM);
        // SAFETY: That many were mapped, and stay so. The kernel writes to them, one at a time.
        unsafe { self.notes.add(i).as_ref() }
    }

    /// The instructions that the last one has come by.
    pub fn seen(&self) -> impl Iterator<Item = u64> + '_ {
        let count = self.note(0).load(Ordering::Relaxed) as usize;
        (1..=count.min(ROOM - 1)).map(|i| self.note(i).load(Ordering::Relaxed))
    }
}
