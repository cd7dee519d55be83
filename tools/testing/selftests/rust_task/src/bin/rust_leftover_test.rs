// SPDX-License-Identifier: GPL-2.0

//! Loads and unloads a module that leaves kthreads and devices behind.
//!
//! If code of the module ran after that, the kernel would oops, which fails the run.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    fcntl::{open, OFlag},
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    sys::{
        mman::{mmap_anonymous, munmap, MapFlags, ProtFlags},
        prctl,
        stat::{makedev, mknod, stat, Mode, SFlag},
    },
    unistd::{close, unlink},
};
use rust_task::{
    child::{wait_for, Child},
    io_uring::Ring,
    ioctl::call_for,
    ktap::{self, did, left_out, Test},
    procfs::drop_slab,
};
use std::{
    ffi::{CStr, CString},
    fs::{self, File},
    num::NonZeroUsize,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("kthread that is part of a cycle", || {
        left(c"cycle", "cycle", false)
    }),
    ("kthread of each open file, in a cycle", session),
    ("kthread in a static", || left(c"static", "static", true)),
    ("forgotten kthread", || {
        left(c"forgotten", "forgotten", true)
    }),
    ("forgotten kthread that was not started", || {
        left(c"new", "new", true)
    }),
    ("forgotten kthread that is parked", || {
        left(c"parked", "parked", true)
    }),
    ("forgotten kthread that owns another", || {
        left(c"owner", "inner", true)
    }),
    ("kthreads that start others when they are stopped", || {
        left(c"chain", "chain", true)
    }),
    ("kthread that drops its own handle", own_handle),
    ("kthreads that own each other", || {
        left(c"each other", "other", false)
    }),
    ("kthreads that drop each other's handle", early),
    ("forgotten worker", || left(c"worker", "worker", true)),
    ("workers that own each other", || {
        left(c"workers", "worker", false)
    }),
    (
        "task work with the OwnerModule of another module",
        task_work,
    ),
    ("forgotten shrinker", shrinker),
    ("forgotten notifier of an address space", || {
        notifier(c"notifier")
    }),
    ("notifier that a work item removes", || {
        notifier(c"notifier, work")
    }),
    ("forgotten misc device", || device(c"device")),
    ("forgotten character device", || device(c"char device")),
    ("forgotten region of character devices", region),
    ("numbers, names and modes of character devices", nodes),
    ("forgotten character device without nodes", without_nodes),
    ("character device that owns itself", || {
        device(c"char, dropped")
    }),
    ("character device dropped while a file is open", dropped),
    ("file that init() creates", anonymous_file),
    ("devices and files that name another module", foreign_owner),
    ("devices with an empty and a long name", bad_names),
    ("init() that fails and leaves all of it behind", failing),
    ("misc device opened during init()", || slow(c"slow")),
    ("character device opened during init()", || {
        slow(c"char, slow")
    }),
    ("misc device opened during an init() that fails", || {
        slow_failing(c"slow, failing")
    }),
    (
        "character device opened during an init() that fails",
        || slow_failing(c"char, failing"),
    ),
    ("process killed while it waits for init()", killed),
    ("misc device opened by io_uring during init()", by_io_uring),
];

const MODULE: &str = "/leftover/rust_leftover.ko";
const NAME: &CStr = c"rust_leftover";
const NODE: &str = "/dev/rust_leftover";
/// The time that the `init()` of the cases named "slow" takes.
const SLOW: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// Loads the module, which does what `case` names.
fn load(case: &CStr) -> Result<nix::Result<()>> {
    prctl::set_name(case)?;
    let file = File::open(MODULE).context(MODULE)?;
    Ok(finit_module(&file, c"", ModuleInitFlags::empty()))
}

fn unload() -> Result<()> {
    delete_module(NAME, DeleteModuleFlags::O_NONBLOCK).context("delete_module()")
}

fn shrinker() -> Result<()> {
    if must_not_leak() {
        return Ok(());
    }
    load(c"shrinker")?.context("finit_module()")?;
    drop_slab()?;
    unload()?;
    drop_slab()
}

/// The module mirrors this process. When it has gone, no code of it is called.
fn notifier(mode: &CStr) -> Result<()> {
    if must_not_leak() {
        return Ok(());
    }
    for _ in 0..20 {
        match load(mode)? {
            Err(Errno::EOPNOTSUPP) => {
                return left_out("notifiers");
            }
            result => result.context("finit_module()")?,
        }
        invalidate()?;
        unload()?;
        invalidate()?;
    }
    Ok(())
}

/// Maps memory, and unmaps it.
fn invalidate() -> Result<()> {
    let len = NonZeroUsize::new(1 << 16).context("zero")?;
    let (prot, flags) = (
        ProtFlags::PROT_WRITE,
        MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE,
    );
    // SAFETY: A new mapping concerns no other memory, and nothing refers to it.
    unsafe {
        let at = mmap_anonymous(None, len, prot, flags)?;
        munmap(at, len.get())?
    }
    Ok(())
}

/// Returns the number of kthreads whose name is `left/` and then begins with `name`.
fn kthreads(name: &str) -> Result<usize> {
    let comms = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    Ok(comms
        .filter(|comm| {
            let rest = comm.strip_prefix("left/");
            rest.is_some_and(|rest| rest.starts_with(name))
        })
        .count())
}

/// Waits until there is no such kthread.
fn gone(name: &str) -> Result<()> {
    // A kthread exits shortly after it has left the code of its module.
    wait_for(&format!("a kthread left/{name} remains"), || {
        Ok(kthreads(name)? == 0)
    })
}

/// Returns whether the kernel reports what is forgotten. The test is then left out.
fn must_not_leak() -> bool {
    let has = Path::new("/sys/kernel/debug/kmemleak").exists();
    if has {
        did("left out, as it leaks memory", 1);
    }
    has
}

/// Unloads a module that has left a kthread behind.
fn left(case: &CStr, name: &str, leaks: bool) -> Result<()> {
    if leaks && must_not_leak() {
        return Ok(());
    }
    load(case)?.context("finit_module()")?;
    ensure!(kthreads(name)? > 0, "no kthread left/{name}");
    sleep(Duration::from_millis(20));
    unload()?;
    gone("")?;
    // The kthread would run again within this time.
    sleep(Duration::from_millis(50));
    Ok(())
}

/// Opens and closes the device. The kthreads stay until the module goes.
fn session() -> Result<()> {
    const FILES: usize = 5;
    if must_not_leak() {
        return Ok(());
    }
    load(c"session")?.context("finit_module()")?;
    for _ in 0..FILES {
        close(open_node()?)?;
    }
    ensure!(kthreads("cycle")? == FILES);
    unload()?;
    gone("")?;
    sleep(Duration::from_millis(50));
    Ok(())
}

fn own_handle() -> Result<()> {
    load(c"own handle")?.context("finit_module()")?;
    gone("own")?;
    unload()
}

/// The kthreads end before the module goes.
fn early() -> Result<()> {
    load(c"early")?.context("finit_module()")?;
    gone("early")?;
    unload()
}

fn task_work() -> Result<()> {
    load(c"task work")?.context("finit_module()")?;
    unload()
}

fn device(case: &CStr) -> Result<()> {
    if must_not_leak() {
        return Ok(());
    }
    load(case)?.context("finit_module()")?;
    close(open_node()?)?;
    unload()?;
    let err = open_node().err();
    ensure!(
        err == Some(Errno::ENOENT),
        "open() after the module has gone: {err:?}"
    );
    // The name must be free.
    load(case)?.context("finit_module() again")?;
    unload()
}

fn region() -> Result<()> {
    if must_not_leak() {
        return Ok(());
    }
    // The second time, the name and the numbers must be free.
    for _ in 0..2 {
        load(c"char region")?.context("finit_module()")?;
        for minor in 0..2 {
            let node = format!("{NODE}{minor}");
            let file = File::open(&node).with_context(|| node.clone())?;
            ensure!(unload().is_err(), "unloaded while {node} is open");
            drop(file);
        }
        unload()?;
        for gone in [
            "/dev/rust_leftover0",
            "/dev/rust_leftover1",
            "/sys/class/rust_leftover",
        ] {
            ensure!(!Path::new(gone).exists(), "{gone} remains");
        }
    }
    Ok(())
}

fn nodes() -> Result<()> {
    if must_not_leak() {
        return Ok(());
    }
    const DIR: &str = "/dev/rust_leftover";
    for _ in 0..2 {
        load(c"char nodes")?.context("finit_module()")?;
        let devices = fs::read_to_string("/proc/devices")?;
        ensure!(
            devices.contains("\n242 rust_leftover\n"),
            "/proc/devices: {devices}"
        );
        let nodes = [
            ("/dev/rust_leftover/nine", 9, 0o640),
            ("/dev/rust_leftover/eight", 8, 0o600),
        ];
        for (node, minor, mode) in nodes {
            let found = stat(node).context(node)?;
            let permissions = found.st_mode & 0o7777;
            ensure!(
                found.st_rdev == makedev(242, minor),
                "{node}: {:#x}",
                found.st_rdev
            );
            ensure!(permissions == mode, "{node}: {permissions:o}");
            drop(File::open(node).context(node)?);
        }
        for name in ["rust_leftover!nine", "rust_leftover8"] {
            let device = Path::new("/sys/class/rust_leftover_class").join(name);
            ensure!(device.exists(), "{} is missing", device.display());
        }
        unload()?;
        ensure!(!Path::new(DIR).exists(), "{DIR} remains");
    }
    Ok(())
}

/// Userspace creates the nodes, of any minor number.
fn without_nodes() -> Result<()> {
    if must_not_leak() {
        return Ok(());
    }
    const OTHER: &str = "/dev/rust_leftover_other";
    const MINORS: u64 = 256;
    let open_minor = |major, minor| -> Result<nix::Result<i32>> {
        mknod(OTHER, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(major, minor))?;
        let result = open(OTHER, OFlag::O_RDONLY, Mode::empty());
        unlink(OTHER)?;
        Ok(result)
    };
    for _ in 0..2 {
        load(c"char, no nodes")?.context("finit_module()")?;
        let devices = fs::read_to_string("/proc/devices")?;
        let majors: Vec<&str> = devices
            .lines()
            .filter_map(|line| line.trim().strip_suffix(" rust_leftover"))
            .collect();
        ensure!(majors.len() == 1, "/proc/devices: {devices}");
        let major: u64 = majors[0].parse()?;
        for no in [NODE, "/dev/rust_leftover0", "/sys/class/rust_leftover"] {
            ensure!(!Path::new(no).exists(), "{no} exists");
        }
        let file = open_minor(major, 0)?.context("open()")?;
        ensure!(unload().is_err(), "unloaded while a file is open");
        close(file)?;
        // The driver refuses each minor number but 0.
        for (minor, error) in [(MINORS - 1, Errno::ERANGE), (MINORS, Errno::ENXIO)] {
            let result = open_minor(major, minor)?;
            ensure!(result == Err(error), "minor {minor}: {result:?}");
        }
        unload()?;
        let result = open_minor(major, 0)?;
        ensure!(result == Err(Errno::ENXIO), "after unload: {result:?}");
    }
    Ok(())
}

/// An inode knows the device while a file is open, so it can be opened although the device is not
/// registered any more.
fn dropped() -> Result<()> {
    const OTHER: &str = "/dev/rust_leftover_other";
    load(c"char, dropped")?.context("finit_module()")?;
    mknod(OTHER, SFlag::S_IFCHR, Mode::S_IRUSR, stat(NODE)?.st_rdev)?;
    let open_other = || open(OTHER, OFlag::O_RDONLY, Mode::empty());
    let file = File::open(OTHER)?;
    close(open_other()?)?;
    ensure!(call_for(&file, 0, 0)? == 1, "the device has gone before");
    ensure!(!Path::new(NODE).exists(), "{NODE} remains");
    let result = open_other();
    ensure!(result == Err(Errno::ENXIO), "opened again: {result:?}");
    // The file stays open, and keeps the module.
    ensure!(call_for(&file, 0, 0)? == 0, "dropped twice");
    let result = unload();
    ensure!(result.is_err(), "unloaded while a file is open");
    drop(file);
    unlink(OTHER)?;
    unload()
}
/// The module checks that it cannot create the file.
fn anonymous_file() -> Result<()> {
    load(c"anonymous file")?.context("finit_module()")?;
    unload()
}

/// The module checks that it can neither register the devices nor create the file.
fn foreign_owner() -> Result<()> {
    load(c"foreign owner")?.context("finit_module()")?;
    ensure!(!Path::new(NODE).exists(), "{NODE} exists");
    unload()
}

fn bad_names() -> Result<()> {
    load(c"bad names")?.context("finit_module()")?;
    unload()
}

fn failing() -> Result<()> {
    if must_not_leak() {
        return Ok(());
    }
    let result = load(c"failing")?;
    ensure!(result == Err(Errno::ENODEV), "finit_module(): {result:?}");
    gone("")?;
    ensure!(!Path::new(NODE).exists(), "{NODE} remains");
    drop_slab()?;
    sleep(Duration::from_millis(50));
    Ok(())
}

fn open_node() -> nix::Result<i32> {
    open(NODE, OFlag::O_RDONLY, Mode::empty())
}

/// Waits until the device exists, and opens it.
fn open_early() -> Result<nix::Result<i32>> {
    wait_for_node()?;
    Ok(open_node())
}

/// Waits until the device exists.
fn wait_for_node() -> Result<()> {
    wait_for(&format!("no {NODE}"), || Ok(Path::new(NODE).exists()))?;
    let state = fs::read_to_string("/sys/module/rust_leftover/initstate")?;
    ensure!(state.trim() == "coming", "the module is {state:?}");
    Ok(())
}

fn slow(case: &CStr) -> Result<()> {
    let opener = Child::start(|| {
        let file = open_early()??;
        let state = fs::read_to_string("/sys/module/rust_leftover/initstate")?;
        ensure!(
            state.trim() == "live",
            "open() has not waited: the module is {state:?}"
        );
        close(file)?;
        Ok(())
    })?;
    load(case)?.context("finit_module()")?;
    opener.join()?;
    // The references of all files that were not opened have been dropped.
    unload()
}

fn slow_failing(case: &CStr) -> Result<()> {
    // The character device is left behind.
    if case == c"char, failing" && must_not_leak() {
        return Ok(());
    }
    let opener = Child::start(|| match open_early()? {
        Err(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => Ok(()),
        Err(err) => bail!("open(): {err}"),
        Ok(file) => {
            // The module is freed while the file is open.
            sleep(2 * SLOW);
            close(file)?;
            bail!("open() has not failed")
        }
    })?;
    let result = load(case)?;
    ensure!(result == Err(Errno::ENODEV), "finit_module(): {result:?}");
    opener.join()
}

fn killed() -> Result<()> {
    let loader = Child::start(|| load(c"slow")?.context("finit_module()"))?;
    let opener = Child::start(|| {
        let result = open_early()?;
        bail!("open() has returned: {result:?}")
    })?;
    sleep(SLOW / 2);
    let begin = Instant::now();
    opener.kill()?;
    ensure!(
        begin.elapsed() < SLOW / 4,
        "it has waited until the end of init()"
    );
    loader.join()?;
    unload()
}

/// `-ERESTARTNOINTR` is for a system call. A worker of io_uring must not return it, and neither
/// must the attempt that precedes the worker. A process that has used io_uring still waits in
/// `open()`.
fn by_io_uring() -> Result<()> {
    if Ring::new()?.is_none() {
        did("files opened by io_uring (not configured)", 0);
        return Ok(());
    }
    let opener = Child::start(|| {
        let mut ring = Ring::new()?.context("no io_uring")?;
        wait_for_node()?;
        let result = ring.open(&CString::new(NODE)?, OFlag::O_RDONLY)?;
        ensure!(result == Err(Errno::EAGAIN), "io_uring: {result:?}");
        let result = open(NODE, OFlag::O_NONBLOCK, Mode::empty());
        ensure!(result == Err(Errno::EAGAIN), "O_NONBLOCK: {result:?}");
        close(open_node()?)?;
        close(ring.open(&CString::new(NODE)?, OFlag::O_RDONLY)??)?;
        Ok(())
    })?;
    load(c"slow")?.context("finit_module()")?;
    opener.join()?;
    did("files opened by io_uring", 2);
    unload()
}
