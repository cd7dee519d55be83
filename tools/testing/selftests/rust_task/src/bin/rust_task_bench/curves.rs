// SPDX-License-Identifier: GPL-2.0

//! What depends on how much there is to do, and what operations take in time.

use crate::bench::{ticks, ticks_in_a_nanosecond, Bench, C_FAULTS, KERNEL, PAGE, RUST_FAULTS};
use anyhow::{ensure, Context, Result};
use nix::{
    sched::{clone, CloneFlags},
    sys::{
        mman::{mprotect, munmap, MapFlags, ProtFlags},
        signal::{kill, Signal},
        wait::{waitpid, WaitPidFlag},
    },
    unistd::Pid,
};
use rust_task::device::{map, Device};
use std::{
    fs,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// How often each is measured in time. The middle half and a bit of so many is where the median is,
/// in 97 of 100 cases.
const ROUNDS: usize = 41;
/// How many operations a round has.
const EACH: u32 = 1000;

const AREAS: &[usize] = &[20, 50, 100, 300, 1000, 3000, 10000, 30000, 60000];
const PAGES: &[usize] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// Beside the kernel's own.
const PROCESSES: &[usize] = &[10, 30, 100, 300, 1000, 3000, 10000];

const EACH_PROCESS: &str = "each process, under RCU";
const WALK: &str = "mmap read lock, each area, unlock";
const LOOK_UP: &str = "mmap read lock, vma_lookup(), unlock";
const LOCK_AREA: &str = "lock_vma_under_rcu() and unlock";

fn row(bench: &Bench, wanted: &str) -> Result<u32> {
    let rows = bench.rows()?;
    let row = rows.iter().find(|(_, name)| name == wanted);
    Ok(row.with_context(|| format!("no operation: {wanted}"))?.0)
}

/// The areas of this process.
fn areas_now() -> Result<usize> {
    Ok(fs::read_to_string("/proc/self/maps")?.lines().count())
}

/// Makes areas out of pages of which every other one may be read.
struct Areas {
    at: NonNull<libc::c_void>,
    pages: usize,
    used: usize,
}

impl Areas {
    fn new(most: usize) -> Result<Self> {
        let pages = most + 2;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        let at = map(None, pages * PAGE, ProtFlags::PROT_NONE, flags)?;
        Ok(Self { at, pages, used: 1 })
    }

    fn grow(&mut self, areas: usize) -> Result<()> {
        let mut now = areas_now()?;
        while now + 1 < areas {
            ensure!(self.used + 1 < self.pages, "no pages are left");
            // SAFETY: These are pages of ours, which nobody looks at.
            unsafe {
                let page = self.at.byte_add(self.used * PAGE);
                mprotect(page, PAGE, ProtFlags::PROT_READ)?;
            }
            self.used += 2;
            now += 2;
        }
        Ok(())
    }
}

/// Prints what the walk over all areas takes, and looking for one, as there are more of them.
pub fn areas() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let most = AREAS.iter().max().context("no size")?;
    let mut areas = Areas::new(*most)?;
    let rows = [WALK, LOOK_UP, LOCK_AREA].map(|name| row(&bench, name).map(|row| (name, row)));
    let rows = rows.into_iter().collect::<Result<Vec<_>>>()?;
    for size in AREAS {
        areas.grow(*size)?;
        let there = areas_now()?;
        for (name, row) in &rows {
            let rounds = (100_000 / there as u32).clamp(2, 100);
            let run = bench.run(*row, rounds, true)?.context("it is gone")?;
            let each = |ticks: i64| ticks as f64 / f64::from(rounds);
            println!(
                "# curve\t{name}\t{there}\t{}\t{}",
                each(run.c),
                each(run.rust)
            );
        }
    }
    Ok(())
}

/// Prints what the walk over all processes takes, as there are more of them.
pub fn processes() -> Result<()> {
    fs::write("/proc/sys/kernel/threads-max", "20000")?;
    let bench = Bench::open(KERNEL)?;
    let row = row(&bench, EACH_PROCESS)?;
    let mut made = Vec::new();
    let measured = PROCESSES.iter().try_for_each(|&size| -> Result<()> {
        while made.len() < size {
            made.push(sleeper()?);
        }
        let rounds = (100_000 / size as u32).clamp(2, 100);
        let run = bench.run(row, rounds, true)?.context("it is gone")?;
        let each = |ticks: i64| ticks as f64 / f64::from(rounds);
        println!(
            "# curve\t{EACH_PROCESS}\t{size}\t{}\t{}",
            each(run.c),
            each(run.rust)
        );
        Ok(())
    });
    for pid in made {
        kill(pid, Signal::SIGKILL)?;
        waitpid(pid, Some(WaitPidFlag::__WALL))?;
    }
    measured
}

/// Starts a process that shares the memory of this one, and sleeps.
fn sleeper() -> Result<Pid> {
    // What it needs is a return address.
    let stack = Box::leak(vec![0u8; PAGE].into_boxed_slice());
    let sleep = || loop {
        nix::unistd::pause();
    };
    // SAFETY: It has a stack of its own, and touches nothing else.
    Ok(unsafe { clone(Box::new(sleep), stack, CloneFlags::CLONE_VM, None)? })
}

/// Prints what it takes to touch more and more pages.
pub fn faults() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    for &pages in PAGES {
        let least = |what| -> Result<u64> {
            // The kernel's clock ticks in some rounds.
            let rounds = (0..9).map(|_| bench.touch(what, pages));
            let rounds = rounds.collect::<Result<Vec<_>>>()?;
            rounds.into_iter().min().context("no round")
        };
        let (c, rust) = (least(C_FAULTS)?, least(RUST_FAULTS)?);
        println!("# curve\tpages touched\t{pages}\t{c}\t{rust}");
    }
    Ok(())
}

fn say(name: &str, rate: f64, count: u32, c: f64, rust: f64) {
    let each = |all: f64| all / rate / f64::from(count);
    println!("# time\t{name}\t{}\t{}", each(c), each(rust));
}

/// Prints how long each operation takes.
pub fn operations() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let rows = bench.rows()?;
    let rate = ticks_in_a_nanosecond();
    for _ in 0..ROUNDS {
        for (row, name) in &rows {
            let run = bench.run(*row, EACH, true)?.context("it is gone")?;
            say(name, rate, EACH, run.c as f64, run.rust as f64);
        }
    }
    Ok(())
}

/// The same for two ways to find an area, while other threads map and unmap pages.
pub fn contended() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let rate = ticks_in_a_nanosecond();
    for others in 0..=2 {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..others {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        map_and_unmap();
                    }
                });
            }
            let result = rounds_of_both(&bench, rate, others);
            over.store(true, Ordering::Relaxed);
            result
        })?;
    }
    Ok(())
}

fn map_and_unmap() {
    let flags = MapFlags::MAP_PRIVATE;
    if let Ok(at) = map(None, PAGE, ProtFlags::PROT_READ, flags) {
        // SAFETY: Nobody else knows of this page.
        let _ = unsafe { munmap(at, PAGE) };
    }
}

fn rounds_of_both(bench: &Bench, rate: f64, others: usize) -> Result<()> {
    for name in [LOOK_UP, LOCK_AREA] {
        let row = row(bench, name)?;
        for _ in 0..ROUNDS {
            let run = bench.run(row, EACH, false)?.context("it is gone")?;
            let name = format!("{name}, {others} others");
            say(&name, rate, EACH, run.c as f64, run.rust as f64);
        }
    }
    Ok(())
}

/// Prints how long it takes to touch a page that is not there.
pub fn faults_in_time() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let rate = ticks_in_a_nanosecond();
    const MANY: usize = 512;
    for _ in 0..ROUNDS {
        let c = bench.touch(C_FAULTS, MANY)? as f64;
        let rust = bench.touch(RUST_FAULTS, MANY)? as f64;
        say("a page fault", rate, MANY as u32, c, rust);
    }
    Ok(())
}

/// Prints how long the sample driver takes to tell its facts, and C to tell the same.
pub fn messages() -> Result<()> {
    let (bench, sample) = (Bench::open(KERNEL)?, Device::open()?);
    let rate = ticks_in_a_nanosecond();
    let facts = sample.info()?;
    ensure!(bench.info()?[0] as i32 == facts.pid, "C tells other facts");
    for _ in 0..ROUNDS {
        let c = ticks(|| (0..EACH).for_each(|_| _ = bench.info()));
        let rust = ticks(|| (0..EACH).for_each(|_| _ = sample.info()));
        say(
            "a message of the sample driver",
            rate,
            EACH,
            c as f64,
            rust as f64,
        );
    }
    Ok(())
}
