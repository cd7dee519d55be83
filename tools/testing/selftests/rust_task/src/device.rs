// SPDX-License-Identifier: GPL-2.0

//! The two devices, as a program sees them.

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
const COUNTS: u32 = iowr::<test_abi::Counts>(test_abi::MAGIC, test_abi::COUNTS);
const OPENER: u32 = ior::<test_abi::Opener>(test_abi::MAGIC, test_abi::OPENER);
const ZAP_AS_IT_IS: u32 = iow::<test_abi::Zap>(test_abi::MAGIC, test_abi::ZAP);
const WATCH: u32 = iowr::<i32>(test_abi::MAGIC, test_abi::WATCH);
const RELATIVES: u32 = iowr::<test_abi::Relatives>(test_abi::MAGIC, test_abi::RELATIVES);
const POPULATION: u32 = ior::<test_abi::Population>(test_abi::MAGIC, test_abi::POPULATION);
const KILL: u32 = iowr::<test_abi::Kill>(test_abi::MAGIC, test_abi::KILL);
const BORROW: u32 = iowr::<test_abi::Borrow>(test_abi::MAGIC, test_abi::BORROW);
const SPAWN: u32 = iowr::<test_abi::Spawn>(test_abi::MAGIC, test_abi::SPAWN);
const LATER: u32 = iowr::<test_abi::Later>(test_abi::MAGIC, test_abi::LATER);
const WORKER_HAS_MM: u32 = ior::<u32>(test_abi::MAGIC, test_abi::WORKER_HAS_MM);

/// Maps memory without a file.
pub fn map(
    at: Option<NonZeroUsize>,
    len: usize,
    rights: ProtFlags,
    flags: MapFlags,
) -> Result<NonNull<c_void>, Errno> {
    let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
    // SAFETY: The kernel chooses where, so nothing that is in use is replaced.
    unsafe { mmap_anonymous(at, len, rights, flags) }
}

/// Maps a part of a file.
pub fn map_file(
    file: &File,
    offset: i64,
    len: usize,
    rights: ProtFlags,
    flags: MapFlags,
) -> Result<NonNull<c_void>, Errno> {
    let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
    // SAFETY: The kernel chooses where, so nothing that is in use is replaced.
    unsafe { mmap(None, len, rights, flags, file, offset) }
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

    /// Maps the first pages, to be shared.
    pub fn map_pages(&self, pages: usize) -> Result<Pages, Errno> {
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        self.map_with(pages, rights, MapFlags::MAP_SHARED)
    }

    pub fn map_with(
        &self,
        pages: usize,
        rights: ProtFlags,
        flags: MapFlags,
    ) -> Result<Pages, Errno> {
        let at = map_file(&self.0, 0, pages * PAGE, rights, flags)?;
        Ok(Pages { at, pages })
    }
}

/// Pages of the device in this process. They stay mapped.
pub struct Pages {
    at: NonNull<c_void>,
    pages: usize,
}

impl Pages {
    fn page(&self, i: usize) -> *mut u64 {
        assert!(i < self.pages);
        // SAFETY: The page is one of those that were mapped.
        unsafe { self.at.byte_add(i * PAGE).as_ptr().cast() }
    }

    pub fn addr(&self, i: usize) -> u64 {
        self.page(i) as u64
    }

    /// Reads the first number of a page. The process dies if it has been zapped.
    pub fn read(&self, i: usize) -> u64 {
        // SAFETY: It is mapped for reading, and others may write to it.
        unsafe { self.page(i).read_volatile() }
    }

    pub fn write(&self, i: usize, value: u64) {
        // SAFETY: It is mapped for writing by those who call this.
        unsafe { self.page(i).write_volatile(value) }
    }

    /// Has the kernel read the first number of a page on this process's behalf: `EFAULT` if it has
    /// been zapped.
    pub fn peek(&self, i: usize) -> Result<u64, Errno> {
        let (from, into) = pipe()?;
        let mut bytes = [0; size_of::<u64>()];
        // SAFETY: The page is one of those that were mapped, and the kernel looks whether it is
        // there.
        Errno::result(unsafe { libc::write(into.as_raw_fd(), self.page(i).cast(), bytes.len()) })?;
        nix::unistd::read(from.as_raw_fd(), &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    pub fn protect(&self, rights: ProtFlags) -> Result<(), Errno> {
        // SAFETY: Nobody relies on the rights of these pages.
        unsafe { mprotect(self.at, self.pages * PAGE, rights) }
    }

    pub fn unmap(self) -> Result<(), Errno> {
        // SAFETY: They were mapped, and `self` was the way to them.
        unsafe { munmap(self.at, self.pages * PAGE) }
    }

    /// Returns whether a page can be touched, by having a child do it.
    pub fn is_there(&self, i: usize) -> anyhow::Result<bool> {
        // SAFETY: The child does nothing but read and leave.
        let child = match unsafe { fork()? } {
            ForkResult::Child => {
                self.read(i);
                // SAFETY: It ends the process.
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

    pub fn counts(&self, kind: u32, rounds: u32) -> Result<test_abi::Counts, Errno> {
        ask(
            &self.0,
            COUNTS,
            test_abi::Counts {
                rounds,
                kind,
                ..Default::default()
            },
        )
    }

    pub fn opener(&self) -> Result<test_abi::Opener, Errno> {
        ask(&self.0, OPENER, test_abi::Opener::default())
    }

    /// Looks at the thread number of the opener until it is another, for a while.
    pub fn watch(&self, pid: i32) -> Result<i32, Errno> {
        ask(&self.0, WATCH, pid)
    }

    /// Has the area at `area` zap a range that nobody has looked at.
    pub fn zap(&self, area: u64, addr: u64, len: u64) -> Result<(), Errno> {
        exchange(
            &self.0,
            ZAP_AS_IT_IS,
            &mut test_abi::Zap { area, addr, len },
        )
    }

    /// What is known of a thread of the caller's namespace.
    pub fn relatives(&self, nr: i32) -> Result<test_abi::Relatives, Errno> {
        ask(
            &self.0,
            RELATIVES,
            test_abi::Relatives {
                nr,
                ..Default::default()
            },
        )
    }

    pub fn population(&self) -> Result<test_abi::Population, Errno> {
        ask(&self.0, POPULATION, test_abi::Population::default())
    }

    /// Has the kernel, or the caller, send a signal to the opener.
    pub fn kill(&self, signal: i32, privileged: bool) -> Result<(), Errno> {
        self.signal(&mut test_abi::Kill {
            signal,
            privileged: privileged.into(),
            ..Default::default()
        })
    }

    /// The same as the request says, which may lie where somebody else sees the answer.
    pub fn signal(&self, request: &mut test_abi::Kill) -> Result<(), Errno> {
        exchange(&self.0, KILL, request)
    }

    /// Has a thread of the kernel add one to the number at `addr`, so many times.
    pub fn borrow(&self, addr: u64, rounds: u32) -> Result<test_abi::Borrow, Errno> {
        ask(
            &self.0,
            BORROW,
            test_abi::Borrow {
                addr,
                rounds,
                ..Default::default()
            },
        )
    }

    /// Has so many threads of the kernel started and stopped.
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

    /// Leaves things to do for when this call returns.
    pub fn later(&self, rounds: u32, again: u32) -> Result<test_abi::Later, Errno> {
        ask(
            &self.0,
            LATER,
            test_abi::Later {
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
