// SPDX-License-Identifier: GPL-2.0

//! Pins pages by the driver `test_rust_gup`, and compares it with the kernel's `GUP_TEST`.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    mount::{mount, umount, MsFlags},
    sys::{
        mman::{mmap_anonymous, mprotect, munmap, MapFlags, ProtFlags},
        resource::{setrlimit, Resource},
    },
    unistd::{setuid, Uid},
};
use rust_task::{
    child::Child,
    ioctl,
    ktap::{self, did, Test},
};
use std::{
    fs::{self, File, OpenOptions},
    num::NonZeroUsize,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    ptr::NonNull,
    thread::sleep,
    time::{Duration, Instant},
};

#[path = "../../../../../../lib/test_rust_gup_abi.rs"]
mod abi;

const TESTS: &[Test] = &[
    ("gup_test of the kernel's selftests", gup_test),
    ("gup_longterm of the kernel's selftests", || {
        compare("gup_longterm", &[], 4)
    }),
    ("cow of the kernel's selftests", || compare("cow", &[], 20)),
    ("pages that are written and read", contents),
    ("pages that are unmapped", unmapped),
    ("pages that must not be written", read_only),
    ("pages that are not mapped", holes),
    ("unpinned where the task may not sleep", atomic),
    ("RLIMIT_MEMLOCK", || limit(0)),
    ("RLIMIT_MEMLOCK and locked_vm", || limit(abi::USE_LOCKED_VM)),
];

const PAGE: usize = 4096;
const OURS: &str = "/dev/test_rust_gup";
const C: &str = "/sys/kernel/debug/gup_test";
const DIR: &str = "/gup";
/// The combinations of flags.
const EACH: [u32; 4] = [
    0,
    abi::USE_FAST,
    abi::USE_WRITE,
    abi::USE_WRITE | abi::USE_FAST,
];
/// A limit for what should take no time.
const SOON: Duration = Duration::from_secs(5);

const START: u32 = ioctl::iow::<abi::LongtermTest>(abi::MAGIC, abi::PIN_LONGTERM_TEST_START);
const STOP: u32 = ioctl::io(abi::MAGIC, abi::PIN_LONGTERM_TEST_STOP);
const READ: u32 = ioctl::iow::<u64>(abi::MAGIC, abi::PIN_LONGTERM_TEST_READ);
const WRITE: u32 = ioctl::iow::<u64>(abi::MAGIC, abi::WRITE);
const STOP_ATOMIC: u32 = ioctl::io(abi::MAGIC, abi::STOP_ATOMIC);

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// Runs a program of the kernel's selftests, and returns its results.
fn run(program: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let path = Path::new(DIR).join(program);
    let output = Command::new(&path).args(arguments).output();
    let output = output.with_context(|| path.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let results = text.lines().filter(|line| {
        ["ok", "not ok", "1.."]
            .iter()
            .any(|start| line.starts_with(start))
    });
    Ok(results.map(str::to_owned).collect())
}

/// Runs a program on the driver in C, if the kernel has it, and then on ours, and checks that the
/// results are equal, and that at least `least` tests passed.
fn compare(program: &str, arguments: &[&str], least: usize) -> Result<()> {
    if !Path::new(C).exists() {
        did("left out, as the kernel has no GUP_TEST", 1);
        return Ok(());
    }
    let c = run(program, arguments)?;
    // The program has a fixed path.
    mount(Some(OURS), C, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let ours = run(program, arguments);
    umount(C)?;
    let ours = ours?;
    let different = c.iter().zip(&ours).find(|(c, ours)| c != ours);
    ensure!(
        different.is_none() && c.len() == ours.len(),
        "{arguments:?}: C and ours: {different:?}, {} and {} lines",
        c.len(),
        ours.len()
    );
    let passed = ours.iter().filter(|line| line.starts_with("ok"));
    let passed = passed.filter(|line| !line.contains("SKIP")).count();
    ensure!(
        passed >= least,
        "{arguments:?}: only {passed} passed: {ours:#?}"
    );
    did("tests that passed", passed);
    Ok(())
}

fn gup_test() -> Result<()> {
    for mode in ["-a", "-b", "-L"] {
        for access in ["-w", "-W"] {
            // 4 MiB, 16 pages for each call.
            compare(
                "gup_test",
                &[mode, access, "-m", "4", "-n", "16", "-r", "2"],
                1,
            )?;
        }
    }
    Ok(())
}

/// Anonymous memory of this process.
struct Memory {
    at: NonNull<u8>,
    pages: usize,
}

impl Memory {
    fn new(pages: usize) -> Result<Self> {
        let len = NonZeroUsize::new(pages * PAGE).context("no page")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: A new mapping concerns no other memory.
        let at = unsafe { mmap_anonymous(None, len, prot, MapFlags::MAP_PRIVATE)? };
        Ok(Self {
            at: at.cast(),
            pages,
        })
    }

    fn addr(&self, page: usize) -> u64 {
        self.at.as_ptr() as u64 + (page * PAGE) as u64
    }

    /// Fills each page with its own byte.
    fn fill(&self, first: u8) {
        for page in 0..self.pages {
            // SAFETY: The page is mapped, and nothing has a reference to it.
            unsafe { (self.addr(page) as *mut u8).write_bytes(first + page as u8, PAGE) };
        }
    }

    /// Returns the first and the last byte of a page.
    fn ends(&self, page: usize) -> (u8, u8) {
        let at = self.addr(page) as *const u8;
        // SAFETY: The page is mapped. The driver may write to it.
        unsafe { (at.read_volatile(), at.add(PAGE - 1).read_volatile()) }
    }

    fn protect(&self, prot: ProtFlags) -> Result<()> {
        // SAFETY: The callers only do with the pages what they still may.
        unsafe { mprotect(self.at.cast(), self.pages * PAGE, prot)? };
        Ok(())
    }

    fn unmap(&self, page: usize, pages: usize) -> Result<()> {
        let at = NonNull::new(self.addr(page) as *mut _).context("null")?;
        // SAFETY: The callers do not use these pages after this.
        unsafe { munmap(at, pages * PAGE)? };
        Ok(())
    }
}

fn open() -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(OURS);
    file.context(OURS)
}

/// Pins pages of `memory`.
fn pin(file: &File, memory: &Memory, flags: u32) -> Result<(), Errno> {
    let mut request = abi::LongtermTest {
        addr: memory.addr(0),
        size: (memory.pages * PAGE) as u64,
        flags,
        ..Default::default()
    };
    ioctl::exchange(file, START, &mut request)
}

/// Copies all pinned pages to a buffer, or from it.
fn copy(file: &File, command: u32, buffer: &mut [u8]) -> Result<(), Errno> {
    ioctl::exchange(file, command, &mut (buffer.as_mut_ptr() as u64))
}

/// Returns the KiB that this process is charged for, in `pinned_vm`, and in `locked_vm`.
fn charges() -> Result<(usize, usize)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name| -> Result<usize> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context(name)?.parse()?)
    };
    Ok((field("VmPin:")?, field("VmLck:")?))
}

/// Returns the sum of both.
fn charged() -> Result<usize> {
    let (pinned, locked) = charges()?;
    Ok(pinned + locked)
}

/// Returns how many pins there are in the kernel.
fn pins() -> Result<i64> {
    // Without this, some are in counters of the CPUs.
    fs::write("/proc/sys/vm/stat_refresh", "1")?;
    let vmstat = fs::read_to_string("/proc/vmstat")?;
    let value = |name: &str| -> Result<i64> {
        let line = vmstat.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.context("no such line")?.trim().parse()?)
    };
    Ok(value("nr_foll_pin_acquired ")? - value("nr_foll_pin_released ")?)
}

/// Checks that nothing is pinned nor charged after `f`.
fn balanced(f: impl Fn() -> Result<()>) -> Result<()> {
    let before = pins()?;
    f()?;
    let (after, charged) = (pins()?, charged()?);
    ensure!(after == before, "{} pins are left", after - before);
    ensure!(charged == 0, "{charged} KiB are left");
    Ok(())
}

/// Returns whether a page of this process is marked as dirty, in the kernel's `struct page`.
fn is_dirty(addr: u64) -> Result<bool> {
    const PFN: u64 = (1 << 55) - 1;
    const DIRTY: u64 = 1 << 4;
    let entry = |path: &str, index: u64| -> Result<u64> {
        let mut bytes = [0; 8];
        let file = File::open(path).context(path.to_owned())?;
        file.read_exact_at(&mut bytes, index * 8)?;
        Ok(u64::from_ne_bytes(bytes))
    };
    let pfn = entry("/proc/self/pagemap", addr / PAGE as u64)? & PFN;
    Ok(entry("/proc/kpageflags", pfn)? & DIRTY != 0)
}

fn contents() -> Result<()> {
    const PAGES: usize = 5;
    for flags in EACH {
        balanced(|| {
            let (file, memory) = (open()?, Memory::new(PAGES)?);
            memory.fill(1);
            let before = pins()?;
            pin(&file, &memory, flags)?;
            ensure!(
                pins()? - before == PAGES as i64,
                "{} pins",
                pins()? - before
            );
            let kib = charged()?;
            ensure!(kib == PAGES * PAGE / 1024, "{kib} KiB are charged");
            let again = pin(&file, &memory, flags);
            ensure!(again == Err(Errno::EINVAL), "pinned again: {again:?}");

            // What the process writes can be read through the pages.
            memory.fill(10);
            let mut bytes = vec![0; PAGES * PAGE];
            copy(&file, READ, &mut bytes)?;
            let expected = (0..PAGES).flat_map(|page| [10 + page as u8; PAGE]);
            ensure!(bytes.iter().copied().eq(expected), "other bytes are read");

            // What is written there can be read by the process.
            bytes.fill(77);
            let written = copy(&file, WRITE, &mut bytes);
            if flags & abi::USE_WRITE == 0 {
                ensure!(written == Err(Errno::EPERM), "written: {written:?}");
            } else {
                written?;
                for page in 0..PAGES {
                    ensure!(memory.ends(page) == (77, 77), "{:?}", memory.ends(page));
                }
            }
            ensure!(!is_dirty(memory.addr(0))?, "a page is dirty before");
            ioctl::call(&file, STOP, 0)?;
            let is_dirty = is_dirty(memory.addr(0))?;
            let is_write = flags & abi::USE_WRITE != 0;
            ensure!(is_dirty == is_write, "a page is dirty: {is_dirty}");
            let stopped = copy(&file, READ, &mut bytes);
            ensure!(stopped == Err(Errno::EINVAL), "read later: {stopped:?}");
            memory.unmap(0, PAGES)
        })?;
    }
    Ok(())
}

fn unmapped() -> Result<()> {
    balanced(|| {
        let (file, memory) = (open()?, Memory::new(3)?);
        memory.fill(1);
        pin(&file, &memory, abi::USE_WRITE)?;
        memory.unmap(0, 3)?;
        // A page that the allocator has given to another user would have other bytes.
        let other = Memory::new(512)?;
        other.fill(0);
        let mut bytes = vec![0; 3 * PAGE];
        copy(&file, READ, &mut bytes)?;
        let expected = (0..3).flat_map(|page| [1 + page as u8; PAGE]);
        ensure!(bytes.iter().copied().eq(expected), "other bytes are read");
        other.unmap(0, 512)
        // The file is closed.
    })
}

fn read_only() -> Result<()> {
    for flags in EACH {
        balanced(|| {
            let (file, memory) = (open()?, Memory::new(2)?);
            memory.fill(1);
            memory.protect(ProtFlags::PROT_READ)?;
            let pinned = pin(&file, &memory, flags);
            let expected = match flags & abi::USE_WRITE {
                0 => Ok(()),
                _ => Err(Errno::EFAULT),
            };
            ensure!(pinned == expected, "pinned: {pinned:?}");
            drop(file);
            memory.unmap(0, 2)
        })?;
    }
    Ok(())
}

fn holes() -> Result<()> {
    for flags in EACH {
        balanced(|| {
            let (file, memory) = (open()?, Memory::new(8)?);
            memory.fill(1);
            memory.unmap(5, 1)?;
            let pinned = pin(&file, &memory, flags);
            ensure!(pinned == Err(Errno::EFAULT), "pinned: {pinned:?}");
            memory.unmap(0, 8)
        })?;
    }
    Ok(())
}

fn atomic() -> Result<()> {
    for flags in [abi::USE_WRITE, abi::USE_WRITE | abi::USE_LOCKED_VM] {
        let before = pins()?;
        let (file, memory) = (open()?, Memory::new(6)?);
        memory.fill(1);
        pin(&file, &memory, flags)?;
        ioctl::call(&file, STOP_ATOMIC, 0)?;
        let begin = Instant::now();
        while pins()? != before || charged()? != 0 {
            ensure!(
                begin.elapsed() < SOON,
                "{} pins, {} KiB",
                pins()? - before,
                charged()?
            );
            sleep(Duration::from_millis(10));
        }
        memory.unmap(0, 6)?;
    }
    Ok(())
}

/// `accounting` is a flag.
fn limit(accounting: u32) -> Result<()> {
    const LIMIT: usize = 4;
    let before = pins()?;
    Child::start(|| {
        // The user of the limit cannot open the driver.
        let (file, other) = (open()?, open()?);
        let limit = (LIMIT * PAGE) as u64;
        setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit)?;
        let (some, more) = (Memory::new(LIMIT)?, Memory::new(LIMIT + 1)?);
        some.fill(1);
        more.fill(1);
        // With CAP_IPC_LOCK.
        pin(&file, &more, abi::USE_WRITE | accounting)?;
        let kib = (LIMIT + 1) * PAGE / 1024;
        let expected = match accounting {
            0 => (kib, 0),
            _ => (0, kib),
        };
        ensure!(charges()? == expected, "{:?} are charged", charges()?);
        ioctl::call(&file, STOP, 0)?;

        setuid(Uid::from_raw(1000))?;
        for flags in [abi::USE_WRITE, abi::USE_WRITE | abi::USE_FAST] {
            let flags = flags | accounting;
            let pinned = pin(&file, &more, flags);
            ensure!(pinned == Err(Errno::ENOMEM), "pinned more: {pinned:?}");
            ensure!(charged()? == 0, "{} KiB are charged", charged()?);
            pin(&file, &some, flags)?;
            // The same pages again.
            let pinned = pin(&other, &some, flags);
            ensure!(pinned == Err(Errno::ENOMEM), "pinned twice: {pinned:?}");
            let kib = charged()?;
            ensure!(kib == LIMIT * PAGE / 1024, "{kib} KiB are charged");
            ioctl::call(&file, STOP, 0)?;
            ensure!(charged()? == 0, "{} KiB are left", charged()?);
        }
        // The pages are unpinned when the process has exited.
        pin(&file, &some, abi::USE_WRITE | accounting)?;
        Ok(())
    })?
    .join()?;
    let left = pins()? - before;
    ensure!(left == 0, "{left} pins are left");
    Ok(())
}
