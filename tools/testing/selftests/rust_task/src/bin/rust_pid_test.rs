// SPDX-License-Identifier: GPL-2.0

//! Compares the PIDs, relations and properties of tasks that `/dev/test_rust_task` returns with
//! /proc.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    sched::{sched_getaffinity, sched_setaffinity, unshare, CloneFlags, CpuSet},
    sys::{
        mman::{MapFlags, ProtFlags},
        resource::{setrlimit, Resource},
        signal::{SaFlags, SigSet, Signal},
        wait::WaitStatus,
    },
    unistd::{
        getegid, geteuid, getpgid, getpid, getppid, gettid, pause, seteuid, setfsgid, setfsuid,
        setpgid, setresgid, setresuid, Gid, Pid, Uid,
    },
};
use rust_task::{
    child::{in_child, in_namespace, install_empty_handler, wait_for, Child},
    device::{
        self,
        test_abi::{Capabilities, Ids, Kill, ThreadInfo, ASKED, TO_PGRP, TO_THREAD},
        Tester,
    },
    ktap::{self, did, fact, Test},
    procfs::{files_limit, Stat, Status},
};
use std::{
    fs,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("all threads, compared with /proc", all_threads),
    ("nice value, rlimits and exit state", properties),
    ("IDs in another user namespace", user_namespaces),
    ("all IDs of a task", ids),
    ("capabilities", capabilities),
    ("nested PID namespaces", nested),
    ("number of thread groups and threads", population),
    ("unused PIDs", unused_pids),
    ("opener that has exited", exited),
    ("signals to the opener", signals),
    ("signals to a process group", signals_to_group),
];

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// Returns the PIDs of all threads, including kthreads.
fn threads() -> Result<Vec<i32>> {
    let mut all = Vec::new();
    let pid = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    for process in fs::read_dir("/proc")?.flatten() {
        if pid(&process).is_none() {
            continue;
        }
        // The process may have exited.
        if let Ok(tasks) = fs::read_dir(process.path().join("task")) {
            all.extend(tasks.flatten().filter_map(|task| pid(&task)));
        }
    }
    Ok(all)
}

fn name(info: &ThreadInfo) -> String {
    let end = info.comm.iter().position(|byte| *byte == 0);
    let name = &info.comm[..end.unwrap_or(info.comm.len())];
    String::from_utf8_lossy(name).into_owned()
}

/// Returns the information about a thread in /proc, in the order of [`from_device`].
fn from_proc(nr: i32) -> Result<Vec<String>> {
    let status = Status::of(nr)?;
    let stat = Stat::of(nr)?;
    Ok(vec![
        status.line("Name")?,
        status.one("Pid")?,
        status.last("NSpid")?,
        status.one("Tgid")?,
        status.one("PPid")?,
        status.one("NSpgid")?,
        status.one("NSsid")?,
        status.one("Threads")?,
        (status.count("NSpid")? - 1).to_string(),
        status.nth("Uid", 1)?,
        stat.exit_state()?.to_string(),
        stat.nice()?.to_string(),
        stat.start_time()?.to_string(),
        stat.cpu()?.to_string(),
        files_limit(nr)?.to_string(),
    ])
}

/// Returns the start time in ticks, or that of /proc if it is at most 10 ticks later.
///
/// `copy_process()` reads `CLOCK_MONOTONIC` first, and then `CLOCK_BOOTTIME`, which /proc has. The
/// virtual CPU may be preempted in between.
fn start_time(info: &ThreadInfo, proc: &[String]) -> String {
    let ours = info.start_time / Stat::TICK;
    let theirs = &proc[START_TIME];
    let is_near = |ticks: u64| (ours..=ours + 10).contains(&ticks);
    match theirs.parse().is_ok_and(is_near) {
        true => theirs.clone(),
        false => ours.to_string(),
    }
}

/// The index of the start time in the result of [`from_proc`].
const START_TIME: usize = 12;

/// Returns the driver's information about a thread, to compare with that in /proc.
fn from_device(info: &ThreadInfo, proc: &[String]) -> Vec<String> {
    let mut all = vec![name(info)];
    all.extend(
        [
            info.in_init,
            info.in_own,
            info.tgid,
            info.parent,
            info.group,
            info.session,
            info.threads as i32,
            info.level as i32,
        ]
        .map(|id| id.to_string()),
    );
    all.extend([
        info.euid.to_string(),
        info.exit_state.to_string(),
        info.nice.to_string(),
        start_time(info, proc),
        info.cpu.to_string(),
        info.files.to_string(),
    ]);
    all
}

/// All threads, from the initial PID namespace.
fn all_threads() -> Result<()> {
    let device = Tester::open()?;
    let mut compared = 0;
    let mut kthreads = 0;
    for nr in threads()? {
        // A thread whose information in /proc changes is skipped, as is one that exits.
        let before = from_proc(nr);
        let answer = device.thread_info(nr);
        let after = from_proc(nr);
        let (Ok(before), Ok(after)) = (before, after) else {
            continue;
        };
        if before != after {
            continue;
        }
        let answer = answer.with_context(|| format!("thread {nr}, {}", before[0]))?;
        let mut values = from_device(&answer, &before);
        // /proc appends to the names of kworkers.
        if answer.is_kthread == 1 && before[0].starts_with(&values[0]) {
            values[0].clone_from(&before[0]);
        }
        ensure!(
            values == before,
            "{nr}: the crate returns {values:?}, /proc has {before:?}"
        );
        ensure!(
            answer.leader == answer.tgid && answer.is_below == 1,
            "{answer:?}"
        );
        // The kthreads are `kthreadd` and its children.
        let is_kthread = answer.tgid == 2 || answer.parent == 2;
        ensure!(answer.is_kthread == u32::from(is_kthread), "{answer:?}");
        kthreads += answer.is_kthread;
        compared += 1;
    }
    did("threads compared", compared);
    ensure!(
        compared > 10 && kthreads > 5 && kthreads < compared,
        "{kthreads} kthreads of {compared} threads"
    );
    Ok(())
}

/// These are nearly the same for all threads, so this test changes them.
fn properties() -> Result<()> {
    let device = Tester::open()?;
    let agree = |nr| -> Result<ThreadInfo> {
        let (answer, proc) = (device.thread_info(nr)?, from_proc(nr)?);
        let values = from_device(&answer, &proc);
        ensure!(
            values == proc,
            "the crate returns {values:?}, /proc has {proc:?}"
        );
        Ok(answer)
    };

    // Restrict this process to the last CPU, so that it is not migrated.
    let mut cpus = sched_getaffinity(Pid::this())?;
    let count = CpuSet::count();
    let all: Vec<_> = (0..count)
        .filter(|cpu| cpus.is_set(*cpu).is_ok_and(|set| set))
        .collect();
    for cpu in all.iter().rev().skip(1) {
        cpus.unset(*cpu)?;
    }
    sched_setaffinity(Pid::this(), &cpus)?;
    let cpu = all.last().context("no CPU")?;

    in_child(|| {
        let before = agree(getpid().as_raw())?;
        setrlimit(Resource::RLIMIT_NOFILE, 321, 4000)?;
        // SAFETY: `setpriority()` has no safety requirements.
        ensure!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) } == 0);
        seteuid(Uid::from_raw(1234))?;
        let after = agree(getpid().as_raw())?;
        fact("child", "nice value", after.nice, 7);
        fact("child", "RLIMIT_NOFILE", after.files, 321);
        fact("child", "EUID", after.euid, 1234);
        fact("child", "CPU", after.cpu, cpu);
        fact("child", "start time", after.start_time, before.start_time);
        ensure!(before.nice == 0 && before.euid == 0 && before.files != 321);
        Ok(())
    })?;

    let zombie = Child::start(|| Ok(()))?;
    wait_for("it has not exited", || {
        Ok(device.thread_info(zombie.pid().as_raw())?.exit_state == 1)
    })?;
    agree(zombie.pid().as_raw())?;
    zombie.join()
}

/// The same user and group have different IDs in different user namespaces.
fn user_namespaces() -> Result<()> {
    const NONE: u32 = u32::MAX;
    let device = Tester::open()?;
    let parent = getpid().as_raw();
    let here = device.thread_info(parent)?;
    ensure!((here.euid, here.euid_own_ns, here.egid_own_ns) == (0, 0, 0));

    in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        let me = getpid().as_raw();
        let unknown = device.thread_info(me)?;
        ensure!((unknown.euid, unknown.euid_own_ns, unknown.egid_own_ns) == (NONE, NONE, NONE));

        fs::write("/proc/self/uid_map", "7 0 1")?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/gid_map", "9 0 1")?;
        let own = device.thread_info(me)?;
        fact("own", "EUID", own.euid, geteuid());
        fact("own, in its namespace", "EUID", own.euid_own_ns, 7);
        fact("own, in its namespace", "EGID", own.egid_own_ns, getegid());
        let above = device.thread_info(parent)?;
        fact("parent", "EUID", above.euid, 7);
        fact("parent, in its namespace", "EUID", above.euid_own_ns, 0);
        fact("parent, in its namespace", "EGID", above.egid_own_ns, 0);
        Ok(())
    })
}

/// The IDs differ, but without privileges the file-system UID can only be one of the others: it is
/// the saved and then the real one. At last, the opener has a user namespace in which none is
/// mapped.
fn ids() -> Result<()> {
    const OVERFLOW: u32 = 65534;
    let user = Uid::from_raw;
    let group = Gid::from_raw;

    in_child(|| {
        let device = Tester::open()?;
        setresgid(group(11), group(12), group(13))?;
        setfsgid(group(14));
        setresuid(user(21), user(22), user(23))?;
        for fsuid in [23, 21] {
            setfsuid(user(fsuid));
            let expected = Ids {
                uids: [21, 22, 23, fsuid],
                gids: [11, 12, 13, 14],
                munged: [22, 12],
            };
            let got = device.ids()?;
            ensure!(got == expected, "{got:?}");
        }

        unshare(CloneFlags::CLONE_NEWUSER)?;
        let got = device.ids()?;
        ensure!(got.munged == [OVERFLOW; 2], "{got:?}");
        Ok(())
    })
}

/// The capabilities of this process, in its own user namespace, according to /proc.
fn effective() -> Result<u64> {
    let all = Status::of_this_thread()?.line("CapEff")?;
    let asked = ASKED.iter().fold(0, |set, number| set | 1 << number);
    Ok(u64::from_str_radix(&all, 16)? & asked)
}

/// Gives up capabilities.
fn give_up(numbers: &[u32]) -> Result<()> {
    // `_LINUX_CAPABILITY_VERSION_3`, and 0 for this thread.
    let header: [u32; 2] = [0x2008_0522, 0];
    // Two structs of the sets "effective", "permitted" and "inheritable".
    let mut data = [0u32; 6];
    // SAFETY: The arrays are as large as the structs of capget() and capset().
    ensure!(unsafe { libc::syscall(libc::SYS_capget, &header, &mut data) } == 0);
    for number in numbers {
        let set = &mut data[3 * (*number as usize / 32)];
        *set &= !(1 << (number % 32));
    }
    // SAFETY: As above.
    ensure!(unsafe { libc::syscall(libc::SYS_capset, &header, &data) } == 0);
    Ok(())
}

/// A process gives up capabilities, and another one creates a user namespace.
fn capabilities() -> Result<()> {
    const KILL: u32 = 5;
    const SYS_ADMIN: u32 = 21;
    const PERFMON: u32 = 38;

    let device = Tester::open()?;
    let all = effective()?;
    ensure!(all.count_ones() as usize == ASKED.len());
    let full = Capabilities {
        init_ns: all,
        noaudit: all,
        own_ns: all,
        file: all,
        opener: all,
        perfmon: 1,
    };
    ensure!(device.capabilities()? == full);

    in_child(|| {
        let own = Tester::open()?;
        give_up(&[KILL, SYS_ADMIN])?;
        let left = effective()?;
        let got = own.capabilities()?;
        fact("fewer capabilities", "CapEff", got.init_ns, left);
        let expected = Capabilities {
            init_ns: left,
            noaudit: left,
            own_ns: left,
            opener: left,
            ..full
        };
        ensure!(got == expected, "{got:?} instead of {expected:?}");
        // The parent, which opened this file, has them.
        ensure!(device.capabilities()?.opener == all);

        give_up(&[PERFMON])?;
        ensure!(own.capabilities()?.perfmon == 0);
        // A file that is opened now has fewer as well.
        ensure!(Tester::open()?.capabilities()?.file == effective()?);
        Ok(())
    })?;

    in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        let got = device.capabilities()?;
        fact("own user namespace", "CapEff", got.own_ns, effective()?);
        let expected = Capabilities {
            init_ns: 0,
            noaudit: 0,
            perfmon: 0,
            ..full
        };
        ensure!(got == expected, "{got:?} instead of {expected:?}");
        Ok(())
    })
}

/// Compares the information about this thread in its own PID namespace.
fn compare_self(scenario: &str, device: &Tester, parent: i32) -> Result<()> {
    let status = Status::of_this_thread()?;
    let own = device.thread_info(gettid().as_raw())?;
    let depth = status.count("NSpid")? - 1;
    fact(scenario, "level", own.level, depth);
    fact(
        scenario,
        "PID in the initial namespace",
        own.in_init,
        status.one("NSpid")?,
    );
    fact(
        scenario,
        "PID in its own namespace",
        own.in_own,
        status.last("NSpid")?,
    );
    fact(scenario, "TGID", own.tgid, getpid());
    fact(scenario, "group leader", own.leader, getpid());
    fact(scenario, "parent", own.parent, parent);
    fact(scenario, "process group", own.group, status.last("NSpgid")?);
    fact(scenario, "session", own.session, status.last("NSsid")?);
    fact(scenario, "threads", own.threads, status.one("Threads")?);
    fact(scenario, "is a kthread", own.is_kthread, 0);
    fact(scenario, "is in a descendant namespace", own.is_below, 1);
    Ok(())
}

fn nested() -> Result<()> {
    let device = Tester::open()?;
    in_namespace(|| {
        // The parent is in an ancestor namespace, and has no PID in this one.
        compare_self("init of a namespace", &device, 0)?;
        let me = getpid().as_raw();
        in_child(|| compare_self("child in a namespace", &device, me))?;
        in_child(|| {
            let second = thread::spawn(|| -> Result<()> {
                compare_self("second thread", &Tester::open()?, 1)
            });
            second.join().expect("the thread panicked")
        })?;

        let inner = Child::start(|| {
            in_namespace(|| {
                compare_self("init of a nested namespace", &device, 0)?;
                // Tasks of ancestor namespaces cannot be found.
                ensure!(device.thread_info(4242) == Err(Errno::ESRCH));
                thread::sleep(Duration::from_secs(60));
                Ok(())
            })
        })?;
        // Find the init process of the nested namespace by its PID in this one.
        let begin = Instant::now();
        let found = loop {
            let mut below = (2..100).filter_map(|nr| device.thread_info(nr).ok());
            if let Some(found) = below.find(|found| found.level == 2) {
                break found;
            }
            ensure!(
                begin.elapsed() < Duration::from_secs(60),
                "no task of the nested namespace was found"
            );
        };
        fact("nested task", "PID in its own namespace", found.in_own, 1);
        fact("nested task", "TGID", found.tgid, found.nr);
        fact(
            "nested task",
            "is in a descendant namespace",
            found.is_below,
            1,
        );
        ensure!(found.in_init > found.nr, "{found:?}");
        inner.kill()
    })
}

fn population() -> Result<()> {
    let device = Tester::open()?;
    in_namespace(|| {
        let now = || -> Result<(u32, u32)> {
            let population = device.population()?;
            Ok((population.processes, population.threads))
        };
        ensure!(now()? == (1, 1), "{:?}", now()?);
        let barrier = Barrier::new(4);
        thread::scope(|scope| -> Result<()> {
            let others = [(); 3].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    barrier.wait();
                })
            });
            barrier.wait();
            let counts = now();
            barrier.wait();
            // Join the threads explicitly: a scope may end while they hold locks of the C library,
            // on which a forked child would deadlock.
            for other in others {
                other.join().expect("the thread panicked");
            }
            let counts = counts?;
            ensure!(counts == (1, 4), "{counts:?}");
            Ok(())
        })?;
        in_child(|| {
            let counts = now()?;
            ensure!(counts.0 == 2, "{counts:?}");
            Ok(())
        })?;
        // A descendant namespace is counted in this one, but not vice versa.
        in_namespace(|| {
            let counts = now()?;
            ensure!(counts == (1, 1), "{counts:?}");
            Ok(())
        })
    })?;
    let all = device.population()?;
    ensure!(
        all.processes > 10 && all.threads >= all.processes,
        "{all:?}"
    );
    Ok(())
}

fn unused_pids() -> Result<()> {
    let device = Tester::open()?;
    for nr in [0, -1, i32::MIN, i32::MAX, 1 << 22] {
        let answer = device.thread_info(nr);
        ensure!(answer == Err(Errno::ESRCH), "{nr}: {answer:?}");
    }
    Ok(())
}

fn exited() -> Result<()> {
    let (device, tid) = thread::spawn(|| -> Result<_> {
        let device = Tester::open()?;
        let opener = device.opener()?;
        fact("opener", "PID", opener.held, gettid());
        fact("opener", "has a task", opener.held_has_task, 1);
        fact("opener", "relations found", opener.relations, 3);
        Ok((device, gettid().as_raw()))
    })
    .join()
    .expect("the thread panicked")?;

    // `join()` may return before the thread has been reaped.
    wait_for("it has not exited", || {
        Ok(device.opener()?.held_has_task != 1)
    })?;
    fact("opener that has exited", "PID", device.opener()?.held, tid);
    // The reference keeps the `task_struct`, whose pointers to other tasks may be dangling.
    fact(
        "opener that has exited",
        "relations found",
        device.opener()?.relations,
        0,
    );
    let mut to_thread = Kill {
        signal: Signal::SIGUSR1 as i32,
        target: TO_THREAD,
        ..Default::default()
    };
    for sent in [device.kill(0, true), device.signal(&mut to_thread)] {
        ensure!(sent == Err(Errno::ESRCH), "{sent:?}");
    }
    ensure!(device.thread_info(tid) == Err(Errno::ESRCH));
    Ok(())
}

fn signals() -> Result<()> {
    let device = Tester::open()?;
    for signal in [-1, 65, 1000] {
        let sent = device.kill(signal, true);
        ensure!(sent == Err(Errno::EINVAL), "{signal}: {sent:?}");
    }

    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR1);
    blocked.thread_block()?;
    device.kill(Signal::SIGUSR1 as i32, false)?;
    ensure!(blocked.wait()? == Signal::SIGUSR1);

    // The kernel may send signals that the caller has no permission for.
    in_child(|| {
        let nobody = Uid::from_raw(65534);
        setresuid(nobody, nobody, nobody)?;
        let sent = device.kill(Signal::SIGUSR1 as i32, false);
        ensure!(sent == Err(Errno::EPERM), "{sent:?}");
        device.kill(Signal::SIGUSR1 as i32, true)?;
        Ok(())
    })?;
    let usr1 = 1 << (Signal::SIGUSR1 as i32 - 1);
    let status = Status::of_this_thread()?;
    let sent = (status.signals("SigPnd")?, status.signals("ShdPnd")?);
    ensure!(sent == (0, usr1), "{sent:x?}");
    ensure!(blocked.wait()? == Signal::SIGUSR1);

    // A signal may be sent to a thread.
    let to_thread = |signal| Kill {
        signal,
        target: TO_THREAD,
        ..Default::default()
    };
    for signal in [-1, 0, 65, 1000] {
        let sent = device.signal(&mut to_thread(signal));
        ensure!(sent == Err(Errno::EINVAL), "{signal}: {sent:?}");
    }
    let mut request = to_thread(Signal::SIGUSR1 as i32);
    device.signal(&mut request)?;
    let status = Status::of_this_thread()?;
    let sent = (status.signals("SigPnd")?, status.signals("ShdPnd")?);
    ensure!(sent == (usr1, 0) && request.fatal == 0, "{sent:x?}");
    ensure!(blocked.wait()? == Signal::SIGUSR1);

    // A signal with a handler is not fatal.
    install_empty_handler(Signal::SIGUSR2, SaFlags::SA_RESTART)?;
    let mut request = to_thread(Signal::SIGUSR2 as i32);
    device.signal(&mut request)?;
    ensure!(request.fatal == 0, "a signal with a handler is fatal");

    // A task that kills itself sees the fatal signal in the driver. It stores the result in shared
    // memory.
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_ANONYMOUS;
    let shared = device::map(None, 4096, prot, flags)?
        .cast::<Kill>()
        .as_ptr();
    let child = Child::start(|| {
        // SAFETY: The page is mapped, aligned and zeroed. The parent does not access it before this
        // process has exited.
        let request = unsafe { &mut *shared };
        *request = to_thread(Signal::SIGKILL as i32);
        Tester::open()?.signal(request)?;
        bail!("it was not killed")
    })?;
    let status = child.wait()?;
    ensure!(
        matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
        "{status:?}"
    );
    // SAFETY: The page is mapped, and the child has exited.
    fact(
        "killed task",
        "fatal signal pending",
        unsafe { (*shared).fatal },
        1,
    );
    Ok(())
}

/// The kernel sends a signal to the process group of the opener, and only to that.
fn signals_to_group() -> Result<()> {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR1);
    blocked.thread_block()?;
    let usr1 = 1 << (Signal::SIGUSR1 as i32 - 1);
    let to_group = |signal, privileged: bool| Kill {
        signal,
        privileged: privileged.into(),
        target: TO_PGRP,
        ..Default::default()
    };
    let pending = |pid: Pid| Status::of(pid.as_raw())?.signals("ShdPnd");

    // The opener and a process that it starts are the group. This process is not in it.
    in_child(|| {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        let device = Tester::open()?;
        let member = Child::start(|| loop {
            pause();
        })?;
        let other = Child::start(|| {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            loop {
                pause();
            }
        })?;
        wait_for("another process group", || {
            Ok(getpgid(Some(other.pid()))? == other.pid())
        })?;

        for signal in [-1, 65, 1000] {
            let sent = device.signal(&mut to_group(signal, true));
            ensure!(sent == Err(Errno::EINVAL), "{signal}: {sent:?}");
        }
        device.signal(&mut to_group(0, false))?;
        device.signal(&mut to_group(Signal::SIGUSR1 as i32, false))?;
        let sent = (pending(getpid())?, pending(member.pid())?);
        ensure!(sent == (usr1, usr1), "{sent:x?}");
        let sent = (pending(other.pid())?, pending(getppid())?);
        ensure!(sent == (0, 0), "outside of the group: {sent:x?}");
        ensure!(blocked.wait()? == Signal::SIGUSR1);

        // Permissions are those of the caller, unless the kernel is the sender.
        in_child(|| {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            let nobody = Uid::from_raw(65534);
            setresuid(nobody, nobody, nobody)?;
            let sent = device.signal(&mut to_group(Signal::SIGUSR1 as i32, false));
            ensure!(sent == Err(Errno::EPERM), "{sent:?}");
            device.signal(&mut to_group(Signal::SIGUSR1 as i32, true))?;
            Ok(())
        })?;
        ensure!(pending(getpid())? == usr1, "the kernel is the sender");
        ensure!(blocked.wait()? == Signal::SIGUSR1);
        member.kill()?;
        other.kill()
    })?;
    ensure!(pending(getpid())? == 0, "a signal to the parent");
    blocked.thread_unblock()?;
    Ok(())
}
