// SPDX-License-Identifier: GPL-2.0

//! Has `/dev/test_rust_lifetime` keep references to tasks and address spaces that end.

use anyhow::{ensure, Result};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sched::{sched_setaffinity, CpuSet},
    sys::{
        mman::{MapFlags, ProtFlags},
        signal::{kill, Signal},
    },
    unistd::{fork, getpid, getppid, gettid, pause, pipe2, setresuid, ForkResult, Pid, Uid},
};
use rust_task::{
    child::{in_child, in_namespace, wait_for, Child},
    device::map_file,
    ioctl::{ask, call, exchange, io, ior, iow, iowr},
    ktap::{self, did, Test},
    procfs::drop_slab,
};
use std::{
    env,
    fs::{self, File, OpenOptions, Permissions},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{self, Command},
    sync::{mpsc, Barrier},
    thread,
    time::Duration,
};

#[path = "../../../../../../lib/test_rust_lifetime_abi.rs"]
mod abi;

const WALK: u32 = iowr::<abi::Walk>(abi::MAGIC, abi::WALK);
const SATURATION: u32 = iowr::<abi::Saturation>(abi::MAGIC, abi::SATURATION);
const DROP_LAST: u32 = io(abi::MAGIC, abi::DROP_LAST);
const RELEASED: u32 = ior::<u32>(abi::MAGIC, abi::RELEASED);
const SIGNAL_AS_OPENER: u32 = iow::<i32>(abi::MAGIC, abi::SIGNAL_AS_OPENER);

const TESTS: &[Test] = &[
    ("walk over threads that exit meanwhile", threads),
    ("walk over processes that exit meanwhile", processes),
    ("refcounts saturate", saturation),
    (
        "last user dropped under a lock of close()",
        dropped_under_lock,
    ),
    ("chain of address spaces", chain),
    ("signal with the credentials of the opener", signals),
    ("signal during execve() of a thread", signal_in_exec),
    ("shrinker that frees objects", shrinker),
    ("shrinker that frees nothing", stubborn_shrinker),
    ("shrinker that looks at many objects", picky_shrinker),
    (
        "shrinker that ends while memory is reclaimed",
        shrinker_race,
    ),
];

const SHRINKER: u32 = iow::<i64>(abi::MAGIC, abi::SHRINKER);
const SHRUNK: u32 = ior::<abi::Shrunk>(abi::MAGIC, abi::SHRUNK);

const DEVICE: &str = "/dev/test_rust_lifetime";
const PAGE: usize = 4096;
/// How long a walk sleeps, in milliseconds.
const PAUSE: u32 = 500;
/// The number of processes, each of which keeps the address space of another one.
const CHAIN: u32 = 200;

fn main() -> Result<()> {
    // `signal_in_exec()` has executed this program.
    if let Some(times) = env::args().nth(1) {
        return exec_again(times.parse()?);
    }
    ktap::run(TESTS)
}

fn open() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE)
}

fn walk(device: &File, kind: u32, pause: u32) -> Result<Vec<i32>> {
    let mut walk = abi::Walk {
        kind,
        pause,
        found: 0,
        pids: [0; abi::Walk::MAX],
    };
    exchange(device, WALK, &mut walk)?;
    let found = walk.found as usize;
    ensure!(found <= abi::Walk::MAX, "{found} tasks");
    Ok(walk.pids[..found].to_vec())
}

fn shrunk(device: &File) -> Result<abi::Shrunk> {
    Ok(ask(device, SHRUNK, abi::Shrunk::default())?)
}

fn shrinker() -> Result<()> {
    const OBJECTS: i64 = 1000;
    let device = open()?;
    ask(&device, SHRINKER, OBJECTS)?;
    drop_slab()?;
    let result = shrunk(&device)?;
    ensure!(result.objects < OBJECTS / 2, "{result:?}");
    // Each call frees ten.
    ensure!(result.calls > (OBJECTS - result.objects) / 10, "{result:?}");
    // drop_slab() reclaims as for GFP_KERNEL.
    ensure!(result.full > 0, "{result:?}");
    ensure!((result.late, result.dropped) == (0, 0), "{result:?}");
    ask(&device, SHRINKER, 0i64)?;
    drop_slab()?;
    let end = shrunk(&device)?;
    ensure!((end.late, end.dropped) == (0, 1), "{end:?}");
    did("objects that were freed", OBJECTS - end.objects);
    Ok(())
}

/// The number of objects is greater than C's `long`.
fn stubborn_shrinker() -> Result<()> {
    let device = open()?;
    ask(&device, SHRINKER, abi::STUBBORN)?;
    for _ in 0..10 {
        drop_slab()?;
    }
    let result = shrunk(&device)?;
    ensure!(result.calls >= 20, "{result:?}");
    ensure!(result.objects == abi::STUBBORN, "{result:?}");
    did("calls of a shrinker", result.calls);
    Ok(())
}

/// After the first object that is freed, the kernel asks for no more. It would ask a hundred times
/// for the ten objects of each call.
fn picky_shrinker() -> Result<()> {
    const OBJECTS: i64 = 1000;
    let device = open()?;
    ask(&device, SHRINKER, -OBJECTS)?;
    drop_slab()?;
    let result = shrunk(&device)?;
    let freed = OBJECTS - result.objects;
    // Each object needs a call that counts them, and one that frees it.
    ensure!(freed > 0 && result.calls >= 2 * freed, "{result:?}");
    did("objects that were freed", freed);
    Ok(())
}

fn shrinker_race() -> Result<()> {
    const CALLS: i64 = 200;
    let device = open()?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    thread::scope(|scope| -> Result<()> {
        let shrinking = scope.spawn(|| -> Result<()> {
            while !stop.load(order) {
                drop_slab()?;
            }
            Ok(())
        });
        // Each call by the other thread may meet a registration that ends.
        let registered = wait_for("the shrinkers are not called", || {
            ask(&device, SHRINKER, 100i64)?;
            let result = shrunk(&device)?;
            Ok(result.calls >= CALLS && result.dropped >= CALLS)
        });
        stop.store(true, order);
        shrinking.join().expect("a thread panicked")?;
        registered
    })?;
    ask(&device, SHRINKER, 0i64)?;
    let result = shrunk(&device)?;
    ensure!(result.late == 0, "{result:?}");
    did("shrinkers that were registered", result.dropped);
    Ok(())
}

/// The first threads exit while the walk stands at one of them.
fn threads() -> Result<()> {
    const THREADS: usize = 8;

    for exiting in [0, 1, 3, THREADS] {
        let device = open()?;
        let last = Barrier::new(THREADS - exiting + 1);
        thread::scope(|scope| -> Result<()> {
            let mut tids = vec![gettid().as_raw()];
            let (mut first, mut joined) = (Vec::new(), Vec::new());
            for i in 0..THREADS {
                let (send, receive) = mpsc::channel::<()>();
                let (tid, begun) = mpsc::channel();
                let last = &last;
                let thread = scope.spawn(move || {
                    tid.send(gettid().as_raw()).expect("the parent has exited");
                    if i < exiting {
                        // The first ones wait until the channel is closed.
                        let _ = receive.recv();
                    } else {
                        last.wait();
                    }
                });
                joined.push(thread);
                first.push(send);
                tids.push(begun.recv()?);
            }
            let before = walk(&device, abi::THREADS, 0)?;

            let exit = scope.spawn(move || {
                thread::sleep(Duration::from_millis(u64::from(PAUSE / 5)));
                drop(first);
            });
            let mut during = walk(&device, abi::THREADS, PAUSE)?;
            last.wait();
            // Join the threads explicitly: a scope may end while they hold locks of the C library,
            // on which a forked child would deadlock.
            for thread in joined {
                thread.join().expect("the thread panicked");
            }
            exit.join().expect("the thread panicked");

            ensure!(before == tids, "{before:?} instead of {tids:?}");
            // The thread that lets the others exit is the last one, and may be found or not. So
            // may the one at which the walk stood.
            during.retain(|tid| tids.contains(tid));
            let expected = [&tids[..1], &tids[1 + exiting..]].concat();
            if during.get(1) == Some(&tids[1]) && exiting > 0 {
                during.remove(1);
            }
            ensure!(during == expected, "{during:?} instead of {expected:?}");
            Ok(())
        })?;
        // `join()` may return before a thread has been reaped.
        let task = PathBuf::from(format!("/proc/{}/task", getpid()));
        wait_for("a thread has not exited", || {
            Ok(fs::read_dir(&task)?.count() == 1)
        })?;
    }
    Ok(())
}

/// Processes exit during the walk. The others must be found once each.
fn processes() -> Result<()> {
    let device = open()?;
    let mut children = Vec::new();
    for _ in 0..20 {
        children.push(Child::start(|| {
            pause();
            Ok(())
        })?);
    }
    let stay: Vec<_> = children.iter().skip(1).step_by(2).map(Child::pid).collect();
    let exit: Vec<_> = children.iter().step_by(2).map(Child::pid).collect();
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(u64::from(PAUSE / 5)));
        for pid in exit {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(pid, None);
        }
    });
    let found = walk(&device, abi::PROCESSES, PAUSE)?;
    killer.join().expect("the thread panicked");

    ensure!(found.is_sorted(), "{found:?}");
    for pid in [Pid::from_raw(1), Pid::from_raw(2), getpid()]
        .iter()
        .chain(&stay)
    {
        let times = found.iter().filter(|nr| **nr == pid.as_raw()).count();
        ensure!(times == 1, "{pid} was found {times} times");
    }
    did("processes", found.len());
    for (i, child) in children.into_iter().enumerate() {
        if i % 2 == 1 {
            child.kill()?;
        } else {
            std::mem::forget(child);
        }
    }

    in_namespace(|| {
        let found = walk(&device, abi::PROCESSES, 0)?;
        ensure!(found.len() == 1 && found[0] > 1, "{found:?}");
        Ok(())
    })
}

fn saturation() -> Result<()> {
    let device = open()?;
    for kind in [abi::MM_USERS, abi::MM_COUNT, abi::MM_NOT_ZERO] {
        in_child(|| {
            let question = abi::Saturation {
                kind,
                ..Default::default()
            };
            let answer = ask(&device, SATURATION, question)?;
            ensure!(
                answer.leaked == answer.dropped && answer.leaked > answer.before + (1 << 28),
                "{answer:x?}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// Starts a process that maps the file. The device then keeps its address space, and the VMA keeps
/// the one of the process that mapped the file before.
fn map_and_exit(device: &File) -> Result<()> {
    in_child(|| {
        map_file(device, 0, PAGE, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
        Ok(())
    })
}

/// Drops the references, and waits until all VMAs have released their data.
fn drop_last(device: File, count: u32) -> Result<()> {
    // A driver that waits for itself cannot be killed, so another process asks it.
    // SAFETY: This process has one thread.
    match unsafe { fork()? } {
        ForkResult::Child => ktap::exit(call(&device, DROP_LAST, 0).map_err(Into::into)),
        ForkResult::Parent { .. } => wait_for("the address spaces were not released", || {
            Ok(ask(&device, RELEASED, 0)? == count)
        }),
    }
}

fn dropped_under_lock() -> Result<()> {
    let device = open()?;
    map_and_exit(&device)?;
    ensure!(ask(&device, RELEASED, 0u32)? == 0, "it was not kept");
    drop_last(device, 1)
}

fn chain() -> Result<()> {
    let device = open()?;
    for _ in 0..CHAIN {
        map_and_exit(&device)?;
    }
    ensure!(ask(&device, RELEASED, 0u32)? == 0, "they were not kept");
    drop_last(device, CHAIN)
}

/// The opener has asked for signals as an unprivileged user, and is root when they are sent.
fn signals() -> Result<()> {
    let user = Uid::from_raw(2000);
    let root = Uid::from_raw(0);

    fs::set_permissions(DEVICE, Permissions::from_mode(0o666))?;
    in_child(|| {
        setresuid(user, user, root)?;
        let device = open()?;
        let send = |mut signal: i32| exchange(&device, SIGNAL_AS_OPENER, &mut signal);

        // The saved UID of the receiver is root, but its real UID is the one of the asker.
        ensure!(send(0) == Ok(()), "{:?}", send(0));
        ensure!(send(1000) == Err(Errno::EINVAL), "{:?}", send(1000));
        setresuid(root, root, root)?;
        let sent = [0, Signal::SIGKILL as i32].map(send);
        ensure!(sent == [Err(Errno::EPERM); 2], "{sent:?}");
        Ok(())
    })
}

/// How often [`signal_in_exec`] has a thread call `execve()`.
const EXECS: u32 = 100;

/// Has another thread than the leader execute this program, `times` times.
fn exec_again(times: u32) -> Result<()> {
    if times == 0 {
        return Ok(());
    }
    thread::spawn(move || {
        // Meanwhile the sender runs. It is then preempted at any place.
        thread::sleep(Duration::from_micros(fastrand::u64(100..1000)));
        let times = (times - 1).to_string();
        let err = Command::new("/proc/self/exe").arg(times).exec();
        println!("# execve(): {err}");
        process::exit(1);
    });
    loop {
        pause();
    }
}

/// Sends signals to the opener until it has exited. Returns the result for the reader of the pipe.
fn send_all(device: &File, opener: Pid) -> String {
    let mut sent = 0u64;
    loop {
        // It is ignored.
        let mut signal = Signal::SIGWINCH as i32;
        match exchange(device, SIGNAL_AS_OPENER, &mut signal) {
            Ok(()) => sent += 1,
            Err(Errno::ESRCH) if getppid() != opener => return format!("sent {sent}"),
            Err(err) => return format!("signal {sent}: {err}"),
        }
    }
}

/// A thread calls `execve()` and takes over the PID of the leader, which is released. A signal to
/// that PID is never lost.
///
/// With `CONFIG_PREEMPT_RCU`, the sender may be preempted between the look-up and the use of the
/// task. Without, that takes an interrupt on another CPU at that time.
fn signal_in_exec() -> Result<()> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    let mut cpu = CpuSet::new();
    cpu.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpu)?;

    let opener = Child::start(|| {
        let device = open()?;
        let me = getpid();
        let sender = Child::start(|| {
            let result = send_all(&device, me);
            Ok(writer.write_all(result.as_bytes())?)
        })?;
        std::mem::forget(sender);
        // The sender runs only while all threads of this process sleep.
        let priority = libc::sched_param { sched_priority: 1 };
        // SAFETY: `priority` is valid.
        Errno::result(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) })?;
        exec_again(EXECS)
    })?;
    drop(writer);
    opener.join()?;
    let mut result = String::new();
    reader.read_to_string(&mut result)?;
    did("signals during execve()", &result);
    ensure!(result.starts_with("sent "), "{result}");
    Ok(())
}
