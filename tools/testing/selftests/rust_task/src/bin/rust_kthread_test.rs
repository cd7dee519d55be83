// SPDX-License-Identifier: GPL-2.0

//! Has `/dev/test_rust_task` start kthreads, which use the `mm_struct` of processes.

use anyhow::{ensure, Result};
use nix::{
    errno::Errno,
    sys::{
        mman::{munmap, MapFlags, ProtFlags},
        signal::Signal,
        wait::WaitStatus,
    },
    unistd::{seteuid, Uid},
};
use rust_task::{
    child::{in_child, wait_for, Child},
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
    ("kthread_use_mm()", use_mm),
    ("kthread_use_mm(), unmapped addresses", unmapped),
    ("kthread_use_mm() of several processes", several),
    ("process killed during kthread_use_mm()", killed),
    ("kthreads started and stopped", started_and_stopped),
];

const PAGE: usize = 4096;
/// How many kthreads are started and stopped, the minimum if the kernel is slow, and the number of
/// one call.
const THREADS: u32 = 10_000;
const MIN_THREADS: u32 = 1000;
const CHUNK: u32 = 250;
const TIMEOUT: Duration = Duration::from_secs(40);
const PROCESSES: u64 = 8;

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// Maps a page that starts with a `u64`.
fn map_value(value: u64) -> Result<NonNull<u64>> {
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let at = map(None, PAGE, prot, MapFlags::MAP_PRIVATE)?.cast();
    write(at, value);
    Ok(at)
}

fn read(at: NonNull<u64>) -> u64 {
    // SAFETY: The callers pass the address of a mapped page. The read is volatile, as a kthread may
    // write.
    unsafe { at.as_ptr().read_volatile() }
}

fn write(at: NonNull<u64>, value: u64) {
    // SAFETY: The callers pass the address of a mapped, writable page.
    unsafe { at.as_ptr().write_volatile(value) }
}

fn use_mm() -> Result<()> {
    let device = Tester::open()?;
    let at = map_value(1000)?;
    let answer = device.use_mm(at.as_ptr() as u64, 100)?;
    fact("kthread_use_mm()", "calls", answer.done, 100);
    fact("kthread_use_mm()", "wrong mm or EUID", answer.wrong, 0);
    fact(
        "nested kthread_use_mm()",
        "error",
        answer.nested,
        -(Errno::EBUSY as i32),
    );
    fact(
        "kthread_use_mm() by a user task",
        "error",
        answer.caller,
        -(Errno::EINVAL as i32),
    );
    fact("kthread", "return value", answer.result, 7);
    fact("memory of the process", "value", read(at), 1100);

    // The memory is that of the caller, but not the credentials.
    in_child(|| {
        seteuid(Uid::from_raw(2000))?;
        let answer = device.use_mm(at.as_ptr() as u64, 1)?;
        fact("caller with another EUID", "calls", answer.done, 1);
        fact(
            "caller with another EUID",
            "wrong mm or EUID",
            answer.wrong,
            0,
        );
        Ok(())
    })
}

fn unmapped() -> Result<()> {
    let device = Tester::open()?;
    let at = map_value(0)?;
    // SAFETY: The page is not accessed after this.
    unsafe { munmap(at.cast(), PAGE)? };
    for addr in [at.as_ptr() as u64, 0, 1 << 63, u64::MAX - 7] {
        let answer = device.use_mm(addr, 3)?;
        ensure!(
            (answer.done, answer.wrong, answer.result) == (0, 0, 7),
            "{answer:?}"
        );
    }
    Ok(())
}

/// Each process has another value at the same address.
fn several() -> Result<()> {
    let device = Tester::open()?;
    let at = map_value(0)?;
    let all: Vec<_> = (1..=PROCESSES)
        .map(|own| {
            Child::start(|| {
                write(at, own << 32);
                for round in 1..=50 {
                    let answer = device.use_mm(at.as_ptr() as u64, 4)?;
                    ensure!((answer.done, answer.wrong) == (4, 0), "{answer:?}");
                    let expected = (own << 32) + 4 * round;
                    ensure!(
                        read(at) == expected,
                        "{:x} instead of {expected:x}",
                        read(at)
                    );
                    // A child has a copy, which changes independently.
                    if round % 10 == 0 {
                        in_child(|| {
                            device.use_mm(at.as_ptr() as u64, 1)?;
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
    ensure!(read(at) == 0, "the memory of this process was changed");
    Ok(())
}

fn killed() -> Result<()> {
    let at = map_value(0)?;
    let device = Tester::open()?;
    for round in 0..20 {
        let child = Child::start(|| loop {
            device.use_mm(at.as_ptr() as u64, 1000)?;
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
    wait_for_exit("use_mm/")
}

/// Waits until no kthread has a name with this prefix.
fn wait_for_exit(name: &str) -> Result<()> {
    wait_for(&format!("a kthread {name} still exists"), || {
        Ok(!fs::read_dir("/proc")?.flatten().any(|entry| {
            let comm = fs::read_to_string(entry.path().join("comm"));
            comm.is_ok_and(|comm| comm.starts_with(name))
        }))
    })
}

fn started_and_stopped() -> Result<()> {
    let device = Tester::open()?;
    let begin = Instant::now();
    let (mut started, mut ran) = (0, 0);
    // A kernel with all checkers is too slow for all of them.
    while started < THREADS && (started < MIN_THREADS || begin.elapsed() < TIMEOUT) {
        let answer = device.spawn(CHUNK)?;
        ensure!(answer.wrong == 0 && answer.ran >= CHUNK / 2, "{answer:?}");
        // Each closure is dropped, whether it has run or not.
        ensure!(answer.dropped == CHUNK, "{answer:?}");
        started += CHUNK;
        ran += answer.ran;
    }
    did("kthreads started", started);
    did("kthreads that ran", ran);
    wait_for_exit("spawn/")
}
