// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/rust_task_bench`.

use anyhow::Result;
use nix::{
    errno::Errno,
    sys::mman::{munmap, MapFlags, ProtFlags},
};
use rust_task::{
    device,
    ioctl::{self, ior, iowr},
};
use std::{
    fs::{File, OpenOptions},
    thread,
    time::{Duration, Instant},
};

pub const KERNEL: &str = "/dev/rust_task_bench";
pub const MODULE: &str = "/dev/rust_task_bench_module";

pub const PAGE: usize = 4096;
/// Page offsets, as in `lib/rust_task_bench/main.c`.
const DEVICE: i64 = 0;
pub const C_FAULTS: i64 = 1;
pub const RUST_FAULTS: i64 = 2;

/// `struct rust_task_bench_run` of `lib/rust_task_bench/abi.h`.
#[repr(C)]
pub struct Run {
    row: u32,
    rounds: u32,
    irqs_off: u32,
    reserved: u32,
    pub c: i64,
    pub rust: i64,
    name: [u8; 64],
}

const RUN: u32 = iowr::<Run>(0xb9, 1);
const INFO: u32 = ior::<[u32; 8]>(0xb9, 2);

impl Run {
    pub fn name(&self) -> String {
        let name = self.name.split(|byte| *byte == 0).next();
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }
}

pub struct Bench(File);

impl Bench {
    /// Opens the device, and maps the VMAs of its operations.
    pub fn open(path: &str) -> Result<Self> {
        let me = Self(OpenOptions::new().read(true).write(true).open(path)?);
        me.map(DEVICE, 1)?;
        if path == KERNEL {
            me.map(C_FAULTS, 1)?;
            me.map(RUST_FAULTS, 1)?;
        } else if let Err(err) = me.map(C_FAULTS, 1).and_then(|_| me.map(RUST_FAULTS, 1)) {
            // A module built with mainline's files has no fault handlers.
            anyhow::ensure!(err == Errno::EINVAL, err);
        }
        Ok(me)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    fn map(&self, pgoff: i64, pages: usize) -> Result<usize, Errno> {
        let prot = ProtFlags::PROT_READ;
        let offset = pgoff * PAGE as i64;
        let at = device::map_file(&self.0, offset, pages * PAGE, prot, MapFlags::MAP_SHARED)?;
        Ok(at.as_ptr() as usize)
    }

    /// Runs operation `row`, with interrupts disabled if `irqs_off`. Returns `None` if there is no
    /// such operation.
    pub fn run(&self, row: u32, rounds: u32, irqs_off: bool) -> Result<Option<Run>> {
        let mut run = Run {
            row,
            rounds,
            irqs_off: irqs_off.into(),
            reserved: 0,
            c: 0,
            rust: 0,
            name: [0; 64],
        };
        match ioctl::exchange(&self.0, RUN, &mut run) {
            Ok(()) => Ok(Some(run)),
            Err(Errno::ENOENT) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    /// Returns all operations with their indices.
    pub fn rows(&self) -> Result<Vec<(u32, String)>> {
        let mut all = Vec::new();
        while let Some(run) = self.run(all.len() as u32, 1, true)? {
            all.push((all.len() as u32, run.name()));
        }
        Ok(all)
    }

    /// Returns the information that GET_INFO of the sample driver returns, from C code.
    pub fn info(&self) -> Result<[u32; 8]> {
        Ok(ioctl::ask(&self.0, INFO, [0; 8])?)
    }

    /// Maps pages, accesses each of them, and returns the ticks of the accesses.
    pub fn fault(&self, pgoff: i64, pages: usize) -> Result<u64> {
        let at = self.map(pgoff, pages)?;
        let taken = ticks(|| {
            for page in 0..pages {
                // SAFETY: The page is mapped for reading.
                unsafe { ((at + page * PAGE) as *const u8).read_volatile() };
            }
        });
        let at = std::ptr::NonNull::new(at as *mut _).ok_or(Errno::EFAULT)?;
        // SAFETY: The pages are only accessed in this function.
        unsafe { munmap(at, pages * PAGE)? };
        Ok(taken)
    }
}

/// Returns the ticks that `work` takes. No other clock of the guest has this resolution.
pub fn ticks(work: impl FnOnce()) -> u64 {
    let begin = counter();
    work();
    counter() - begin
}

/// Reads the counter that `lib/rust_task_bench/counter.h` reads.
#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: All x86-64 CPUs support these instructions.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

#[cfg(target_arch = "aarch64")]
fn counter() -> u64 {
    let ticks;
    // SAFETY: The driver, which is open, has enabled this register for userspace.
    unsafe {
        std::arch::asm!("isb", "mrs {}, pmccntr_el0", "isb", out(reg) ticks, options(nostack));
    }
    ticks
}

/// Returns the number of ticks per nanosecond.
pub fn ticks_per_nanosecond() -> f64 {
    let begin = Instant::now();
    let ticks = ticks(|| thread::sleep(Duration::from_secs(1)));
    ticks as f64 / begin.elapsed().as_nanos() as f64
}
