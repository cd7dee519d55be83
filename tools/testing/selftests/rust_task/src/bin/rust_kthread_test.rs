// SPDX-License-Identifier: GPL-2.0

//! Has `/dev/test_rust_task` start threads of the kernel, which borrow the memory of processes.

use anyhow::{ensure, Result};
use nix::{
    errno::Errno,
    sys::{
        mman::{munmap, MapFlags, ProtFlags},
        signal::Signal,
        wait::WaitStatus,
    },
};
use rust_task::{
    child::{in_child, Child},
    device::{map, Tester},
    ktap::{self, did, fact, Test},
};
use std::{
    fs,
    ptr::NonNull,
    thread,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("a borrowed address space", borrowed),
    ("memory that is not there", not_there),
    ("address spaces of many processes", many),
    ("killed while it is borrowed", killed),
    ("threads started and stopped", started_and_stopped),
];

const PAGE: usize = 4096;
/// How many threads are started and stopped, how many at least, and how many at a time.
const THREADS: u32 = 10_000;
const ENOUGH: u32 = 1000;
const CHUNK: u32 = 250;
const PATIENCE: Duration = Duration::from_secs(40);
const PROCESSES: u64 = 8;

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// Maps a page with a number in it.
fn number(value: u64) -> Result<NonNull<u64>> {
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let at = map(None, PAGE, rights, MapFlags::MAP_PRIVATE)?.cast();
    write(at, value);
    Ok(at)
}

fn read(at: NonNull<u64>) -> u64 {
    // SAFETY: It is on a page that was mapped for this.
    unsafe { at.as_ptr().read_volatile() }
}

fn write(at: NonNull<u64>, value: u64) {
    // SAFETY: As for `read()`.
    unsafe { at.as_ptr().write_volatile(value) }
}

fn borrowed() -> Result<()> {
    let device = Tester::open()?;
    let at = number(1000)?;
    let answer = device.borrow(at.as_ptr() as u64, 100)?;
    fact("a scope", "was done", answer.done, 100);
    fact("a scope", "had another address space", answer.wrong, 0);
    fact(
        "a scope within a scope",
        "is refused with",
        answer.nested,
        -(Errno::EBUSY as i32),
    );
    fact(
        "a scope of a program",
        "is refused with",
        answer.caller,
        -(Errno::EINVAL as i32),
    );
    fact("a thread", "returned", answer.result, 7);
    fact("a number", "is now", read(at), 1100);
    Ok(())
}

fn not_there() -> Result<()> {
    let device = Tester::open()?;
    let at = number(0)?;
    // SAFETY: Nobody looks at it after this.
    unsafe { munmap(at.cast(), PAGE)? };
    for addr in [at.as_ptr() as u64, 0, 1 << 63, u64::MAX - 7] {
        let answer = device.borrow(addr, 3)?;
        ensure!(
            (answer.done, answer.wrong, answer.result) == (0, 0, 7),
            "{answer:?}"
        );
    }
    Ok(())
}

/// Each has another number at the same address.
fn many() -> Result<()> {
    let device = Tester::open()?;
    let at = number(0)?;
    let all: Vec<_> = (1..=PROCESSES)
        .map(|own| {
            Child::start(|| {
                write(at, own << 32);
                for round in 1..=50 {
                    let answer = device.borrow(at.as_ptr() as u64, 4)?;
                    ensure!((answer.done, answer.wrong) == (4, 0), "{answer:?}");
                    let expected = (own << 32) + 4 * round;
                    ensure!(
                        read(at) == expected,
                        "{:x} instead of {expected:x}",
                        read(at)
                    );
                    // A child begins with a copy, and goes on alone.
                    if round % 10 == 0 {
                        in_child(|| {
                            device.borrow(at.as_ptr() as u64, 1)?;
                            ensure!(read(at) == expected + 1);
                            Ok(())
                        })?;
                        ensure!(read(at) == expected);
                    }
                }
                Ok(())
            })
        })
        .collect::<Result<_>>()?;
    for child in all {
        child.join()?;
    }
    ensure!(read(at) == 0, "somebody has changed the memory of another");
    Ok(())
}

fn killed() -> Result<()> {
    let at = number(0)?;
    let device = Tester::open()?;
    for round in 0..20 {
        let child = Child::start(|| loop {
            device.borrow(at.as_ptr() as u64, 1000)?;
        })?;
        thread::sleep(Duration::from_millis(round % 7));
        nix::sys::signal::kill(child.pid(), Signal::SIGKILL)?;
        let end = child.wait()?;
        ensure!(
            matches!(end, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
            "{end:?}"
        );
    }
    ensure!(read(at) == 0);
    no_thread_left("borrow/")
}

/// Waits until no thread of the kernel has a name that begins like this.
fn no_thread_left(name: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        let left = fs::read_dir("/proc")?.flatten().any(|entry| {
            let comm = fs::read_to_string(entry.path().join("comm"));
            comm.is_ok_and(|comm| comm.starts_with(name))
        });
        if !left {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < Duration::from_secs(60),
            "{name} is left over"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

fn started_and_stopped() -> Result<()> {
    let device = Tester::open()?;
    let begin = Instant::now();
    let (mut started, mut ran) = (0, 0);
    // A kernel with all checkers has no time for all.
    while started < THREADS && (started < ENOUGH || begin.elapsed() < PATIENCE) {
        let answer = device.spawn(CHUNK)?;
        ensure!(answer.wrong == 0 && answer.ran >= CHUNK / 2, "{answer:?}");
        // Whether they ran or not.
        ensure!(answer.dropped == CHUNK, "{answer:?}");
        started += CHUNK;
        ran += answer.ran;
    }
    did("threads started", started);
    did("threads that ran", ran);
    no_thread_left("spawn/")
}
