// SPDX-License-Identifier: GPL-2.0

//! Maps `/dev/rust_vma_buffer`, `/dev/test_rust_vma` and `/dev/test_rust_vma_prepare`, applies all
//! operations of userspace to the VMAs, and compares the results of the drivers with /proc.

use anyhow::{anyhow, bail, ensure, Result};
use nix::{
    errno::Errno,
    sys::{
        mman::{madvise, MapFlags, MmapAdvise, ProtFlags},
        prctl::set_pdeathsig,
        signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
        wait::WaitStatus,
    },
    unistd::{getpid, getppid, pause, pipe},
};
use rust_task::{
    child::{self, in_child, Child},
    ioctl,
    ktap::{self, did, Test},
    procfs,
    vma::{abi, map_at, reserve, test_abi, Buffer, Prepared, Span, Tester, PAGE, READ_WRITE},
};
use std::{
    ffi::c_void,
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::FileExt,
    },
    ptr::{null_mut, NonNull},
    sync::{
        atomic::{AtomicU32, Ordering::SeqCst},
        Barrier, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

/// The time limit until a killed process has been torn down.
const TIMEOUT: Duration = Duration::from_secs(60);

const TESTS: &[Test] = &[
    ("page faults map pages of the buffer", fault_maps_pages),
    ("copy on write in a private VMA", private_copies),
    ("mapping beyond the end of the buffer", beyond_the_buffer),
    ("fork, split and mremap", fork_split_mremap),
    ("page account: split, fork and mremap", page_account),
    ("page account: failed split and fork", page_account_failures),
    ("open() is told the origin of a VMA", origins),
    ("set_ops() in the hook of another module", foreign_hook),
    ("killed process with VMAs", killed),
    ("another VMA at the same address", other_vma),
    ("downcast of VMAs of other drivers", downcast),
    ("zapped pages are mapped again", revoked),
    (
        "revoke() reaches all VMAs of all processes",
        revoked_everywhere,
    ),
    ("revoke() during page faults", revoked_during_faults),
    ("->mmap() fails after set_ops()", hook_fails),
    ("set_ops() called twice", hook_sets_twice),
    ("VMAs with equal flags are not merged", equal_flags),
    ("may_split() refuses", split_refused),
    ("try_clear_mayread() keeps userspace from reading", no_read),
    ("mremap() refuses", mremap_refused),
    ("page_mkwrite() refuses", mkwrite_refused),
    ("retry_after()", retried),
    ("a signal during a page fault", signal_in_fault),
    ("a page with too many references", full_page),
    ("a handler that returns ENOMEM", no_memory),
    ("page that is never mapped", no_page),
    ("PFNs and pages in a private VMA", mixed_private),
    ("userfaultfd refuses VMAs of drivers", userfaultfd),
    ("page faults under the VMA lock", vma_lock),
    ("PFN mappings", pfn_mappings),
    ("->mmap_prepare() with set_ops()", prepared),
    ("->mmap_prepare() maps pages and PFNs", prepare_maps),
    ("access() through /proc/self/mem", remote_access),
    ("concurrent map, unmap and fork", concurrent),
];

const SHARED: MapFlags = MapFlags::MAP_SHARED;
const PRIVATE: MapFlags = MapFlags::MAP_PRIVATE;

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// Compares the VMAs of the driver in this process with /proc, and returns their number.
fn compare_vmas(buffer: &Buffer) -> Result<usize> {
    let (driver, maps) = (buffer.vmas()?, buffer.vmas_in_maps()?);
    ensure!(driver == maps, "the driver: {driver:x?}\n/proc: {maps:x?}");
    Ok(driver.len())
}

/// Returns an error unless the buffer has this number of VMAs, in all processes.
fn expect(buffer: &Buffer, vmas: u64) -> Result<()> {
    let state = buffer.state()?;
    ensure!(state.vmas == vmas, "{state:?}, expected {vmas}");
    Ok(())
}

/// Runs `access` in a child process, and returns false if `SIGBUS` killed it.
fn survives(access: impl FnOnce()) -> Result<bool> {
    let child = Child::start(|| {
        access();
        Ok(())
    })?;
    match child.wait()? {
        WaitStatus::Exited(_, 0) => Ok(true),
        WaitStatus::Signaled(_, Signal::SIGBUS, _) => Ok(false),
        other => Err(anyhow!("{other:?}")),
    }
}

/// The number of `SIGALRM` signals that this process has handled.
static ALARMS: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_alarm(_signal: i32) {
    ALARMS.fetch_add(1, SeqCst);
}

/// A page fault waits, and a signal arrives meanwhile. The process handles the signal, and the
/// access succeeds.
fn signal_in_fault() -> Result<()> {
    let tester = Tester::open()?;
    for by_kernel in [false, true] {
        let child = Child::start(|| {
            let span = tester.map(test_abi::WAIT, 1, SHARED)?;
            let (from, into) = pipe()?;
            File::from(into).write_all(&[0; 8])?;
            let handler = SigHandler::Handler(on_alarm);
            let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
            // SAFETY: The handler only accesses an atomic.
            unsafe { sigaction(Signal::SIGALRM, &action)? };
            let mut after = libc::itimerval {
                it_interval: libc::timeval {
                    tv_sec: 0,
                    tv_usec: 0,
                },
                it_value: libc::timeval {
                    tv_sec: 0,
                    tv_usec: 50_000,
                },
            };
            let begin = Instant::now();
            // SAFETY: `after` is valid, and the old value is not returned.
            Errno::result(unsafe { libc::setitimer(libc::ITIMER_REAL, &after, null_mut()) })?;
            if by_kernel {
                // SAFETY: The page is mapped for writing.
                let read = unsafe { libc::read(from.as_raw_fd(), span.addr(0) as _, 8) };
                ensure!(Errno::result(read)? == 8, "read {read} bytes");
            } else {
                ensure!(span.read(0) == 0);
            }
            let waited = begin.elapsed();
            ensure!(ALARMS.load(SeqCst) == 1, "the signal was not handled");
            ensure!(waited >= Duration::from_millis(150), "only {waited:?}");
            after.it_value.tv_usec = 0;
            // SAFETY: As above. This disarms the timer.
            Errno::result(unsafe { libc::setitimer(libc::ITIMER_REAL, &after, null_mut()) })?;
            Ok(())
        })?;
        let status = child.wait()?;
        ensure!(
            matches!(status, WaitStatus::Exited(_, 0)),
            "by the kernel: {by_kernel}: {status:?}"
        );
    }
    Ok(())
}

/// A page whose refcount is close to overflow is not mapped. Each function that maps pages is
/// tried, by hooks that fail if it succeeds; `prepare_maps()` tries the one of `->mmap_prepare()`.
fn full_page() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let before = tester.events()?.faults;
        let span = tester.map(test_abi::FULL_PAGE, 1, SHARED)?;
        ensure!(span.read(0) == 0);
        let faults = tester.events()?.faults - before;
        ensure!(faults == 2, "the access took {faults} faults");
        span.unmap()?;
        Ok(())
    })
}

/// The access is repeated until the process is killed. An access of the kernel fails.
fn no_memory() -> Result<()> {
    let tester = Tester::open()?;
    let span = tester.map(test_abi::NO_MEMORY, 1, SHARED)?;
    let (_from, into) = pipe()?;
    // SAFETY: The kernel reads from the page, and returns an error if that faults.
    let written = unsafe { libc::write(into.as_raw_fd(), span.addr(0) as _, 8) };
    let written = Errno::result(written);
    ensure!(written == Err(Errno::EFAULT), "{written:?}");

    killed_while_it_faults(&tester, || {
        span.read(0);
        bail!("the access has succeeded")
    })?;
    span.unmap()?;
    Ok(())
}

/// The access is repeated until the process is killed, also one of the kernel.
fn no_page() -> Result<()> {
    let tester = Tester::open()?;
    let span = tester.map(test_abi::NO_PAGE, 1, SHARED)?;
    killed_while_it_faults(&tester, || {
        span.read(0);
        bail!("the access has succeeded")
    })?;
    killed_while_it_faults(&tester, || {
        let (_from, into) = pipe()?;
        // SAFETY: The kernel reads from the page, and returns an error if that faults.
        let written = unsafe { libc::write(into.as_raw_fd(), span.addr(0) as _, 8) };
        bail!("write(): {:?}", Errno::result(written))
    })?;
    span.unmap()?;
    Ok(())
}

/// Kills a process that runs `access` after ten faults.
fn killed_while_it_faults(tester: &Tester, access: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = tester.events()?.faults;
    let child = Child::start(access)?;
    child::wait_for("the access was not repeated", || {
        Ok(tester.events()?.faults >= before + 10)
    })?;
    child.kill()
}

/// `vmf_insert_mixed()` refuses a VMA in which a write copies the page, and pages do not.
fn mixed_private() -> Result<()> {
    let tester = Tester::open()?;
    let span = tester.map(test_abi::MIXED, 2, PRIVATE)?;
    ensure!(!survives(|| _ = span.read(0))?, "a PFN was mapped");
    ensure!(!survives(|| span.write(0, 1))?, "a PFN was mapped");
    ensure!(survives(|| span.write(1, 1))?, "a page was refused");
    ensure!(span.read(1) == 0, "the page is not a copy");
    span.unmap()?;
    Ok(())
}

/// `UFFD_API`, and the features with which `UFFDIO_REGISTER` accepts most VMAs.
const UFFD_API: u64 = 0xaa;
const UFFD_FEATURES: u64 = 1 << 13 | 1 << 15;
const UFFD_MODE_WP: u64 = 1 << 1;

/// A marker in the page tables of a driver's VMA would make `vmf_insert_page()` find an entry in
/// use, and the fault would be repeated permanently. userfaultfd sets none there.
fn userfaultfd() -> Result<()> {
    // SAFETY: The system call has no pointers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) });
    if fd == Err(Errno::ENOSYS) {
        did("VMAs registered with userfaultfd (not configured)", 0);
        return Ok(());
    }
    // SAFETY: The file descriptor is new.
    let uffd = unsafe { File::from_raw_fd(fd? as i32) };
    let mut api = [UFFD_API, UFFD_FEATURES, 0];
    ioctl::exchange(&uffd, ioctl::iowr::<[u64; 3]>(0xaa, 0x3f), &mut api)?;

    let register = |span: Span| {
        let len = (span.pages * PAGE) as u64;
        let mut range = [span.addr(0), len, UFFD_MODE_WP, 0];
        ioctl::exchange(&uffd, ioctl::iowr::<[u64; 4]>(0xaa, 0), &mut range)
    };
    // Otherwise, the test would show nothing.
    let anonymous = map_at(None, None, 1, READ_WRITE, PRIVATE)?;
    ensure!(register(anonymous) == Ok(()), "{:?}", register(anonymous));

    let (buffer, tester) = (Buffer::open()?, Tester::open()?);
    for span in [
        buffer.map(0, 1, SHARED)?,
        buffer.map(0, 1, PRIVATE)?,
        tester.map(test_abi::PLAIN, 1, SHARED)?,
        tester.map(test_abi::MIXED, 1, SHARED)?,
        tester.map(test_abi::FAULT_PFN, 1, SHARED)?,
    ] {
        let result = register(span);
        ensure!(result == Err(Errno::EINVAL), "{result:?}");
        span.read(0);
    }
    did("VMAs that userfaultfd has refused", 5);
    Ok(())
}

fn fault_maps_pages() -> Result<()> {
    let buffer = Buffer::open()?;
    for flags in [SHARED, PRIVATE] {
        let span = buffer.map(3, 8, flags)?;
        for page in 0..8 {
            let head = span.read(page);
            ensure!(head == abi::PAGE_MAGIC + 3 + page as u64, "{head:x}");
        }
        ensure!(compare_vmas(&buffer)? == 1);
        expect(&buffer, 1)?;
        span.unmap()?;
        expect(&buffer, 0)?;
    }
    Ok(())
}

fn private_copies() -> Result<()> {
    let buffer = Buffer::open()?;
    let (private, shared) = (buffer.map(0, 1, PRIVATE)?, buffer.map(0, 1, SHARED)?);
    private.write(0, 1);
    ensure!(
        shared.read(0) == abi::PAGE_MAGIC,
        "the private page is not a copy"
    );
    shared.write(0, 2);
    ensure!(private.read(0) == 1 && shared.read(0) == 2);
    private.unmap()?;
    shared.unmap()?;
    Ok(())
}

fn beyond_the_buffer() -> Result<()> {
    let buffer = Buffer::open()?;
    let last = abi::PAGES as u64;
    let refused = buffer.map(last - 1, 2, SHARED).err();
    ensure!(refused == Some(Errno::EINVAL), "{refused:?}");
    expect(&buffer, 0)?;

    // A VMA with `vm_private_data` is neither expanded by `mremap()` nor merged with the next one.
    for flags in [SHARED, PRIVATE] {
        let reserved = reserve(3)?;
        let file = Some((buffer.file(), last - 2));
        let span = map_at(Some(reserved.at), file, 1, READ_WRITE, flags)?;
        reserved.part(1, 2).unmap()?;
        let refused = span.remap(2, None).err();
        ensure!(refused == Some(Errno::EFAULT), "{refused:?}");
        ensure!(span.read(0) == abi::PAGE_MAGIC + last - 2);

        let file = Some((buffer.file(), last - 1));
        let next = map_at(Some(reserved.at + PAGE), file, 1, READ_WRITE, flags)?;
        expect(&buffer, 2)?;
        span.unmap()?;
        next.unmap()?;
    }
    Ok(())
}

fn fork_split_mremap() -> Result<()> {
    let buffer = Buffer::open()?;
    let before = buffer.state()?.buffers;
    let span = buffer.map(0, 8, SHARED)?;
    expect(&buffer, 1)?;

    // `mprotect()` of the middle makes three VMAs, and `munmap()` within one makes another.
    span.part(2, 2).protect(ProtFlags::PROT_READ)?;
    expect(&buffer, 3)?;
    span.part(5, 1).unmap()?;
    expect(&buffer, 4)?;
    ensure!(compare_vmas(&buffer)? == 4);

    let child = Child::start(|| {
        expect(&buffer, 8)?;
        ensure!(compare_vmas(&buffer)? == 4);
        span.part(0, 1).unmap()?;
        // Shrinking a VMA does not change the number of VMAs.
        expect(&buffer, 8)
    })?;
    child.join()?;
    expect(&buffer, 4)?;

    // The moved part becomes a VMA at another address.
    let reserved = reserve(1)?;
    let moved = span.part(6, 1).remap(1, Some(reserved.at))?;
    ensure!(moved.read(0) == abi::PAGE_MAGIC + 6);
    expect(&buffer, 5)?;
    ensure!(compare_vmas(&buffer)? == 5);

    // The file is closed; the VMAs hold references to the buffer.
    let other = Buffer::open()?;
    drop(buffer);
    ensure!(other.state()?.buffers == before + 1);
    ensure!(span.read(0) == abi::PAGE_MAGIC);
    span.unmap()?;
    moved.unmap()?;
    let now = other.state()?.buffers;
    ensure!(now == before, "{now} buffers, {before} before the test");
    Ok(())
}

/// Returns an error unless the driver's account has this number of pages.
fn expect_pages(buffer: &Buffer, pages: u64) -> Result<()> {
    let state = buffer.state()?;
    ensure!(state.mapped == pages, "{state:?}, expected {pages} pages");
    Ok(())
}

fn page_account() -> Result<()> {
    for flags in [SHARED, PRIVATE] {
        let buffer = Buffer::open()?;
        let span = buffer.map(0, 8, flags)?;
        expect_pages(&buffer, 8)?;
        span.part(3, 1).unmap()?;
        expect_pages(&buffer, 7)?;
        span.unmap()?;
        expect_pages(&buffer, 0)?;
        expect(&buffer, 0)?;

        let span = buffer.map(0, 8, flags)?;
        // Three VMAs, which stay three when their rights are equal again.
        span.part(3, 2).protect(ProtFlags::PROT_READ)?;
        span.protect(READ_WRITE)?;
        expect(&buffer, 3)?;
        expect_pages(&buffer, 8)?;

        // A child has 8 pages more, of which it unmaps 3, in three VMAs.
        let child = Child::start(|| {
            expect_pages(&buffer, 16)?;
            span.part(2, 4).unmap()?;
            expect_pages(&buffer, 12)?;
            let place = reserve(2)?;
            let moved = span.part(6, 2).remap(2, Some(place.at))?;
            expect_pages(&buffer, 12)?;
            moved.unmap()?;
            expect_pages(&buffer, 10)
        })?;
        child.join()?;
        expect_pages(&buffer, 8)?;

        // A part is moved, a part is replaced, a part is cut off.
        let place = reserve(2)?;
        let moved = span.part(5, 2).remap(2, Some(place.at))?;
        expect_pages(&buffer, 8)?;
        map_at(Some(span.addr(1) as usize), None, 2, READ_WRITE, PRIVATE)?;
        expect_pages(&buffer, 6)?;
        moved.remap(1, None)?;
        expect_pages(&buffer, 5)?;

        // The file is mapped over its own VMAs, in the middle of one.
        let whole = buffer.map(0, 8, flags)?;
        expect_pages(&buffer, 13)?;
        let file = Some((buffer.file(), 0));
        map_at(Some(whole.addr(3) as usize), file, 2, READ_WRITE, flags)?;
        expect_pages(&buffer, 13)?;
        // Newer kernels move several VMAs at once.
        let place = reserve(8)?;
        let whole = whole.remap(8, Some(place.at)).unwrap_or(whole);
        expect_pages(&buffer, 13)?;
        whole.unmap()?;
        moved.unmap()?;
        span.unmap()?;
        expect_pages(&buffer, 0)?;
        expect(&buffer, 0)?;
    }
    Ok(())
}

/// The page account of the test drivers stays right if a split, mremap() or a hook fails.
fn page_account_failures() -> Result<()> {
    let tester = Tester::open()?;
    let pages = || -> Result<u64> { Ok(tester.events()?.pages) };
    let before = pages()?;

    let span = tester.map(test_abi::SPLIT_FAILS, 4, SHARED)?;
    ensure!(span.part(1, 1).unmap() == Err(Errno::EINVAL));
    ensure!(pages()? == before + 4, "{}", pages()?);
    span.unmap()?;
    let span = tester.map(test_abi::MREMAP_FAILS, 4, SHARED)?;
    let place = reserve(4)?;
    ensure!(span.remap(4, Some(place.at)).is_err());
    ensure!(pages()? == before + 4, "{}", pages()?);
    span.unmap()?;
    for what in [test_abi::HOOK_FAILS, test_abi::SET_OPS_TWICE] {
        ensure!(tester.map(what, 4, SHARED).is_err());
        ensure!(Prepared::open()?.map(what, 4, SHARED).is_err());
    }
    ensure!(pages()? == before, "{}", pages()?);

    // `munmap()` of the middle would exceed the limit of VMAs, with the first split done or not.
    let span = tester.map(test_abi::PLAIN, 4, SHARED)?;
    // A checked kernel takes minutes to reach the default limit.
    let limit = "/proc/sys/vm/max_map_count";
    let default = fs::read_to_string(limit).ok();
    if default.is_some() {
        fs::write(limit, "1000")?;
    }
    let result = in_child(|| {
        ensure!(pages()? == before + 8);
        // Each other page of the reserved range is a VMA of its own.
        let filler = reserve(140_000)?;
        let mut at = 0;
        while filler.part(at, 1).protect(ProtFlags::PROT_READ).is_ok() {
            at += 2;
        }
        ensure!(span.part(1, 1).unmap() == Err(Errno::ENOMEM));
        ensure!(pages()? == before + 8);
        Ok(())
    });
    if let Some(default) = default {
        fs::write(limit, default.trim())?;
    }
    result?;
    ensure!(pages()? == before + 4, "{}", pages()?);
    span.unmap()?;
    ensure!(pages()? == before, "{}", pages()?);
    Ok(())
}

fn origins() -> Result<()> {
    let (tester, prepared) = (Tester::open()?, Prepared::open()?);
    for by_prepare in [false, true] {
        let before = tester.events()?;
        let changes = || -> Result<[u64; 4]> {
            let now = tester.events()?;
            Ok([
                now.mapped - before.mapped,
                now.forked - before.forked,
                now.remapped - before.remapped,
                now.split - before.split,
            ])
        };
        let span = match by_prepare {
            false => tester.map(test_abi::PLAIN, 6, SHARED)?,
            true => prepared.map(test_abi::PLAIN, 6, SHARED)?,
        };
        ensure!(changes()? == [1, 0, 0, 0], "{:?}", changes()?);
        in_child(|| Ok(()))?;
        ensure!(changes()? == [1, 1, 0, 0], "{:?}", changes()?);
        // The new part is the front.
        span.part(0, 1).unmap()?;
        ensure!(changes()? == [1, 1, 0, 1], "{:?}", changes()?);
        // It is the back.
        span.part(1, 1).protect(ProtFlags::PROT_READ)?;
        span.part(5, 1).protect(ProtFlags::PROT_READ)?;
        ensure!(changes()? == [1, 1, 0, 3], "{:?}", changes()?);
        in_child(|| Ok(()))?;
        ensure!(changes()? == [1, 4, 0, 3], "{:?}", changes()?);
        let place = reserve(3)?;
        let moved = span.part(2, 3).remap(3, Some(place.at))?;
        ensure!(changes()? == [1, 4, 1, 3], "{:?}", changes()?);
        // To where it came from, next to the others.
        moved.remap(3, Some(span.addr(2) as usize))?;
        ensure!(changes()? == [1, 4, 2, 3], "{:?}", changes()?);
        span.unmap()?;
        let after = tester.events()?;
        ensure!(after.pages == before.pages, "{after:?}");
    }
    Ok(())
}

/// A VMA does not keep the module of its data, only that of its file. If the driver of the data is
/// a module, and the file has operations without a module, the driver must not be able to attach
/// data.
fn foreign_hook() -> Result<()> {
    let (tester, prepared, buffer) = (Tester::open()?, Prepared::open()?, Buffer::open()?);
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    let is_module = modules
        .lines()
        .any(|line| line.starts_with("test_rust_vma "));
    did("modules tested", u8::from(is_module));
    check_dropped(&tester, || {
        let expected = match is_module {
            true => Err(Errno::EINVAL),
            false => Ok(()),
        };
        for file in [tester.file(), prepared.file()] {
            let result = tester.map_without_owner(file);
            ensure!(result == expected, "{result:?}");
        }
        // These VMAs get a file that holds the module.
        tester.map_without_owner(buffer.file())?;
        expect(&buffer, 0)?;
        expect_pages(&buffer, 0)?;
        // The files have their operations again.
        tester.map(test_abi::PLAIN, 1, SHARED)?.unmap()?;
        prepared.map(test_abi::PLAIN, 1, SHARED)?.unmap()?;
        Ok(())
    })
}

fn killed() -> Result<()> {
    let buffer = Buffer::open()?;
    for _ in 0..20 {
        let child = Child::start(|| {
            let span = buffer.map(0, 16, SHARED)?;
            span.part(4, 4).protect(ProtFlags::PROT_READ)?;
            let me = getpid();
            let _grandchild = Child::start(|| {
                set_pdeathsig(Signal::SIGKILL)?;
                // The parent may have been killed before the prctl().
                while getppid() == me {
                    pause();
                }
                Ok(())
            })?;
            loop {
                pause();
            }
        })?;
        wait_for(&buffer, 6)?;
        child.kill()?;
        wait_for(&buffer, 0)?;
    }
    Ok(())
}

/// Waits until the buffer has this number of VMAs.
fn wait_for(buffer: &Buffer, vmas: u64) -> Result<()> {
    let begin = Instant::now();
    while buffer.state()?.vmas != vmas {
        ensure!(
            begin.elapsed() < TIMEOUT,
            "{:?}, expected {vmas} VMAs",
            buffer.state()
        );
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// CVE-2026-43434: an address does not identify a VMA.
fn other_vma() -> Result<()> {
    let (buffer, other) = (Buffer::open()?, Buffer::open()?);
    let span = buffer.map(0, 4, SHARED)?;
    buffer.insert(span.addr(1))?;
    ensure!(buffer.insert(span.addr(1)) == Err(Errno::EBUSY));
    ensure!(span.read(1) == abi::PAGE_MAGIC + 1);
    ensure!(other.insert(span.addr(2)) == Err(Errno::EINVAL));

    // Anonymous memory.
    span.unmap()?;
    ensure!(buffer.insert(span.addr(2)) == Err(Errno::EINVAL));
    map_at(Some(span.at), None, 4, READ_WRITE, PRIVATE)?;
    ensure!(buffer.insert(span.addr(2)) == Err(Errno::EINVAL));
    ensure!(span.read(2) == 0, "the page of the buffer is mapped");

    // A VMA of the same driver, of another file.
    map_at(
        Some(span.at),
        Some((other.file(), 8)),
        4,
        READ_WRITE,
        SHARED,
    )?;
    ensure!(buffer.insert(span.addr(2)) == Err(Errno::EINVAL));
    ensure!(buffer.vmas()?.is_empty());
    other.insert(span.addr(2))?;
    ensure!(span.read(2) == abi::PAGE_MAGIC + 10);

    // A VMA of another driver, which uses the same abstractions.
    let tester = Tester::open()?;
    let file = Some((tester.file(), test_abi::PLAIN));
    map_at(Some(span.at), file, 4, READ_WRITE, SHARED)?;
    for device in [&buffer, &other] {
        ensure!(device.insert(span.addr(2)) == Err(Errno::EINVAL));
    }
    span.unmap()?;
    expect(&buffer, 0)?;
    expect(&other, 0)
}

/// `downcast()` only depends on the type of the data.
fn downcast() -> Result<()> {
    let (buffer, tester) = (Buffer::open()?, Tester::open()?);
    let own = tester.map(test_abi::SPLIT_FAILS, 1, SHARED)?;
    ensure!(tester.kind(own.addr(0)) == Ok(test_abi::SPLIT_FAILS));

    let buffer_vma = buffer.map(0, 1, SHARED)?;
    let anonymous = reserve(1)?;
    // A VMA with the `vm_ops` of a file system.
    let program = std::fs::File::open("/proc/self/exe")?;
    let file = Some((&program, 0));
    let file = map_at(None, file, 1, ProtFlags::PROT_READ, PRIVATE)?;
    for other in [buffer_vma, anonymous, file] {
        let kind = tester.kind(other.addr(0));
        ensure!(kind == Err(Errno::ENOENT), "{kind:?}");
    }
    for span in [own, buffer_vma, anonymous, file] {
        span.unmap()?;
        ensure!(tester.kind(span.addr(0)) == Err(Errno::ENOENT));
    }
    Ok(())
}

fn revoked() -> Result<()> {
    let buffer = Buffer::open()?;
    let span = buffer.map(0, 4, SHARED)?;
    for _ in 0..100 {
        for page in 0..4 {
            ensure!(span.read(page) == abi::PAGE_MAGIC + page as u64);
        }
        buffer.revoke()?;
    }
    span.unmap()?;
    Ok(())
}

/// Several VMAs of the parent, parts that it has moved, and those of a child and of its child.
fn revoked_everywhere() -> Result<()> {
    let buffer = Buffer::open()?;
    let other = Buffer::open()?;
    let span = buffer.map(0, 8, SHARED)?;
    let again = buffer.map(2, 4, SHARED)?;
    let private = buffer.map(0, 2, PRIVATE)?;
    let others = other.map(0, 4, SHARED)?;
    let place = reserve(2)?;
    let read = |span: Span| {
        for page in 0..span.pages {
            span.read(page);
        }
    };
    for span in [span, again, private, others] {
        read(span);
    }
    private.write(1, 5);
    let moved = span.part(6, 2).remap(2, Some(place.at))?;
    span.part(1, 1).protect(ProtFlags::PROT_READ)?;
    let mine = span.part(0, 6);
    let all = [mine, again, moved, private];
    let mapped = || -> Result<Vec<usize>> {
        Ok(all
            .map(|s| s.mapped())
            .into_iter()
            .collect::<io::Result<_>>()?)
    };
    ensure!(mapped()? == [6, 4, 2, 2], "{:?}", mapped()?);

    // Each process says when it has the pages mapped, and then waits until they are revoked.
    let files = || -> Result<(File, File)> {
        let (from, into) = pipe()?;
        Ok((from.into(), into.into()))
    };
    let (ready, go) = (files()?, files()?);
    let check = || -> Result<()> {
        for span in all {
            read(span);
        }
        ensure!(mapped()? == [6, 4, 2, 2], "{:?}", mapped()?);
        (&ready.1).write_all(&[0])?;
        (&go.0).read_exact(&mut [0])?;
        // The private copy of a page stays.
        ensure!(mapped()? == [0, 0, 0, 1], "{:?}", mapped()?);
        ensure!(private.read(1) == 5);
        for span in [mine, moved] {
            ensure!(!survives(|| read(span))?, "a page is mapped again");
        }
        Ok(())
    };
    let child = Child::start(|| {
        let grandchild = Child::start(check)?;
        check()?;
        grandchild.join()
    })?;
    (&ready.0).read_exact(&mut [0; 2])?;
    buffer.withhold(true)?;
    ensure!(mapped()? == [0, 0, 0, 1], "{:?}", mapped()?);
    // Those of the other file stay.
    ensure!(others.mapped()? == 4);
    (&go.1).write_all(&[0; 2])?;
    child.join()?;
    ensure!(buffer.insert(mine.addr(3)) == Err(Errno::EPERM));
    buffer.withhold(false)?;
    ensure!(mine.read(5) == abi::PAGE_MAGIC + 5 && moved.read(1) == abi::PAGE_MAGIC + 7);
    for span in [span, again, private, others, moved] {
        span.unmap()?;
    }
    // The mapping of the last file outlives the file descriptor.
    let span = buffer.map(0, 1, SHARED)?;
    ensure!(span.read(0) == abi::PAGE_MAGIC);
    drop(buffer);
    span.unmap()?;
    Ok(())
}

/// Other threads access the pages in system calls, which fail with `EFAULT` instead of `SIGBUS`.
fn revoked_during_faults() -> Result<()> {
    in_child(|| {
        let buffer = Buffer::open()?;
        let span = buffer.map(0, 4, SHARED)?;
        let stop = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        let (mut rounds, reads) = (0, std::sync::atomic::AtomicUsize::new(0));
        thread::scope(|scope| -> Result<()> {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mem = File::open("/proc/self/mem").expect("own memory");
                    while !stop.load(relaxed) {
                        for page in 0..4 {
                            let mut byte = [0];
                            if mem.read_at(&mut byte, span.addr(page)).is_ok() {
                                reads.fetch_add(1, relaxed);
                            }
                        }
                    }
                });
            }
            let begin = Instant::now();
            let result = (|| {
                while begin.elapsed() < Duration::from_secs(2) {
                    buffer.withhold(true)?;
                    for _ in 0..3 {
                        let mapped = span.mapped()?;
                        ensure!(
                            mapped == 0,
                            "{mapped} pages are mapped after {rounds} rounds"
                        );
                    }
                    buffer.withhold(false)?;
                    rounds += 1;
                    thread::yield_now();
                }
                Ok(())
            })();
            stop.store(true, relaxed);
            result
        })?;
        did("revocations", rounds);
        ensure!(rounds > 10 && reads.into_inner() > 0);
        span.unmap()?;
        Ok(())
    })
}

/// Runs a part of a test, after which all `vm_private_data` must have been dropped.
fn check_dropped(tester: &Tester, part: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = tester.events()?;
    part()?;
    let after = tester.events()?;
    let allocated = after.allocated - before.allocated;
    let dropped = after.dropped - before.dropped;
    ensure!(
        allocated == dropped,
        "{allocated} allocated, {dropped} dropped"
    );
    ensure!(
        before.pages == after.pages,
        "pages: {} before, {} after",
        before.pages,
        after.pages
    );
    Ok(())
}

fn hook_fails() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let before = tester.events()?;
        for _ in 0..100 {
            let refused = tester.map(test_abi::HOOK_FAILS, 2, SHARED).err();
            ensure!(refused == Some(Errno::ENODEV), "{refused:?}");
        }
        let after = tester.events()?;
        ensure!(after.allocated == before.allocated + 100, "{after:?}");
        // `open()` was called by `set_ops()`, so `close()` is called after the failure.
        ensure!(after.mapped == before.mapped + 100, "{after:?}");
        ensure!(after.closed == before.closed + 100, "{after:?}");
        ensure!(after.pages == before.pages, "{after:?}");
        Ok(())
    })
}

fn hook_sets_twice() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let refused = tester.map(test_abi::SET_OPS_TWICE, 2, SHARED).err();
        ensure!(refused == Some(Errno::EBUSY), "{refused:?}");
        Ok(())
    })
}

/// Each VMA has its own `vm_private_data`, which the core mm does not compare when it merges VMAs.
fn equal_flags() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        for what in [test_abi::PLAIN, test_abi::CHANGE_FLAGS] {
            let before = tester.events()?;
            let reserved = reserve(9)?;
            for i in 0..4 {
                let file = Some((tester.file(), what + 2 * i));
                let at = reserved.at + 2 * i as usize * PAGE;
                map_at(Some(at), file, 2, READ_WRITE, SHARED)?;
            }
            // Different flags become equal again.
            let all = reserved.part(0, 8);
            all.part(3, 2).protect(ProtFlags::PROT_READ)?;
            all.protect(READ_WRITE)?;
            reserved.unmap()?;

            let after = tester.events()?;
            let allocated = after.allocated - before.allocated;
            let opened = after.opened - before.opened;
            ensure!(allocated == 4 && opened == 2, "{after:?}");
            let closed = after.closed - before.closed;
            ensure!(closed == allocated + opened, "{closed} closed: {after:?}");
        }
        Ok(())
    })
}

fn no_read() -> Result<()> {
    let tester = Tester::open()?;
    let map = |prot| {
        map_at(
            None,
            Some((tester.file(), test_abi::NO_READ)),
            1,
            prot,
            SHARED,
        )
    };
    let rights = [
        ProtFlags::PROT_READ,
        // The CPU lets userspace read what it may write.
        ProtFlags::PROT_WRITE,
        ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
    ];
    for prot in rights {
        ensure!(map(prot).err() == Some(Errno::EINVAL), "mapped {prot:?}");
    }
    let span = map(ProtFlags::PROT_NONE)?;
    for prot in rights {
        ensure!(
            span.protect(prot) == Err(Errno::EACCES),
            "mprotect() allowed {prot:?}"
        );
    }
    span.unmap()?;
    Ok(())
}

fn split_refused() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let span = tester.map(test_abi::SPLIT_FAILS, 4, SHARED)?;
        ensure!(span.part(1, 1).unmap() == Err(Errno::EINVAL));
        ensure!(span.part(1, 1).protect(ProtFlags::PROT_READ) == Err(Errno::EINVAL));
        span.protect(ProtFlags::PROT_READ)?;
        span.unmap()?;

        let span = tester.map(test_abi::PLAIN, 4, SHARED)?;
        span.part(1, 1).unmap()?;
        span.unmap()?;
        Ok(())
    })
}

fn mremap_refused() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let reserved = reserve(2)?;
        let span = tester.map(test_abi::MREMAP_FAILS, 2, SHARED)?;
        span.write(0, 5);
        let refused = span.remap(2, Some(reserved.at)).err();
        ensure!(refused == Some(Errno::EINVAL), "{refused:?}");
        ensure!(span.read(0) == 5);
        span.unmap()?;

        // The failed mremap() may have unmapped the target.
        let reserved = reserve(2)?;
        let before = tester.events()?.moved;
        let span = tester.map(test_abi::PLAIN, 2, SHARED)?;
        span.write(0, 6);
        let span = span.remap(2, Some(reserved.at))?;
        ensure!(span.read(0) == 6);
        ensure!(tester.events()?.moved == before + 1);
        span.unmap()?;
        Ok(())
    })
}

fn mkwrite_refused() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let span = tester.map(test_abi::MKWRITE_FAILS, 1, SHARED)?;
        ensure!(span.read(0) == 0);
        ensure!(!survives(|| span.write(0, 1))?, "the page was written");
        span.unmap()?;

        let before = tester.events()?.written;
        let span = tester.map(test_abi::PLAIN, 1, SHARED)?;
        span.read(0);
        span.write(0, 1);
        span.write(0, 2);
        ensure!(span.read(0) == 2);
        let written = tester.events()?.written - before;
        ensure!(written == 1, "page_mkwrite() was called {written} times");
        span.unmap()?;
        Ok(())
    })
}

fn retried() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let before = tester.events()?;
        let other = Tester::open()?;
        let span = other.map(test_abi::RETRY, 1, SHARED)?;
        ensure!(span.read(0) == 0);
        let after = tester.events()?;
        ensure!(after.retried == before.retried + 1, "{after:?}");
        ensure!(after.faults == before.faults + 2, "{after:?}");

        // The reference to the file during the wait has been dropped.
        span.unmap()?;
        drop(other);
        let after = tester.events()?;
        ensure!(after.released == before.released + 1, "{after:?}");
        Ok(())
    })
}

/// Returns how many page faults have been handled under the VMA lock, and how many were retried.
/// A kernel without `CONFIG_PER_VMA_LOCK_STATS` does not count them.
fn handled_and_retried() -> Result<Option<(u64, u64)>> {
    let text = fs::read_to_string("/proc/vmstat")?;
    let count = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let counts = count("vma_lock_success ").zip(count("vma_lock_retry "));
    counts
        .map(|(handled, retried)| Ok((handled.trim().parse()?, retried.trim().parse()?)))
        .transpose()
}

/// Each page is accessed twice: for reading, and then for writing.
fn vma_lock() -> Result<()> {
    let tester = Tester::open()?;
    let pages = 256;
    let span = tester.map(0, pages, SHARED)?;
    let (events, before) = (tester.events()?, handled_and_retried()?);
    for page in 0..pages {
        span.read(page);
        span.write(page, 1);
    }
    let (after, events_after) = (handled_and_retried()?, tester.events()?);
    span.unmap()?;

    let all = 2 * pages as u64;
    let handler_calls = events_after.faults - events.faults + events_after.written - events.written;
    ensure!(
        handler_calls == all,
        "{handler_calls} handler calls for {all} faults"
    );
    let Some((before, after)) = before.zip(after) else {
        did("left out, as the kernel does not count faults", 1);
        return Ok(());
    };
    let (handled, retried) = (after.0 - before.0, after.1 - before.1);
    did("page faults under the VMA lock", handled);
    // Page faults of other processes count as well.
    ensure!(
        handled >= all && retried < all / 8,
        "{handled} handled, {retried} retried"
    );
    Ok(())
}

fn pfn_mappings() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        for what in [test_abi::MAP_PFN, test_abi::FAULT_PFN] {
            let span = tester.map(what, 1, SHARED)?;
            let flags = procfs::flags_of(span.addr(0))?;
            for flag in ["pf", "io", "de", "dd"] {
                ensure!(flags.contains(flag), "{what}: no {flag} in{flags}");
            }
            ensure!(span.read(0) == 0);
            span.write(0, what);
            // After mremap() and fork(), the same PFN is mapped.
            let to = reserve(1)?;
            let moved = span.remap(1, Some(to.at))?;
            ensure!(moved.read(0) == what);
            in_child(|| {
                ensure!(moved.read(0) == what);
                moved.write(0, what + 1);
                Ok(())
            })?;
            ensure!(
                moved.read(0) == what + 1,
                "{what}: the child maps another PFN"
            );
            moved.unmap()?;
        }

        // Each page maps the same PFN.
        let span = tester.map(test_abi::FAULT_PFN, 3, SHARED)?;
        span.write(2, 7);
        ensure!((span.read(0), span.read(1)) == (7, 7));
        span.part(1, 1).unmap()?;
        ensure!(span.read(2) == 7);
        span.unmap()?;

        // The same memory, whether mapped as a PFN or as a page.
        let span = tester.map(test_abi::MIXED, 4, SHARED)?;
        span.write(0, 8);
        ensure!([span.read(1), span.read(2), span.read(3)] == [8; 3]);
        span.part(0, 2).unmap()?;
        in_child(|| {
            span.write(3, 9);
            Ok(())
        })?;
        ensure!(span.read(2) == 9);
        span.part(2, 2).unmap()?;

        // Private writable PFN mappings are refused, and so is a combination with `VM_MIXEDMAP`.
        for (what, flags, errno) in [
            (test_abi::MAP_PFN, MapFlags::MAP_PRIVATE, Errno::EINVAL),
            (test_abi::FAULT_PFN, MapFlags::MAP_PRIVATE, Errno::EINVAL),
            (test_abi::CONFLICT, SHARED, Errno::EBUSY),
        ] {
            let refused = tester.map(what, 1, flags).err();
            ensure!(refused == Some(errno), "{what}: {refused:?}");
        }
        Ok(())
    })
}

/// The data belongs to the file. A VMA takes a reference after `->mmap_prepare()`.
fn prepared() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let file = Prepared::open()?;
        let before = tester.events()?;

        // A failed mmap() takes no reference; a leaked one would remain after the file is released.
        for _ in 0..100 {
            for (what, errno) in [
                (test_abi::HOOK_FAILS, Errno::ENODEV),
                (test_abi::SET_OPS_TWICE, Errno::EBUSY),
                (test_abi::CONFLICT, Errno::EBUSY),
            ] {
                let refused = file.map(what, 2, SHARED).err();
                ensure!(refused == Some(errno), "{what}: {refused:?}");
            }
        }
        ensure!(tester.events()? == before, "{:?}", tester.events()?);

        for what in [test_abi::PLAIN, test_abi::MIXED, test_abi::FAULT_PFN] {
            let before = tester.events()?;
            let span = file.map(what, 4, SHARED)?;
            ensure!(tester.kind(span.addr(3)) == Ok(1));
            span.write(0, what);
            ensure!(span.read(3) == what);
            in_child(|| {
                ensure!(span.read(1) == what);
                Ok(())
            })?;
            span.part(1, 1).unmap()?;
            let to = reserve(2)?;
            let moved = span.part(2, 2).remap(2, Some(to.at))?;
            ensure!(moved.read(1) == what && tester.kind(moved.addr(0)) == Ok(1));
            ensure!(
                moved.remap(3, None).is_err(),
                "{what}: the VMA was expanded"
            );
            moved.unmap()?;
            span.part(0, 1).unmap()?;

            let after = tester.events()?;
            let (opened, closed) = (after.opened - before.opened, after.closed - before.closed);
            // fork(), two splits by munmap(), and mremap().
            ensure!(opened == 4 && closed == 5, "{what}: {after:?}");
            // With a missing reference, the last VMA would have dropped the data of the file.
            ensure!(after.dropped == before.dropped, "{what}: {after:?}");
        }

        // Adjacent VMAs have equal flags, but each holds a reference.
        let reserved = reserve(4)?;
        let before = tester.events()?;
        file.map_at(reserved.part(0, 2), test_abi::PLAIN)?;
        file.map_at(reserved.part(2, 2), test_abi::PLAIN + 2)?;
        reserved.unmap()?;
        ensure!(tester.events()?.closed - before.closed == 2);

        let span = file.map_to_read(test_abi::CHANGE_FLAGS, 1)?;
        let flags = procfs::flags_of(span.addr(0))?;
        for flag in ["io", "dc", "dd", "de"] {
            ensure!(flags.contains(flag), "no {flag} in{flags}");
        }
        ensure!(span.protect(READ_WRITE) == Err(Errno::EACCES));
        // The VMA holds a reference to the data after the file descriptor is closed.
        drop(file);
        ensure!(span.read(0) == test_abi::FAULT_PFN);
        span.unmap()?;
        Ok(())
    })
}

/// Pages and PFNs of `->mmap_prepare()` are mapped by mmap(), which fails if they cannot be.
fn prepare_maps() -> Result<()> {
    let tester = Tester::open()?;
    check_dropped(&tester, || {
        let file = Prepared::open()?;
        let pages = file.map(test_abi::MAP_PAGES, 2, SHARED)?;
        let before = tester.events()?;
        pages.write(0, 5);
        pages.write(1, 6);
        let pfn = file.map(test_abi::MAP_PFN, 1, SHARED)?;
        ensure!(pfn.read(0) == 5);
        let larger = file.map(test_abi::MAP_PAGES, 3, SHARED)?;
        ensure!((larger.read(0), larger.read(1)) == (5, 6));
        for (span, flags) in [(pages, &["mm"][..]), (pfn, &["pf", "io", "de", "dd"])] {
            let all = procfs::flags_of(span.addr(0))?;
            for flag in flags {
                ensure!(all.contains(flag), "no {flag} in{all}");
            }
            ensure!(tester.kind(span.addr(0)) == Err(Errno::ENOENT));
        }
        ensure!(!survives(|| {
            larger.read(2);
        })?);

        for (what, pages, flags, errno) in [
            (test_abi::MAP_PAGES, 1, SHARED, Errno::EFAULT),
            (test_abi::MAP_PFN, 2, SHARED, Errno::EINVAL),
            (test_abi::MAP_PFN, 1, PRIVATE, Errno::EINVAL),
            (test_abi::FAULT_PFN, 1, PRIVATE, Errno::EINVAL),
        ] {
            let refused = file.map(what, pages, flags).err();
            ensure!(refused == Some(errno), "{what}: {refused:?}");
        }

        // A child has the PFN mapped. Its pages are not mapped, and there is no fault handler.
        in_child(|| {
            ensure!(pfn.read(0) == 5);
            Ok(())
        })?;
        for span in [pages, pfn, larger] {
            span.unmap()?;
        }
        // No handler was called.
        let after = tester.events()?;
        ensure!((after.faults, after.closed) == (before.faults, before.closed));
        Ok(())
    })
}

/// /proc/PID/mem reads and writes PFN mappings through `access()`.
fn remote_access() -> Result<()> {
    let tester = Tester::open()?;
    let mem = File::options()
        .read(true)
        .write(true)
        .open("/proc/self/mem")?;
    let read = |from, len| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0xff; len];
        let done = mem.read_at(&mut bytes, from)?;
        bytes.truncate(done);
        Ok(bytes)
    };
    let page = PAGE as u64;

    for (what, pages) in [(test_abi::MAP_PFN, 1), (test_abi::FAULT_PFN, 2)] {
        // Nothing is mapped after the VMA.
        let place = reserve(pages + 1)?;
        let span = tester.map(what, pages, SHARED)?;
        let span = span.remap(pages, Some(place.at))?;
        place.part(pages, 1).unmap()?;
        let start = span.addr(0);
        span.write(0, 0x0102_0304_0506_0708);
        ensure!(
            read(start, 8)? == span.read(0).to_ne_bytes(),
            "{what}: other content"
        );
        ensure!(mem.write_at(&[9; 3], start + 2)? == 3);
        ensure!(span.read(0).to_le_bytes() == [8, 7, 9, 9, 9, 3, 2, 1]);
        // The requested range exceeds the VMA.
        let last = start + span.bytes() as u64 - 4;
        ensure!(read(last, 100)? == [0; 4], "{what}: read beyond the VMA");
        // A write to a read-only VMA is refused.
        span.protect(ProtFlags::PROT_READ)?;
        let refused = mem.write_at(&[0], start).map_err(|err| err.raw_os_error());
        ensure!(refused == Err(Some(libc::EIO)), "{what}: {refused:?}");
        ensure!(span.read(0).to_le_bytes()[0] == 8);
        span.unmap()?;
        ensure!(read(start, 8).is_err());
    }

    // `access()` is not called for other VMAs, as they have a `struct page`.
    let span = tester.map(0, 1, SHARED)?;
    ensure!(mem.write_at(&[1], span.addr(0) + page - 1)? == 1 && span.read(0) == 0);
    Ok(span.unmap()?)
}

/// The number of threads, of steps between two comparisons, and of comparisons.
const THREADS: u64 = 3;
const STEPS: usize = 150;
const STOPS: usize = 8;

fn concurrent() -> Result<()> {
    in_child(|| {
        let buffer = Buffer::open()?;
        let tester = Tester::open()?;
        let places: Vec<Span> = (0..THREADS)
            .map(|_| reserve(2 * abi::PAGES))
            .collect::<Result<_, _>>()?;
        let stop = Barrier::new(THREADS as usize + 1);
        let most = Mutex::new(0);

        check_dropped(&tester, || {
            thread::scope(|scope| -> Result<()> {
                let (buffer, stop) = (&buffer, &stop);
                for (seed, place) in places.iter().enumerate() {
                    let mut rng = fastrand::Rng::with_seed(seed as u64);
                    scope.spawn(move || {
                        for _ in 0..STOPS {
                            for _ in 0..STEPS {
                                step(&mut rng, buffer, *place);
                            }
                            stop.wait();
                            // The main thread compares the VMAs here.
                            stop.wait();
                        }
                    });
                }
                let mut result = Ok(());
                for _ in 0..STOPS {
                    stop.wait();
                    let found = compare_vmas(buffer).and_then(|vmas| {
                        let mut most = most.lock().map_err(|_| anyhow!("poisoned"))?;
                        *most = vmas.max(*most);
                        // The children of a step have exited.
                        expect(buffer, vmas as u64)
                    });
                    result = result.and(found);
                    stop.wait();
                }
                result
            })
        })?;
        for place in places {
            place.unmap()?;
        }
        did(
            "VMAs at the same time",
            most.lock().map_err(|_| anyhow!("poisoned"))?,
        );
        expect(&buffer, 0)
    })
}

/// Applies a random operation to some pages of a range. Each operation may fail.
fn step(rng: &mut fastrand::Rng, buffer: &Buffer, place: Span) {
    let first = rng.usize(..place.pages - 8);
    let span = place.part(first, rng.usize(1..8));
    let flags = if rng.bool() { SHARED } else { PRIVATE };

    let _ = match rng.u8(..10) {
        0..=3 => {
            let pgoff = rng.u64(..abi::PAGES as u64 - 8);
            map_at(
                Some(span.at),
                Some((buffer.file(), pgoff)),
                span.pages,
                READ_WRITE,
                flags,
            )
            .map(drop)
        }
        // Reserve the range again, so that no other mapping is placed there.
        4 => map_at(
            Some(span.at),
            None,
            span.pages,
            ProtFlags::PROT_NONE,
            PRIVATE,
        )
        .map(drop),
        5 => span.protect(if rng.bool() {
            ProtFlags::PROT_READ
        } else {
            READ_WRITE
        }),
        6 => {
            let to = place.part(rng.usize(..place.pages - 8), 1).at;
            let moved = span.remap(span.pages, Some(to)).map(drop);
            // Reserve the hole that mremap() has left.
            let _ = fill(place);
            moved
        }
        7 => {
            // SAFETY: No Rust reference points to these pages.
            let _ = NonNull::new(span.at as *mut c_void)
                .map(|at| unsafe { madvise(at, span.bytes(), MmapAdvise::MADV_DONTNEED) });
            buffer.revoke()
        }
        8 => buffer.insert(span.addr(0)),
        _ => {
            // SAFETY: The child has copies of all VMAs, and only exits.
            match unsafe { libc::fork() } {
                0 => unsafe { libc::_exit(0) },
                // SAFETY: A null status is permitted.
                child => unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) },
            };
            Ok(())
        }
    };
}

/// Reserves the unmapped pages of a range again.
fn fill(place: Span) -> Result<(), Errno> {
    for page in 0..place.pages {
        let one = place.part(page, 1);
        let flags = PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
        let at = std::num::NonZeroUsize::new(one.at);
        let len = std::num::NonZeroUsize::new(one.bytes()).ok_or(Errno::EINVAL)?;
        // SAFETY: `MAP_FIXED_NOREPLACE` does not replace a mapping.
        let _ = unsafe { nix::sys::mman::mmap_anonymous(at, len, ProtFlags::PROT_NONE, flags) };
    }
    Ok(())
}
