// SPDX-License-Identifier: GPL-2.0

//! Tests that the modules of the guide do what it says, and that the idioms in C and in Rust return
//! the same.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    sys::{mman::MapFlags, signal::Signal, wait::WaitStatus},
    unistd::{getpid, getppid, setresuid, Uid},
};
use rust_task::{
    child::{in_child, in_namespace, wait_for, wait_until_asleep, Child},
    ioctl::{call_for, io},
    ktap::{self, did, Test},
    memory::{Memory, PAGE},
    procfs::Status,
    vma::{map_at, Span, READ_WRITE},
};
use std::fs::{self, File};

const TESTS: &[Test] = &[
    ("whoami: the caller's PID", whoami),
    ("one_page: page faults", || one_page("one_page")),
    ("revocable_page: page faults", || one_page("revocable_page")),
    ("revocable_page: taken back, also from children", revoked),
    ("counting_kthread: requests", counted),
    ("counting_kthread: the kthread ends with the file", stopped),
    ("pinned_buffer: written by the driver", pinned),
    ("pinned_buffer: charged, and unpinned on close", charged),
    ("idioms: the same results in C and in Rust", idioms),
    ("idioms: the same mappings in C and in Rust", || {
        one_page("idioms")?;
        one_page("idioms_c")
    }),
];

const MAGIC: u32 = b'g' as u32;

fn main() -> Result<()> {
    ktap::run(TESTS)
}

fn open(name: &str) -> Result<File> {
    let path = format!("/dev/{name}");
    let mut options = File::options();
    let file = options.read(true).write(true).open(&path);
    file.context(path)
}

/// Calls an ioctl without a size.
fn call(file: &File, number: u32, arg: usize) -> Result<i32, Errno> {
    call_for(file, io(MAGIC, number), arg)
}

/// Maps pages of a file, beginning with page `pgoff`.
fn map(file: &File, pgoff: u64, pages: usize) -> Result<Span, Errno> {
    let flags = MapFlags::MAP_SHARED;
    map_at(None, Some((file, pgoff)), pages, READ_WRITE, flags)
}

/// Tests that a child that reads the page is killed by `SIGBUS`.
fn raises_sigbus(page: Span) -> Result<()> {
    let child = Child::start(|| {
        page.read(0);
        Ok(())
    })?;
    let status = child.wait()?;
    let expected = matches!(status, WaitStatus::Signaled(_, Signal::SIGBUS, _));
    ensure!(expected, "{status:?}");
    Ok(())
}

fn whoami() -> Result<()> {
    let asks = || {
        let answer = call_for(&open("whoami")?, 0, 0)?;
        ensure!(answer == getpid().as_raw(), "{answer} is not {}", getpid());
        Ok(())
    };
    asks()?;
    in_child(asks)?;
    in_namespace(asks)
}

/// The tests of each device that has one page for each open file.
fn one_page(name: &str) -> Result<()> {
    let file = open(name)?;
    let page = map(&file, 0, 1)?;
    ensure!(page.read(0) == 0, "the page is not zeroed");
    page.write(0, 7);
    let again = map(&file, 0, 1)?;
    ensure!(again.read(0) == 7, "another page");
    in_child(|| {
        page.write(0, page.read(0) + 1);
        Ok(())
    })?;
    ensure!(page.read(0) == 8, "the child has another page");

    let other = map(&open(name)?, 0, 1)?;
    ensure!(other.read(0) == 0, "two files have one page");
    // The page stays while it is mapped.
    drop(file);
    ensure!(page.read(0) == 8, "the page has changed");

    let file = open(name)?;
    for (pgoff, pages) in [(0, 2), (1, 1)] {
        let mapped = map(&file, pgoff, pages);
        let refused = matches!(mapped, Err(Errno::EINVAL));
        ensure!(refused, "{pages} pages from page {pgoff}: {mapped:?}");
    }
    let grown = page.remap(2, None);
    ensure!(matches!(grown, Err(Errno::EFAULT)), "{grown:?}");
    for page in [page, again, other] {
        page.unmap()?;
    }
    Ok(())
}

fn revoked() -> Result<()> {
    const REVOKE: u32 = 0;
    const LEND: u32 = 1;

    let file = open("revocable_page")?;
    let page = map(&file, 0, 1)?;
    let again = map(&file, 0, 1)?;
    page.write(0, 7);
    ensure!(again.read(0) == 7);
    ensure!(call(&file, REVOKE, 0)? == 1, "there was no page");
    raises_sigbus(page)?;
    raises_sigbus(again)?;
    ensure!(call(&file, REVOKE, 0)? == 0, "there was a page");

    ensure!(call(&file, LEND, 0)? == 0, "there was a page");
    ensure!(page.read(0) == 0, "the page is not a new one");
    page.write(0, 8);
    // The child has the page mapped before it is taken back.
    in_child(|| {
        ensure!(page.read(0) == 8);
        call(&file, REVOKE, 0)?;
        raises_sigbus(page)
    })?;
    raises_sigbus(page)?;
    ensure!(call(&file, LEND, 0)? == 0);
    ensure!(call(&file, LEND, 0)? == 1, "there was no page");
    page.unmap()?;
    again.unmap()?;
    Ok(())
}

/// Returns whether there is a task of this name.
fn is_running(name: &str) -> Result<bool> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let comm = fs::read_to_string(entry.path().join("comm"));
        if comm.is_ok_and(|comm| comm.trim() == name) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn counted() -> Result<()> {
    let file = open("counting_kthread")?;
    for expected in 1..=100 {
        let count = call(&file, 0, 0)?;
        ensure!(count == expected, "{count} instead of {expected}");
    }
    let child = || {
        Child::start(|| {
            for _ in 0..50 {
                call(&file, 0, 0)?;
            }
            Ok(())
        })
    };
    let children: Vec<Child> = (0..4).map(|_| child()).collect::<Result<_>>()?;
    for child in children {
        child.join()?;
    }
    let count = call(&file, 0, 0)?;
    ensure!(count == 301, "{count} instead of 301");
    did("requests", count);
    Ok(())
}

fn stopped() -> Result<()> {
    let name = format!("counter/{}", getpid());
    let file = open("counting_kthread")?;
    ensure!(is_running(&name)?, "no kthread {name}");
    drop(file);
    // The drop has waited for the closure. The task is reaped soon after.
    wait_for("the kthread has not been stopped", || {
        Ok(!is_running(&name)?)
    })
}

const REGISTER: u32 = 0;
const COMPLETE: u32 = 1;
const UNREGISTER: u32 = 2;

fn pinned() -> Result<()> {
    let file = open("pinned_buffer")?;
    let memory = Memory::new(2)?;
    ensure!(call(&file, COMPLETE, 1) == Err(Errno::ENXIO));
    call(&file, REGISTER, memory.addr(0))?;
    ensure!(call(&file, REGISTER, memory.addr(1)) == Err(Errno::EBUSY));
    call(&file, COMPLETE, 0x61)?;
    ensure!(memory.byte(0) == 0x61, "the driver has not written");
    // A range that crosses pages.
    call(&file, UNREGISTER, 0)?;
    call(&file, REGISTER, memory.addr(1) - 2)?;
    call(&file, COMPLETE, 0x6463_6261)?;
    let bytes: Vec<u8> = (PAGE - 2..PAGE + 2).map(|at| memory.byte(at)).collect();
    ensure!(bytes == b"abcd", "{bytes:?}");
    // Pages that have been unmapped stay allocated.
    memory.unmap(0, 2)?;
    call(&file, COMPLETE, 0)?;
    call(&file, UNREGISTER, 0)?;
    ensure!(call(&file, UNREGISTER, 0) == Err(Errno::ENXIO));
    ensure!(call(&file, REGISTER, memory.addr(0)) == Err(Errno::EFAULT));
    Ok(())
}

/// Returns what the process is charged for pinned pages, in kB.
fn pinned_kb() -> Result<u64> {
    Ok(Status::of_this_thread()?.one("VmPin")?.parse()?)
}

fn charged() -> Result<()> {
    let memory = Memory::new(1)?;
    let file = open("pinned_buffer")?;
    let before = pinned_kb()?;
    call(&file, REGISTER, memory.addr(0))?;
    let during = pinned_kb()?;
    ensure!(during == before + 4, "{before} kB, then {during} kB");
    drop(file);
    let after = pinned_kb()?;
    ensure!(after == before, "{before} kB before, {after} kB after");
    memory.unmap(0, 1)
}

fn idioms() -> Result<()> {
    let files = [open("idioms_c")?, open("idioms")?];
    let both = |number, arg| -> Result<Result<i32, Errno>> {
        let [c, rust] = files.each_ref().map(|file| call(file, number, arg));
        ensure!(c == rust, "idiom {number}: {c:?} in C, {rust:?} in Rust");
        Ok(c)
    };
    let memory = Memory::new(1)?;
    memory.put(0, &[200, 1, 0, 0]);

    ensure!(both(0, 0)? == Ok(getpid().as_raw()));
    ensure!(both(1, 0)? == Ok(getppid().as_raw()));
    ensure!(both(2, 2)? == Ok(1), "PID 2 is kthreadd");
    ensure!(both(2, 1)? == Ok(0));
    ensure!(both(2, 4_000_000)? == Err(Errno::ESRCH));
    ensure!(both(2, usize::MAX)? == Err(Errno::ESRCH));
    in_namespace(|| {
        ensure!(both(0, 0)? == Ok(1));
        ensure!(both(1, 0)? == Ok(0), "the parent is in no outer namespace");
        Ok(())
    })?;
    in_child(|| {
        let user = Uid::from_raw(1000);
        setresuid(user, user, user)?;
        ensure!(both(3, 0)? == Ok(1000));
        Ok(())
    })?;
    ensure!(both(3, 0)? == Ok(0));
    ensure!(both(4, 0)?.is_ok_and(|vmas| vmas > 1));

    let pages = [map(&files[0], 0, 1)?, map(&files[1], 0, 1)?];
    for (file, page) in files.iter().zip(pages) {
        ensure!(call(file, 5, page.at) == Ok(1), "not the driver's VMA");
    }
    for (file, page) in files.iter().zip(pages.iter().rev()) {
        ensure!(call(file, 5, page.at) == Ok(0), "the other driver's VMA");
    }
    ensure!(both(5, memory.addr(0))? == Ok(0));
    ensure!(both(5, 0)? == Err(Errno::EFAULT));
    ensure!(both(6, 0)?.is_ok_and(|pages| pages > 1));

    ensure!(both(7, memory.addr(0))? == Ok(200));
    ensure!(both(7, 0)? == Err(Errno::EFAULT));
    // Each of the two increments the number.
    ensure!(both(8, memory.addr(0))? == Ok(0));
    ensure!(memory.byte(0) == 202);
    ensure!(both(8, 0)? == Err(Errno::EFAULT));
    ensure!(both(9, 0)? == Ok(0));
    ensure!(both(10, 2)? == Err(Errno::ETIME));
    for file in &files {
        let child = Child::start(|| {
            ensure!(call(file, 10, 100_000)? == 0);
            Ok(())
        })?;
        wait_until_asleep(child.pid())?;
        call(file, 11, 0)?;
        child.join()?;
    }
    ensure!(both(10, 2)? == Ok(0));
    ensure!(both(12, 5)? == Ok(5));
    ensure!(both(12, 6)? == Ok(11));
    ensure!(both(12, i32::MAX as usize)? == Err(Errno::EOVERFLOW));
    ensure!(both(12, 0)? == Ok(11));
    ensure!(both(13, 0)? == Err(Errno::ENOTTY));
    for page in pages {
        page.unmap()?;
    }
    memory.unmap(0, 1)
}
