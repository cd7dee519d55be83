// SPDX-License-Identifier: GPL-2.0

//! What a process does while it lives.

use crate::tally::{self, Did};
use anyhow::{anyhow, bail, ensure, Context, Result};
use fastrand::Rng;
use nix::{
    errno::Errno,
    sched::{unshare, CloneFlags},
    sys::{
        mman::{mmap_anonymous, MapFlags, ProtFlags},
        signal::Signal,
        wait::{waitpid, WaitStatus},
    },
    unistd::{execv, fork, getpid, ForkResult},
};
use rust_task::{
    binder::{self, Binder, Talk, MANAGER},
    device::{abi, test_abi, Device, Tester},
    procfs::Status,
    vma::{self, Buffer},
};
use std::{
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

/// With this as its argument, the program has been called by one of its threads.
pub const AFTER_EXEC: &str = "after-exec";

const PAGE: usize = 4096;
/// More than the cgroup has.
const GREED: usize = 64 << 20;
const AREA: usize = 64 * PAGE;
const DEVICE: &str = "soak";

type Life = (Option<Did>, fn(&mut Rng) -> Result<()>);

const LIVES: &[Life] = &[
    (None, plain),
    (None, threads),
    (Some(Did::Nested), nested),
    (Some(Did::Executed), exec_from_thread),
    (None, outlived),
    (None, lender),
];

/// One of each, so that what is made once is there.
pub fn each() -> Result<()> {
    let mut rng = Rng::with_seed(0);
    for (what, life) in LIVES {
        live(*what, life, &mut rng)?;
    }
    tally::all_right()
}

/// Makes one life after another, until killed.
pub fn make(mut rng: Rng) -> Result<()> {
    // Otherwise this is rare.
    if rng.u32(0..4) == 0 {
        live(None, greedy, &mut rng)?;
    }
    loop {
        match rng.u32(0..30) {
            0 => live(None, greedy, &mut rng)?,
            1..=6 if binder::is_mounted() => {
                live(Some(Did::Conversed), conversation, &mut rng)?;
            }
            _ => {
                let (what, life) = LIVES[rng.usize(0..LIVES.len())];
                live(what, life, &mut rng)?;
            }
        }
    }
}

/// Has a child live, and counts that it did. It may be killed at any time.
fn live(what: Option<Did>, life: impl Fn(&mut Rng) -> Result<()>, rng: &mut Rng) -> Result<()> {
    let mut rng = rng.fork();
    let lived = in_child(|| {
        life(&mut rng)?;
        tally::add(Did::Lived, 1);
        what.into_iter().for_each(|what| tally::add(what, 1));
        Ok(())
    });
    match lived {
        Err(err) if is_trouble(&err) => {
            thread::sleep(Duration::from_millis(1));
            Ok(())
        }
        other => other,
    }
}

/// The status of a process that could not do what it wanted to.
const TROUBLED: i32 = 2;

/// Runs `inner` in a child. What it has to say is wrong is counted.
fn in_child(inner: impl FnOnce() -> Result<()>) -> Result<()> {
    // SAFETY: Processes with threads make no children here.
    match unsafe { fork()? } {
        ForkResult::Child => leave(inner()),
        ForkResult::Parent { child } => match waitpid(child, None)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            // SIGTRAP is what is left of a stop when the tracer ends.
            WaitStatus::Exited(_, TROUBLED)
            | WaitStatus::Signaled(_, Signal::SIGKILL | Signal::SIGTRAP, _) => Err(Trouble.into()),
            other => {
                tally::add(Did::Wrong, 1);
                bail!("{other:?}")
            }
        },
    }
}

/// Runs `inner` as the first process of a new PID namespace.
fn in_namespace(inner: impl FnOnce() -> Result<()>) -> Result<()> {
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWPID)?;
        in_child(inner)
    })
}

/// Ends a child with its verdict.
fn leave(result: Result<()>) -> ! {
    let status = match result {
        Ok(()) => 0,
        Err(err) if is_trouble(&err) => TROUBLED,
        Err(err) => {
            println!("# wrong: {err:#}");
            tally::add(Did::Wrong, 1);
            1
        }
    };
    process::exit(status)
}

/// What happens to those who are short of memory, or whose relatives have been killed.
#[derive(Debug)]
struct Trouble;

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a relative has died")
    }
}

impl std::error::Error for Trouble {}

fn is_trouble(err: &anyhow::Error) -> bool {
    let short = |errno| matches!(errno, Errno::ENOMEM | Errno::EAGAIN | Errno::ENFILE);
    err.chain().any(|err| {
        let io = err
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
            .map(Errno::from_raw);
        io.or(err.downcast_ref::<Errno>().copied())
            .is_some_and(short)
            || err.is::<Trouble>()
            || err.is::<binder::Failure>()
    })
}

/// Asks the drivers for all that they have, and looks at each answer.
fn plain(rng: &mut Rng) -> Result<()> {
    let (device, tester) = (Device::open()?, Tester::open()?);
    for _ in 0..rng.u32(1..8) {
        facts(&device)?;
        area(&device, rng)?;
        owned(rng)?;
        tester.opener()?;
        let kind = rng.u32(test_abi::TASK..=test_abi::CRED);
        tester.counts(kind, rng.u32(0..50))?;
    }
    if rng.bool() {
        ensure!(
            tester.worker_has_mm()? == 0,
            "a worker has an address space"
        );
    }
    Ok(())
}

fn facts(device: &Device) -> Result<()> {
    Status::of_this_thread()?.agrees_with(&device.info()?)
}

/// Maps pages, has some of them zapped, splits the area, and lets go of it.
fn area(device: &Device, rng: &mut Rng) -> Result<()> {
    let count = rng.usize(1..=abi::PAGES);
    let pages = device.map_pages(count)?;
    let told = device.vma(pages.addr(0))?;
    let end = pages.addr(0) + (count * PAGE) as u64;
    ensure!((told.start, told.end) == (pages.addr(0), end), "{told:x?}");

    let zapped = rng.usize(0..count);
    device.zap(pages.addr(zapped), PAGE as u64)?;
    for i in 0..count {
        let found = pages.peek(i);
        let expected = match i == zapped {
            true => Err(Errno::EFAULT),
            false => Ok(abi::PAGE_MAGIC + i as u64),
        };
        ensure!(
            found == expected || found == Err(Errno::ENFILE),
            "page {i}: {found:x?} instead of {expected:x?}"
        );
    }
    if rng.bool() {
        pages.protect(ProtFlags::PROT_READ)?;
    }
    // Otherwise exit() does it.
    if rng.bool() {
        pages.unmap()?;
    }
    Ok(())
}

/// Has pages of a buffer mapped as they are touched, splits and moves its area, and compares what its
/// driver knows.
fn owned(rng: &mut Rng) -> Result<()> {
    let buffer = Buffer::open()?;
    let flags = match rng.bool() {
        true => MapFlags::MAP_SHARED,
        false => MapFlags::MAP_PRIVATE,
    };
    let count = rng.usize(3..vma::abi::PAGES);
    let span = buffer.map(0, count, flags)?;
    let page = rng.usize(1..count - 1);
    let expected = vma::abi::PAGE_MAGIC + page as u64;
    ensure!(span.read(page) == expected, "page {page} is another");

    if rng.bool() {
        buffer.revoke(span.addr(0))?;
    }
    let room = vma::reserve(1)?;
    // It leaves a hole, with an area on each side.
    let moved = span.part(page, 1).remap(1, Some(room.at))?;
    ensure!(moved.read(0) == expected, "page {page} is another");
    let (state, areas) = (buffer.state()?, buffer.areas()?);
    let bytes: u64 = areas.iter().map(|area| area.end - area.start).sum();
    ensure!(
        (state.areas, areas.len(), bytes) == (3, 3, (count * PAGE) as u64),
        "{state:?}, {areas:x?}"
    );
    // Otherwise exit() does it, after the file has been closed.
    if rng.bool() {
        span.unmap()?;
        moved.unmap()?;
    }
    Ok(())
}

/// Several threads at a time, on the same files and areas.
fn threads(rng: &mut Rng) -> Result<()> {
    let device = Device::open()?;
    let many = rng.u32(1..6);
    thread::scope(|scope| {
        let mut all: Vec<thread::ScopedJoinHandle<'_, Result<()>>> = Vec::new();
        for _ in 0..many {
            let (mut rng, device) = (rng.fork(), &device);
            all.push(thread::Builder::new().spawn_scoped(scope, move || {
                for _ in 0..rng.u32(1..6) {
                    facts(device)?;
                    area(device, &mut rng)?;
                }
                Ok(())
            })?);
        }
        for thread in all {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}

/// Lends its memory to threads of the kernel, starts some more, and looks where it stands.
fn lender(rng: &mut Rng) -> Result<()> {
    let tester = Tester::open()?;
    let number = AtomicU64::new(1);
    let rounds = rng.u32(1..20);
    let lent = tester.borrow(number.as_ptr() as u64, rounds)?;
    ensure!(lent.wrong == 0, "another address space: {lent:?}");
    let sum = number.load(Ordering::Relaxed);
    ensure!(
        (lent.done, sum) == (rounds, 1 + u64::from(rounds)),
        "{sum}: {lent:?}"
    );

    let started = rng.u32(1..8);
    let threads = tester.spawn(started)?;
    ensure!(
        (threads.wrong, threads.dropped) == (0, started),
        "{threads:?}"
    );

    let own = tester.relatives(getpid().as_raw())?;
    ensure!((own.tgid, own.threads) == (getpid().as_raw(), 1), "{own:?}");
    let all = tester.population()?;
    ensure!(
        all.processes >= 1 && all.threads >= all.processes,
        "{all:?}"
    );
    Ok(())
}

/// The same in PID namespaces within others, with files from all levels.
fn nested(rng: &mut Rng) -> Result<()> {
    descend(rng.u32(1..4), &Tester::open()?, rng)
}

fn descend(levels: u32, above: &Tester, rng: &mut Rng) -> Result<()> {
    above.opener()?;
    if levels == 0 {
        return plain(rng);
    }
    in_namespace(|| {
        let tester = Tester::open()?;
        let told = tester.opener()?;
        ensure!(
            (told.same_ns, told.caller) == (1, getpid().as_raw()),
            "{told:?}"
        );
        descend(levels - 1, &tester, rng)
    })
}

/// A thread that does not lead calls `exec()`, which ends the others and gives it the leader's number.
fn exec_from_thread(_: &mut Rng) -> Result<()> {
    in_child(|| {
        let device = Device::open()?;
        // Others who ask while it happens.
        let (one, other) = (Arc::new(device), Tester::open()?);
        let asked = one.clone();
        thread::Builder::new().spawn(move || loop {
            let _ = (asked.info(), other.opener());
        })?;
        thread::Builder::new()
            .spawn(move || execv(c"/proc/self/exe", &[c"rust_task_soak", c"after-exec"]))?
            .join()
            .map_err(|_| anyhow!("a thread panicked"))??;
        Ok(())
    })
}

/// Called by the program that was executed; returns its exit status.
pub fn after_exec() -> i32 {
    let result = Device::open().map_err(Into::into).and_then(|device| {
        facts(&device)?;
        ensure!(
            device.info()?.pid == getpid().as_raw(),
            "it is not the leader"
        );
        Ok(())
    });
    match result {
        Ok(()) => 0,
        Err(err) if is_trouble(&err) => TROUBLED,
        Err(err) => {
            println!("# wrong: after exec: {err:#}");
            1
        }
    }
}

/// A file whose opener dies first is asked by the opener's child.
fn outlived(_: &mut Rng) -> Result<()> {
    in_child(|| {
        let tester = Tester::open()?;
        // SAFETY: This process has one thread.
        if let ForkResult::Child = unsafe { fork()? } {
            leave(ask_about_the_dead(&tester));
        }
        Ok(())
    })
}

/// Asks until nothing is left of the opener, which loses one thing after the other.
fn ask_about_the_dead(tester: &Tester) -> Result<()> {
    let begin = Instant::now();
    loop {
        let answer = tester.opener()?;
        if (answer.has_ns, answer.mm_alive, answer.in_callers_ns) == (0, 0, 0) {
            tally::add(Did::Outlived, 1);
            return Ok(());
        }
        // Whoever should reap it may have been killed, or frozen, but not for this long.
        ensure!(begin.elapsed() < Duration::from_secs(20), "{answer:?}");
    }
}

/// Takes more memory than there is.
fn greedy(_: &mut Rng) -> Result<()> {
    let length = NonZeroUsize::new(GREED).context("no length")?;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: The kernel chooses where, so nothing that is in use is replaced.
    let at = unsafe { mmap_anonymous(None, length, rights, MapFlags::MAP_PRIVATE)? };
    for page in 0..GREED / PAGE {
        // SAFETY: It is mapped for writing.
        unsafe { at.cast::<u8>().byte_add(page * PAGE).write_volatile(1) };
    }
    bail!("{GREED} bytes were there")
}

/// Makes the device of the conversations. Returns whether the kernel has Binder.
pub fn prepare_binder() -> Result<bool> {
    match binder::mount_binderfs() {
        // It is not in every kernel.
        Err(err) if err.downcast_ref() == Some(&Errno::ENODEV) => return Ok(false),
        other => other?,
    }
    if !path().exists() {
        binder::add_device(DEVICE)?;
    }
    Ok(true)
}

fn path() -> PathBuf {
    Path::new(binder::MOUNT).join(DEVICE)
}

/// Answers messages, until killed.
pub fn serve() -> Result<()> {
    let binder = Binder::open(&path(), AREA)?;
    // Binder takes its time to forget a manager that has died.
    loop {
        match binder.become_manager() {
            Err(Errno::EBUSY) => thread::sleep(Duration::from_millis(5)),
            other => break other?,
        }
    }
    binder.set_max_threads(2)?;
    binder::serve(
        &binder,
        Arc::new(|message: &binder::Message| message.data.clone()),
    )
}

/// Sends a few messages, and expects each back.
fn conversation(rng: &mut Rng) -> Result<()> {
    let mut talk = Talk::new(&Binder::open(&path(), AREA)?);
    for _ in 0..rng.u32(1..8) {
        let data: Vec<u8> = (0..rng.usize(0..3 * PAGE)).map(|i| i as u8).collect();
        let answer = talk.call(MANAGER, 1, &data)?;
        ensure!(answer.data == data, "{} bytes came back wrong", data.len());
        talk.free(answer);
    }
    Ok(())
}
