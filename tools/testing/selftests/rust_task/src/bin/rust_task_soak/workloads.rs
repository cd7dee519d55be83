// SPDX-License-Identifier: GPL-2.0

//! The workloads: what a process of the soak test does.

use crate::counters::{self, Event};
use anyhow::{anyhow, bail, ensure, Context, Result};
use fastrand::Rng;
use nix::{
    errno::Errno,
    sched::{unshare, CloneFlags},
    sys::{
        mman::{mmap_anonymous, MapFlags, MmapAdvise, ProtFlags},
        signal::{kill, Signal},
        wait::{waitid, waitpid, Id, WaitPidFlag, WaitStatus},
    },
    unistd::{execv, fork, getpid, ForkResult, Pid},
};
use rust_task::{
    binder::{self, Binder, Talk, MANAGER},
    device::{abi, test_abi, Device, Tester},
    mailbox::{abi::Received, Mailbox},
    memory::Memory,
    mirror::Mirror,
    procfs::Status,
    remote::{gup_abi, pidfd_open, Gup, Remote},
    vma::{self, Buffer},
};
use std::{
    io,
    num::NonZeroUsize,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

/// The argument of the program after `exec()` by one of its threads.
pub const AFTER_EXEC: &str = "after-exec";

const PAGE: usize = 4096;
/// More than the memory limit of the cgroup.
const TOO_MUCH: usize = 64 << 20;
const BUFFER_SIZE: usize = 64 * PAGE;
const DEVICE: &str = "soak";

type Workload = (Option<Event>, fn(&mut Rng) -> Result<()>);

const WORKLOADS: &[Workload] = &[
    (None, plain),
    (None, threads),
    (Some(Event::Nested), nested),
    (Some(Event::Executed), exec_from_thread),
    (None, outlived),
    (None, kthreads),
    (Some(Event::Mirrored), memory),
    (Some(Event::Messages), messages),
];

/// Runs each workload once, so that one-time allocations are made.
pub fn each() -> Result<()> {
    let mut rng = Rng::with_seed(0);
    for (event, workload) in WORKLOADS {
        run_one(*event, workload, &mut rng)?;
    }
    counters::check_wrong()
}

/// Runs one workload after another, until killed.
pub fn run(mut rng: Rng) -> Result<()> {
    // An OOM kill is rare otherwise.
    if rng.u32(0..4) == 0 {
        run_one(None, allocate_too_much, &mut rng)?;
    }
    loop {
        match rng.u32(0..30) {
            0 => run_one(None, allocate_too_much, &mut rng)?,
            1..=6 if binder::is_mounted() => {
                run_one(Some(Event::Binder), binder_calls, &mut rng)?;
            }
            _ => {
                let (event, workload) = WORKLOADS[rng.usize(0..WORKLOADS.len())];
                run_one(event, workload, &mut rng)?;
            }
        }
    }
}

/// Runs a workload in a child, and counts it. The child may be killed at any time.
fn run_one(
    event: Option<Event>,
    workload: impl Fn(&mut Rng) -> Result<()>,
    rng: &mut Rng,
) -> Result<()> {
    let mut rng = rng.fork();
    let result = in_child(|| {
        workload(&mut rng)?;
        counters::add(Event::Completed, 1);
        event.into_iter().for_each(|event| counters::add(event, 1));
        Ok(())
    });
    match result {
        Err(err) if is_disturbance(&err) => {
            thread::sleep(Duration::from_millis(1));
            Ok(())
        }
        other => other,
    }
}

/// The exit status of a process that was disturbed.
const DISTURBED: i32 = 2;

/// Runs `inner` in a child, and counts wrong results.
fn in_child(inner: impl FnOnce() -> Result<()>) -> Result<()> {
    beside(inner, |_| Ok(()))
}

/// Runs `inner` in a child, and `outer` here at the same time.
fn beside(inner: impl FnOnce() -> Result<()>, outer: impl FnOnce(Pid) -> Result<()>) -> Result<()> {
    // SAFETY: Processes with several threads do not fork here.
    match unsafe { fork()? } {
        ForkResult::Child => leave(inner()),
        ForkResult::Parent { child } => {
            if let Err(err) = outer(child) {
                // The child may wait for this process.
                kill(child, Signal::SIGKILL)?;
                // A child that has ended by itself may have failed, which is counted.
                return match wait_for_child(child) {
                    Err(wrong) if !is_disturbance(&wrong) => Err(wrong),
                    _ => Err(err),
                };
            }
            wait_for_child(child)
        }
    }
}

/// Waits for a child, and counts a wrong result.
fn wait_for_child(child: Pid) -> Result<()> {
    match waitpid(child, None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        // SIGTRAP may remain pending when a tracer exits.
        WaitStatus::Exited(_, DISTURBED)
        | WaitStatus::Signaled(_, Signal::SIGKILL | Signal::SIGTRAP, _) => Err(Disturbed.into()),
        other => {
            counters::add(Event::Wrong, 1);
            bail!("{other:?}")
        }
    }
}

/// Runs `inner` as the first process of a new PID namespace.
fn in_namespace(inner: impl FnOnce() -> Result<()>) -> Result<()> {
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWPID)?;
        in_child(inner)
    })
}

/// Exits with a status that tells the result.
fn leave(result: Result<()>) -> ! {
    let status = match result {
        Ok(()) => 0,
        Err(err) if is_disturbance(&err) => DISTURBED,
        Err(err) => {
            println!("# wrong: {err:#}");
            counters::add(Event::Wrong, 1);
            1
        }
    };
    process::exit(status)
}

/// The error of a process that ran out of memory, or of which a child was killed.
#[derive(Debug)]
struct Disturbed;

impl std::fmt::Display for Disturbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a child was killed")
    }
}

impl std::error::Error for Disturbed {}

fn is_disturbance(err: &anyhow::Error) -> bool {
    let out_of_memory = |errno| matches!(errno, Errno::ENOMEM | Errno::EAGAIN | Errno::ENFILE);
    err.chain().any(|err| {
        let io = err
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
            .map(Errno::from_raw);
        io.or(err.downcast_ref::<Errno>().copied())
            .is_some_and(out_of_memory)
            || err.is::<Disturbed>()
            || err.is::<binder::Failure>()
    })
}

/// Calls the drivers, and checks each result.
fn plain(rng: &mut Rng) -> Result<()> {
    let (device, tester) = (Device::open()?, Tester::open()?);
    for _ in 0..rng.u32(1..8) {
        task_info(&device)?;
        pages(&device, rng)?;
        buffer(rng)?;
        tester.opener()?;
        let kind = rng.u32(test_abi::TASK..=test_abi::CRED);
        tester.refcounts(kind, rng.u32(0..50))?;
    }
    if rng.bool() {
        ensure!(tester.worker_has_mm()? == 0, "a kworker has an mm");
    }
    Ok(())
}

fn task_info(device: &Device) -> Result<()> {
    Status::of_this_thread()?.agrees_with(&device.info()?)
}

/// Maps pages, zaps one of them, splits the VMA, and unmaps it.
fn pages(device: &Device, rng: &mut Rng) -> Result<()> {
    let count = rng.usize(1..=abi::PAGES);
    let pages = device.map_pages(count)?;
    let vma = device.vma(pages.addr(0))?;
    let end = pages.addr(0) + (count * PAGE) as u64;
    ensure!((vma.start, vma.end) == (pages.addr(0), end), "{vma:x?}");

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
    // Otherwise, exit() unmaps the pages.
    if rng.bool() {
        pages.unmap()?;
    }
    Ok(())
}

/// Maps a buffer by page faults, splits and moves its VMA, and checks the results of the driver.
fn buffer(rng: &mut Rng) -> Result<()> {
    let buffer = Buffer::open()?;
    let flags = match rng.bool() {
        true => MapFlags::MAP_SHARED,
        false => MapFlags::MAP_PRIVATE,
    };
    let count = rng.usize(3..vma::abi::PAGES);
    let span = buffer.map(0, count, flags)?;
    let page = rng.usize(1..count - 1);
    let expected = vma::abi::PAGE_MAGIC + page as u64;
    ensure!(span.read(page) == expected, "page {page} has other content");

    if rng.bool() {
        buffer.revoke()?;
    }
    let reserved = vma::reserve(1)?;
    // The move leaves a hole between two VMAs.
    let moved = span.part(page, 1).remap(1, Some(reserved.at))?;
    ensure!(moved.read(0) == expected, "page {page} has other content");
    let (state, vmas) = (buffer.state()?, buffer.vmas()?);
    let bytes: u64 = vmas.iter().map(|vma| vma.end - vma.start).sum();
    ensure!(
        (state.vmas, vmas.len(), bytes) == (3, 3, (count * PAGE) as u64),
        "{state:?}, {vmas:x?}"
    );
    // Otherwise, exit() unmaps the pages, after it has closed the file.
    if rng.bool() {
        span.unmap()?;
        moved.unmap()?;
    }
    Ok(())
}

/// Runs several threads that share files and the address space.
fn threads(rng: &mut Rng) -> Result<()> {
    let device = Device::open()?;
    let many = rng.u32(1..6);
    thread::scope(|scope| {
        let mut all: Vec<thread::ScopedJoinHandle<'_, Result<()>>> = Vec::new();
        for _ in 0..many {
            let (mut rng, device) = (rng.fork(), &device);
            all.push(thread::Builder::new().spawn_scoped(scope, move || {
                for _ in 0..rng.u32(1..6) {
                    task_info(device)?;
                    pages(device, &mut rng)?;
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

/// Has kthreads use its `mm_struct`, has more kthreads started, and counts tasks.
fn kthreads(rng: &mut Rng) -> Result<()> {
    let tester = Tester::open()?;
    let value = AtomicU64::new(1);
    let rounds = rng.u32(1..20);
    let result = tester.use_mm(value.as_ptr() as u64, rounds)?;
    ensure!(result.wrong == 0, "wrong mm: {result:?}");
    let sum = value.load(Ordering::Relaxed);
    ensure!(
        (result.done, sum) == (rounds, 1 + u64::from(rounds)),
        "{sum}: {result:?}"
    );

    let started = rng.u32(1..8);
    let threads = tester.spawn(started)?;
    ensure!(
        (threads.wrong, threads.dropped) == (0, started),
        "{threads:?}"
    );

    let own = tester.thread_info(getpid().as_raw())?;
    ensure!((own.tgid, own.threads) == (getpid().as_raw(), 1), "{own:?}");
    let all = tester.population()?;
    ensure!(
        all.processes >= 1 && all.threads >= all.processes,
        "{all:?}"
    );
    Ok(())
}

/// A child writes memory of this process, which is pinned and mirrored.
fn memory(rng: &mut Rng) -> Result<()> {
    let pages = rng.usize(1..40);
    let memory = Memory::new(pages)?;
    memory.fill(1);
    let (gup, mirror) = (Gup::open()?, Mirror::open()?);
    let flags = match rng.bool() {
        true => gup_abi::USE_WRITE,
        false => gup_abi::USE_WRITE | gup_abi::USE_LOCKED_VM,
    };
    gup.pin(memory.addr(0), pages * PAGE, flags)?;

    let pidfd = pidfd_open(getpid())?;
    in_child(|| {
        let bytes = vec![2; pages * PAGE];
        match Remote::open()?.write(pidfd.as_raw_fd(), memory.addr(0), &bytes) {
            (Ok(()), copied) => ensure!(copied == bytes.len(), "{copied} bytes"),
            // The parent has been killed, or the OOM killer has taken its pages.
            (Err(Errno::ESRCH | Errno::EFAULT), _) => return Err(Disturbed.into()),
            (result, copied) => bail!("{result:?}, {copied} bytes"),
        }
        Ok(())
    })?;
    let expected = vec![2; pages * PAGE];
    let mut pinned = vec![0; pages * PAGE];
    gup.read(&mut pinned)?;
    ensure!(pinned == expected, "the pinned pages have other content");
    ensure!(
        mirrored(&mirror, &memory)? == expected,
        "the mirrored pages have other content"
    );

    // The pages are replaced. Those that are pinned stay.
    memory.advise(0, pages, MmapAdvise::MADV_DONTNEED)?;
    ensure!(
        mirrored(&mirror, &memory)? == vec![0; pages * PAGE],
        "the mirror has pages that have been freed"
    );
    gup.read(&mut pinned)?;
    ensure!(pinned == expected, "the pinned pages have other content");
    // Otherwise, the last close of the file unpins the pages and ends the mirror.
    match rng.u32(0..3) {
        0 => gup.unpin()?,
        1 => gup.unpin_atomic()?,
        _ => {}
    }
    if rng.bool() {
        mirror.stop_atomic()?;
    }
    Ok(())
}

/// Reads all pages by the mirror. On a slow machine, a lookup may time out.
fn mirrored(mirror: &Mirror, memory: &Memory) -> Result<Vec<u8>> {
    for _ in 0..10 {
        match mirror.read(memory.addr(0), memory.pages) {
            Err(Errno::ETIMEDOUT | Errno::EBUSY) => {}
            other => return Ok(other?),
        }
    }
    bail!("each lookup of the mirror timed out")
}

/// Runs [`plain`] in nested PID namespaces, with open files of all levels.
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
        let opener = tester.opener()?;
        ensure!(
            (opener.same_ns, opener.caller) == (1, getpid().as_raw()),
            "{opener:?}"
        );
        descend(levels - 1, &tester, rng)
    })
}

/// A non-leader thread calls `exec()`, which kills the other threads and gives it the PID of the
/// leader.
fn exec_from_thread(_: &mut Rng) -> Result<()> {
    in_child(|| {
        let device = Device::open()?;
        // Another thread calls the drivers during the exec().
        let (one, other) = (Arc::new(device), Tester::open()?);
        let shared = one.clone();
        thread::Builder::new().spawn(move || loop {
            let _ = (shared.info(), other.opener());
        })?;
        thread::Builder::new()
            .spawn(move || execv(c"/proc/self/exe", &[c"rust_task_soak", c"after-exec"]))?
            .join()
            .map_err(|_| anyhow!("a thread panicked"))??;
        Ok(())
    })
}

/// Runs in the new program after `exec()`. Returns its exit status.
pub fn after_exec() -> i32 {
    let result = Device::open().map_err(Into::into).and_then(|device| {
        task_info(&device)?;
        ensure!(
            device.info()?.pid == getpid().as_raw(),
            "it is not the thread-group leader"
        );
        Ok(())
    });
    match result {
        Ok(()) => 0,
        Err(err) if is_disturbance(&err) => DISTURBED,
        Err(err) => {
            println!("# wrong: after exec: {err:#}");
            1
        }
    }
}

/// A child calls the driver on a file of which the opener has exited.
fn outlived(_: &mut Rng) -> Result<()> {
    in_child(|| {
        let tester = Tester::open()?;
        // SAFETY: This process has one thread.
        if let ForkResult::Child = unsafe { fork()? } {
            leave(poll_dead_opener(&tester));
        }
        Ok(())
    })
}

/// Calls the driver until the opener has no PID namespace, mm and PID.
fn poll_dead_opener(tester: &Tester) -> Result<()> {
    let begin = Instant::now();
    loop {
        let opener = tester.opener()?;
        if (opener.has_ns, opener.mm_alive, opener.in_callers_ns) == (0, 0, 0) {
            counters::add(Event::Outlived, 1);
            return Ok(());
        }
        // The parent of the opener may have been killed or frozen, but only for a shorter time.
        ensure!(begin.elapsed() < Duration::from_secs(20), "{opener:?}");
    }
}

/// Allocates more memory than the limit of the cgroup.
fn allocate_too_much(_: &mut Rng) -> Result<()> {
    let length = NonZeroUsize::new(TOO_MUCH).context("no length")?;
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
    let at = unsafe { mmap_anonymous(None, length, prot, MapFlags::MAP_PRIVATE)? };
    for page in 0..TOO_MUCH / PAGE {
        // SAFETY: The page is mapped for writing.
        unsafe { at.cast::<u8>().byte_add(page * PAGE).write_volatile(1) };
    }
    bail!("{TOO_MUCH} bytes could be allocated")
}

/// Adds the Binder device. Returns false if the kernel does not have Binder.
pub fn prepare_binder() -> Result<bool> {
    match binder::mount_binderfs() {
        // Binder is optional.
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

/// Serves transactions, until killed.
pub fn serve() -> Result<()> {
    let binder = Binder::open(&path(), BUFFER_SIZE)?;
    // Binder releases a dead context manager asynchronously.
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

/// Sends some messages, and checks that each is returned.
fn binder_calls(rng: &mut Rng) -> Result<()> {
    let mut talk = Talk::new(&Binder::open(&path(), BUFFER_SIZE)?);
    for _ in 0..rng.u32(1..8) {
        let data: Vec<u8> = (0..rng.usize(0..3 * PAGE)).map(|i| i as u8).collect();
        let answer = talk.call(MANAGER, 1, &data)?;
        ensure!(
            answer.data == data,
            "{} bytes were returned with other content",
            data.len()
        );
        talk.free(answer);
    }
    Ok(())
}

/// A child sends messages, which this process receives at the same time.
fn messages(rng: &mut Rng) -> Result<()> {
    const PORT: u64 = 1;
    let (slots, count, seed) = (rng.usize(1..20), rng.u64(1..40), rng.u64(..));
    // The child has no way to tell what it has sent, so both derive it.
    let content = |number: u64| {
        let len = Rng::with_seed(seed ^ number).usize(0..=slots * PAGE);
        vec![number as u8; len]
    };
    let (mailbox, receiver) = (Mailbox::new(slots, PORT)?, getpid());
    let send = || {
        let sender = Mailbox::open()?;
        for number in 0..count {
            match sender.send(receiver, PORT, &content(number)) {
                // The receiver has been killed.
                Err(Errno::ESRCH | Errno::ECONNREFUSED | Errno::EPIPE) => {
                    return Err(Disturbed.into())
                }
                result => result?,
            }
        }
        Ok(())
    };
    beside(send, |sender| {
        for number in 0..count {
            let (message, bytes) = take(&mailbox, sender)?;
            ensure!(message.pid == sender.as_raw() as u64, "{message:?}");
            ensure!(bytes == content(number), "message {number} is another one");
        }
        Ok(())
    })
}

/// Receives the next message, unless the sender ends before.
fn take(mailbox: &Mailbox, sender: Pid) -> Result<(Received, Vec<u8>)> {
    const MSECS: u64 = 500;
    loop {
        match mailbox.take(MSECS) {
            // The freezer and a tracer interrupt a wait.
            Err(Errno::ETIME | Errno::EINTR) => {}
            result => return Ok(result?),
        }
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if waitid(Id::Pid(sender), flags)? != WaitStatus::StillAlive {
            // A message may have been sent after the time-out.
            return mailbox.take(0).map_err(|_| Disturbed.into());
        }
    }
}
