// SPDX-License-Identifier: GPL-2.0

//! Fault injection: makes each allocation and each user copy of an operation fail, one at a time.
//!
//! /proc/thread-self/fail-nth makes the n-th injection point fail, of the slab allocator, the page
//! allocator and user copies alike. An operation is repeated with n = 1, 2, ... until none fails.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    sys::{
        mman::{mmap, mprotect, mremap, munmap, MRemapFlags, MapFlags, ProtFlags},
        uio::{pread, pwrite},
    },
    unistd::getpid,
};
use rust_task::{
    child::in_child,
    device::{abi, test_abi, Device, Tester},
    ktap::{self, Test},
    leaks::InUse,
    mailbox::{self, Mailbox},
    mirror::Mirror,
    params,
    remote::{gup_abi, pidfd_open, Gup, Remote},
    vma,
};
use std::{
    ffi::CStr,
    fs::{self, File},
    num::NonZeroUsize,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    sync::atomic::AtomicU64,
    time::Duration,
};

const TESTS: &[Test] = &[
    ("faults can be injected", faults_can_be_injected),
    (
        "each fault is returned or tolerated, and the next call succeeds",
        each_fault,
    ),
    ("loading a module succeeds or fails", modules_loaded_or_not),
    ("no memory is leaked", no_leak),
];

const PAGE: usize = 4096;
const NODE: &str = "/dev/rust_char_memory0";
/// Operations in which each fault must be returned as an error.
const ALL_ERRORS: &[&str] = &[
    "get information",
    "look up a VMA",
    "list the VMAs of a buffer",
    "get the opener",
    "task references",
    "mm_users references",
    "mm_count references",
    "PID namespace references",
    "mmget_not_zero()",
    "into_mmput_async()",
    "credential references",
    "user namespace references",
    "get thread information",
];
/// One kthread of each kind: stopped before it runs, bound to a CPU, ..., never started.
const THREADS: u32 = 5;
/// An address without other mappings nearby, so that its page tables are not shared.
const REMOTE_ADDR: usize = 1 << 40;
/// More injection points than any operation has.
const MAX_POINTS: u32 = 10_000;
/// How often all operations are repeated, so that a leaked page or object is noticed.
const ROUNDS: u32 = 4;
/// A run of fewer seconds is one among others. It does not make every fault of the module loader,
/// and repeats the operations less often.
const LONG: u64 = 60;

fn is_long() -> Result<bool> {
    Ok(params::seconds()? >= LONG)
}

fn main() -> Result<()> {
    let debug = Path::new("/sys/kernel/debug");
    // Sleeping allocations of any order may fail as well, without a stack trace.
    for (file, value) in [
        ("failslab/ignore-gfp-wait", "N"),
        ("failslab/verbose", "0"),
        ("fail_page_alloc/ignore-gfp-wait", "N"),
        ("fail_page_alloc/ignore-gfp-highmem", "N"),
        ("fail_page_alloc/min-order", "0"),
        ("fail_page_alloc/verbose", "0"),
        ("fail_usercopy/verbose", "0"),
    ] {
        fs::write(debug.join(file), value).with_context(|| file)?;
    }
    ktap::run_within(Duration::from_secs(600), TESTS)
}

/// The calling thread's `fail-nth`.
struct FailNth(File);

impl FailNth {
    fn open() -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")?;
        Ok(Self(file))
    }

    /// Makes the n-th injection point from now on fail.
    fn arm(&self, n: u32) -> Result<()> {
        pwrite(&self.0, n.to_string().as_bytes(), 0)?;
        Ok(())
    }

    /// Disables fault injection. Returns whether the fault has been injected.
    fn disarm(&self) -> Result<bool> {
        let mut left = [0; 16];
        // If the fault is injected into this call, it had not been injected before.
        let injected = pread(&self.0, &mut left, 0).is_ok() && left.starts_with(b"0\n");
        // It may be injected into this call, too.
        if pwrite(&self.0, b"0", 0).is_err() {
            pwrite(&self.0, b"0", 0)?;
        }
        Ok(injected)
    }
}

/// The errors that a failed allocation or copy may cause.
const EXPECTED: &[Errno] = &[
    Errno::ENOMEM,
    Errno::EFAULT,
    // An open file or a process could not be allocated.
    Errno::ENFILE,
    Errno::EAGAIN,
];

/// The number of injected faults, and how many of them caused an error.
struct Swept {
    faults: u32,
    errors: u32,
}

/// Repeats `operation` with a fault at each of its injection points.
fn sweep(operation: &dyn Fn() -> Result<(), Errno>) -> Result<Swept> {
    sweep_each(1, operation)
}

/// Repeats `operation` with a fault at each `step`-th of its injection points.
fn sweep_each(step: usize, operation: &dyn Fn() -> Result<(), Errno>) -> Result<Swept> {
    let (mut faults, mut errors) = (0, 0);
    let nth = FailNth::open()?;
    // One-time allocations, such as a page of the stack, are made now.
    operation().context("without a fault")?;
    for n in (1..MAX_POINTS).step_by(step) {
        nth.arm(n)?;
        let result = operation();
        let injected = nth.disarm()?;
        match result {
            Ok(()) => {}
            Err(err) => {
                errors += 1;
                ensure!(
                    injected && EXPECTED.contains(&err),
                    "{err}, {} fault {n}",
                    if injected { "after" } else { "without" }
                );
            }
        }
        operation().with_context(|| format!("after fault {n}"))?;
        if !injected {
            return Ok(Swept { faults, errors });
        }
        faults += 1;
    }
    anyhow::bail!("more than {MAX_POINTS} injection points")
}

type Operation<'a> = (&'static str, Box<dyn Fn() -> Result<(), Errno> + 'a>);

/// Returns the error of opening a file.
fn io(err: std::io::Error) -> Errno {
    Errno::from_raw(err.raw_os_error().unwrap_or(0))
}

/// Calls `with` with all operations of the drivers, or with the one of `case=`.
fn operations(with: &mut dyn FnMut(&[Operation<'_>]) -> Result<()>) -> Result<()> {
    let device = &Device::open()?;
    let tester = &Tester::open()?;
    let buffer = &vma::Buffer::open()?;
    let vma_tester = &vma::Tester::open()?;
    let pages = &device.map_pages(1)?;
    let gup = &Gup::open()?;
    let remote = &Remote::open()?;
    let pidfd = &pidfd_open(getpid())?;
    let references = |kind| -> Operation<'_> {
        let name = match kind {
            test_abi::TASK => "task references",
            test_abi::MM_USERS => "mm_users references",
            test_abi::MM_COUNT => "mm_count references",
            test_abi::PID_NS => "PID namespace references",
            test_abi::MM_NOT_ZERO => "mmget_not_zero()",
            test_abi::MM_ASYNC => "into_mmput_async()",
            test_abi::CRED => "credential references",
            _ => "user namespace references",
        };
        (name, Box::new(move || tester.refcounts(kind, 3).map(drop)))
    };
    let access = |name, kind, pages| -> Operation<'_> {
        (
            name,
            Box::new(move || map_and_access(vma_tester, kind, pages)),
        )
    };
    let mut all: Vec<Operation<'_>> = vec![
        (
            "open",
            Box::new(move || Device::open().map(drop).map_err(io)),
        ),
        (
            "open for tests",
            Box::new(move || Tester::open().map(drop).map_err(io)),
        ),
        (
            "get information",
            Box::new(|| {
                let info = device.info()?;
                // A failed copy must not be reported as success.
                assert_eq!((info.pid, info.has_mm), (nix::unistd::gettid().as_raw(), 1));
                Ok(())
            }),
        ),
        (
            "look up a VMA",
            Box::new(|| {
                let at = pages.addr(0);
                let vma = device.vma(at)?;
                assert_eq!((vma.start, vma.end), (at, at + PAGE as u64));
                Ok(())
            }),
        ),
        ("map, zap, unmap", Box::new(|| map_and_zap(device))),
        (
            "map, split, move",
            Box::new(|| map_and_split(device.file())),
        ),
        ("map, fork", Box::new(|| map_and_fork(device))),
        (
            "open a buffer",
            Box::new(move || vma::Buffer::open().map(drop).map_err(io)),
        ),
        (
            "map, insert, revoke, unmap a buffer",
            Box::new(|| map_and_insert(buffer)),
        ),
        (
            "map, split, move a buffer",
            Box::new(|| map_and_split(buffer.file())),
        ),
        (
            "list the VMAs of a buffer",
            Box::new(|| buffer.vmas().map(|vmas| assert!(vmas.is_empty()))),
        ),
        (
            "->mmap() fails",
            Box::new(|| {
                let flags = MapFlags::MAP_SHARED;
                match vma_tester.map(vma::test_abi::HOOK_FAILS, 1, flags) {
                    Err(Errno::ENODEV) => Ok(()),
                    other => other.map(|span| panic!("mapped {span:?}")),
                }
            }),
        ),
        ("get the opener", Box::new(|| tester.opener().map(drop))),
        (
            "get the mm of a kworker",
            Box::new(|| tester.worker_has_mm().map(drop)),
        ),
        access("fault, pages", vma::test_abi::PLAIN, 2),
        access("fault, retry_after()", vma::test_abi::RETRY, 2),
        access("fault, vmf_insert_pfn()", vma::test_abi::FAULT_PFN, 2),
        access("fault, PFNs and pages", vma::test_abi::MIXED, 2),
        ("fault, ->mmap_prepare()", Box::new(map_and_access_prepared)),
        (
            "get thread information",
            Box::new(|| {
                let own = nix::unistd::gettid().as_raw();
                let result = tester.thread_info(own)?;
                let euid = nix::unistd::geteuid().as_raw();
                assert_eq!((result.in_init, result.euid_own_ns), (own, euid));
                Ok(())
            }),
        ),
        ("task work", Box::new(|| run_task_work(tester))),
        (
            "start and stop kthreads",
            Box::new(|| {
                let result = tester.spawn(THREADS)?;
                assert_eq!((result.dropped, result.wrong), (THREADS, 0));
                Ok(())
            }),
        ),
        ("kthread_use_mm()", Box::new(|| use_mm(tester))),
        ("write, read, poll a character device", Box::new(use_node)),
        ("pin, copy, unpin", Box::new(|| pin(gup, 0))),
        (
            "pin, charged to locked_vm",
            Box::new(|| pin(gup, gup_abi::USE_LOCKED_VM)),
        ),
        (
            "read and write remote memory",
            Box::new(|| access_remote(remote, pidfd)),
        ),
        ("mirror a range", Box::new(mirror_range)),
        ("send and receive a message", Box::new(send_message)),
    ];
    all.extend((test_abi::TASK..=test_abi::USER_NS).map(references));
    // On 6.12, a remap_pfn_range() that fails to allocate a page table looks up the memory type of
    // the PFN in the page table, and warns that there is none.
    if !fs::read_to_string("/proc/sys/kernel/osrelease")?.starts_with("6.12.") {
        all.push(access(
            "fault, remap_pfn_range()",
            vma::test_abi::MAP_PFN,
            1,
        ));
    }
    if let Some(case) = params::text("case") {
        all.retain(|(name, _)| *name == case);
        ensure!(!all.is_empty(), "no operation is called {case}");
    }
    with(&all)
}

fn map_and_zap(device: &Device) -> Result<(), Errno> {
    let pages = device.map_pages(abi::PAGES)?;
    let result = device.zap(pages.addr(2), (3 * PAGE) as u64);
    let zapped = result.is_ok();
    let last = pages.peek(abi::PAGES - 1);
    let gone = pages.peek(3);
    pages.unmap()?;
    if zapped {
        assert!(gone.is_err());
    }
    // The pipe of `peek()` may have failed instead.
    if let Ok(last) = last {
        assert_eq!(last, abi::PAGE_MAGIC + abi::PAGES as u64 - 1);
    }
    result
}

fn map_and_insert(buffer: &vma::Buffer) -> Result<(), Errno> {
    let span = buffer.map(0, 2, MapFlags::MAP_SHARED)?;
    let result = buffer.insert(span.addr(1)).and_then(|()| buffer.revoke());
    span.unmap()?;
    result
}

/// Each page of the VMA maps the same memory. The VMA has its own page tables, which are allocated
/// by page faults; if that fails, the access is repeated.
fn map_and_access(tester: &vma::Tester, kind: u64, pages: usize) -> Result<(), Errno> {
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let file = Some((tester.file(), kind));
    let span = vma::map_at(Some(REMOTE_ADDR), file, pages, rights, MapFlags::MAP_SHARED)?;
    span.write(0, kind + 1);
    let correct = (0..pages).all(|page| span.read(page) == kind + 1);
    span.unmap()?;
    assert!(correct);
    Ok(())
}

/// The same for `->mmap_prepare()`, with `set_ops()` or with mapped pages.
fn map_and_access_prepared() -> Result<(), Errno> {
    let file = vma::Prepared::open().map_err(io)?;
    for kind in [vma::test_abi::PLAIN, vma::test_abi::MAP_PAGES] {
        let span = file.map(kind, 2, MapFlags::MAP_SHARED)?;
        span.write(0, kind + 1);
        let correct = span.read(0) == kind + 1;
        span.unmap()?;
        assert!(correct);
    }
    Ok(())
}

/// Queues two work items, each of which queues another one if the allocation succeeds.
fn run_task_work(tester: &Tester) -> Result<(), Errno> {
    let before = tester.task_work(2, 1)?;
    let after = tester.task_work(0, 0)?;
    assert_eq!(after.wrong, 0);
    assert!((2..=4).contains(&(after.done - before.done)));
    Ok(())
}

/// A kthread adds one to a value of this process.
fn use_mm(tester: &Tester) -> Result<(), Errno> {
    let value = AtomicU64::new(1);
    let result = tester.use_mm(value.as_ptr() as u64, 1)?;
    assert_eq!((result.done, result.wrong, result.result), (1, 0, 7));
    assert_eq!(value.into_inner(), 2);
    Ok(())
}

/// Opens a node of the character device, and writes, reads and polls it.
fn use_node() -> Result<(), Errno> {
    let mut options = File::options();
    let file = options.read(true).write(true).open(NODE).map_err(io)?;
    pwrite(&file, b"fault", 0)?;
    let mut events = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `events` is valid for the call.
    Errno::result(unsafe { libc::poll(&mut events, 1, 0) })?;
    assert_eq!(events.revents, libc::POLLIN);
    let mut bytes = [0; 5];
    pread(&file, &mut bytes, 0)?;
    assert_eq!(&bytes, b"fault");
    Ok(())
}

/// Calls `f` with the address of new pages, which have page tables of their own.
fn with_pages(count: usize, f: impl Fn(usize) -> Result<(), Errno>) -> Result<(), Errno> {
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let span = vma::map_at(Some(REMOTE_ADDR), None, count, rights, flags)?;
    let result = f(REMOTE_ADDR);
    span.unmap()?;
    result
}

/// Pins pages, writes and reads them, and unpins them where the task may not sleep.
fn pin(gup: &Gup, flags: u32) -> Result<(), Errno> {
    const PAGES: usize = 3;
    with_pages(PAGES, |addr| {
        gup.pin(addr, PAGES * PAGE, gup_abi::USE_WRITE | flags)?;
        let mut bytes = [0; PAGES * PAGE];
        let copied = gup.write(&[7; PAGES * PAGE]).and(gup.read(&mut bytes));
        gup.unpin_atomic()?;
        copied?;
        assert_eq!(bytes, [7; PAGES * PAGE]);
        Ok(())
    })
}

/// Writes and reads memory of this process as that of another one.
fn access_remote(remote: &Remote, pidfd: &OwnedFd) -> Result<(), Errno> {
    with_pages(2, |addr| {
        let at = addr + PAGE - 4;
        let (result, copied) = remote.write(pidfd.as_raw_fd(), at, b"remote\0");
        result?;
        assert_eq!(copied, 7);
        let mut bytes = [0; 16];
        let (result, copied) = remote.string(pidfd.as_raw_fd(), at, &mut bytes);
        result?;
        assert_eq!(bytes[..copied], *b"remote\0");
        Ok(())
    })
}

/// Mirrors the address space, and reads and writes pages.
fn mirror_range() -> Result<(), Errno> {
    let opened = Mirror::open().map_err(|err| err.downcast().map_or(Errno::EINVAL, io));
    let mirror = opened?;
    with_pages(2, |addr| {
        mirror.write(addr, 2, 3)?;
        let bytes = mirror.read(addr, 2)?;
        assert_eq!(bytes, [3; 2 * PAGE]);
        let present = mirror.table(addr, 2)?;
        assert!(present.iter().all(Option::is_some));
        mirror.snapshot(addr, 2).map(drop)
    })
}

/// Sends a message to this process by a mailbox.
fn send_message() -> Result<(), Errno> {
    const PORT: u64 = 1;
    const LEN: usize = 2 * PAGE + 1;
    let opened = Mailbox::open().map_err(|err| err.downcast().map_or(Errno::EINVAL, io));
    let mut mailbox = opened?;
    mailbox.map(4)?;
    mailbox.bind(PORT)?;
    mailbox.send(getpid(), PORT, &[5; LEN])?;
    let (message, bytes) = mailbox.take(0)?;
    assert_eq!(message.pid, getpid().as_raw() as u64);
    assert_eq!(bytes, [5; LEN]);
    let stats = mailbox.stats()?;
    assert_eq!((stats.pages, stats.free), (3, 3));
    Ok(())
}

/// Maps, splits by mprotect(), moves one half, unmaps.
fn map_and_split(file: &File) -> Result<(), Errno> {
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let whole = 8 * PAGE;
    let reserved = rust_task::device::map(None, 2 * whole, ProtFlags::PROT_NONE, anonymous)?;
    let length = NonZeroUsize::new(whole).ok_or(Errno::EINVAL)?;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let fixed = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    // SAFETY: All calls are limited to `reserved`, which is not accessed, and is unmapped at the
    // end.
    unsafe {
        let at = NonZeroUsize::new(reserved.as_ptr() as usize);
        let half = reserved.byte_add(whole / 2);
        let result = mmap(at, length, rights, fixed, file, 0)
            .and_then(|_| mprotect(half, whole / 2, ProtFlags::PROT_READ))
            .and_then(|()| {
                let to = reserved.byte_add(whole);
                let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
                mremap(half, whole / 2, whole / 2, flags, Some(to)).map(drop)
            });
        // The split for this may fail as well. In this case exit() unmaps the range.
        munmap(reserved, 2 * whole)?;
        result
    }
}

/// Forks while the VMA exists.
fn map_and_fork(device: &Device) -> Result<(), Errno> {
    let pages = device.map_pages(2)?;
    // SAFETY: The child only exits.
    let result = match unsafe { nix::unistd::fork() } {
        // SAFETY: `_exit()` has no safety requirements.
        Ok(nix::unistd::ForkResult::Child) => unsafe { libc::_exit(0) },
        Ok(nix::unistd::ForkResult::Parent { child }) => {
            // The copy of the status may fail.
            loop {
                match nix::sys::wait::waitpid(child, None) {
                    Err(Errno::ECHILD) => break Ok(()),
                    Err(Errno::EFAULT) => {}
                    other => break other.map(drop),
                }
            }
        }
        Err(err) => Err(err),
    };
    pages.unmap()?;
    result
}

/// Faults are injected where expected. Without this, the other tests prove nothing.
fn faults_can_be_injected() -> Result<()> {
    let nth = FailNth::open()?;
    let device = Device::open()?;
    nth.arm(1)?;
    let result = device.info();
    ensure!(nth.disarm()?, "no fault was injected");
    ensure!(
        result == Err(Errno::EFAULT),
        "a copy did not fail: {result:?}"
    );

    nth.arm(1)?;
    ensure!(!nth.disarm()?, "a fault was injected without a call");
    Ok(())
}

fn each_fault() -> Result<()> {
    operations(&mut |all| {
        for (name, operation) in all {
            let Swept { faults, errors } = sweep(operation).context(*name)?;
            ktap::did("faults", format!("{name}\t{faults}, errors {errors}"));
            // The other operations have allocations that C code can do without, or that belong to
            // the test.
            if ALL_ERRORS.contains(name) {
                ensure!(
                    errors == faults,
                    "{name}: {} faults are ignored",
                    faults - errors
                );
            }
            ensure!(faults > 0, "{name}: no fault was injected");
        }
        Ok(())
    })
}

/// Either the device of a module is registered, or the module is not loaded.
fn modules_loaded_or_not() -> Result<()> {
    // This test takes longer than all operations, so it is skipped if one operation was selected.
    if params::text("case").is_some() {
        return Ok(());
    }
    // Almost all of these faults are in the module loader.
    let step = if is_long()? { 1 } else { 3 };
    loaded_or_not(c"rust_task_info", step)?;
    Device::open()?.info()?;
    loaded_or_not(c"rust_char_memory", 2 * step)?;
    Ok(use_node()?)
}

/// Loads and unloads a module with a fault at each `step`-th injection point.
fn loaded_or_not(name: &CStr, step: usize) -> Result<()> {
    let path = format!("/modules/{}.ko", name.to_str()?);
    let module = File::open(&path).context(path)?;
    let unload = || delete_module(name, DeleteModuleFlags::O_NONBLOCK);
    let load = || finit_module(&module, c"", ModuleInitFlags::empty());
    unload()?;
    let Swept { faults, .. } = sweep_each(step, &|| {
        load()?;
        // The fault may be injected into this call.
        while let Err(err) = unload() {
            if !EXPECTED.contains(&err) {
                return Err(err);
            }
        }
        Ok(())
    })?;
    ktap::did("faults", format!("load {}\t{faults}", name.to_str()?));
    Ok(load()?)
}

fn no_leak() -> Result<()> {
    let quietly = || {
        in_child(|| {
            operations(&mut |all| {
                all.iter()
                    .try_for_each(|(name, operation)| sweep(operation).map(drop).context(*name))
            })
        })
    };
    let long = is_long()?;
    // `each_fault()` was the first round. It and this one fill caches.
    quietly()?;
    let before = InUse::settled()?;
    for _ in 0..if long { ROUNDS } else { ROUNDS / 2 } {
        quietly()?;
    }
    let events = vma::Tester::open()?.events()?;
    ensure!(events.allocated == events.dropped, "{events:?}");
    let buffers = vma::Buffer::open()?.state()?.buffers;
    ensure!(buffers == 1, "{buffers} buffers, but one open file");
    mailbox::wait_until_free()?;
    before.check_freed()
}
