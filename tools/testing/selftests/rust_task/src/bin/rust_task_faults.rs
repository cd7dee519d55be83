// SPDX-License-Identifier: GPL-2.0

//! Lets each allocation and each user copy of an operation fail, one at a time.
//!
//! /proc/thread-self/fail-nth has the n-th chance of a fault taken, of slab, page allocator and user
//! copies alike. An operation is repeated with n = 1, 2, ... until it gets by without one.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    sys::{
        mman::{mmap, mprotect, mremap, munmap, MRemapFlags, MapFlags, ProtFlags},
        uio::{pread, pwrite},
    },
};
use rust_task::{
    child::in_child,
    device::{abi, test_abi, Device, Tester},
    ktap::{self, Test},
    leaks::InUse,
    vma, words,
};
use std::{
    fs::{self, File},
    num::NonZeroUsize,
    path::Path,
    sync::atomic::AtomicU64,
    time::Duration,
};

const TESTS: &[Test] = &[
    ("faults can be made", faults_can_be_made),
    (
        "each fault is told or done without, and the next call succeeds",
        each_fault,
    ),
    ("the module is loaded, or not", module_loaded_or_not),
    ("nothing is lost", nothing_is_lost),
];

const PAGE: usize = 4096;
/// Operations in which each fault is the driver's to tell.
const COPIES: &[&str] = &[
    "facts",
    "an area",
    "areas of a buffer",
    "the opener",
    "zap by another driver",
    "count tasks",
    "count users of an mm",
    "count references to an mm",
    "count references to a PID namespace",
    "count users, if any",
    "count users, asynchronously",
    "count references to credentials",
    "count references to a user namespace",
    "what is known of a thread",
];
/// One that is stopped before it runs, one that is bound to a CPU, and so on, to one that is not
/// started at all.
const THREADS: u32 = 5;
/// Nothing else is mapped anywhere near.
const ALONE: usize = 1 << 40;
/// More chances than any operation has.
const CHANCES: u32 = 10_000;
/// How often all is repeated, so that a lost page or object makes a difference.
const ROUNDS: u32 = 4;

fn main() -> Result<()> {
    let debug = Path::new("/sys/kernel/debug");
    // A sleeping allocation may fail too, of any order, and nobody needs a trace of it.
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

    /// Takes the n-th chance from now on.
    fn arm(&self, n: u32) -> Result<()> {
        pwrite(&self.0, n.to_string().as_bytes(), 0)?;
        Ok(())
    }

    /// Takes none any more. Returns whether the chance had come.
    fn disarm(&self) -> Result<bool> {
        let mut left = [0; 16];
        // If it comes just here, it had not come before.
        let came = pread(&self.0, &mut left, 0).is_ok() && left.starts_with(b"0\n");
        // Or just here.
        if pwrite(&self.0, b"0", 0).is_err() {
            pwrite(&self.0, b"0", 0)?;
        }
        Ok(came)
    }
}

/// What may be said of a failed allocation or copy.
const EXPECTED: &[Errno] = &[
    Errno::ENOMEM,
    Errno::EFAULT,
    // There is no memory for another open file, or for another process.
    Errno::ENFILE,
    Errno::EAGAIN,
];

/// How many faults there were, and how many of them were an error.
struct Swept {
    faults: u32,
    errors: u32,
}

/// Repeats `operation` with each fault that it can have.
fn sweep(operation: &dyn Fn() -> Result<(), Errno>) -> Result<Swept> {
    let mut errors = 0;
    let nth = FailNth::open()?;
    // What is made once, such as a page of a stack, is made now.
    operation().context("without a fault")?;
    for n in 1..CHANCES {
        nth.arm(n)?;
        let result = operation();
        let came = nth.disarm()?;
        match result {
            Ok(()) => {}
            Err(err) => {
                errors += 1;
                ensure!(
                    came && EXPECTED.contains(&err),
                    "{err}, {} fault {n}",
                    if came { "after" } else { "without" }
                );
            }
        }
        operation().with_context(|| format!("after fault {n}"))?;
        if !came {
            return Ok(Swept {
                faults: n - 1,
                errors,
            });
        }
    }
    anyhow::bail!("{CHANCES} faults, and there are more")
}

type Operation<'a> = (&'static str, Box<dyn Fn() -> Result<(), Errno> + 'a>);

/// What the system has said of opening a file.
fn io(err: std::io::Error) -> Errno {
    Errno::from_raw(err.raw_os_error().unwrap_or(0))
}

/// Calls `with` for all that a program can ask of the drivers, or for the one that was asked for.
fn operations(with: &mut dyn FnMut(&[Operation<'_>]) -> Result<()>) -> Result<()> {
    let device = &Device::open()?;
    let tester = &Tester::open()?;
    let buffer = &vma::Buffer::open()?;
    let vma_tester = &vma::Tester::open()?;
    let pages = &device.map_pages(1)?;
    let count = |kind| -> Operation<'_> {
        let name = match kind {
            test_abi::TASK => "count tasks",
            test_abi::MM_USERS => "count users of an mm",
            test_abi::MM_COUNT => "count references to an mm",
            test_abi::PID_NS => "count references to a PID namespace",
            test_abi::MM_NOT_ZERO => "count users, if any",
            test_abi::MM_ASYNC => "count users, asynchronously",
            test_abi::CRED => "count references to credentials",
            _ => "count references to a user namespace",
        };
        (name, Box::new(move || tester.counts(kind, 3).map(drop)))
    };
    let touch = |name, what, pages| -> Operation<'_> {
        (
            name,
            Box::new(move || map_and_touch(vma_tester, what, pages)),
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
            "facts",
            Box::new(|| {
                let info = device.info()?;
                // Nothing of what is told is made up.
                assert_eq!((info.pid, info.has_mm), (nix::unistd::gettid().as_raw(), 1));
                Ok(())
            }),
        ),
        (
            "an area",
            Box::new(|| {
                let at = pages.addr(0);
                let area = device.vma(at)?;
                assert_eq!((area.start, area.end), (at, at + PAGE as u64));
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
            "areas of a buffer",
            Box::new(|| buffer.areas().map(|areas| assert!(areas.is_empty()))),
        ),
        (
            "a hook that fails",
            Box::new(|| {
                let flags = MapFlags::MAP_SHARED;
                match vma_tester.map(vma::test_abi::FAIL, 1, flags) {
                    Err(Errno::ENODEV) => Ok(()),
                    other => other.map(|span| panic!("mapped {span:?}")),
                }
            }),
        ),
        ("the opener", Box::new(|| tester.opener().map(drop))),
        (
            "zap by another driver",
            Box::new(|| tester.zap(pages.addr(0), pages.addr(0), 0)),
        ),
        (
            "a workqueue's thread",
            Box::new(|| tester.worker_has_mm().map(drop)),
        ),
        touch("touch pages", vma::test_abi::PLAIN, 2),
        touch("touch pages twice", vma::test_abi::LATER, 2),
        touch("touch late frames", vma::test_abi::LATE_FRAME, 2),
        touch("touch frames and pages", vma::test_abi::MIXED, 2),
        ("touch what was prepared", Box::new(map_and_touch_prepared)),
        (
            "what is known of a thread",
            Box::new(|| {
                let own = nix::unistd::gettid().as_raw();
                let told = tester.relatives(own)?;
                let euid = nix::unistd::geteuid().as_raw();
                assert_eq!((told.in_init, told.euid_there), (own, euid));
                Ok(())
            }),
        ),
        (
            "leave things for later",
            Box::new(|| leave_for_later(tester)),
        ),
        (
            "start and stop threads",
            Box::new(|| {
                let told = tester.spawn(THREADS)?;
                assert_eq!((told.dropped, told.wrong), (THREADS, 0));
                Ok(())
            }),
        ),
        ("lend memory to a thread", Box::new(|| lend(tester))),
    ];
    all.extend((test_abi::TASK..=test_abi::USER_NS).map(count));
    // On 6.12, a remap_pfn_range() that lacks memory for a page table looks for the memory type of the
    // frame there, and warns that it finds none.
    if !fs::read_to_string("/proc/sys/kernel/osrelease")?.starts_with("6.12.") {
        all.push(touch("touch a frame", vma::test_abi::FRAME, 1));
    }
    if let Some(case) = words::text("case") {
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
    // The pipe that it is read through may be what has failed.
    if let Ok(last) = last {
        assert_eq!(last, abi::PAGE_MAGIC + abi::PAGES as u64 - 1);
    }
    result
}

fn map_and_insert(buffer: &vma::Buffer) -> Result<(), Errno> {
    let span = buffer.map(0, 2, MapFlags::MAP_SHARED)?;
    let result = buffer
        .insert(span.addr(1))
        .and_then(|()| buffer.revoke(span.addr(1)));
    span.unmap()?;
    result
}

/// Each page of the area is the same memory. The area has page tables of its own, which are made when
/// it is touched; if there is no memory for them, the kernel has the program try again.
fn map_and_touch(tester: &vma::Tester, what: u64, pages: usize) -> Result<(), Errno> {
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let file = Some((tester.file(), what));
    let span = vma::map_at(Some(ALONE), file, pages, rights, MapFlags::MAP_SHARED)?;
    span.write(0, what + 1);
    let there = (0..pages).all(|page| span.read(page) == what + 1);
    span.unmap()?;
    assert!(there);
    Ok(())
}

/// The same for areas that are described before they are made, by data or by pages.
fn map_and_touch_prepared() -> Result<(), Errno> {
    let file = vma::Prepared::open().map_err(io)?;
    for what in [vma::test_abi::PLAIN, vma::test_abi::PAGES] {
        let span = file.map(what, 2, MapFlags::MAP_SHARED)?;
        span.write(0, what + 1);
        let there = span.read(0) == what + 1;
        span.unmap()?;
        assert!(there);
    }
    Ok(())
}

/// Two things are left, each of which leaves one more, if there is memory for it.
fn leave_for_later(tester: &Tester) -> Result<(), Errno> {
    let before = tester.later(2, 1)?;
    let after = tester.later(0, 0)?;
    assert_eq!(after.wrong, 0);
    assert!((2..=4).contains(&(after.done - before.done)));
    Ok(())
}

/// A thread of the kernel adds one to a number.
fn lend(tester: &Tester) -> Result<(), Errno> {
    let number = AtomicU64::new(1);
    let told = tester.borrow(number.as_ptr() as u64, 1)?;
    assert_eq!((told.done, told.wrong, told.result), (1, 0, 7));
    assert_eq!(number.into_inner(), 2);
    Ok(())
}

/// Maps, splits by other rights, moves half of it, unmaps.
fn map_and_split(file: &File) -> Result<(), Errno> {
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let whole = 8 * PAGE;
    let room = rust_task::device::map(None, 2 * whole, ProtFlags::PROT_NONE, anonymous)?;
    let length = NonZeroUsize::new(whole).ok_or(Errno::EINVAL)?;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let fixed = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    // SAFETY: All of this happens within `room`, which nobody else uses, and which is gone at the
    // end whatever is mapped there by then.
    unsafe {
        let at = NonZeroUsize::new(room.as_ptr() as usize);
        let half = room.byte_add(whole / 2);
        let result = mmap(at, length, rights, fixed, file, 0)
            .and_then(|_| mprotect(half, whole / 2, ProtFlags::PROT_READ))
            .and_then(|()| {
                let to = room.byte_add(whole);
                let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
                mremap(half, whole / 2, whole / 2, flags, Some(to)).map(drop)
            });
        // Splitting for it may fail as well; then it is gone with this process.
        munmap(room, 2 * whole)?;
        result
    }
}

/// A child that has the area as well.
fn map_and_fork(device: &Device) -> Result<(), Errno> {
    let pages = device.map_pages(2)?;
    // SAFETY: The child only leaves.
    let result = match unsafe { nix::unistd::fork() } {
        // SAFETY: It ends the process.
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

/// The faults come where they are expected: otherwise none of this means anything.
fn faults_can_be_made() -> Result<()> {
    let nth = FailNth::open()?;
    let device = Device::open()?;
    nth.arm(1)?;
    let result = device.info();
    ensure!(nth.disarm()?, "none came");
    ensure!(
        result == Err(Errno::EFAULT),
        "a copy did not fail: {result:?}"
    );

    nth.arm(1)?;
    ensure!(!nth.disarm()?, "one came without a call");
    Ok(())
}

fn each_fault() -> Result<()> {
    operations(&mut |all| {
        for (name, operation) in all {
            let Swept { faults, errors } = sweep(operation).context(*name)?;
            ktap::did("faults", format!("{name}\t{faults}, errors {errors}"));
            // These copy, and take memory that they cannot do without. The others take some that C
            // code may do without, or that is taken for the test.
            if COPIES.contains(name) {
                ensure!(
                    errors == faults,
                    "{name}: {} faults are ignored",
                    faults - errors
                );
            }
            ensure!(faults > 0, "{name}: no fault could be made");
        }
        Ok(())
    })
}

/// The device is registered, or the module is not there at all.
fn module_loaded_or_not() -> Result<()> {
    // Who has asked for one operation need not wait for this, which takes longer than all.
    if words::text("case").is_some() {
        return Ok(());
    }
    let module = File::open("/modules/rust_task_info.ko")?;
    let unload = || delete_module(c"rust_task_info", DeleteModuleFlags::O_NONBLOCK);
    let load = || finit_module(&module, c"", ModuleInitFlags::empty());
    unload()?;
    let Swept { faults, .. } = sweep(&|| {
        load()?;
        // What is left of a fault may still come here.
        while let Err(err) = unload() {
            if !EXPECTED.contains(&err) {
                return Err(err);
            }
        }
        Ok(())
    })?;
    ktap::did("faults", format!("load the module\t{faults}"));
    load()?;
    Device::open()?.info()?;
    Ok(())
}

fn nothing_is_lost() -> Result<()> {
    // The first rounds make what stays.
    let quietly = || {
        in_child(|| {
            operations(&mut |all| {
                all.iter()
                    .try_for_each(|(name, operation)| sweep(operation).map(drop).context(*name))
            })
        })
    };
    quietly()?;
    quietly()?;
    let before = InUse::settled()?;
    for _ in 0..ROUNDS {
        quietly()?;
    }
    let events = vma::Tester::open()?.events()?;
    ensure!(events.made == events.dropped, "{events:?}");
    let buffers = vma::Buffer::open()?.state()?.buffers;
    ensure!(buffers == 1, "{buffers} buffers, and one file is open");
    before.has_come_back()
}
