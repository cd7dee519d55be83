// SPDX-License-Identifier: GPL-2.0

//! Pins pages by the driver `test_rust_gup`, and compares it with the kernel's `GUP_TEST`.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    mount::{mount, umount, MsFlags},
    sys::{
        mman::{mlock, ProtFlags},
        resource::{setrlimit, Resource},
        wait::WaitStatus,
    },
    unistd::{dup2, execv, pause, setuid, Pid, Uid},
};
use rust_task::{
    child::{wait_for, Child},
    ktap::{self, did, left_out, Test},
    memory::{Memory, PAGE},
    procfs::{entry, pfn},
    remote::{gup_abi as abi, pidfd_open, Gup},
    userfaultfd,
};
use std::{
    fs::{self, File},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    thread::{available_parallelism, scope, sleep},
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("gup_test of the kernel's selftests", gup_test),
    ("gup_longterm of the kernel's selftests", || {
        compare("gup_longterm", &[], 4)
    }),
    ("cow of the kernel's selftests", || compare("cow", &[], 20)),
    ("pages that are written and read", || contents(0)),
    ("pages that are mapped in the kernel", || {
        contents(abi::USE_VMAP)
    }),
    ("a word that the process changes, too", words),
    ("pages that are unmapped", unmapped),
    ("pages that must not be written", read_only),
    ("pages that are not mapped", holes),
    ("pages that are mapped for DMA", dma),
    ("unpinned where the task may not sleep", atomic),
    ("RLIMIT_MEMLOCK", || limit(0)),
    ("RLIMIT_MEMLOCK and locked_vm", || limit(abi::USE_LOCKED_VM)),
    ("locked_vm of other memory", charge),
    ("figures of a process, and its program", usage),
    ("page faults that release the mmap lock", served),
    ("mappings that the driver makes", mappings),
    ("mappings during execve()", in_exec),
];

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

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// What a program of the kernel's selftests has printed.
struct Output {
    results: Vec<String>,
    /// The microseconds of the pins and of the drops, if the program measures them.
    times: Option<(u64, u64)>,
}

/// Runs a program of the kernel's selftests.
fn run(program: &str, arguments: &[&str]) -> Result<Output> {
    let path = Path::new(DIR).join(program);
    let output = Command::new(&path).args(arguments).output();
    let output = output.with_context(|| path.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let results = text.lines().filter(|line| {
        ["ok", "not ok", "1.."]
            .iter()
            .any(|start| line.starts_with(start))
    });
    Ok(Output {
        results: results.map(str::to_owned).collect(),
        // Those of the last round, in which the caches are warm.
        times: text.lines().filter_map(times).next_back(),
    })
}

/// Parses the line of `gup_test` with the times of a round.
fn times(line: &str) -> Option<(u64, u64)> {
    let (_, times) = line.split_once(": Time: get:")?;
    let (get, times) = times.split_once(" put:")?;
    // gup_test ends the line by another ksft_print_msg(), which prints "# " before.
    let (put, _) = times.split_once(" us")?;
    Some((get.parse().ok()?, put.parse().ok()?))
}

/// Runs a program on the driver in C, if the kernel has it, and then on ours, and checks that the
/// results are equal, and that at least `least` tests passed.
fn compare(program: &str, arguments: &[&str], least: usize) -> Result<()> {
    if !Path::new(C).exists() {
        return left_out("GUP_TEST");
    }
    let c = run(program, arguments)?;
    // The program has a fixed path.
    mount(Some(OURS), C, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let ours = run(program, arguments);
    umount(C)?;
    let ours = ours?;
    for (whose, times) in [("C", c.times), ("Rust", ours.times)] {
        if let Some((get, put)) = times {
            let call = arguments.join(" ");
            did(&format!("{program} {call}, us of the pins in {whose}"), get);
            did(
                &format!("{program} {call}, us of the drops in {whose}"),
                put,
            );
        }
        // PIN_BASIC_TEST is not measured.
        let is_timed = program == "gup_test" && !arguments.contains(&"-b");
        ensure!(
            times.is_some() == is_timed,
            "{program} {arguments:?}: {times:?}"
        );
    }
    let (c, ours) = (c.results, ours.results);
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
    // 4 MiB. Ours makes one short pin of all pages, so that C makes one, too.
    for (mode, pages_per_call) in [("-a", "1024"), ("-b", "1024"), ("-L", "16")] {
        for access in ["-w", "-W"] {
            let call = [mode, access, "-m", "4", "-n", pages_per_call, "-r", "2"];
            compare("gup_test", &call, 1)?;
        }
    }
    Ok(())
}

/// Pins pages of `memory`.
fn pin(gup: &Gup, memory: &Memory, flags: u32) -> Result<(), Errno> {
    gup.pin(memory.addr(0), memory.pages * PAGE, flags)
}

/// Returns fields of `/proc/<process>/status`, in KiB.
fn status<const N: usize>(process: &str, names: [&'static str; N]) -> Result<[usize; N]> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let mut fields = [0; N];
    for (field, name) in fields.iter_mut().zip(names) {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        *field = number.context(name)?.parse()?;
    }
    Ok(fields)
}

/// Returns the KiB that this process is charged for, in `pinned_vm`, and in `locked_vm`.
fn charges() -> Result<(usize, usize)> {
    let [pinned, locked] = status("self", ["VmPin:", "VmLck:"])?;
    Ok((pinned, locked))
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
fn is_dirty(addr: usize) -> Result<bool> {
    const DIRTY: u64 = 1 << 4;
    let pfn = pfn(addr)?.context("the page is not present")?;
    Ok(entry("/proc/kpageflags", pfn)? & DIRTY != 0)
}

/// Returns how many mappings by `vmap()` there are in the kernel.
fn vmaps() -> Result<usize> {
    let text = fs::read_to_string("/proc/vmallocinfo")?;
    Ok(text
        .lines()
        .filter(|line| line.split_whitespace().any(|word| word == "vmap"))
        .count())
}

/// `vmap` is a flag.
fn contents(vmap: u32) -> Result<()> {
    const PAGES: usize = 5;
    for flags in EACH.map(|flags| flags | vmap) {
        let mapped = vmaps()?;
        balanced(|| {
            let (gup, memory) = (Gup::open()?, Memory::new(PAGES)?);
            memory.fill(1);
            let before = pins()?;
            pin(&gup, &memory, flags)?;
            ensure!(
                pins()? - before == PAGES as i64,
                "{} pins",
                pins()? - before
            );
            let kib = charged()?;
            ensure!(kib == PAGES * PAGE / 1024, "{kib} KiB are charged");
            let expected = mapped + usize::from(vmap != 0);
            ensure!(vmaps()? == expected, "{} mappings", vmaps()?);
            let again = pin(&gup, &memory, flags);
            ensure!(again == Err(Errno::EINVAL), "pinned again: {again:?}");

            // What the process writes can be read through the pages.
            memory.fill(10);
            let mut bytes = vec![0; PAGES * PAGE];
            gup.read(&mut bytes)?;
            let expected = (0..PAGES).flat_map(|page| [10 + page as u8; PAGE]);
            ensure!(bytes.iter().copied().eq(expected), "other bytes are read");

            // What is written there can be read by the process.
            bytes.fill(77);
            let written = gup.write(&bytes);
            if flags & abi::USE_WRITE == 0 {
                ensure!(written == Err(Errno::EPERM), "written: {written:?}");
            } else {
                written?;
                for page in 0..PAGES {
                    ensure!(memory.ends(page) == (77, 77), "{:?}", memory.ends(page));
                }
            }
            ensure!(!is_dirty(memory.addr(0))?, "a page is dirty before");
            gup.unpin()?;
            let is_dirty = is_dirty(memory.addr(0))?;
            let is_write = flags & abi::USE_WRITE != 0;
            ensure!(is_dirty == is_write, "a page is dirty: {is_dirty}");
            ensure!(vmaps()? == mapped, "{} mappings are left", vmaps()?);
            let stopped = gup.read(&mut bytes);
            ensure!(stopped == Err(Errno::EINVAL), "read later: {stopped:?}");
            memory.unmap(0, PAGES)
        })?;
    }
    Ok(())
}

fn words() -> Result<()> {
    const TIMES: u64 = 20_000;
    const LAST: usize = 2 * PAGE;
    balanced(|| {
        let (gup, memory) = (Gup::open()?, Memory::new(2)?);
        memory.fill(0);
        pin(&gup, &memory, abi::USE_WRITE)?;
        let added = gup.add(0, 1, 4);
        ensure!(added == Err(Errno::EINVAL), "not mapped: {added:?}");
        gup.unpin()?;
        pin(&gup, &memory, abi::USE_WRITE | abi::USE_VMAP)?;
        for (offset, bytes) in [(2, 4), (LAST - 2, 4), (LAST, 4), (4, 8), (LAST - 4, 8)] {
            let added = gup.add(offset, 1, bytes);
            ensure!(
                added == Err(Errno::EINVAL),
                "{bytes} at {offset}: {added:?}"
            );
        }
        // The first word of the second page, and the last of all.
        for (offset, bytes) in [(PAGE, 8), (LAST - 4, 4)] {
            let word = memory.addr(0) + offset;
            // SAFETY: The word is mapped, and is accessed as an atomic one only.
            let add = |value: u64| unsafe {
                match bytes {
                    4 => u64::from(
                        AtomicU32::from_ptr(word as *mut u32).fetch_add(value as u32, Relaxed),
                    ),
                    _ => AtomicU64::from_ptr(word as *mut u64).fetch_add(value, Relaxed),
                }
            };
            let start = add(0);
            scope(|scope| {
                scope.spawn(|| (0..TIMES).for_each(|_| _ = add(1)));
                (0..TIMES).try_for_each(|_| gup.add(offset, 1, bytes).map(drop))
            })?;
            let sum = add(0) - start;
            ensure!(sum == 2 * TIMES, "{sum} instead of {}", 2 * TIMES);
        }
        gup.unpin()?;
        memory.unmap(0, 2)
    })
}

fn charge() -> Result<()> {
    const LIMIT: usize = 4;
    let kib = |pages: usize| pages * PAGE / 1024;
    let gup = Gup::open()?;
    // The charge stays when the process has exited, and is removed from its address space.
    Child::start(|| {
        let limit = (LIMIT * PAGE) as u64;
        setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit)?;
        // With CAP_IPC_LOCK.
        gup.charge(LIMIT as u64 + 1)?;
        ensure!(charges()? == (0, kib(LIMIT + 1)), "{:?}", charges()?);
        for pages in [u64::MAX, u64::MAX / 2 + 1] {
            let result = gup.charge(pages);
            ensure!(result == Err(Errno::ENOMEM), "{pages}: {result:?}");
            ensure!(charges()? == (0, 0), "{:?}", charges()?);
        }
        setuid(Uid::from_raw(1000))?;
        let result = gup.charge(LIMIT as u64 + 1);
        ensure!(result == Err(Errno::ENOMEM), "{result:?}");
        // With memory that the process locks.
        let memory = Memory::new(1)?;
        memory.fill(1);
        // SAFETY: This does not change the memory.
        unsafe { mlock(memory.at(0), PAGE)? };
        let result = gup.charge(LIMIT as u64);
        ensure!(result == Err(Errno::ENOMEM), "{result:?}");
        ensure!(charges()? == (0, kib(1)), "{:?}", charges()?);
        gup.charge(LIMIT as u64 - 1)?;
        ensure!(charges()? == (0, kib(LIMIT)), "{:?}", charges()?);
        memory.unmap(0, 1)?;
        ensure!(charges()? == (0, kib(LIMIT - 1)), "{:?}", charges()?);
        gup.unpin_atomic()?;
        let begin = Instant::now();
        while charged()? != 0 {
            ensure!(begin.elapsed() < SOON, "{} KiB are left", charged()?);
            sleep(Duration::from_millis(10));
        }
        gup.charge(2)?;
        ensure!(charges()? == (0, kib(2)), "{:?}", charges()?);
        Ok(())
    })?
    .join()?;
    gup.charge(1)?;
    ensure!(charges()? == (0, kib(1)), "{:?}", charges()?);
    drop(gup);
    ensure!(charges()? == (0, 0), "{:?}", charges()?);
    Ok(())
}

fn unmapped() -> Result<()> {
    for flags in [abi::USE_WRITE, abi::USE_WRITE | abi::USE_VMAP] {
        unmapped_with(flags)?;
    }
    Ok(())
}

fn unmapped_with(flags: u32) -> Result<()> {
    balanced(|| {
        let (gup, memory) = (Gup::open()?, Memory::new(3)?);
        memory.fill(1);
        pin(&gup, &memory, flags)?;
        memory.unmap(0, 3)?;
        // A page that the allocator has given to another user would have other bytes.
        let other = Memory::new(512)?;
        other.fill(0);
        let mut bytes = vec![0; 3 * PAGE];
        gup.read(&mut bytes)?;
        let expected = (0..3).flat_map(|page| [1 + page as u8; PAGE]);
        ensure!(bytes.iter().copied().eq(expected), "other bytes are read");
        other.unmap(0, 512)
        // The file is closed.
    })
}

fn read_only() -> Result<()> {
    for flags in EACH {
        balanced(|| {
            let (gup, memory) = (Gup::open()?, Memory::new(2)?);
            memory.fill(1);
            memory.protect(0, 2, ProtFlags::PROT_READ)?;
            let pinned = pin(&gup, &memory, flags);
            let expected = match flags & abi::USE_WRITE {
                0 => Ok(()),
                _ => Err(Errno::EFAULT),
            };
            ensure!(pinned == expected, "pinned: {pinned:?}");
            drop(gup);
            memory.unmap(0, 2)
        })?;
    }
    Ok(())
}

fn holes() -> Result<()> {
    for flags in EACH {
        balanced(|| {
            let (gup, memory) = (Gup::open()?, Memory::new(8)?);
            memory.fill(1);
            memory.unmap(5, 1)?;
            let pinned = pin(&gup, &memory, flags);
            ensure!(pinned == Err(Errno::EFAULT), "pinned: {pinned:?}");
            memory.unmap(0, 8)
        })?;
    }
    Ok(())
}

fn dma() -> Result<()> {
    const PAGES: usize = 80;
    const BIDIRECTIONAL: u32 = 0;
    const TO_DEVICE: u32 = 1;
    const FROM_DEVICE: u32 = 2;
    const NONE: u32 = 3;
    /// The default of `dma_get_max_seg_size()`.
    const LONGEST: u64 = 64 << 10;
    /// Twice `ARCH_DMA_MINALIGN` of arm64.
    const SHORT: usize = 256;
    let gup = Gup::open()?;
    let memory = Memory::new(PAGES)?;
    memory.fill(1);
    if gup.dma_map(memory.addr(0), PAGE, TO_DEVICE, 0) == Err(Errno::ENOTTY) {
        return left_out("abstraction of scatterlists");
    }
    gup.dma_unmap()?;
    let refused = [
        (NONE, 0),
        (NONE, abi::USE_WRITE),
        (BIDIRECTIONAL, 0),
        (FROM_DEVICE, 0),
    ];
    for (dir, flags) in refused {
        balanced(|| {
            let mapped = gup.dma_map(memory.addr(0), PAGE, dir, flags);
            ensure!(mapped == Err(Errno::EINVAL), "{dir} {flags}: {mapped:?}");
            Ok(())
        })?;
    }
    let all = PAGES * PAGE;
    for (offset, len) in [(0, all), (100, 1), (PAGE - 1, 2), (100, all - 200)] {
        for (dir, flags) in [
            (TO_DEVICE, 0),
            (TO_DEVICE, abi::USE_WRITE),
            (FROM_DEVICE, abi::USE_WRITE),
            (BIDIRECTIONAL, abi::USE_WRITE),
        ] {
            balanced(|| {
                let addr = memory.addr(0) + offset;
                let entries = gup.dma_map(addr, len, dir, flags)?;
                let pages = (offset % PAGE + len).div_ceil(PAGE);
                let kib = charged()?;
                ensure!(kib == pages * PAGE / 1024, "{kib} KiB are charged");
                // The device is not coherent on arm64, so C takes a short range for memory of
                // kmalloc() that shares a cache line, and copies it (`dma_kmalloc_needs_bounce()`).
                let is_copied = cfg!(target_arch = "aarch64") && dir != TO_DEVICE && len < SHORT;
                let mut at = addr;
                for [dma, len] in entries {
                    ensure!(len != 0 && len <= LONGEST, "an entry of {len} bytes");
                    let end = at + len as usize;
                    let mut dma = dma;
                    while at < end {
                        let (in_page, step) = (at % PAGE, (PAGE - at % PAGE).min(end - at));
                        let pfn = pfn(at)?.context("the page is not present")?;
                        let physical = pfn * PAGE as u64 + in_page as u64;
                        let is_right = is_copied || dma == physical;
                        ensure!(is_right, "{dma:#x} instead of {physical:#x}");
                        at += step;
                        dma += step as u64;
                    }
                }
                ensure!(at == addr + len, "{} bytes are left", addr + len - at);
                if flags == 0 {
                    gup.dma_unbind()?;
                    let again = gup.dma_unbind();
                    ensure!(again == Err(Errno::ENODEV), "unbound again: {again:?}");
                    // The pages are pinned until the table is dropped.
                    ensure!(charged()? == kib, "{} KiB are charged", charged()?);
                }
                gup.dma_unmap()?;
                Ok(())
            })?;
        }
    }
    memory.unmap(0, PAGES)
}

fn atomic() -> Result<()> {
    let flags = [0, abi::USE_LOCKED_VM, abi::USE_VMAP];
    for flags in flags.map(|flags| abi::USE_WRITE | flags) {
        let (before, mapped) = (pins()?, vmaps()?);
        let (gup, memory) = (Gup::open()?, Memory::new(6)?);
        memory.fill(1);
        pin(&gup, &memory, flags)?;
        gup.unpin_atomic()?;
        let begin = Instant::now();
        while pins()? != before || charged()? != 0 || vmaps()? != mapped {
            ensure!(
                begin.elapsed() < SOON,
                "{} pins, {} KiB, {} mappings",
                pins()? - before,
                charged()?,
                vmaps()?
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
        let (gup, other) = (Gup::open()?, Gup::open()?);
        let limit = (LIMIT * PAGE) as u64;
        setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit)?;
        let (some, more) = (Memory::new(LIMIT)?, Memory::new(LIMIT + 1)?);
        some.fill(1);
        more.fill(1);
        // With CAP_IPC_LOCK.
        pin(&gup, &more, abi::USE_WRITE | accounting)?;
        let kib = (LIMIT + 1) * PAGE / 1024;
        let expected = match accounting {
            0 => (kib, 0),
            _ => (0, kib),
        };
        ensure!(charges()? == expected, "{:?} are charged", charges()?);
        gup.unpin()?;

        setuid(Uid::from_raw(1000))?;
        for flags in [abi::USE_WRITE, abi::USE_WRITE | abi::USE_FAST] {
            let flags = flags | accounting;
            let pinned = pin(&gup, &more, flags);
            ensure!(pinned == Err(Errno::ENOMEM), "pinned more: {pinned:?}");
            ensure!(charged()? == 0, "{} KiB are charged", charged()?);
            pin(&gup, &some, flags)?;
            // The same pages again.
            let pinned = pin(&other, &some, flags);
            ensure!(pinned == Err(Errno::ENOMEM), "pinned twice: {pinned:?}");
            let kib = charged()?;
            ensure!(kib == LIMIT * PAGE / 1024, "{kib} KiB are charged");
            gup.unpin()?;
            ensure!(charged()? == 0, "{} KiB are left", charged()?);
        }
        // The pages are unpinned when the process has exited.
        pin(&gup, &some, abi::USE_WRITE | accounting)?;
        Ok(())
    })?
    .join()?;
    let left = pins()? - before;
    ensure!(left == 0, "{left} pins are left");
    Ok(())
}

fn usage() -> Result<()> {
    const PAGES: usize = 300;
    let gup = Gup::open()?;
    // Of each of the three counters, a CPU keeps so much to itself (`percpu_counter_batch`).
    let cpus = available_parallelism()?.get();
    let error = 3 * cpus * (2 * cpus).max(32);
    let own = pidfd_open(Pid::this())?;
    let check = |pid: Pid, pidfd: &OwnedFd, same_program: bool| -> Result<abi::Usage> {
        let usage = gup.usage(pidfd.as_raw_fd())?;
        let names = ["VmSize:", "VmLck:", "VmPin:", "VmRSS:"];
        let [total, locked, pinned, rss] = status(&pid.to_string(), names)?;
        let kib = |pages: u64| pages as usize * PAGE / 1024;
        let found = [usage.total, usage.locked, usage.pinned].map(kib);
        ensure!(
            found == [total, locked, pinned],
            "{usage:?}: {found:?} instead of {total}, {locked}, {pinned}"
        );
        // The counters of the CPUs are not added in the same way.
        let off = kib(usage.rss).abs_diff(rss);
        ensure!(
            off <= error * PAGE / 1024,
            "RSS is {} instead of {rss}",
            kib(usage.rss)
        );
        ensure!((usage.same_program == 1) == same_program, "{usage:?}");
        Ok(usage)
    };
    let before = check(Pid::this(), &own, true)?;
    let memory = Memory::new(PAGES)?;
    let mapped = check(Pid::this(), &own, true)?;
    ensure!(mapped.total == before.total + PAGES as u64, "{mapped:?}");
    memory.fill(1);
    let filled = check(Pid::this(), &own, true)?;
    let grown = filled.rss.saturating_sub(mapped.rss);
    ensure!(
        grown.abs_diff(PAGES as u64) <= error as u64,
        "RSS has grown by {grown}"
    );
    pin(&gup, &memory, abi::USE_WRITE)?;
    ensure!(check(Pid::this(), &own, true)?.pinned == PAGES as u64);
    gup.unpin()?;
    pin(&gup, &memory, abi::USE_WRITE | abi::USE_LOCKED_VM)?;
    ensure!(check(Pid::this(), &own, true)?.locked == PAGES as u64);
    gup.unpin()?;
    memory.unmap(0, PAGES)?;

    // A child has the same program, until it executes another one.
    let child = Child::start(|| {
        pause();
        Ok(())
    })?;
    check(child.pid(), &pidfd_open(child.pid())?, true)?;
    child.kill()?;
    // That of another test, which waits.
    let other = std::env::current_exe()?.with_file_name("rust_remote_test");
    let mut other = Command::new(other).arg("--wait").spawn()?;
    let pidfd = pidfd_open(Pid::from_raw(other.id() as i32))?;
    // The library may use vfork(), whose end is shortly before the child has its new mm.
    let replaced = wait_for("the process has the same program", || {
        Ok(gup.usage(pidfd.as_raw_fd())?.same_program == 0)
    });
    other.kill()?;
    other.wait()?;
    replaced?;
    Ok(())
}

fn served() -> Result<()> {
    const PAGES: usize = 6;
    for flags in EACH {
        balanced(|| {
            let (gup, memory) = (Gup::open()?, Memory::new(PAGES)?);
            let (addr, len) = (memory.addr(0), PAGES * PAGE);
            let server = userfaultfd::serve(addr, len, PAGE, PAGES, 0x5a)?;
            pin(&gup, &memory, flags)?;
            let mut bytes = vec![0; len];
            gup.read(&mut bytes)?;
            ensure!(bytes.iter().all(|byte| *byte == 0x5a), "other bytes");
            server.join().expect("the thread panicked")?;
            memory.unmap(0, PAGES)
        })?;
    }
    Ok(())
}

fn mappings() -> Result<()> {
    const LEN: usize = 3 * PAGE - 5;
    let gup = Gup::open()?;
    let request = abi::Map {
        len: LEN as u64,
        prot: 3,
        ..Default::default()
    };
    let line = |addr: usize| -> Result<Option<String>> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        let start = format!("{addr:x}-");
        Ok(maps
            .lines()
            .find(|line| line.starts_with(&start))
            .map(str::to_owned))
    };
    let check = |addr: usize, letters: &str, path: &str| -> Result<()> {
        let found = line(addr)?.context("not mapped")?;
        let range = format!("{addr:x}-{:x} {letters} ", addr + 3 * PAGE);
        ensure!(
            found.starts_with(&range) && found.ends_with(path),
            "{found}"
        );
        Ok(())
    };
    // Between pages without access, so that the kernel merges no VMAs.
    let room = Memory::new(9)?;
    room.protect(0, 9, ProtFlags::PROT_NONE)?;
    let at = room.addr(3);
    let fixed = |flags| abi::Map {
        addr: at as u64,
        flags: abi::MAP_FIXED | flags,
        ..request
    };
    for (flags, letters, path) in [
        (0, "rw-p", " 0 "),
        (abi::MAP_POPULATE | abi::MAP_NORESERVE, "rw-p", " 0 "),
        (abi::MAP_SHARED, "rw-s", "/dev/zero (deleted)"),
        (abi::MAP_DEVICE, "rw-p", OURS),
        (abi::MAP_DEVICE | abi::MAP_SHARED, "rw-s", OURS),
    ] {
        ensure!(gup.map(fixed(flags)) == Ok(at), "{flags}");
        check(at, letters, path)?;
        if flags & abi::MAP_DEVICE == 0 {
            let bytes = at as *mut u8;
            // SAFETY: The pages have been mapped above, and nothing has a reference to them.
            let value = unsafe {
                bytes.write_volatile(7);
                bytes.add(3 * PAGE - 1).write_volatile(8);
                bytes.read_volatile()
            };
            ensure!(value == 7, "{value}");
        }
        let again = gup.map(abi::Map {
            flags: abi::MAP_FIXED_NOREPLACE | flags,
            ..fixed(0)
        });
        ensure!(again == Err(Errno::EEXIST), "{again:?}");
    }
    for prot in 0..8 {
        gup.map(abi::Map { prot, ..fixed(0) })?;
        let letter = |bit, letter| if prot & bit != 0 { letter } else { '-' };
        let letters: String = [letter(1, 'r'), letter(2, 'w'), letter(4, 'x'), 'p']
            .iter()
            .collect();
        if prot != 0 {
            check(at, &letters, " 0 ")?;
        }
    }
    for (addr, len, offset, error) in [
        (at + 1, LEN, 0, Errno::EINVAL),
        (at, 0, 0, Errno::EINVAL),
        (at, usize::MAX, 0, Errno::ENOMEM),
        (at, 1 << 62, 0, Errno::ENOMEM),
        (at, LEN, 1, Errno::EINVAL),
        (at, LEN, usize::MAX - PAGE + 1, Errno::EINVAL),
        (1 << 63, LEN, 0, Errno::ENOMEM),
    ] {
        let mapped = gup.map(abi::Map {
            addr: addr as u64,
            len: len as u64,
            offset: offset as u64,
            ..fixed(0)
        });
        ensure!(
            mapped == Err(error),
            "{addr:#x}, {len:#x}, {offset:#x}: {mapped:?}"
        );
    }

    gup.map(fixed(0))?;
    for (addr, len) in [(at + 1, PAGE), (at, 0), (at, usize::MAX), (1 << 63, PAGE)] {
        let unmapped = gup.unmap(addr, len);
        ensure!(
            unmapped == Err(Errno::EINVAL),
            "{addr:#x}, {len:#x}: {unmapped:?}"
        );
    }
    check(at, "rw-p", " 0 ")?;
    gup.unmap(at + PAGE, 1)?;
    let first = line(at)?.context("the first page is gone")?;
    ensure!(
        first.starts_with(&format!("{at:x}-{:x} rw-p", at + PAGE)),
        "{first}"
    );
    ensure!(line(at + 2 * PAGE)?.is_some(), "the third page is gone");
    // A part of it is not mapped.
    gup.unmap(at, 3 * PAGE)?;
    ensure!(line(at)?.is_none() && line(at + 2 * PAGE)?.is_none());
    ensure!(line(at + 3 * PAGE)?.is_some(), "a page beyond it is gone");
    gup.unmap(at, 3 * PAGE)?;

    // A hint, and none.
    for addr in [at, 0] {
        let mapped = gup.map(abi::Map {
            addr: addr as u64,
            ..request
        })?;
        ensure!(addr == 0 || mapped == addr, "{mapped:#x}");
        gup.unmap(mapped, LEN)?;
    }
    room.unmap(0, 9)
}

fn in_exec() -> Result<()> {
    let gup = Gup::open()?;
    // That of an earlier run.
    gup.last_unmap()?;
    let child = Child::start(|| {
        gup.map(abi::Map {
            len: PAGE as u64,
            prot: 1,
            flags: abi::MAP_DEVICE,
            ..Default::default()
        })?;
        // The results of that program are not ours.
        dup2(File::create("/dev/null")?.as_raw_fd(), 1)?;
        execv(c"/gup/gup_longterm", &[c"gup_longterm"])?;
        Ok(())
    })?;
    // Its result does not matter. If it had lost its stack, it would have been killed.
    let status = child.wait()?;
    ensure!(matches!(status, WaitStatus::Exited(..)), "{status:?}");
    let last = gup.last_unmap()?;
    ensure!(last == Errno::EBUSY, "{last}");
    Ok(())
}
