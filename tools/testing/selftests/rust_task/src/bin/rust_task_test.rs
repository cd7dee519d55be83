// SPDX-License-Identifier: GPL-2.0

//! Compares the results of `/dev/rust_task_info` and `/dev/test_rust_task` with /proc.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    sys::{
        mman::{mprotect, munmap, MapFlags, ProtFlags},
        ptrace,
        signal::{kill, raise, SaFlags, SigSet, Signal},
        wait::{waitpid, WaitStatus},
    },
    unistd::{fork, getpid, gettid, pipe, setresuid, ForkResult, Pid, Uid},
};
use rust_task::{
    child::{in_child, in_namespace, install_empty_handler},
    device::{self, abi, Device, Tester},
    ioctl,
    ktap::{self, fact, Test},
    procfs::{self, MapsEntry, Status},
};
use std::{
    fs::{self, File},
    io::{Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const PAGE: usize = 4096;
/// How often each kind of reference is taken and dropped.
const ROUNDS: u32 = 100_000;

const TESTS: &[Test] = &[
    ("initial process", initial),
    ("second thread", second_thread),
    ("two PID namespaces deep", two_namespaces_deep),
    ("after setresuid()", after_setresuid),
    ("after fork()", after_fork),
    ("exec from a non-leader thread", exec_from_thread),
    ("thousands of VMAs", thousands_of_vmas),
    ("a VMA during changes of other VMAs", vma_during_changes),
    ("pages of the device", pages_of_the_device),
    ("zap of invalid ranges", invalid_zaps),
    ("invalid input", invalid_input),
    ("pending signal", pending_signal),
    ("kworker", kworker),
    ("task work runs before the return to userspace", task_work),
    ("refcounts", refcounts),
    ("refcounts in a PID namespace", refcounts_in_namespace),
    ("opener in other PID namespaces", opener),
    ("opener that has been reaped", opener_reaped),
    ("PID of the opener during exec", opener_executing),
    ("concurrent opens", concurrent_opens),
    ("a module in use is not unloaded", module_in_use),
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

/// Compares the results of the driver for this thread with its status in /proc.
fn compare(scenario: &str, device: &Device) -> Result<abi::TaskInfo> {
    let info = device.info()?;
    let status = Status::of_this_thread()?;

    fact(scenario, "PID", info.pid, status.one("Pid")?);
    fact(scenario, "TGID", info.tgid, status.one("Tgid")?);
    fact(scenario, "group leader", info.leader, status.one("Tgid")?);
    fact(scenario, "UID", info.uid, status.nth("Uid", 0)?);
    fact(scenario, "EUID", info.euid, status.nth("Uid", 1)?);
    fact(
        scenario,
        "TGID in the initial PID namespace",
        info.tgid,
        status.nth("NStgid", 0)?,
    );
    fact(
        scenario,
        "PID in the initial PID namespace",
        info.pid,
        status.nth("NSpid", 0)?,
    );
    fact(
        scenario,
        "TGID in its PID namespace",
        info.ns_tgid,
        status.last("NStgid")?,
    );
    // The status of a task without an mm has no VmSize.
    fact(
        scenario,
        "has an mm",
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
            "the thread is reported as its group leader"
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
            ensure!(
                getpid() == Pid::from_raw(1),
                "not the init process of the namespace"
            );
            // The PIDs in /proc are those of the initial PID namespace.
            let info = compare("two namespaces deep", &device)?;
            ensure!(info.ns_tgid == 1, "its TGID is {}", info.ns_tgid);
            let levels = Status::of_this_thread()?.count("NStgid")?;
            ensure!(levels == 3, "it has PIDs in {levels} namespaces");
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
            "the child has the TGID of the parent"
        );
        Ok(())
    })?;
    let again = compare("after fork(), parent", &device)?;
    ensure!(
        again == parent,
        "the result for the parent has changed: {again:?}"
    );
    Ok(())
}

fn exec_from_thread() -> Result<()> {
    let device = Device::open()?;
    let tgid = device.info()?.tgid;
    let thread = std::thread::spawn(move || -> Result<()> {
        let before = device.info()?;
        ensure!(before.pid != before.tgid, "this thread is the group leader");
        // exec() kills all other threads, and this one takes the PID of the group leader.
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

fn cstring(value: i32) -> Result<std::ffi::CString> {
    Ok(std::ffi::CString::new(value.to_string())?)
}

fn after_exec(tgid: i32) -> Result<()> {
    let info = compare("after exec from a thread", &Device::open()?)?;
    ensure!(
        info.pid == tgid,
        "the PID of the group leader was {tgid}: {info:?}"
    );
    Ok(())
}

/// The result of a comparison of all VMAs. Nothing here allocates, so that the VMAs do not change.
#[derive(Default)]
struct Comparison {
    listed: usize,
    agreed: usize,
    gaps: usize,
    enoent: usize,
    vma_locks: usize,
    first_difference: Option<u64>,
}

fn compare_vmas(device: &Device, buffer: &mut [u8]) -> Result<Comparison> {
    let mut maps = File::open("/proc/self/maps")?;
    let mut len = 0;
    loop {
        match maps.read(&mut buffer[len..])? {
            0 => break,
            n => len += n,
        }
    }
    ensure!(len < buffer.len(), "the list of VMAs is too long");

    let mut result = Comparison::default();
    let mut last_end = None;
    for line in std::str::from_utf8(&buffer[..len])?.lines() {
        let Some(entry) = MapsEntry::parse(line)? else {
            continue;
        };
        result.listed += 1;
        if let Some(end) = last_end.filter(|end| *end < entry.start) {
            result.gaps += 1;
            result.enoent += usize::from(device.vma(end) == Err(Errno::ENOENT));
        }
        last_end = Some(entry.end);

        let mut agree = true;
        for addr in [entry.start, entry.end - 1] {
            match device.vma(addr) {
                Ok(vma) => {
                    agree &= entry.agrees_with(&vma);
                    result.vma_locks += usize::from(vma.lock == abi::VMA_LOCK);
                }
                Err(_) => agree = false,
            }
        }
        if agree {
            result.agreed += 1;
        } else {
            result.first_difference.get_or_insert(entry.start);
        }
    }
    Ok(result)
}

fn thousands_of_vmas() -> Result<()> {
    const PAGES: usize = 4000;
    let device = Device::open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let at = device::map(None, PAGES * PAGE, ProtFlags::PROT_NONE, anonymous)?;
    for i in (0..PAGES).step_by(2) {
        let prot = if i % 4 == 0 {
            ProtFlags::PROT_READ
        } else {
            ProtFlags::PROT_WRITE
        };
        // SAFETY: The page is one of those that were mapped above.
        unsafe { mprotect(at.byte_add(i * PAGE), PAGE, prot)? };
    }

    // A shared VMA among the private ones.
    device.map_pages(1)?;

    let mut buffer = vec![0; 1 << 20];
    // The first comparison may expand the stack and the heap.
    compare_vmas(&device, &mut buffer)?;
    let result = compare_vmas(&device, &mut buffer)?;

    let scenario = "thousands of VMAs";
    fact(
        scenario,
        "VMAs (start, end, permissions)",
        result.agreed,
        result.listed,
    );
    fact(scenario, "gaps without a VMA", result.enoent, result.gaps);
    println!(
        "# {} of {} lookups under the VMA lock",
        result.vma_locks,
        2 * result.listed
    );
    if let Some(start) = result.first_difference {
        bail!("the VMA at {start:#x} differs: {:?}", device.vma(start));
    }
    ensure!(result.listed > PAGES, "only {} VMAs", result.listed);
    ensure!(result.gaps > 0, "there was no gap");
    ensure!(
        result.vma_locks > 0,
        "no lookup was done under the VMA lock"
    );
    Ok(())
}

fn vma_during_changes() -> Result<()> {
    let device = Device::open()?;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    // Inaccessible pages on both sides prevent merging.
    let around = device::map(None, 3 * PAGE, ProtFlags::PROT_NONE, anonymous)?;
    // SAFETY: The page is the one in the middle.
    let fixed = unsafe { around.byte_add(PAGE) };
    // SAFETY: The page is within the mapping above. No Rust reference points to it.
    unsafe { mprotect(fixed, PAGE, ProtFlags::PROT_READ)? };
    let start = fixed.as_ptr() as u64;

    let stop = AtomicBool::new(false);
    let changes = std::thread::scope(|scope| -> Result<u32> {
        let changer = scope.spawn(|| -> Result<u32> {
            let mut changes = 0;
            while !stop.load(Ordering::Relaxed) {
                let at = device::map(None, 8 * PAGE, ProtFlags::PROT_READ, anonymous)?;
                // SAFETY: The range was mapped above, and is not accessed.
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
        ensure!(wrong.is_none(), "lookup {asked}: {wrong:?}");
        println!(
            "# {asked} lookups: {} under the VMA lock, {} under the mmap lock",
            locks[1], locks[2]
        );
        changer
            .join()
            .map_err(|_| anyhow::anyhow!("the thread panicked"))?
    })?;
    ensure!(changes > 0, "no VMA was changed during the lookups");
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
    let entry = MapsEntry::at(vma.start)?.context("no such VMA in maps")?;
    fact(
        scenario,
        "permissions",
        procfs::permissions(vma.flags),
        procfs::permissions(entry.flags),
    );

    // A write to a mapping is visible in a second mapping of the same file.
    pages.write(3, 42);
    let second = device.map_pages(abi::PAGES)?;
    ensure!(second.read(3) == 42, "the mapping is not shared");

    device.zap(pages.addr(4), 4 * PAGE as u64)?;
    // This is checked in this process, so that a stale TLB entry would be noticed.
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
            pages.is_accessible(i)? != (4..8).contains(&i),
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
        ensure!(!pages.is_accessible(i)?, "page {i} is still mapped");
    }

    ensure!(second.read(3) == 42, "the zap has affected another mapping");
    ensure!(
        device.map_pages(1)?.read(0) == abi::PAGE_MAGIC,
        "the file cannot be mapped after the zap"
    );

    let from = abi::PAGES - 2;
    let last = device.map_from(from, 2)?;
    for i in 0..2 {
        ensure!(
            last.read(i) == abi::PAGE_MAGIC + (from + i) as u64,
            "page {i} of a mapping that starts with page {from} is another one"
        );
    }

    // Private mappings are read-only.
    let flags = MapFlags::MAP_PRIVATE;
    let private = device.map_with(1, ProtFlags::PROT_READ, flags)?;
    ensure!(
        private.read(0) == abi::PAGE_MAGIC,
        "a private mapping maps other pages"
    );
    let denied = private.protect(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
    ensure!(
        denied == Err(Errno::EACCES),
        "a private mapping was made writable: {denied:?}"
    );
    Ok(())
}

/// The driver passes on any range, and the function of the crate checks it.
fn invalid_zaps() -> Result<()> {
    let device = Device::open()?;
    let pages = device.map_pages(abi::PAGES)?;
    let (at, page) = (pages.addr(0), PAGE as u64);
    let all = (abi::PAGES * PAGE) as u64;
    let anonymous = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let foreign = device::map(None, PAGE, rw, anonymous)?.cast::<u64>();
    // SAFETY: The page is mapped for writing.
    unsafe { foreign.write_volatile(42) };

    let bad = [
        ("unaligned address", at + 1, page, Errno::EINVAL),
        ("unaligned length", at, page + 1, Errno::EINVAL),
        ("half a page", at, page / 2, Errno::EINVAL),
        ("no length", at, 0, Errno::EINVAL),
        ("longer than the VMA", at, all + page, Errno::EINVAL),
        (
            "from the middle over the end",
            at + page,
            all,
            Errno::EINVAL,
        ),
        (
            "overflow of the end address",
            at,
            !0 - page + 1,
            Errno::EINVAL,
        ),
        ("huge", at, 1 << 62, Errno::EINVAL),
        ("half of all addresses", at, 1 << 63, Errno::EINVAL),
        ("less than a page", at, 8, Errno::EINVAL),
        ("starts within a page", at + 8, page, Errno::EINVAL),
        ("the last byte", at + all - 1, 1, Errno::EINVAL),
        (
            "VMA of no driver",
            foreign.as_ptr() as u64,
            page,
            Errno::EINVAL,
        ),
        ("no VMA", 0, page, Errno::ENOENT),
        ("kernel address", !0 - 2 * page + 1, page, Errno::ENOENT),
    ];
    for (what, addr, len, want) in bad {
        let got = device.zap(addr, len);
        ensure!(got == Err(want), "{what}: {got:?}, expected {want}");
    }
    for i in 0..abi::PAGES {
        let got = pages.peek(i);
        ensure!(
            got == Ok(abi::PAGE_MAGIC + i as u64),
            "page {i} after all zaps: {got:x?}"
        );
    }
    // SAFETY: The page is mapped for reading. If it was zapped, it reads as zero.
    let value = unsafe { foreign.read_volatile() };
    ensure!(value == 42, "the VMA of no driver was zapped");
    fact(
        "zap of invalid ranges",
        "resident kB after all zaps",
        64,
        procfs::rss(at)?,
    );
    Ok(())
}

fn invalid_input() -> Result<()> {
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
    // SAFETY: The address is that of the second page.
    let edge = unsafe { two.byte_add(PAGE) };
    // SAFETY: The page is within the mapping above. No Rust reference points to it.
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
        ensure!(got == Err(Errno::ENOENT), "VMA at {address:#x}: {got:?}");
    }

    let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    for (what, pages, prot, flags) in [
        (
            "one page too long",
            abi::PAGES + 1,
            rw,
            MapFlags::MAP_SHARED,
        ),
        ("far too long", 1 << 20, rw, MapFlags::MAP_SHARED),
        ("private and writable", 1, rw, MapFlags::MAP_PRIVATE),
    ] {
        let got = device.map_with(pages, prot, flags).map(|_| ());
        ensure!(got == Err(Errno::EINVAL), "mmap(), {what}: {got:?}");
    }
    for (first, pages) in [(1, abi::PAGES), (abi::PAGES, 1), (1 << 40, 1)] {
        let got = device.map_from(first, pages).map(|_| ());
        ensure!(
            got == Err(Errno::EINVAL),
            "mmap() of {pages} pages from page {first} on: {got:?}"
        );
    }
    ensure!(device.read() == Err(Errno::EINVAL), "read() of the device");
    ensure!(
        device.write() == Err(Errno::EINVAL),
        "write() to the device"
    );

    let after = device.info()?;
    ensure!(after == before, "the result has changed: {after:?}");
    Ok(())
}

/// A blocked signal is not pending in the sense of `signal_pending()`.
fn blocked_signal(device: &Device) -> Result<()> {
    SigSet::from(Signal::SIGUSR1).thread_block()?;
    raise(Signal::SIGUSR1)?;
    let sent = Status::of_this_thread()?.signals_sent()?;
    ensure!(
        sent == 1 << (Signal::SIGUSR1 as i32 - 1),
        "/proc shows the signals {sent:#x}"
    );
    let info = compare("blocked signal", device)?;
    ensure!(
        info.signal_pending == 0,
        "a blocked signal is reported as pending"
    );
    Ok(())
}

fn pending_signal() -> Result<()> {
    let device = Device::open()?;
    in_child(|| blocked_signal(&device))?;

    // SAFETY: This process has one thread.
    let child = match unsafe { fork()? } {
        ForkResult::Child => ktap::exit((|| {
            install_empty_handler(Signal::SIGUSR1, SaFlags::SA_RESTART)?;
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

    // Stop the child at the entry of the ioctl, and make a signal pending there.
    waitpid(child, None)?;
    loop {
        ptrace::syscall(child, None)?;
        let status = waitpid(child, None)?;
        ensure!(
            matches!(status, WaitStatus::Stopped(..)),
            "child: {status:?}"
        );
        let call = fs::read_to_string(format!("/proc/{child}/syscall"))?;
        if call.split(' ').next() == Some(&libc::SYS_ioctl.to_string()) {
            break;
        }
    }
    kill(child, Signal::SIGUSR1)?;
    let pending = Status::of(child.as_raw())?.signal_pending()?;
    ensure!(pending, "/proc does not show the signal");
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
        "pending signal",
        "signal pending",
        u32::from(seen),
        u32::from(pending),
    );
    Ok(())
}

fn kworker() -> Result<()> {
    let answer = Tester::open()?.worker_has_mm()?;
    // The status of a kthread has no VmSize. The PID of kthreadd is 2.
    let kthread = Status::of(2)?;
    fact(
        "kworker",
        "has an mm",
        answer,
        u32::from(kthread.has("VmSize")),
    );
    Ok(())
}

/// Takes and drops references of each kind, and compares the refcounts.
fn check_refcounts(scenario: &str) -> Result<()> {
    use device::test_abi as abi;
    let tester = Tester::open()?;
    // The lazy TLB references of idle CPUs count in mm_count.
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
    for (name, kind, tolerance) in kinds {
        let mut last = (0, 0);
        let near = |(before, after): (u32, u32)| before.abs_diff(after) <= tolerance;
        // Other tasks may hold a reference temporarily.
        for _ in 0..3 {
            let counts = tester.refcounts(kind, ROUNDS)?;
            last = (counts.before, counts.after);
            if near(last) {
                break;
            }
        }
        ensure!(last.0 > 0, "{name}: the refcount was zero");
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
    let refused = tester.refcounts(99, 1).map(|_| ());
    ensure!(refused == Err(Errno::EINVAL), "unknown kind: {refused:?}");
    Ok(())
}

/// Task work runs after the call that queues it, in the same task, and before the next call.
fn task_work() -> Result<()> {
    let tester = Tester::open()?;
    for (done, all) in [(0, 400), (400, 800)] {
        let counts = tester.task_work(100, 3)?;
        ensure!((counts.done, counts.wrong) == (done, 0), "{counts:?}");
        let counts = tester.task_work(0, 0)?;
        ensure!((counts.done, counts.wrong) == (all, 0), "{counts:?}");
    }

    in_child(|| {
        tester.task_work(3, 1)?;
        Ok(())
    })?;
    let counts = tester.task_work(0, 0)?;
    ensure!((counts.done, counts.wrong) == (806, 0), "{counts:?}");
    Ok(())
}

fn refcounts() -> Result<()> {
    check_refcounts("initial PID namespace")
}

fn refcounts_in_namespace() -> Result<()> {
    in_namespace(|| check_refcounts("new PID namespace"))
}

/// Compares the PIDs of the caller and of the opener of the file in each other's PID namespace. The
/// namespace of the opener has level `level`.
fn compare_pids(scenario: &str, device: &Tester, opener: &Status, level: usize) -> Result<()> {
    let answer = device.opener()?;
    let caller = Status::of_this_thread()?;
    fact(
        scenario,
        "PID of the opener",
        answer.pid,
        opener.one("Pid")?,
    );
    let in_openers = caller.nth("NStgid", level)?;
    fact(
        scenario,
        "TGID of the caller, for the opener",
        answer.caller,
        in_openers,
    );
    // The opener has a PID in the namespace of the caller if that is the same or an ancestor.
    let depth = caller.count("NStgid")? - 1;
    let in_callers = match depth <= level {
        true => opener.nth("NStgid", depth)?,
        false => "0".into(),
    };
    fact(
        scenario,
        "TGID of the opener, for the caller",
        answer.in_callers_ns,
        in_callers,
    );
    fact(scenario, "mm of the opener has users", answer.mm_alive, 1);
    fact(scenario, "opener has a PID namespace", answer.has_ns, 1);
    let same = u32::from(depth == level);
    fact(
        scenario,
        "PID namespace is that of the caller",
        answer.same_ns,
        same,
    );
    Ok(())
}

fn opener() -> Result<()> {
    let device = Tester::open()?;
    let opener = Status::of_this_thread()?;
    compare_pids("opened by itself", &device, &opener, 0)?;
    in_child(|| compare_pids("opened by the parent", &device, &opener, 0))?;
    in_namespace(|| compare_pids("opened in an ancestor namespace", &device, &opener, 0))?;
    in_namespace(|| {
        let device = Tester::open()?;
        let opener = Status::of_this_thread()?;
        in_child(|| compare_pids("opened in the same namespace", &device, &opener, 1))?;
        in_namespace(|| compare_pids("opened in the middle namespace", &device, &opener, 1))
    })
}

fn opener_reaped() -> Result<()> {
    let (answers, tell) = pipe()?;
    // The child inherits the file, and calls the driver after the opener has been reaped.
    let (go, reaped) = pipe()?;
    in_child(|| {
        let device = Tester::open()?;
        let opener = device.opener()?;
        ensure!((opener.mm_alive, opener.has_ns) == (1, 1), "{opener:?}");
        // SAFETY: This process has one thread.
        if let ForkResult::Child = unsafe { fork()? } {
            File::from(go).read_exact(&mut [0])?;
            let gone = device.opener()?;
            let values = [gone.mm_alive, gone.has_ns, gone.in_callers_ns as u32];
            for answer in values {
                File::from(tell.try_clone()?).write_all(&answer.to_ne_bytes())?;
            }
            let same = u32::from(gone.pid == opener.pid);
            File::from(tell).write_all(&same.to_ne_bytes())?;
        }
        Ok(())
    })?;
    File::from(reaped).write_all(b"!")?;
    let mut bytes = [0; 16];
    File::from(answers).read_exact(&mut bytes)?;
    let mut values = bytes
        .chunks(4)
        .map(|bytes| u32::from_ne_bytes(bytes.try_into().unwrap()));
    for (name, expected) in [
        ("mm has users", 0),
        ("has a PID namespace", 0),
        ("TGID", 0),
        ("PID is unchanged", 1),
    ] {
        fact(
            "opener has been reaped",
            name,
            values.next().unwrap(),
            expected,
        );
    }
    Ok(())
}

/// A child reads the PID of its parent's group leader, while another thread of the parent takes
/// that PID by `exec()`.
///
/// The PID is written during the reads, and nothing else is read, so KCSAN reports a read that is
/// not a `READ_ONCE()`.
fn opener_executing() -> Result<()> {
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
                    pid = device.watch_pid(first)?;
                }
                for pid in [first, pid] {
                    File::from(tell.try_clone()?).write_all(&pid.to_ne_bytes())?;
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
        let mut bytes = [0; 12];
        File::from(answers).read_exact(&mut bytes)?;
        let mut values = bytes
            .chunks(4)
            .map(|bytes| i32::from_ne_bytes(bytes.try_into().unwrap()));
        let mut next = || values.next().context("no PID");
        // The second thread wrote its PID before the exec().
        let (tid, first, pid) = (next()?, next()?, next()?);
        ensure!(
            pid == tid,
            "the PID of the first thread has become {pid} instead of {tid}; it was {first}"
        );
    }
    Ok(())
}

fn concurrent_opens() -> Result<()> {
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

    // The VMA holds a reference to the file, and the file to the module.
    let pages = device.map_pages(1)?;
    drop(device);
    let got = unload();
    ensure!(
        got == Err(Errno::EWOULDBLOCK),
        "unloaded with pages mapped: {got:?}"
    );
    pages.unmap()?;

    unload().context("unloading the unused module")?;
    ensure!(
        Device::open().is_err(),
        "the device exists without its module"
    );
    let module = File::open("/modules/rust_task_info.ko")?;
    finit_module(&module, c"", ModuleInitFlags::empty())?;
    Device::open()?.info()?;
    Ok(())
}
