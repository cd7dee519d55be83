// SPDX-License-Identifier: GPL-2.0

//! Asks `/dev/rust_task_info` about itself, and compares each answer with /proc.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    sys::{
        mman::{mprotect, munmap, MapFlags, ProtFlags},
        ptrace,
        signal::{kill, raise, signal, SigHandler, SigSet, Signal},
        wait::{waitpid, WaitStatus},
    },
    unistd::{fork, getpid, gettid, pipe, setresuid, ForkResult, Pid, Uid},
};
use rust_task::{
    child::{in_child, in_namespace},
    device::{self, abi, Device, Tester},
    ioctl,
    ktap::{self, fact, Test},
    procfs::{self, Area, Status},
};
use std::{
    fs::File,
    io::{Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const PAGE: usize = 4096;
/// How often each counted reference is taken and dropped.
const ROUNDS: u32 = 100_000;

const TESTS: &[Test] = &[
    ("initial process", initial),
    ("second thread", second_thread),
    ("two PID namespaces deep", two_namespaces_deep),
    ("after setresuid()", after_setresuid),
    ("after fork()", after_fork),
    ("exec from a thread that does not lead", exec_from_thread),
    ("thousands of areas", thousands_of_areas),
    ("an area while others come and go", area_among_changes),
    ("pages of the device", pages_of_the_device),
    ("zap with a bad range", bad_zaps),
    ("zap that only the crate looks at", unchecked_zaps),
    ("bad input", bad_input),
    ("a signal waits", signal_waits),
    ("workqueue", workqueue),
    ("on the way back", on_the_way_back),
    ("counts", counts),
    ("counts in a PID namespace", counts_in_namespace),
    ("another process, in other namespaces", another_process),
    ("another process, gone", another_process_gone),
    ("another process, executing", another_process_executing),
    ("opened by many at a time", opened_by_many),
    ("module in use stays", module_in_use),
];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|mode| mode == "leave") {
        return Ok(());
    }
    if let [_, mode, tgid] = args.as_slice() {
        ensure!(mode == "after-exec", "unknown mode {mode}");
        ktap::exit(after_exec(tgid.parse()?));
    }
    ktap::run(TESTS)
}

/// Compares what the device says of this thread with its status in /proc.
fn compare(scenario: &str, device: &Device) -> Result<abi::TaskInfo> {
    let info = device.info()?;
    let status = Status::of_this_thread()?;

    fact(scenario, "pid", info.pid, status.one("Pid")?);
    fact(scenario, "tgid", info.tgid, status.one("Tgid")?);
    fact(scenario, "group leader", info.leader, status.one("Tgid")?);
    fact(scenario, "uid", info.uid, status.nth("Uid", 0)?);
    fact(scenario, "euid", info.euid, status.nth("Uid", 1)?);
    fact(
        scenario,
        "pid in the initial namespace",
        info.tgid,
        status.nth("NStgid", 0)?,
    );
    fact(
        scenario,
        "thread in the initial namespace",
        info.pid,
        status.nth("NSpid", 0)?,
    );
    fact(
        scenario,
        "pid in its own namespace",
        info.ns_tgid,
        status.last("NStgid")?,
    );
    // A task without an address space has no VmSize.
    fact(
        scenario,
        "has an address space",
        info.has_mm,
        u32::from(status.has("VmSize")),
    );
    fact(
        scenario,
        "signal pending",
        info.signal_pending,
        u32::from(status.signal_pending()?),
    );
    Ok(info)
}

fn initial() -> Result<()> {
    compare("initial process", &Device::open()?)?;
    Ok(())
}

fn second_thread() -> Result<()> {
    let device = Device::open()?;
    std::thread::spawn(move || -> Result<()> {
        ensure!(gettid() != getpid(), "this is not a second thread");
        let info = compare("second thread", &device)?;
        ensure!(
            info.pid != info.leader,
            "the thread takes itself for the leader"
        );
        Ok(())
    })
    .join()
    .map_err(|_| anyhow::anyhow!("the thread panicked"))?
}

fn two_namespaces_deep() -> Result<()> {
    let device = Device::open()?;
    in_namespace(|| {
        in_namespace(|| {
            ensure!(getpid() == Pid::from_raw(1), "not the first process");
            // This /proc is that of the initial namespace.
            let info = compare("two namespaces deep", &device)?;
            ensure!(info.ns_tgid == 1, "it calls itself {}", info.ns_tgid);
            let levels = Status::of_this_thread()?.count("NStgid")?;
            ensure!(levels == 3, "it has numbers in {levels} namespaces");
            Ok(())
        })
    })
}

fn after_setresuid() -> Result<()> {
    let device = Device::open()?;
    let ids = [1000, 2000, 3000].map(Uid::from_raw);
    setresuid(ids[0], ids[1], ids[2])?;
    let info = compare("after setresuid()", &device)?;
    ensure!((info.uid, info.euid) == (1000, 2000), "{info:?}");
    Ok(())
}

fn after_fork() -> Result<()> {
    let device = Device::open()?;
    let parent = compare("before fork()", &device)?;
    in_child(|| {
        let child = compare("after fork(), child", &device)?;
        ensure!(
            child.tgid != parent.tgid,
            "the child has the parent's number"
        );
        Ok(())
    })?;
    let again = compare("after fork(), parent", &device)?;
    ensure!(again == parent, "the parent has changed: {again:?}");
    Ok(())
}

fn exec_from_thread() -> Result<()> {
    let device = Device::open()?;
    let tgid = device.info()?.tgid;
    let thread = std::thread::spawn(move || -> Result<()> {
        let before = device.info()?;
        ensure!(before.pid != before.tgid, "this thread leads");
        // All other threads are killed, and this one takes the leader's number.
        let args = [
            c"rust_task_test".into(),
            c"after-exec".into(),
            cstring(tgid)?,
        ];
        nix::unistd::execv(c"/proc/self/exe", &args)?;
        Ok(())
    });
    thread
        .join()
        .map_err(|_| anyhow::anyhow!("the thread panicked"))?
}

fn cstring(number: i32) -> Result<std::ffi::CString> {
    Ok(std::ffi::CString::new(number.to_string())?)
}

fn after_exec(tgid: i32) -> Result<()> {
    let info = compare("after exec from a thread", &Device::open()?)?;
    ensure!(info.pid == tgid, "the leader was {tgid}: {info:?}");
    Ok(())
}

/// How the areas of this process compare. Nothing here allocates, so that they stay as they are.
#[derive(Default)]
struct Areas {
    listed: usize,
    agreed: usize,
    gaps: usize,
    closed: usize,
    vma_locks: usize,
    first_difference: Option<u64>,
}

fn compare_areas(device: &Device, buffer: &mut [u8]) -> Result<Areas> {
    let mut maps = File::open("/proc/self/maps")?;
    let mut len = 0;
    loop {
        match maps.read(&mut buffer[len..])? {
            0 => break,
            n => len += n,
        }
    }
    ensure!(len < buffer.len(), "the list of areas is too long");

    let mut areas = Areas::default();
    let mut last_end = None;
    for line in std::str::from_utf8(&buffer[..len])?.lines() {
        let Some(line) = Area::parse(line)? else {
            continue;
        };
        areas.listed += 1;
        if let Some(end) = last_end.filter(|end| *end < line.start) {
            areas.gaps += 1;
            areas.closed += usize::from(device.vma(end) == Err(Errno::ENOENT));
        }
        last_end = Some(line.end);

        let mut agree = true;
        for addr in [line.start, line.end - 1] {
            match device.vma(addr) {
                Ok(vma) => {
                    agree &= line.is(&vma);
                    areas.vma_locks += usize::from(vma.lock == abi::VMA_LOCK);
                }
                Err(_) => agree = false,
            }
        }
        if agree {
            areas.agreed += 1;
        } else {
            areas.first_difference.get_or_insert(line.start);
        }
    }
    Ok(areas)
}

fn thousands_of_areas() -> Result<()> {
    const PAGES: usize = 4000;
    let device = Device::open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let at = device::map(None, PAGES * PAGE, ProtFlags::PROT_NONE, anonymous)?;
    for i in (0..PAGES).step_by(2) {
        let right = if i % 4 == 0 {
            ProtFlags::PROT_READ
        } else {
            ProtFlags::PROT_WRITE
        };
        // SAFETY: The page is one of those that were mapped above.
        unsafe { mprotect(at.byte_add(i * PAGE), PAGE, right)? };
    }

    // A shared one among the private.
    device.map_pages(1)?;

    let mut buffer = vec![0; 1 << 20];
    // The first time brings the stack and the heap to their size.
    compare_areas(&device, &mut buffer)?;
    let areas = compare_areas(&device, &mut buffer)?;

    let scenario = "thousands of areas";
    fact(
        scenario,
        "areas (start, end, rights)",
        areas.agreed,
        areas.listed,
    );
    fact(scenario, "gaps without an area", areas.closed, areas.gaps);
    println!(
        "# {} of {} answers under the area's own lock",
        areas.vma_locks,
        2 * areas.listed
    );
    if let Some(start) = areas.first_difference {
        bail!("the area at {start:#x} differs: {:?}", device.vma(start));
    }
    ensure!(areas.listed > PAGES, "only {} areas", areas.listed);
    ensure!(areas.gaps > 0, "no gap to ask about");
    ensure!(
        areas.vma_locks > 0,
        "no answer was given under an area's own lock"
    );
    Ok(())
}

fn area_among_changes() -> Result<()> {
    let device = Device::open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    // Guard pages on both sides keep it from being merged.
    let around = device::map(None, 3 * PAGE, ProtFlags::PROT_NONE, anonymous)?;
    // SAFETY: The page is the one in the middle.
    let fixed = unsafe { around.byte_add(PAGE) };
    // SAFETY: As above.
    unsafe { mprotect(fixed, PAGE, ProtFlags::PROT_READ)? };
    let start = fixed.as_ptr() as u64;

    let stop = AtomicBool::new(false);
    let changes = std::thread::scope(|scope| -> Result<u32> {
        let changer = scope.spawn(|| -> Result<u32> {
            let mut changes = 0;
            while !stop.load(Ordering::Relaxed) {
                let at = device::map(None, 8 * PAGE, ProtFlags::PROT_READ, anonymous)?;
                // SAFETY: It was mapped a moment ago and nobody uses it.
                unsafe { munmap(at, 8 * PAGE)? };
                changes += 1;
            }
            Ok(changes)
        });
        let begin = Instant::now();
        let (mut asked, mut locks) = (0, [0; 3]);
        let mut wrong = None;
        while begin.elapsed() < Duration::from_secs(1) && wrong.is_none() {
            asked += 1;
            match device.vma(start) {
                Ok(vma) if (vma.start, vma.end) == (start, start + PAGE as u64) => {
                    locks[vma.lock as usize] += 1;
                }
                other => wrong = Some(other),
            }
        }
        stop.store(true, Ordering::Relaxed);
        ensure!(wrong.is_none(), "answer {asked}: {wrong:?}");
        println!(
            "# {asked} answers: {} under the area's lock, {} under the other",
            locks[1], locks[2]
        );
        changer
            .join()
            .map_err(|_| anyhow::anyhow!("the thread panicked"))?
    })?;
    ensure!(changes > 0, "nothing was changed meanwhile");
    Ok(())
}

fn pages_of_the_device() -> Result<()> {
    let scenario = "pages of the device";
    let device = Device::open()?;
    let pages = device.map_pages(abi::PAGES)?;
    for i in 0..abi::PAGES {
        let head = pages.read(i);
        ensure!(
            head == abi::PAGE_MAGIC + i as u64,
            "page {i} begins with {head:#x}"
        );
    }

    let vma = device.vma(pages.addr(0))?;
    fact(
        scenario,
        "resident kB",
        (vma.end - vma.start) >> 10,
        procfs::rss(pages.addr(0))?,
    );
    let area = Area::at(vma.start)?.context("no such area in maps")?;
    fact(
        scenario,
        "rights",
        procfs::rights(vma.flags),
        procfs::rights(area.flags),
    );

    // A second mapping of the same file shows what is written to the first.
    pages.write(3, 42);
    let second = device.map_pages(abi::PAGES)?;
    ensure!(second.read(3) == 42, "the mapping is not shared");

    device.zap(pages.addr(4), 4 * PAGE as u64)?;
    // Asked here and not in a child, so that a stale entry of this CPU would show.
    for i in 0..abi::PAGES {
        let want = match i {
            3 => Ok(42),
            4..8 => Err(Errno::EFAULT),
            _ => Ok(abi::PAGE_MAGIC + i as u64),
        };
        let got = pages.peek(i);
        ensure!(got == want, "page {i} after the zap of 4 to 7: {got:x?}");
    }
    fact(
        scenario,
        "resident kB, 4 pages zapped",
        48,
        procfs::rss(pages.addr(0))?,
    );
    for i in 0..abi::PAGES {
        ensure!(
            pages.is_there(i)? != (4..8).contains(&i),
            "page {i} after the zap of 4 to 7"
        );
    }
    device.zap(pages.addr(0), (abi::PAGES * PAGE) as u64)?;
    fact(
        scenario,
        "resident kB, all zapped",
        0,
        procfs::rss(pages.addr(0))?,
    );
    for i in 0..abi::PAGES {
        ensure!(!pages.is_there(i)?, "page {i} is still there");
    }

    ensure!(second.read(3) == 42, "the zap has reached another mapping");
    ensure!(
        device.map_pages(1)?.read(0) == abi::PAGE_MAGIC,
        "no mapping after the zap"
    );

    // Private mappings may be read, and that is all.
    let flags = MapFlags::MAP_PRIVATE;
    let private = device.map_with(1, ProtFlags::PROT_READ, flags)?;
    ensure!(
        private.read(0) == abi::PAGE_MAGIC,
        "a private mapping has other pages"
    );
    let denied = private.protect(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
    ensure!(
        denied == Err(Errno::EACCES),
        "a private mapping was made writable: {denied:?}"
    );
    Ok(())
}

fn bad_zaps() -> Result<()> {
    let device = Device::open()?;
    let pages = device.map_pages(abi::PAGES)?;
    let (at, page) = (pages.addr(0), PAGE as u64);
    let all = (abi::PAGES * PAGE) as u64;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let foreign = device::map(None, PAGE, rw, anonymous)?.cast::<u64>();
    // SAFETY: It was mapped for writing.
    unsafe { foreign.write_volatile(42) };

    let bad = [
        ("address off a page", at + 1, page, Errno::EINVAL),
        ("length off a page", at, page + 1, Errno::EINVAL),
        ("half a page", at, page / 2, Errno::EINVAL),
        ("no length", at, 0, Errno::EINVAL),
        ("longer than the area", at, all + page, Errno::EINVAL),
        (
            "from the middle over the end",
            at + page,
            all,
            Errno::EINVAL,
        ),
        (
            "past the end of all addresses",
            at,
            !0 - page + 1,
            Errno::EINVAL,
        ),
        ("huge", at, 1 << 62, Errno::EINVAL),
        (
            "area of another kind",
            foreign.as_ptr() as u64,
            page,
            Errno::EINVAL,
        ),
        ("no area", 0, page, Errno::ENOENT),
        (
            "address of the kernel",
            !0 - 2 * page + 1,
            page,
            Errno::ENOENT,
        ),
    ];
    for (what, addr, len, want) in bad {
        let got = device.zap(addr, len);
        ensure!(got == Err(want), "{what}: {got:?}, not {want}");
    }
    for i in 0..abi::PAGES {
        let got = pages.peek(i);
        ensure!(
            got == Ok(abi::PAGE_MAGIC + i as u64),
            "page {i} after all of them: {got:x?}"
        );
    }
    // SAFETY: It is mapped, and if it was zapped it reads as zero.
    let kept = unsafe { foreign.read_volatile() };
    ensure!(kept == 42, "the area of another kind was zapped");
    fact(
        "zap with a bad range",
        "resident kB after all of them",
        64,
        procfs::rss(at)?,
    );
    Ok(())
}

/// The sample refuses bad ranges itself, so here is a driver that does not.
fn unchecked_zaps() -> Result<()> {
    const PAGES: usize = 4;

    let tester = Tester::open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // The area, with another on each side. Other rights keep them apart.
    let whole = device::map(None, (PAGES + 2) * PAGE, rw, anonymous)?.cast::<u64>();
    // SAFETY: Each is a page of what was mapped.
    let page = |i: usize| unsafe { whole.byte_add(i * PAGE) };
    for side in [0, PAGES + 1] {
        // SAFETY: It is mapped for writing.
        unsafe { page(side).write_volatile(side as u64 + 100) };
        // SAFETY: Nobody writes to it any more.
        unsafe { mprotect(page(side).cast(), PAGE, ProtFlags::PROT_READ)? };
    }
    let at = page(1).as_ptr() as u64;
    let (one, all) = (PAGE as u64, (PAGES * PAGE) as u64);
    let fill = || {
        for i in 1..=PAGES {
            // SAFETY: It is mapped for writing.
            unsafe { page(i).write_volatile(i as u64 + 100) };
        }
    };
    // SAFETY: They are mapped for reading; what was zapped reads as zero.
    let gone = || (0..PAGES + 2).filter(|i| unsafe { page(*i).read_volatile() } != *i as u64 + 100);

    fill();
    for (what, addr, len) in [
        ("begins within a page", at + 8, one),
        ("ends within a page", at, one + 8),
        ("less than a page", at, 8),
        ("nothing", at, 0),
        ("begins in the area before", at - one, 2 * one),
        ("is the area before", at - one, one),
        ("ends in the area behind", at + all - one, 2 * one),
        ("is the area behind", at + all, one),
        ("past the end of all addresses", at, !0 - one + 1),
        ("half of all addresses", at, 1 << 63),
    ] {
        tester.zap(at, addr, len)?;
        let gone: Vec<_> = gone().collect();
        ensure!(gone.is_empty(), "{what}: pages {gone:?} are gone");
    }

    for (addr, len, expected) in [
        (at, one, 1..2),
        (at + one, 2 * one, 2..4),
        (at + all - one, one, 4..5),
        (at, all, 1..5),
    ] {
        fill();
        tester.zap(at, addr, len)?;
        let gone: Vec<_> = gone().collect();
        ensure!(
            gone.iter().copied().eq(expected.clone()),
            "pages {gone:?} are gone, and not {expected:?}"
        );
    }
    Ok(())
}

fn bad_input() -> Result<()> {
    let device = Device::open()?;
    let before = device.info()?;
    let size = size_of::<abi::TaskInfo>() as u32;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let two = device::map(
        None,
        2 * PAGE,
        ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        anonymous,
    )?;
    // SAFETY: The second of the two pages.
    let edge = unsafe { two.byte_add(PAGE) };
    // SAFETY: As above.
    unsafe { mprotect(edge, PAGE, ProtFlags::PROT_NONE)? };
    let edge = edge.as_ptr() as usize;

    for cmd in [
        ioctl::ior_sized(abi::MAGIC, 99, size),
        ioctl::ior_sized(abi::MAGIC + 1, abi::GET_INFO, size),
        ioctl::ior_sized(abi::MAGIC, abi::GET_INFO, size - 1),
        ioctl::ior_sized(abi::MAGIC, abi::GET_INFO, 1),
        ioctl::ior_sized(abi::MAGIC, abi::GET_INFO, 0),
        ioctl::ior_sized(abi::MAGIC, abi::GET_INFO, 8191),
        0,
        !0,
    ] {
        let got = device.raw(cmd, two.as_ptr() as usize);
        ensure!(got == Err(Errno::ENOTTY), "command {cmd:#x}: {got:?}");
    }
    for address in [
        0,
        1,
        edge,
        edge - 4,
        0xffff_8880_0000_0000,
        usize::MAX - 7,
        1 << 63,
    ] {
        for cmd in [device::GET_INFO, device::GET_VMA, device::ZAP] {
            let got = device.raw(cmd, address);
            ensure!(
                got == Err(Errno::EFAULT),
                "command {cmd:#x} to {address:#x}: {got:?}"
            );
        }
    }
    for address in [0, 1, !0, 1 << 63, 0xffff_ffff_8000_0000, 1 << 47] {
        let got = device.vma(address);
        ensure!(got == Err(Errno::ENOENT), "area at {address:#x}: {got:?}");
    }

    let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    for (what, pages, rights, flags) in [
        (
            "one page too long",
            abi::PAGES + 1,
            rw,
            MapFlags::MAP_SHARED,
        ),
        ("far too long", 1 << 20, rw, MapFlags::MAP_SHARED),
        ("private and writable", 1, rw, MapFlags::MAP_PRIVATE),
    ] {
        let got = device.map_with(pages, rights, flags).map(|_| ());
        ensure!(got == Err(Errno::EINVAL), "mapping, {what}: {got:?}");
    }
    ensure!(device.read() == Err(Errno::EINVAL), "read() of the device");
    ensure!(
        device.write() == Err(Errno::EINVAL),
        "write() to the device"
    );

    let after = device.info()?;
    ensure!(
        after == before,
        "the device has changed its mind: {after:?}"
    );
    Ok(())
}

/// A signal that is blocked was sent, but does not wait for anything that the task does.
fn blocked_signal(device: &Device) -> Result<()> {
    SigSet::from(Signal::SIGUSR1).thread_block()?;
    raise(Signal::SIGUSR1)?;
    let sent = Status::of_this_thread()?.signals_sent()?;
    ensure!(
        sent == 1 << (Signal::SIGUSR1 as i32 - 1),
        "/proc shows the signals {sent:#x}"
    );
    let info = compare("a blocked signal", device)?;
    ensure!(info.signal_pending == 0, "a blocked signal is said to wait");
    Ok(())
}

extern "C" fn ignore(_: i32) {}

fn signal_waits() -> Result<()> {
    let device = Device::open()?;
    in_child(|| blocked_signal(&device))?;

    // SAFETY: This process has one thread.
    let child = match unsafe { fork()? } {
        ForkResult::Child => ktap::exit((|| {
            // SAFETY: The handler does nothing.
            unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(ignore))? };
            ptrace::traceme()?;
            raise(Signal::SIGSTOP)?;
            let info = device.info()?;
            ensure!(info.signal_pending == 1, "the signal was not seen");
            ensure!(
                device.info()?.signal_pending == 0,
                "the signal is seen after its delivery"
            );
            Ok(())
        })()),
        ForkResult::Parent { child } => child,
    };

    // Stop the child on its way into the ioctl, and let a signal wait there.
    waitpid(child, None)?;
    loop {
        ptrace::syscall(child, None)?;
        let status = waitpid(child, None)?;
        ensure!(
            matches!(status, WaitStatus::Stopped(..)),
            "child: {status:?}"
        );
        let regs = ptrace::getregs(child)?;
        if regs.orig_rax == libc::SYS_ioctl as u64 {
            break;
        }
    }
    kill(child, Signal::SIGUSR1)?;
    let waits = Status::of(child.as_raw())?.signal_pending()?;
    ensure!(waits, "/proc does not show the signal");
    ptrace::cont(child, None)?;
    let status = waitpid(child, None)?;
    ensure!(
        matches!(status, WaitStatus::Stopped(_, Signal::SIGUSR1)),
        "child: {status:?}"
    );
    ptrace::cont(child, Signal::SIGUSR1)?;
    let status = waitpid(child, None)?;
    let seen = matches!(status, WaitStatus::Exited(_, 0));
    fact(
        "a signal waits",
        "signal pending",
        u32::from(seen),
        u32::from(waits),
    );
    Ok(())
}

fn workqueue() -> Result<()> {
    let answer = Tester::open()?.worker_has_mm()?;
    // /proc shows no memory of a kernel thread: kthreadd is number 2.
    let kthread = Status::of(2)?;
    fact(
        "kernel thread",
        "has an address space",
        answer,
        u32::from(kthread.has("VmSize")),
    );
    Ok(())
}

/// Takes and drops references of each kind.
fn count_all(scenario: &str) -> Result<()> {
    use device::test_abi as abi;
    let tester = Tester::open()?;
    // The scheduler lends an address space to idle CPUs, which count in mm_count.
    let kinds = [
        ("Task", abi::TASK, 0),
        ("MmWithUser", abi::MM_USERS, 0),
        ("Mm", abi::MM_COUNT, 4),
        ("PidNamespace", abi::PID_NS, 0),
        ("mmget_not_zero()", abi::MM_NOT_ZERO, 0),
        ("into_mmput_async()", abi::MM_ASYNC, 0),
        ("get_task_cred()", abi::CRED, 0),
        ("UserNamespace", abi::USER_NS, 0),
    ];
    for (name, kind, slack) in kinds {
        let mut last = (0, 0);
        let near = |(before, after): (u32, u32)| before.abs_diff(after) <= slack;
        // Somebody else may hold a reference for a moment.
        for _ in 0..3 {
            let counts = tester.counts(kind, ROUNDS)?;
            last = (counts.before, counts.after);
            if near(last) {
                break;
            }
        }
        ensure!(last.0 > 0, "{name}: the count was zero");
        ensure!(
            near(last),
            "{name}: {} became {} in {ROUNDS} rounds",
            last.0,
            last.1
        );
        println!(
            "# {scenario}: {name}: {} before, {} after {ROUNDS} rounds",
            last.0, last.1
        );
    }
    let refused = tester.counts(99, 1).map(|_| ());
    ensure!(refused == Err(Errno::EINVAL), "unknown kind: {refused:?}");
    Ok(())
}

/// What a call leaves is done after it, by the same task, and before the next call.
fn on_the_way_back() -> Result<()> {
    let tester = Tester::open()?;
    for (done, all) in [(0, 400), (400, 800)] {
        let left = tester.later(100, 3)?;
        ensure!((left.done, left.wrong) == (done, 0), "{left:?}");
        let left = tester.later(0, 0)?;
        ensure!((left.done, left.wrong) == (all, 0), "{left:?}");
    }

    in_child(|| {
        tester.later(3, 1)?;
        Ok(())
    })?;
    let left = tester.later(0, 0)?;
    ensure!((left.done, left.wrong) == (806, 0), "{left:?}");
    Ok(())
}

fn counts() -> Result<()> {
    count_all("initial namespace")
}

fn counts_in_namespace() -> Result<()> {
    in_namespace(|| count_all("namespace of its own"))
}

/// Compares the numbers of two processes, the caller and the one that has opened the device, in
/// each other's namespaces. The opener's is `level` below the initial one.
fn compare_numbers(scenario: &str, device: &Tester, opener: &Status, level: usize) -> Result<()> {
    let answer = device.opener()?;
    let caller = Status::of_this_thread()?;
    fact(scenario, "opener's thread", answer.pid, opener.one("Pid")?);
    let in_openers = caller.nth("NStgid", level)?;
    fact(scenario, "caller, to the opener", answer.caller, in_openers);
    // The opener has a number in the caller's namespace only if that is the same, or above.
    let depth = caller.count("NStgid")? - 1;
    let in_callers = match depth <= level {
        true => opener.nth("NStgid", depth)?,
        false => "0".into(),
    };
    fact(
        scenario,
        "opener, to the caller",
        answer.in_callers_ns,
        in_callers,
    );
    fact(
        scenario,
        "opener's address space is alive",
        answer.mm_alive,
        1,
    );
    fact(scenario, "opener has a namespace", answer.has_ns, 1);
    let same = u32::from(depth == level);
    fact(scenario, "it is the caller's", answer.same_ns, same);
    Ok(())
}

fn another_process() -> Result<()> {
    let device = Tester::open()?;
    let opener = Status::of_this_thread()?;
    compare_numbers("opened by itself", &device, &opener, 0)?;
    in_child(|| compare_numbers("opened by the parent", &device, &opener, 0))?;
    in_namespace(|| compare_numbers("opened above", &device, &opener, 0))?;
    in_namespace(|| {
        let device = Tester::open()?;
        let opener = Status::of_this_thread()?;
        in_child(|| compare_numbers("opened in the same namespace", &device, &opener, 1))?;
        in_namespace(|| compare_numbers("opened between", &device, &opener, 1))
    })
}

fn another_process_gone() -> Result<()> {
    let (answers, tell) = pipe()?;
    // The opener leaves the device to its child, and is reaped before that looks.
    let (go, reaped) = pipe()?;
    in_child(|| {
        let device = Tester::open()?;
        let opener = device.opener()?;
        ensure!((opener.mm_alive, opener.has_ns) == (1, 1), "{opener:?}");
        // SAFETY: This process has one thread.
        if let ForkResult::Child = unsafe { fork()? } {
            File::from(go).read_exact(&mut [0])?;
            let gone = device.opener()?;
            let facts = [gone.mm_alive, gone.has_ns, gone.in_callers_ns as u32];
            for answer in facts {
                File::from(tell.try_clone()?).write_all(&answer.to_ne_bytes())?;
            }
            let same = u32::from(gone.pid == opener.pid);
            File::from(tell).write_all(&same.to_ne_bytes())?;
        }
        Ok(())
    })?;
    File::from(reaped).write_all(b"!")?;
    let mut said = [0; 16];
    File::from(answers).read_exact(&mut said)?;
    let mut said = said
        .chunks(4)
        .map(|bytes| u32::from_ne_bytes(bytes.try_into().unwrap()));
    for (name, expected) in [
        ("its address space is alive", 0),
        ("it has a namespace", 0),
        ("its number", 0),
        ("its thread is remembered", 1),
    ] {
        fact(
            "after the opener's end",
            name,
            said.next().unwrap(),
            expected,
        );
    }
    Ok(())
}

/// A child looks at the number of its parent's first thread, while a second one takes it by `exec()`.
///
/// It is written to while it is read, and nothing else is, so KCSAN sees a read that is no
/// `READ_ONCE()`.
fn another_process_executing() -> Result<()> {
    for _ in 0..10 {
        let (answers, tell) = pipe()?;
        in_child(|| {
            let device = Tester::open()?;
            let first = device.opener()?.pid;
            // SAFETY: This process has one thread.
            if let ForkResult::Child = unsafe { fork()? } {
                let begin = Instant::now();
                let mut pid = first;
                while pid == first && begin.elapsed() < Duration::from_secs(20) {
                    pid = device.watch(first)?;
                }
                for number in [first, pid] {
                    File::from(tell.try_clone()?).write_all(&number.to_ne_bytes())?;
                }
                return Ok(());
            }
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                let tid = gettid().as_raw();
                File::from(tell).write_all(&tid.to_ne_bytes())?;
                nix::unistd::execv(c"/proc/self/exe", &[c"rust_task_test", c"leave"])?;
                Ok(())
            })
            .join()
            .map_err(|_| anyhow::anyhow!("the thread panicked"))?
        })?;
        let mut said = [0; 12];
        File::from(answers).read_exact(&mut said)?;
        let mut said = said
            .chunks(4)
            .map(|bytes| i32::from_ne_bytes(bytes.try_into().unwrap()));
        let mut next = || said.next().context("no number");
        // The second thread has said its number before it took the other.
        let (tid, first, pid) = (next()?, next()?, next()?);
        ensure!(
            pid == tid,
            "the first thread has become {pid} instead of {tid}; it was {first}"
        );
    }
    Ok(())
}

fn opened_by_many() -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..64 {
        // SAFETY: This process has one thread.
        match unsafe { fork()? } {
            ForkResult::Child => ktap::exit((|| {
                for _ in 0..100 {
                    let device = Device::open()?;
                    let info = device.info()?;
                    ensure!(info.tgid == getpid().as_raw(), "{info:?}");
                }
                Ok(())
            })()),
            ForkResult::Parent { child } => children.push(child),
        }
    }
    for child in children {
        let status = waitpid(child, None)?;
        ensure!(
            matches!(status, WaitStatus::Exited(_, 0)),
            "child: {status:?}"
        );
    }
    Device::open()?.info()?;
    Ok(())
}

fn module_in_use() -> Result<()> {
    let unload = || delete_module(c"rust_task_info", DeleteModuleFlags::O_NONBLOCK);
    let device = Device::open()?;
    let got = unload();
    ensure!(
        got == Err(Errno::EWOULDBLOCK),
        "unloaded with a file open: {got:?}"
    );

    // The area keeps the file, and the file keeps the module.
    let pages = device.map_pages(1)?;
    drop(device);
    let got = unload();
    ensure!(
        got == Err(Errno::EWOULDBLOCK),
        "unloaded with pages mapped: {got:?}"
    );
    pages.unmap()?;

    unload().context("the module is not in use any more")?;
    ensure!(
        Device::open().is_err(),
        "the device is there without its module"
    );
    let module = File::open("/modules/rust_task_info.ko")?;
    finit_module(&module, c"", ModuleInitFlags::empty())?;
    Device::open()?.info()?;
    Ok(())
}
