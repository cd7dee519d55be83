// SPDX-License-Identifier: GPL-2.0

//! Cost as a function of the number of VMAs, thread groups and pages, and cost in time.

use crate::bench::{ticks, ticks_per_nanosecond, Bench, C_FAULTS, KERNEL, PAGE, RUST_FAULTS};
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

/// How often each time is measured. With this number, the middle half of the results contains the
/// median with a probability of about 97 %.
const ROUNDS: usize = 41;
/// The number of operations of a round.
const OPERATIONS: u32 = 1000;

const VMAS: &[usize] = &[20, 50, 100, 300, 1000, 3000, 10000, 30000, 60000];
const PAGES: &[usize] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// In addition to the processes and kthreads of the system.
const PROCESSES: &[usize] = &[10, 30, 100, 300, 1000, 3000, 10000];

const GROUP_WALK: &str = "each thread group: get and put";
const VMA_WALK: &str = "mmap read lock, each VMA, unlock";
const LOOK_UP: &str = "mmap read lock, vma_lookup(), unlock";
const LOCK_VMA: &str = "lock_vma_under_rcu() and unlock";

fn row(bench: &Bench, wanted: &str) -> Result<u32> {
    let rows = bench.rows()?;
    let row = rows.iter().find(|(_, name)| name == wanted);
    Ok(row.with_context(|| format!("no operation: {wanted}"))?.0)
}

/// Returns the number of VMAs of this process.
fn count_vmas() -> Result<usize> {
    Ok(fs::read_to_string("/proc/self/maps")?.lines().count())
}

/// Creates VMAs by making every other page of a mapping readable.
struct VmaRange {
    at: NonNull<libc::c_void>,
    pages: usize,
    used: usize,
}

impl VmaRange {
    fn new(most: usize) -> Result<Self> {
        let pages = most + 2;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        let at = map(None, pages * PAGE, ProtFlags::PROT_NONE, flags)?;
        Ok(Self { at, pages, used: 1 })
    }

    fn grow(&mut self, vmas: usize) -> Result<()> {
        let mut now = count_vmas()?;
        while now + 1 < vmas {
            ensure!(self.used + 1 < self.pages, "no pages are left");
            // SAFETY: The page is within the mapping of `self`, and is not accessed.
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

/// Prints the cost of a walk over all VMAs and of a lookup, for increasing numbers of VMAs.
pub fn vmas() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let most = VMAS.iter().max().context("no size")?;
    let mut vmas = VmaRange::new(*most)?;
    let rows = [VMA_WALK, LOOK_UP, LOCK_VMA].map(|name| row(&bench, name).map(|row| (name, row)));
    let rows = rows.into_iter().collect::<Result<Vec<_>>>()?;
    for size in VMAS {
        vmas.grow(*size)?;
        let count = count_vmas()?;
        for (name, row) in &rows {
            let rounds = (100_000 / count as u32).clamp(2, 100);
            let run = bench
                .run(*row, rounds, true)?
                .context("no such operation")?;
            let each = |ticks: i64| ticks as f64 / f64::from(rounds);
            println!(
                "# curve\t{name}\t{count}\t{}\t{}",
                each(run.c),
                each(run.rust)
            );
        }
    }
    Ok(())
}

/// Prints the cost of a walk over all thread groups, for increasing numbers of them.
pub fn thread_groups() -> Result<()> {
    fs::write("/proc/sys/kernel/threads-max", "20000")?;
    let bench = Bench::open(KERNEL)?;
    let row = row(&bench, GROUP_WALK)?;
    let mut children = Vec::new();
    let measured = PROCESSES.iter().try_for_each(|&size| -> Result<()> {
        while children.len() < size {
            children.push(sleeper()?);
        }
        let rounds = (100_000 / size as u32).clamp(2, 100);
        let run = bench.run(row, rounds, true)?.context("no such operation")?;
        let each = |ticks: i64| ticks as f64 / f64::from(rounds);
        println!(
            "# curve\t{GROUP_WALK}\t{size}\t{}\t{}",
            each(run.c),
            each(run.rust)
        );
        Ok(())
    });
    for pid in children {
        kill(pid, Signal::SIGKILL)?;
        waitpid(pid, Some(WaitPidFlag::__WALL))?;
    }
    measured
}

/// Starts a process that shares the `mm_struct` of this one, and sleeps.
fn sleeper() -> Result<Pid> {
    // The process needs a stack for a few calls.
    let stack = Box::leak(vec![0u8; PAGE].into_boxed_slice());
    let sleep = || loop {
        nix::unistd::pause();
    };
    // SAFETY: The process has its own stack, and accesses no other memory.
    Ok(unsafe { clone(Box::new(sleep), stack, CloneFlags::CLONE_VM, None)? })
}

/// Prints the cost of page faults, for increasing numbers of pages.
pub fn faults() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    for &pages in PAGES {
        let least = |pgoff| -> Result<u64> {
            // Some rounds are interrupted by the timer.
            let rounds = (0..9).map(|_| bench.fault(pgoff, pages));
            let rounds = rounds.collect::<Result<Vec<_>>>()?;
            rounds.into_iter().min().context("no round")
        };
        let (c, rust) = (least(C_FAULTS)?, least(RUST_FAULTS)?);
        println!("# curve\tpage faults\t{pages}\t{c}\t{rust}");
    }
    Ok(())
}

fn print_time(name: &str, rate: f64, count: u32, c: f64, rust: f64) {
    let each = |all: f64| all / rate / f64::from(count);
    println!("# time\t{name}\t{}\t{}", each(c), each(rust));
}

/// Prints the time of each operation.
pub fn operations() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let rows = bench.rows()?;
    let rate = ticks_per_nanosecond();
    for _ in 0..ROUNDS {
        for (row, name) in &rows {
            let run = bench
                .run(*row, OPERATIONS, true)?
                .context("no such operation")?;
            print_time(name, rate, OPERATIONS, run.c as f64, run.rust as f64);
        }
    }
    Ok(())
}

/// Prints the time of two ways to look up a VMA, while other threads map and unmap pages.
pub fn contended() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let rate = ticks_per_nanosecond();
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
        // SAFETY: The page is not accessed.
        let _ = unsafe { munmap(at, PAGE) };
    }
}

fn rounds_of_both(bench: &Bench, rate: f64, others: usize) -> Result<()> {
    for name in [LOOK_UP, LOCK_VMA] {
        let row = row(bench, name)?;
        for _ in 0..ROUNDS {
            let run = bench
                .run(row, OPERATIONS, false)?
                .context("no such operation")?;
            let name = format!("{name}, {others} others");
            print_time(&name, rate, OPERATIONS, run.c as f64, run.rust as f64);
        }
    }
    Ok(())
}

/// Prints the time of a page fault.
pub fn faults_in_time() -> Result<()> {
    let bench = Bench::open(KERNEL)?;
    let rate = ticks_per_nanosecond();
    const COUNT: usize = 512;
    for _ in 0..ROUNDS {
        let c = bench.fault(C_FAULTS, COUNT)? as f64;
        let rust = bench.fault(RUST_FAULTS, COUNT)? as f64;
        print_time("a page fault", rate, COUNT as u32, c, rust);
    }
    Ok(())
}

/// Prints the time of GET_INFO of the sample driver, and of the same ioctl in C.
pub fn ioctls() -> Result<()> {
    let (bench, sample) = (Bench::open(KERNEL)?, Device::open()?);
    let rate = ticks_per_nanosecond();
    let info = sample.info()?;
    ensure!(
        bench.info()?[0] as i32 == info.pid,
        "the C code returns another PID"
    );
    for _ in 0..ROUNDS {
        let c = ticks(|| (0..OPERATIONS).for_each(|_| _ = bench.info()));
        let rust = ticks(|| (0..OPERATIONS).for_each(|_| _ = sample.info()));
        print_time(
            "GET_INFO of the sample driver",
            rate,
            OPERATIONS,
            c as f64,
            rust as f64,
        );
    }
    Ok(())
}
