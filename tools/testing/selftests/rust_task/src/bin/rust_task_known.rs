// SPDX-License-Identifier: GPL-2.0

//! Has `/dev/rust_task_known` do what goes wrong on Linux 7.3's own files.
//!
//! `known=` in the environment names the fault. One may take the kernel with it.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    sched::{sched_setaffinity, CpuSet},
    sys::{
        mman::{madvise, mprotect, MapFlags, MmapAdvise, ProtFlags},
        signal::{kill, signal, SigHandler, Signal},
        wait::{waitid, Id, WaitPidFlag},
    },
    unistd::{execv, fork, gettid, pipe, ForkResult, Pid},
};
use rust_task::{child::Child, device, ioctl, ktap, words};
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
const ZAP: u32 = ioctl::iow::<abi::Zap>(abi::MAGIC, abi::ZAP);
const WATCH_LEADER: u32 = ioctl::io(abi::MAGIC, abi::WATCH_LEADER);
/// With this, madvise() makes pages that may not be touched, under a read lock.
const MADV_GUARD_INSTALL: i32 = 102;

fn main() -> Result<()> {
    // The program that is executed waits for its parent, and ends.
    if std::env::args().nth(1).is_some() {
        return Ok(());
    }
    match words::text("known").as_deref() {
        Some("pid") => ktap::run(&[("pid() while exec() changes it", pid)]),
        Some("flags") => ktap::run(&[("flags() while madvise() changes them", flags)]),
        Some("leader") => ktap::run(&[("group_leader() in an interrupt", leader)]),
        Some("zap") => ktap::run(&[("a zap of part of a page", zap)]),
        other => bail!("known={other:?}"),
    }
}

fn open() -> std::io::Result<File> {
    OpenOptions::new().write(true).open("/dev/rust_task_known")
}

/// Repeats what depends on the times at which processes run, until a loop has seen the change.
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

/// A child looks at the number of its parent's first thread. A second thread takes it by `exec()`.
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

/// One thread looks at the flags of an area, and another has them changed.
fn flags_once() -> Result<bool> {
    let file = open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let at = device::map(None, 4 * PAGE, rights, anonymous)?;
    let addr = at.as_ptr() as usize;
    // SAFETY: It is mapped for writing. With a page in it, the area's own lock is enough for the change.
    unsafe { at.cast::<u8>().write_volatile(1) };
    let (runs, tell) = mpsc::channel();
    let changes = thread::spawn(move || {
        let _ = runs.send(());
        thread::sleep(Duration::from_millis(300));
        // SAFETY: Nobody touches the page any more.
        Errno::result(unsafe { libc::madvise(addr as _, PAGE, MADV_GUARD_INSTALL) })
    });
    // The thread maps memory when it starts, which the lock that is held below would keep it from.
    tell.recv()?;
    let answer = ioctl::call_for(&file, WATCH_FLAGS, addr)?;
    changes
        .join()
        .map_err(|_| anyhow::anyhow!("the thread panicked"))?
        .context("MADV_GUARD_INSTALL")?;
    Ok(answer == 1)
}

/// Half a page is zapped in an area with others behind it.
fn zap() -> Result<()> {
    const PAGES: usize = 512;
    let file = open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let at = device::map(None, PAGES * PAGE, rights, anonymous)?.cast::<u64>();
    // SAFETY: No huge pages, for the same answer everywhere; this may fail where there are none.
    let _ = unsafe { madvise(at.cast(), PAGES * PAGE, MmapAdvise::MADV_NOHUGEPAGE) };
    // SAFETY: Each is a page of what was mapped.
    let page = |i: usize| unsafe { at.byte_add(i * PAGE) };
    for i in 0..PAGES {
        // SAFETY: It is mapped for writing.
        unsafe { page(i).write_volatile(i as u64 + 1) };
    }
    // The rest is another area, by its other rights.
    // SAFETY: Nobody writes to it any more.
    unsafe { mprotect(page(4).cast(), (PAGES - 4) * PAGE, ProtFlags::PROT_READ)? };

    let addr = page(1).as_ptr() as u64;
    let mut range = abi::Zap {
        area: addr,
        addr,
        len: PAGE as u64 / 2,
    };
    ioctl::exchange(&file, ZAP, &mut range)?;
    // SAFETY: They are mapped for reading; what was zapped reads as zero.
    let gone = |i: &usize| unsafe { page(*i).read_volatile() } != *i as u64 + 1;
    let gone: Vec<_> = (0..PAGES).filter(gone).collect();
    ensure!(
        gone.is_empty(),
        "{} pages are gone, to number {} of an area of 4",
        gone.len(),
        gone[gone.len() - 1]
    );
    Ok(())
}

/// A thread outlives the first of its process, and ends with many zombies to reap.
///
/// Nobody wants to know of any of them, so `release_task()` is called for the thread, then for the
/// first one, and then for each zombie, all in the thread's `exit_notify()`.
fn leader() -> Result<()> {
    let file = open()?;
    // The timer interrupts what runs on its own CPU.
    let mut here = CpuSet::new();
    here.set(1)?;
    sched_setaffinity(Pid::from_raw(0), &here)?;
    // SAFETY: No handler is set. The children of children come to this process.
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
        // The number of the first thread is free as soon as it is reaped. The zombies come after.
        while kill(child, None).is_ok() {
            wiped |= ioctl::call_for(&file, WATCH_LEADER, 100)?;
        }
        wiped |= ioctl::call_for(&file, WATCH_LEADER, 1000)?;
    }
    ensure!(
        wiped == 0,
        "the leader of a task is in memory that was freed"
    );
    Ok(())
}

/// Ends the first thread of this process, and then a second one that is the parent of zombies.
fn leave_leader() -> Result<()> {
    const ZOMBIES: usize = 6000;
    // SAFETY: No handler is set.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl)? };
    let first = gettid();
    thread::spawn(move || {
        let last = || -> Result<()> {
            for _ in 0..ZOMBIES {
                // SAFETY: The child does nothing but leave.
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
        // SAFETY: It ends this thread.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    // SAFETY: It ends this thread, and leaves the other.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!()
}
