// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_task_info` and `/dev/test_rust_task`, as used from userspace.

use crate::ioctl::{ask, call, exchange, ior, iow, iowr};
use nix::{
    errno::Errno,
    sys::{
        mman::{mmap, mmap_anonymous, mprotect, munmap, MapFlags, ProtFlags},
        signal::Signal,
        wait::{waitpid, WaitStatus},
    },
    unistd::{fork, pipe, ForkResult},
};
use std::{
    ffi::c_void,
    fs::{File, OpenOptions},
    num::NonZeroUsize,
    os::fd::AsRawFd,
    ptr::NonNull,
};

#[path = "../../../../../samples/rust/rust_task_info_abi.rs"]
pub mod abi;
#[path = "../../../../../lib/test_rust_task_abi.rs"]
pub mod test_abi;

const PAGE: usize = 4096;

pub const GET_INFO: u32 = ior::<abi::TaskInfo>(abi::MAGIC, abi::GET_INFO);
pub const GET_VMA: u32 = iowr::<abi::VmaInfo>(abi::MAGIC, abi::GET_VMA);
pub const ZAP: u32 = iow::<abi::ZapRange>(abi::MAGIC, abi::ZAP);
const REFCOUNTS: u32 = iowr::<test_abi::Refcounts>(test_abi::MAGIC, test_abi::REFCOUNTS);
const OPENER: u32 = ior::<test_abi::Opener>(test_abi::MAGIC, test_abi::OPENER);
const WATCH_PID: u32 = iowr::<i32>(test_abi::MAGIC, test_abi::WATCH_PID);
const THREAD_INFO: u32 = iowr::<test_abi::ThreadInfo>(test_abi::MAGIC, test_abi::THREAD_INFO);
const IDS: u32 = ior::<test_abi::Ids>(test_abi::MAGIC, test_abi::IDS);
const CAPABILITIES: u32 = ior::<test_abi::Capabilities>(test_abi::MAGIC, test_abi::CAPABILITIES);
const POPULATION: u32 = ior::<test_abi::Population>(test_abi::MAGIC, test_abi::POPULATION);
const KILL: u32 = iowr::<test_abi::Kill>(test_abi::MAGIC, test_abi::KILL);
const USE_MM: u32 = iowr::<test_abi::UseMm>(test_abi::MAGIC, test_abi::USE_MM);
const SPAWN: u32 = iowr::<test_abi::Spawn>(test_abi::MAGIC, test_abi::SPAWN);
const TASK_WORK: u32 = iowr::<test_abi::TaskWorkCounts>(test_abi::MAGIC, test_abi::TASK_WORK);
const WORKER_HAS_MM: u32 = ior::<u32>(test_abi::MAGIC, test_abi::WORKER_HAS_MM);

/// Maps anonymous memory.
pub fn map(
    at: Option<NonZeroUsize>,
    len: usize,
    prot: ProtFlags,
    flags: MapFlags,
) -> Result<NonNull<c_void>, Errno> {
    let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
    // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
    unsafe { mmap_anonymous(at, len, prot, flags) }
}

/// Maps a range of a file.
pub fn map_file(
    file: &File,
    offset: i64,
    len: usize,
    prot: ProtFlags,
    flags: MapFlags,
) -> Result<NonNull<c_void>, Errno> {
    let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
    // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
    unsafe { mmap(None, len, prot, flags, file, offset) }
}

fn open(path: &str) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// `/dev/rust_task_info`, opened.
pub struct Device(File);

impl Device {
    pub fn open() -> std::io::Result<Self> {
        open("/dev/rust_task_info").map(Self)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    pub fn raw(&self, cmd: u32, arg: usize) -> Result<(), Errno> {
        call(&self.0, cmd, arg)
    }

    pub fn info(&self) -> Result<abi::TaskInfo, Errno> {
        ask(&self.0, GET_INFO, abi::TaskInfo::default())
    }

    pub fn vma(&self, addr: u64) -> Result<abi::VmaInfo, Errno> {
        ask(
            &self.0,
            GET_VMA,
            abi::VmaInfo {
                addr,
                ..Default::default()
            },
        )
    }

    pub fn zap(&self, addr: u64, len: u64) -> Result<(), Errno> {
        exchange(&self.0, ZAP, &mut abi::ZapRange { addr, len })
    }

    pub fn read(&self) -> Result<(), Errno> {
        let mut byte = [0];
        nix::unistd::read(self.0.as_raw_fd(), &mut byte).map(drop)
    }

    pub fn write(&self) -> Result<(), Errno> {
        nix::unistd::write(&self.0, &[0]).map(drop)
    }

    /// Maps the first `pages` pages as shared.
    pub fn map_pages(&self, pages: usize) -> Result<Pages, Errno> {
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        self.map_with(pages, prot, MapFlags::MAP_SHARED)
    }

    pub fn map_with(&self, pages: usize, prot: ProtFlags, flags: MapFlags) -> Result<Pages, Errno> {
        let at = map_file(&self.0, 0, pages * PAGE, prot, flags)?;
        Ok(Pages { at, pages })
    }

    /// Maps `pages` pages from page offset `first` on, as shared and read-only.
    pub fn map_from(&self, first: usize, pages: usize) -> Result<Pages, Errno> {
        let offset = i64::try_from(first * PAGE).map_err(|_| Errno::EOVERFLOW)?;
        let (prot, flags) = (ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
        let at = map_file(&self.0, offset, pages * PAGE, prot, flags)?;
        Ok(Pages { at, pages })
    }
}

/// Mapped pages of the device. They stay mapped when this is dropped.
pub struct Pages {
    at: NonNull<c_void>,
    pages: usize,
}

impl Pages {
    fn page(&self, i: usize) -> *mut u64 {
        assert!(i < self.pages);
        // SAFETY: `i` is less than the number of mapped pages.
        unsafe { self.at.byte_add(i * PAGE).as_ptr().cast() }
    }

    pub fn addr(&self, i: usize) -> u64 {
        self.page(i) as u64
    }

    /// Reads the first `u64` of a page. If the page has been zapped, `SIGBUS` kills the process.
    pub fn read(&self, i: usize) -> u64 {
        // SAFETY: The page is mapped for reading. The read is volatile, as other processes may
        // write.
        unsafe { self.page(i).read_volatile() }
    }

    pub fn write(&self, i: usize, value: u64) {
        // SAFETY: The callers have mapped the page for writing.
        unsafe { self.page(i).write_volatile(value) }
    }

    /// Has the kernel read the first `u64` of a page. Returns `EFAULT` if the page has been zapped.
    pub fn peek(&self, i: usize) -> Result<u64, Errno> {
        let (from, into) = pipe()?;
        let mut bytes = [0; size_of::<u64>()];
        // SAFETY: The kernel reads from the page, and returns an error if that faults.
        Errno::result(unsafe { libc::write(into.as_raw_fd(), self.page(i).cast(), bytes.len()) })?;
        nix::unistd::read(from.as_raw_fd(), &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    pub fn protect(&self, prot: ProtFlags) -> Result<(), Errno> {
        // SAFETY: No Rust reference points to these pages.
        unsafe { mprotect(self.at, self.pages * PAGE, prot) }
    }

    pub fn unmap(self) -> Result<(), Errno> {
        // SAFETY: The pages are mapped, and only accessed through `self`, which is consumed.
        unsafe { munmap(self.at, self.pages * PAGE) }
    }

    /// Returns whether a page can be accessed, which a child process tries.
    pub fn is_accessible(&self, i: usize) -> anyhow::Result<bool> {
        // SAFETY: The child only reads the page and exits.
        let child = match unsafe { fork()? } {
            ForkResult::Child => {
                self.read(i);
                // SAFETY: `_exit()` has no safety requirements.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => child,
        };
        match waitpid(child, None)? {
            WaitStatus::Exited(_, 0) => Ok(true),
            WaitStatus::Signaled(_, Signal::SIGBUS, _) => Ok(false),
            other => anyhow::bail!("page {i}: {other:?}"),
        }
    }
}

/// `/dev/test_rust_task`, opened.
pub struct Tester(File);

impl Tester {
    pub fn open() -> std::io::Result<Self> {
        open("/dev/test_rust_task").map(Self)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    pub fn refcounts(&self, kind: u32, rounds: u32) -> Result<test_abi::Refcounts, Errno> {
        ask(
            &self.0,
            REFCOUNTS,
            test_abi::Refcounts {
                rounds,
                kind,
                ..Default::default()
            },
        )
    }

    pub fn opener(&self) -> Result<test_abi::Opener, Errno> {
        ask(&self.0, OPENER, test_abi::Opener::default())
    }

    /// Has the driver read the PID of the opener repeatedly, until it differs from `pid` or a
    /// limit.
    pub fn watch_pid(&self, pid: i32) -> Result<i32, Errno> {
        ask(&self.0, WATCH_PID, pid)
    }

    /// Returns information about a thread, by its PID in the PID namespace of the caller.
    pub fn thread_info(&self, nr: i32) -> Result<test_abi::ThreadInfo, Errno> {
        ask(
            &self.0,
            THREAD_INFO,
            test_abi::ThreadInfo {
                nr,
                ..Default::default()
            },
        )
    }

    pub fn capabilities(&self) -> Result<test_abi::Capabilities, Errno> {
        let none = test_abi::Capabilities::default();
        ask(&self.0, CAPABILITIES, none)
    }

    pub fn ids(&self) -> Result<test_abi::Ids, Errno> {
        ask(&self.0, IDS, test_abi::Ids::default())
    }

    pub fn population(&self) -> Result<test_abi::Population, Errno> {
        ask(&self.0, POPULATION, test_abi::Population::default())
    }

    /// Sends a signal to the opener, from the kernel or with the permissions of the caller.
    pub fn kill(&self, signal: i32, privileged: bool) -> Result<(), Errno> {
        self.signal(&mut test_abi::Kill {
            signal,
            privileged: privileged.into(),
            ..Default::default()
        })
    }

    /// Sends a signal as requested. The result is written to `request`, which may be in shared
    /// memory.
    pub fn signal(&self, request: &mut test_abi::Kill) -> Result<(), Errno> {
        exchange(&self.0, KILL, request)
    }

    /// Has a kthread add one to the `u64` at `addr`, `rounds` times.
    pub fn use_mm(&self, addr: u64, rounds: u32) -> Result<test_abi::UseMm, Errno> {
        ask(
            &self.0,
            USE_MM,
            test_abi::UseMm {
                addr,
                rounds,
                ..Default::default()
            },
        )
    }

    /// Has the driver start and stop `rounds` kthreads.
    pub fn spawn(&self, rounds: u32) -> Result<test_abi::Spawn, Errno> {
        ask(
            &self.0,
            SPAWN,
            test_abi::Spawn {
                rounds,
                ..Default::default()
            },
        )
    }

    /// Queues task work, which runs when this call returns to userspace.
    pub fn task_work(&self, rounds: u32, again: u32) -> Result<test_abi::TaskWorkCounts, Errno> {
        ask(
            &self.0,
            TASK_WORK,
            test_abi::TaskWorkCounts {
                rounds,
                again,
                ..Default::default()
            },
        )
    }

    pub fn worker_has_mm(&self) -> Result<u32, Errno> {
        ask(&self.0, WORKER_HAS_MM, u32::MAX)
    }
}
