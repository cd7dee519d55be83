// SPDX-License-Identifier: GPL-2.0

//! Reproduces bugs of Linux 7.3's own abstractions with `/dev/rust_task_known`.
//!
//! `known=` in the environment selects the bug. Some crash the kernel.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    fcntl::{fcntl, FcntlArg},
    sched::{sched_setaffinity, CpuSet},
    sys::{
        mman::{madvise, MapFlags, MmapAdvise, ProtFlags},
        signal::{kill, signal, SigHandler, Signal},
        wait::{waitid, Id, WaitPidFlag},
    },
    unistd::{execv, fork, gettid, pipe, ForkResult, Pid},
};
use rust_task::{
    binder::{self, Binder},
    child::{in_child, Child},
    device, ioctl, ktap, params, vma,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    sync::mpsc,
    thread,
    time::Duration,
};

#[path = "../../../../../../tests/known/rust_task_known_abi.rs"]
mod abi;

const PAGE: usize = 4096;
const WATCH_PID: u32 = ioctl::io(abi::MAGIC, abi::WATCH_PID);
const WATCH_FLAGS: u32 = ioctl::io(abi::MAGIC, abi::WATCH_FLAGS);
const INSERT: u32 = ioctl::io(abi::MAGIC, abi::INSERT);
const WATCH_LEADER: u32 = ioctl::io(abi::MAGIC, abi::WATCH_LEADER);
/// `MADV_GUARD_INSTALL` makes pages inaccessible, under a read lock.
const MADV_GUARD_INSTALL: i32 = 102;

fn main() -> Result<()> {
    // This is the program of the exec().
    if std::env::args().nth(1).is_some() {
        return Ok(());
    }
    match params::text("known").as_deref() {
        Some("pid") => ktap::run(&[("pid() while exec() changes it", pid)]),
        Some("flags") => ktap::run(&[("flags() while madvise() changes them", flags)]),
        Some("leader") => ktap::run(&[("group_leader() in an interrupt", leader)]),
        Some("zap") => ktap::run(&[("zap of part of a page", zap)]),
        Some("insert") => ktap::run(&[("page in a VMA of another driver", insert)]),
        Some("install") => ktap::run(&[("file that its open() installs", install)]),
        Some("exit") => ktap::run(&[("file of a task that exits", exit)]),
        other => bail!("known={other:?}"),
    }
}

fn open() -> std::io::Result<File> {
    OpenOptions::new().write(true).open("/dev/rust_task_known")
}

/// Repeats a test that depends on timing, until a loop has seen the change.
fn seen(once: fn() -> Result<bool>) -> Result<()> {
    for _ in 0..5 {
        if once()? {
            return Ok(());
        }
    }
    bail!("a loop does not see the change")
}

fn pid() -> Result<()> {
    seen(pid_once)
}

fn flags() -> Result<()> {
    seen(flags_once)
}

/// A child reads the PID of its parent's group leader. Another thread takes that PID by `exec()`.
fn pid_once() -> Result<bool> {
    let (seen, tell) = pipe()?;
    let executes = Child::start(|| {
        let file = open()?;
        // SAFETY: This process has one thread.
        if let ForkResult::Child = unsafe { fork()? } {
            let answer = ioctl::call_for(&file, WATCH_PID, 0)?;
            File::from(tell).write_all(&[answer as u8])?;
            return Ok(());
        }
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(300));
            execv(c"/proc/self/exe", &[c"rust_task_known", c"executed"])
        })
        .join()
        .map_err(|_| anyhow::anyhow!("the thread panicked"))??;
        Ok(())
    })?;
    executes.join()?;
    let mut answer = [0];
    File::from(seen).read_exact(&mut answer)?;
    Ok(answer == [1])
}

/// One thread reads the flags of a VMA while another changes them.
fn flags_once() -> Result<bool> {
    let file = open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let at = device::map(None, 4 * PAGE, prot, anonymous)?;
    let addr = at.as_ptr() as usize;
    // SAFETY: The page is mapped for writing. As it is present, madvise() only takes the VMA lock.
    unsafe { at.cast::<u8>().write_volatile(1) };
    let (runs, tell) = mpsc::channel();
    let changes = thread::spawn(move || {
        let _ = runs.send(());
        thread::sleep(Duration::from_millis(300));
        // SAFETY: The page is not accessed after this.
        Errno::result(unsafe { libc::madvise(addr as _, PAGE, MADV_GUARD_INSTALL) })
    });
    // A starting thread maps memory, which would wait for the mmap lock that the ioctl holds.
    tell.recv()?;
    let answer = ioctl::call_for(&file, WATCH_FLAGS, addr)?;
    changes
        .join()
        .map_err(|_| anyhow::anyhow!("the thread panicked"))?
        .context("MADV_GUARD_INSTALL")?;
    Ok(answer == 1)
}

/// The file is released by `exit()`, when the child has no file descriptor table any more.
fn exit() -> Result<()> {
    in_child(|| {
        let file = File::open("/dev/rust_task_looks")?;
        std::mem::forget(file);
        Ok(())
    })
}

/// Another thread could use this file before `open()` has returned, when it has no data.
fn install() -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .open("/dev/rust_task_installs")?;
    let fd = ioctl::call_for(&file, ioctl::io(abi::MAGIC, 0), 0)?;
    let installed = fcntl(fd, FcntlArg::F_GETFD);
    ensure!(
        installed == Err(Errno::EBADF),
        "a file that is not open was installed: {installed:?}"
    );
    Ok(())
}

/// The driver zaps half a page of a VMA that is followed by another one.
fn zap() -> Result<()> {
    const PAGES: usize = 512;
    const MAPPED: usize = 4;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/rust_task_known")?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let at = device::map(None, PAGES * PAGE, prot, anonymous)?.cast::<u64>();
    // SAFETY: The range is mapped. Without huge pages, the result is always the same. The call may
    // fail if the kernel does not support huge pages.
    let _ = unsafe { madvise(at.cast(), PAGES * PAGE, MmapAdvise::MADV_NOHUGEPAGE) };
    // SAFETY: Each is a page of the mapping above.
    let page = |i: usize| unsafe { at.byte_add(i * PAGE) };
    for i in 0..PAGES {
        // SAFETY: The page is mapped for writing.
        unsafe { page(i).write_volatile(i as u64 + 1) };
    }
    // The first pages become a VMA of the driver.
    let at = at.as_ptr() as usize;
    let shared = MapFlags::MAP_SHARED;
    vma::map_at(
        Some(at),
        Some((&file, 0)),
        MAPPED,
        ProtFlags::PROT_READ,
        shared,
    )?;

    // SAFETY: The pages are mapped for reading. A zapped page reads as zero.
    let gone = |i: &usize| unsafe { page(*i).read_volatile() } != *i as u64 + 1;
    let gone: Vec<_> = (MAPPED..PAGES).filter(gone).collect();
    ensure!(
        gone.is_empty(),
        "{} pages were zapped, up to page {}, after a VMA of 4 pages",
        gone.len(),
        gone[gone.len() - 1]
    );
    Ok(())
}

/// The driver maps a page in Binder's VMA.
fn insert() -> Result<()> {
    binder::mount_binderfs()?;
    let binder = Binder::open(&binder::add_device("known")?, 4 * PAGE)?;
    let result = ioctl::call_for(&open()?, INSERT, binder.mapping() as usize);
    ensure!(
        result == Err(Errno::EPERM),
        "a page of another driver is in the VMA of Binder: {result:?}"
    );
    Ok(())
}

/// A thread outlives its group leader, and exits with many zombie children.
///
/// All of them are reaped automatically, so `exit_notify()` of the thread calls `release_task()`
/// for the thread, then for the group leader, and then for each zombie.
fn leader() -> Result<()> {
    let file = open()?;
    // The timer interrupts the task on its CPU.
    let mut here = CpuSet::new();
    here.set(1)?;
    sched_setaffinity(Pid::from_raw(0), &here)?;
    // SAFETY: No handler is set. Orphaned descendants are reparented to this process.
    unsafe {
        signal(Signal::SIGCHLD, SigHandler::SigIgn)?;
        Errno::result(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    }
    let mut wiped = 0;
    for _ in 0..2 {
        // SAFETY: This process has one thread.
        let child = match unsafe { fork()? } {
            ForkResult::Child => ktap::exit(leave_leader()),
            ForkResult::Parent { child } => child,
        };
        // The PID of the group leader is unused once that has been reaped. The zombies are reaped
        // later.
        while kill(child, None).is_ok() {
            wiped |= ioctl::call_for(&file, WATCH_LEADER, 100)?;
        }
        wiped |= ioctl::call_for(&file, WATCH_LEADER, 1000)?;
    }
    ensure!(
        wiped == 0,
        "the group leader of a task is in memory that was freed"
    );
    Ok(())
}

/// Exits the group leader of this process, and then a second thread that has zombie children.
fn leave_leader() -> Result<()> {
    const ZOMBIES: usize = 6000;
    // SAFETY: No handler is set.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl)? };
    let first = gettid();
    thread::spawn(move || {
        let last = || -> Result<()> {
            for _ in 0..ZOMBIES {
                // SAFETY: The child only exits.
                let child = match unsafe { fork()? } {
                    ForkResult::Child => unsafe { libc::_exit(0) },
                    ForkResult::Parent { child } => child,
                };
                waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
            }
            let state = format!("/proc/self/task/{first}/stat");
            while !fs::read_to_string(&state)?.contains(") Z ") {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        if let Err(error) = last() {
            ktap::exit(Err(error));
        }
        // SAFETY: Exits this thread.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    // SAFETY: Exits this thread. The other one continues.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!()
}
