// SPDX-License-Identifier: GPL-2.0

//! Mirrors memory by the driver `test_rust_hmm`, and compares the page table of the device with that
//! of the process.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    mount::{mount, umount, MsFlags},
    sys::{
        mman::{mremap, MRemapFlags, MapFlags, MmapAdvise, ProtFlags},
        signal::{kill, Signal},
        wait::waitpid,
    },
    unistd::{fork, pipe, read, write, ForkResult, Pid},
};
use rust_task::{
    child::{wait_for, Child},
    ktap::{self, did, left_out, Test},
    memory::{Memory, PAGE},
    mirror::{abi, Mirror, PATH},
    procfs::pfn,
    remote::pidfd_open,
};
use std::{
    fs::{self, File},
    num::NonZeroUsize,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, sleep},
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("hmm-tests of the kernel's selftests", hmm_tests),
    ("times of calls, and of the driver in C", times),
    ("pages that are read and written", contents),
    ("pages that must not be accessed", refused),
    ("a snapshot", snapshot),
    ("mprotect()", protect),
    ("MADV_DONTNEED and munmap()", unmap),
    ("mremap()", remap),
    ("fork()", copy_on_write),
    ("pages of memfd_secret()", secret),
    ("pages that are clean when they are written", clean),
    ("a process that exits", exit),
    ("a process that is reaped", reaped),
    ("a mirror that ends where the task may not sleep", atomic),
    ("a mirror under load", load),
    ("two mirrors, and a process that is killed", killed),
];

const C: &str = "/dev/hmm_dmirror0";
const PROGRAM: &str = "/hmm/hmm-tests";
/// Those of the kernel's tests that need no device memory.
const NAMES: &[&str] = &[
    "open_close",
    "anon_read",
    "anon_read_prot",
    "anon_write",
    "anon_write_prot",
    "file_read",
    "file_write",
    "anon_read_multiple",
    "anon_teardown",
    "mixedmap",
];
/// One that needs huge pages.
const HUGE: &str = "anon_write_huge";
/// One that 6.12 and 7.2 do not have.
const SINCE_7_3: &str = "userfaultfd_read";
/// How many pages a timed call has, and how often it is repeated.
const TIMED_PAGES: usize = 64;
const ROUNDS: usize = 200;
/// How long a load lasts.
const LOAD: Duration = Duration::from_secs(4);

fn main() -> Result<()> {
    ktap::run(TESTS)
}

const RW: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// Checks that each entry of the device's page table is that of the process. Returns how many there
/// are.
fn compare(mirror: &Mirror, addr: usize, pages: usize) -> Result<usize> {
    let table = mirror.table(addr, pages)?;
    for (page, entry) in table.iter().enumerate() {
        if let Some((device, _)) = entry {
            let process = pfn(addr + page * PAGE)?;
            // The kernel may have migrated the page since the table was read.
            ensure!(
                process == Some(*device) || mirror.table(addr + page * PAGE, 1)?[0] != *entry,
                "page {page}: the device has {device:#x}, the process {process:x?}"
            );
        }
    }
    Ok(table.iter().flatten().count())
}

/// Checks how many entries the device has.
fn expect(mirror: &Mirror, addr: usize, pages: usize, entries: usize) -> Result<()> {
    let found = compare(mirror, addr, pages)?;
    ensure!(found == entries, "{found} entries instead of {entries}");
    Ok(())
}

fn hmm_tests() -> Result<()> {
    let names = names()?;
    // If the kernel has the driver in C, it is tested first.
    let of_c = match has_c() {
        true => Some(run_hmm_tests(&names).context("the driver in C")?),
        false => None,
    };
    let ours = at_fixed_path(|| run_hmm_tests(&names))?;
    if let Some(of_c) = of_c {
        ensure!(of_c == ours, "{of_c:?} in C, {ours:?} in Rust");
        did("tests with the same result as in C", ours.len());
    }
    // The kernel may have no huge page left.
    let skipped = |line: &&String| line.contains("# SKIP");
    let wrong: Vec<_> = ours
        .iter()
        .filter(|line| !line.starts_with("ok") || (skipped(line) && !line.contains(HUGE)))
        .collect();
    ensure!(wrong.is_empty(), "{wrong:?}");
    ensure!(ours.len() == names.len(), "{ours:?} instead of {names:?}");
    did(
        "tests that passed",
        ours.len() - ours.iter().filter(skipped).count(),
    );
    Ok(())
}

/// Returns whether the kernel has the driver in C.
fn has_c() -> bool {
    Path::new(C).exists()
}

/// Calls `run` while the driver in Rust is at the path of that in C, which programs have built in.
fn at_fixed_path<R>(run: impl FnOnce() -> Result<R>) -> Result<R> {
    let is_new = !has_c();
    if is_new {
        File::create(C)?;
    }
    mount(Some(PATH), C, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let result = run();
    umount(C)?;
    if is_new {
        fs::remove_file(C)?;
    }
    result
}

/// Returns the kernel's tests that can be run.
fn names() -> Result<Vec<&'static str>> {
    let mut names = NAMES.to_vec();
    if Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        names.push(HUGE);
    }
    let output = Command::new(PROGRAM).arg("-l").output().context(PROGRAM)?;
    if String::from_utf8_lossy(&output.stderr).contains(SINCE_7_3) {
        names.push(SINCE_7_3);
    }
    Ok(names)
}

/// Runs the kernel's tests. Returns the line of each result.
fn run_hmm_tests(names: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new(PROGRAM);
    command.args(["-V", "hmm_device_coherent"]);
    for name in names {
        command.args(["-t", name]);
    }
    let output = command.output().context(PROGRAM)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_result = |line: &&str| line.starts_with("ok") || line.starts_with("not ok");
    Ok(text.lines().filter(is_result).map(str::to_owned).collect())
}

/// Compares the time of calls with the driver in C. Times in a guest only inform.
fn times() -> Result<()> {
    if !has_c() {
        did("times, as there is no driver in C", 0);
        return Ok(());
    }
    let memory = Memory::new(TIMED_PAGES)?;
    memory.fill(1);
    let (ours, of_c) = (Mirror::open()?, Mirror::open_at(C)?);
    for (name, call) in CALLS {
        let of_c = time(call, &of_c, &memory).context("the driver in C")?;
        did(&format!("{name}, ns per page in C"), of_c);
        let ours = time(call, &ours, &memory)?;
        did(&format!("{name}, ns per page in Rust"), ours);
    }
    memory.unmap(0, TIMED_PAGES)
}

type Call = fn(&Mirror, &Memory) -> Result<()>;

/// The calls that are timed. Each needs what the one before it has written.
const CALLS: &[(&str, Call)] = &[
    ("write", |mirror, memory| {
        Ok(mirror.write(memory.addr(0), memory.pages, 2)?)
    }),
    ("read", read_twos),
    ("read after an invalidation", |mirror, memory| {
        memory.protect(0, memory.pages, ProtFlags::PROT_READ)?;
        memory.protect(0, memory.pages, RW)?;
        read_twos(mirror, memory)
    }),
    ("snapshot", |mirror, memory| {
        let entries = mirror.snapshot(memory.addr(0), memory.pages)?;
        ensure!(!entries.contains(&abi::PROT_NONE), "a page is missing");
        Ok(())
    }),
];

fn read_twos(mirror: &Mirror, memory: &Memory) -> Result<()> {
    let bytes = mirror.read(memory.addr(0), memory.pages)?;
    ensure!(bytes.iter().all(|byte| *byte == 2), "other bytes are read");
    Ok(())
}

/// Returns the nanoseconds per page of a call.
fn time(call: &Call, mirror: &Mirror, memory: &Memory) -> Result<u128> {
    call(mirror, memory)?;
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        call(mirror, memory)?;
    }
    // The clock of a guest may tick every few milliseconds.
    Ok(begin.elapsed().as_nanos() / (ROUNDS * memory.pages) as u128)
}

fn contents() -> Result<()> {
    const PAGES: usize = 70;
    let (mirror, memory) = (Mirror::open()?, Memory::new(PAGES)?);
    memory.fill(1);
    let bytes = mirror.read(memory.addr(0), PAGES)?;
    let expected = (0..PAGES).flat_map(|page| [1 + page as u8; PAGE]);
    ensure!(bytes.iter().copied().eq(expected), "other bytes are read");
    expect(&mirror, memory.addr(0), PAGES, PAGES)?;

    // What the process writes is read, without an invalidation.
    memory.fill(100);
    let bytes = mirror.read(memory.addr(0), PAGES)?;
    let expected = (0..PAGES).flat_map(|page| [100 + page as u8; PAGE]);
    ensure!(bytes.iter().copied().eq(expected), "other bytes are read");

    mirror.write(memory.addr(1), PAGES - 2, 77)?;
    ensure!(memory.ends(0) == (100, 100), "{:?}", memory.ends(0));
    let last = 100 + PAGES as u8 - 1;
    ensure!(memory.ends(PAGES - 1) == (last, last), "the last page");
    for page in 1..PAGES - 1 {
        ensure!(memory.ends(page) == (77, 77), "{:?}", memory.ends(page));
    }
    // Pages that have not been faulted in.
    let other = Memory::new(3)?;
    mirror.write(other.addr(0), 2, 5)?;
    ensure!(other.ends(1) == (5, 5), "{:?}", other.ends(1));
    ensure!(mirror.read(other.addr(2), 1)? == [0; PAGE], "not zero");
    compare(&mirror, other.addr(0), 3)?;
    other.unmap(0, 3)?;
    memory.unmap(0, PAGES)
}

fn refused() -> Result<()> {
    let (mirror, memory) = (Mirror::open()?, Memory::new(4)?);
    memory.fill(1);
    memory.unmap(3, 1)?;
    memory.protect(2, 1, ProtFlags::PROT_NONE)?;
    memory.protect(1, 1, ProtFlags::PROT_READ)?;
    let addr = |page| memory.addr(page);
    let read = |page, pages| mirror.read(addr(page), pages).err();
    ensure!(read(3, 1) == Some(Errno::EFAULT), "{:?}", read(3, 1));
    ensure!(read(2, 1) == Some(Errno::EFAULT), "{:?}", read(2, 1));
    ensure!(read(0, 3) == Some(Errno::EFAULT), "{:?}", read(0, 3));
    let written = mirror.write(addr(1), 1, 9);
    ensure!(written == Err(Errno::EPERM), "{written:?}");
    ensure!(memory.ends(1) == (2, 2), "{:?}", memory.ends(1));
    // Beyond what a process can map.
    for addr in [1 << 60, usize::MAX - 4 * PAGE + 1] {
        let read = mirror.read(addr, 2).err();
        ensure!(read == Some(Errno::EFAULT), "{addr:#x}: {read:?}");
    }
    let last = usize::MAX - PAGE + 1;
    let read = mirror.read(last, 1).err();
    ensure!(read == Some(Errno::EINVAL), "the last page: {read:?}");
    memory.unmap(0, 3)
}

fn snapshot() -> Result<()> {
    let (mirror, memory) = (Mirror::open()?, Memory::new(5)?);
    memory.advise(0, 5, MmapAdvise::MADV_NOHUGEPAGE).ok();
    memory.fill_page(0, 1);
    memory.fill_page(1, 1);
    memory.protect(1, 1, ProtFlags::PROT_READ)?;
    memory.protect(3, 1, ProtFlags::PROT_NONE)?;
    memory.unmap(4, 1)?;
    let found = mirror.snapshot(memory.addr(0), 5)?;
    let expected = [
        abi::PROT_WRITE,
        abi::PROT_READ,
        abi::PROT_NONE,
        abi::PROT_ERROR,
        abi::PROT_ERROR,
    ];
    ensure!(found == expected, "{found:x?}");
    // It faults nothing in.
    ensure!(pfn(memory.addr(2))?.is_none(), "a page has been faulted in");
    memory.unmap(0, 4)
}

fn protect() -> Result<()> {
    let (mirror, memory) = (Mirror::open()?, Memory::new(8)?);
    memory.fill(1);
    mirror.write(memory.addr(0), 8, 3)?;
    expect(&mirror, memory.addr(0), 8, 8)?;
    memory.protect(2, 4, ProtFlags::PROT_READ)?;
    let table = mirror.table(memory.addr(0), 8)?;
    for (page, entry) in table.iter().enumerate() {
        let expected = !(2..6).contains(&page);
        ensure!(entry.is_some() == expected, "page {page}: {entry:?}");
    }
    mirror.read(memory.addr(0), 8)?;
    let table = mirror.table(memory.addr(0), 8)?;
    for (page, entry) in table.iter().enumerate() {
        let is_writable = entry.map(|(_, is_writable)| is_writable);
        ensure!(is_writable == Some(!(2..6).contains(&page)), "page {page}");
    }
    ensure!(mirror.events()?.protection > 0, "no such event");
    memory.unmap(0, 8)
}

fn unmap() -> Result<()> {
    let (mirror, memory) = (Mirror::open()?, Memory::new(8)?);
    memory.fill(1);
    mirror.write(memory.addr(0), 8, 3)?;
    let before = mirror.events()?;
    memory.advise(1, 2, MmapAdvise::MADV_DONTNEED)?;
    expect(&mirror, memory.addr(0), 8, 6)?;
    ensure!(mirror.read(memory.addr(1), 2)? == [0; 2 * PAGE], "not zero");
    memory.fill_page(1, 9);
    expect(&mirror, memory.addr(1), 1, 0)?;
    ensure!(mirror.read(memory.addr(1), 1)? == [9; PAGE], "old bytes");
    expect(&mirror, memory.addr(0), 8, 8)?;
    memory.unmap(4, 4)?;
    expect(&mirror, memory.addr(0), 8, 4)?;
    let events = mirror.events()?;
    ensure!(events.unmap > before.unmap, "{events:?}");
    ensure!(events.clear > before.clear, "{events:?}");
    memory.unmap(0, 4)
}

fn remap() -> Result<()> {
    let (mirror, memory) = (Mirror::open()?, Memory::new(4)?);
    let target = Memory::new(4)?;
    memory.fill(1);
    mirror.write(memory.addr(0), 4, 3)?;
    let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
    // SAFETY: Nothing has a reference to the pages, and the new ones are this function's.
    unsafe { mremap(memory.at(0), 4 * PAGE, 4 * PAGE, flags, Some(target.at(0)))? };
    expect(&mirror, memory.addr(0), 4, 0)?;
    ensure!(
        mirror.read(target.addr(0), 4)? == [3; 4 * PAGE],
        "other bytes"
    );
    expect(&mirror, target.addr(0), 4, 4)?;
    let read = mirror.read(memory.addr(0), 1).err();
    ensure!(read == Some(Errno::EFAULT), "{read:?}");
    target.unmap(0, 4)
}

fn copy_on_write() -> Result<()> {
    const PAGES: usize = 6;
    let (mirror, memory) = (Mirror::open()?, Memory::new(PAGES)?);
    memory.fill(1);
    mirror.write(memory.addr(0), PAGES, 3)?;
    let (from, to) = pipe()?;
    let child = Child::start(|| {
        // The parent writes first.
        read(from.as_raw_fd(), &mut [0])?;
        for page in 0..PAGES {
            ensure!(
                memory.ends(page) == (3, 3),
                "child: {:?}",
                memory.ends(page)
            );
        }
        Ok(())
    })?;
    let table = mirror.table(memory.addr(0), PAGES)?;
    ensure!(
        table.iter().flatten().all(|(_, is_writable)| !is_writable),
        "a shared page can be written: {table:x?}"
    );
    mirror.write(memory.addr(0), PAGES, 8)?;
    write(&to, &[0])?;
    child.join()?;
    ensure!(memory.ends(0) == (8, 8), "{:?}", memory.ends(0));
    expect(&mirror, memory.addr(0), PAGES, PAGES)?;
    memory.unmap(0, PAGES)
}

fn secret() -> Result<()> {
    // SAFETY: This creates a file descriptor.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_memfd_secret, 0) });
    let fd = match fd {
        Err(Errno::ENOSYS) => {
            return left_out("memfd_secret()");
        }
        fd => fd?,
    };
    // SAFETY: The descriptor is new.
    let file = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    nix::unistd::ftruncate(&file, PAGE as i64)?;
    let len = NonZeroUsize::new(PAGE).context("no page")?;
    // SAFETY: A new mapping concerns no other memory.
    let at = unsafe { nix::sys::mman::mmap(None, len, RW, MapFlags::MAP_SHARED, &file, 0)? };
    let memory = Memory::mapped(at, 1);
    memory.fill_page(0, 1);
    let mirror = Mirror::open()?;
    let result = mirror.read(memory.addr(0), 1).err();
    ensure!(result == Some(Errno::EFAULT), "read: {result:?}");
    let result = mirror.write(memory.addr(0), 1, 2);
    ensure!(result == Err(Errno::EFAULT), "written: {result:?}");
    ensure!(memory.ends(0) == (1, 1), "{:?}", memory.ends(0));
    memory.unmap(0, 1)
}

fn clean() -> Result<()> {
    const PAGES: usize = 16;
    let (mirror, memory) = (Mirror::open()?, Memory::new(PAGES)?);
    memory.fill(1);
    // The page table entries become clean, and stay writable.
    memory.advise(0, PAGES, MmapAdvise::MADV_FREE)?;
    mirror.write(memory.addr(0), PAGES, 9)?;
    // The kernel may drop the pages that are clean now.
    // SAFETY: This does not change what the pages contain.
    let result = unsafe { libc::madvise(memory.at(0).as_ptr(), PAGES * PAGE, libc::MADV_PAGEOUT) };
    Errno::result(result)?;
    for page in 0..PAGES {
        ensure!(memory.ends(page) == (9, 9), "{:?}", memory.ends(page));
    }
    memory.unmap(0, PAGES)
}

/// Opens a file that another process has open.
fn open_of(pid: i32, fd: i32) -> Result<File> {
    let process = pidfd_open(Pid::from_raw(pid))?;
    // SAFETY: This creates a file descriptor.
    let file = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) };
    let file = Errno::result(file)?;
    // SAFETY: The descriptor is new.
    Ok(unsafe { File::from_raw_fd(file as i32) })
}

fn exit() -> Result<()> {
    const PAGES: usize = 4;
    for is_killed in [false, true] {
        let memory = Memory::new(PAGES)?;
        let (child, mirror, to_child) = mirrored(&memory, 4)?;
        // The address space is that of the child.
        ensure!(
            mirror.read(memory.addr(0), PAGES)? == [4; PAGES * PAGE],
            "read"
        );
        ensure!(memory.ends(0) == (0, 0), "{:?}", memory.ends(0));
        ensure!(mirror.events()?.release == 0, "{:?}", mirror.events()?);
        if is_killed {
            child.kill()?;
        } else {
            write(&to_child, &[0])?;
            child.join()?;
        }
        let is_released = || Ok(mirror.events()?.release != 0);
        wait_for("the memory is not released", is_released)?;
        ensure!(mirror.events()?.release == 1, "{:?}", mirror.events()?);
        let left = mirror.table(memory.addr(0), PAGES)?;
        ensure!(left.iter().flatten().count() == 0, "{left:x?} is left");
        let read = mirror.read(memory.addr(0), 1).err();
        ensure!(read == Some(Errno::ESRCH), "{read:?}");
        memory.unmap(0, PAGES)?;
    }
    Ok(())
}

/// Starts a child that writes to its memory by a mirror, and waits. Returns its mirror.
fn mirrored(memory: &Memory, byte: u8) -> Result<(Child, Mirror, OwnedFd)> {
    let (from_child, to_parent) = pipe()?;
    let (from_parent, to_child) = pipe()?;
    let child = Child::start(|| {
        let mirror = Mirror::open()?;
        mirror.write(memory.addr(0), memory.pages, byte)?;
        write(&to_parent, &mirror.file().as_raw_fd().to_ne_bytes())?;
        read(from_parent.as_raw_fd(), &mut [0])?;
        Ok(())
    })?;
    let mut fd = [0; 4];
    read(from_child.as_raw_fd(), &mut fd)?;
    let file = open_of(child.pid().as_raw(), i32::from_ne_bytes(fd))?;
    Ok((child, file.into(), to_child))
}

/// `process_mrelease()` is what the OOM reaper does: it does not wait for a notifier.
fn reaped() -> Result<()> {
    const PAGES: usize = 256;
    const ROUNDS: usize = 60;
    let (mut reaped, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let memory = Memory::new(PAGES)?;
        let (child, mirror, _to_child) = mirrored(&memory, 4)?;
        let process = pidfd_open(child.pid())?;
        let (addr, stop) = (memory.addr(0), AtomicBool::new(false));
        let (mirror_of_child, stop) = (&mirror, &stop);
        thread::scope(|scope| -> Result<()> {
            // The reads keep the address space, and lock the mutex now and then.
            let device = scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && mirror_of_child.read(addr, PAGES).is_ok() {}
            });
            sleep(Duration::from_micros(300 + 50 * round as u64));
            kill(child.pid(), Signal::SIGKILL)?;
            for _ in 0..4 {
                // SAFETY: This concerns the memory of the child only.
                let result = Errno::result(unsafe {
                    libc::syscall(libc::SYS_process_mrelease, process.as_raw_fd(), 0)
                });
                match result {
                    Ok(_) => reaped += 1,
                    Err(Errno::EAGAIN) => refused += 1,
                    Err(Errno::ESRCH | Errno::EINVAL) => break,
                    Err(err) => bail!("process_mrelease(): {err}"),
                }
            }
            stop.store(true, Ordering::Relaxed);
            device.join().expect("the thread does not panic");
            Ok(())
        })?;
        child.wait()?;
        let is_released = || Ok(mirror.events()?.release != 0);
        wait_for("the memory is not released", is_released)?;
        let left = mirror.table(memory.addr(0), PAGES)?;
        ensure!(left.iter().flatten().count() == 0, "pages are left");
        memory.unmap(0, PAGES)?;
    }
    did("address spaces that were reaped", reaped);
    did("that could not be reaped yet", refused);
    ensure!(reaped > 0, "none was reaped");
    Ok(())
}

fn atomic() -> Result<()> {
    let (mirror, memory) = (Mirror::open()?, Memory::new(2)?);
    memory.fill(1);
    mirror.read(memory.addr(0), 2)?;
    mirror.stop_atomic()?;
    let read = mirror.read(memory.addr(0), 1).err();
    ensure!(read == Some(Errno::EINVAL), "{read:?}");
    for round in 0..200 {
        let mirror = Mirror::open()?;
        mirror.write(memory.addr(0), 2, round)?;
        mirror.stop_atomic()?;
        memory.advise(0, 2, MmapAdvise::MADV_DONTNEED)?;
    }
    memory.unmap(0, 2)
}

/// Changes a page of `memory` in one of several ways. Each page has its own byte, or zeros.
fn disturb(memory: &Memory, random: &mut fastrand::Rng) -> Result<()> {
    let page = random.usize(..memory.pages);
    match random.u8(..100) {
        0 => {
            // SAFETY: The child calls `_exit()` only.
            match unsafe { fork()? } {
                // SAFETY: This is allowed in the child of a process with several threads.
                ForkResult::Child => unsafe { libc::_exit(0) },
                ForkResult::Parent { child } => {
                    memory.fill_page(page, page as u8 + 1);
                    waitpid(child, None)?;
                }
            }
        }
        1..20 => memory.advise(page, 1, MmapAdvise::MADV_DONTNEED)?,
        20..40 => {
            memory.protect(page, 1, ProtFlags::PROT_READ)?;
            memory.protect(page, 1, RW)?;
        }
        40..50 => {
            let other = Memory::new(1)?;
            other.fill_page(0, page as u8 + 1);
            let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
            // SAFETY: Nothing has a reference to the pages.
            unsafe { mremap(other.at(0), PAGE, PAGE, flags, Some(memory.at(page)))? };
        }
        _ => memory.fill_page(page, page as u8 + 1),
    }
    Ok(())
}

/// Checks what a device has read: a page may be filled in part, as the process fills it meanwhile.
fn check(bytes: &[u8]) -> Result<()> {
    for (page, bytes) in bytes.chunks(PAGE).enumerate() {
        let byte = page as u8 + 1;
        if let Some(other) = bytes.iter().find(|found| ![0, byte].contains(found)) {
            bail!("page {page} has a byte {other}");
        }
    }
    Ok(())
}

fn load() -> Result<()> {
    const PAGES: usize = 64;
    let memory = Memory::new(PAGES)?;
    for page in 0..PAGES {
        memory.fill_page(page, page as u8 + 1);
    }
    let (addr, mirrors) = (memory.addr(0), [Mirror::open()?, Mirror::open()?]);
    let stop = AtomicBool::new(false);
    let device = |mirror: &Mirror| -> Result<usize> {
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            match mirror.read(addr, PAGES) {
                // `mremap()` unmaps a page first.
                Err(Errno::EFAULT) => (),
                bytes => check(&bytes?)?,
            }
            // The device writes what the page has anyway.
            let page = done % PAGES;
            match mirror.write(addr + page * PAGE, 1, page as u8 + 1) {
                Err(Errno::EFAULT | Errno::EPERM) => (),
                result => result?,
            }
            done += 1;
        }
        Ok(done)
    };
    let (disturbed, accesses) = thread::scope(|scope| -> Result<_> {
        let devices = mirrors.each_ref();
        let devices = devices.map(|mirror| scope.spawn(|| device(mirror)));
        let mut random = fastrand::Rng::with_seed(1);
        let (begin, mut count) = (Instant::now(), 0);
        let disturbed = loop {
            if begin.elapsed() > LOAD {
                break Ok(count);
            }
            if let Err(err) = disturb(&memory, &mut random) {
                break Err(err);
            }
            count += 1;
        };
        stop.store(true, Ordering::Relaxed);
        let mut accesses = 0;
        for device in devices {
            accesses += device.join().expect("the thread does not panic")?;
        }
        Ok((disturbed?, accesses))
    })?;
    let mut entries = 0;
    for mirror in &mirrors {
        entries += compare(mirror, addr, PAGES)?;
    }
    let events = mirrors[0].events()?;
    ensure!(entries > 0 && events.clear > 0 && events.protection > 0);
    did("changes of the memory", disturbed);
    did("accesses of the device", accesses);
    did("invalidations", format_args!("{events:?}"));
    memory.unmap(0, PAGES)
}

fn killed() -> Result<()> {
    for round in 0..20 {
        let child = Child::start(|| {
            let (mirrors, memory) = ([Mirror::open()?, Mirror::open()?], Memory::new(32)?);
            thread::scope(|scope| -> Result<()> {
                for mirror in &mirrors {
                    let memory = memory.addr(0);
                    scope.spawn(move || loop {
                        let _ = mirror.write(memory, 32, 1);
                    });
                }
                loop {
                    memory.advise(0, 32, MmapAdvise::MADV_DONTNEED)?;
                }
            })
        })?;
        sleep(Duration::from_millis(10 + 5 * round));
        child.kill()?;
    }
    Ok(())
}
