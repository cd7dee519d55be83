// SPDX-License-Identifier: GPL-2.0

//! Asks `/dev/test_rust_task` how tasks hang together and what their numbers are, and compares that
//! with /proc.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    sched::{sched_getaffinity, sched_setaffinity, unshare, CloneFlags, CpuSet},
    sys::{
        mman::{MapFlags, ProtFlags},
        resource::{setrlimit, Resource},
        signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
        wait::WaitStatus,
    },
    unistd::{getegid, geteuid, getpid, gettid, seteuid, setresuid, Pid, Uid},
};
use rust_task::{
    child::{in_child, in_namespace, Child},
    device::{
        self,
        test_abi::{Kill, Relatives},
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
    ("all threads, as /proc has them", all_threads),
    ("niceness, limits and the end", facts),
    ("users of another namespace", users),
    ("nested namespaces", nested),
    ("how many there are", population),
    ("numbers that nobody has", nobody),
    ("a thread that is gone", gone),
    ("a signal to the opener", signals),
];

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// The threads of all processes, kernel threads as well.
fn threads() -> Result<Vec<i32>> {
    let mut all = Vec::new();
    let number = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    for process in fs::read_dir("/proc")?.flatten() {
        if number(&process).is_none() {
            continue;
        }
        // It may be gone.
        if let Ok(tasks) = fs::read_dir(process.path().join("task")) {
            all.extend(tasks.flatten().filter_map(|task| number(&task)));
        }
    }
    Ok(all)
}

fn name(relatives: &Relatives) -> String {
    let end = relatives.comm.iter().position(|byte| *byte == 0);
    let name = &relatives.comm[..end.unwrap_or(relatives.comm.len())];
    String::from_utf8_lossy(name).into_owned()
}

/// What /proc says of a thread, in the order of [`from_device`].
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

fn from_device(relatives: &Relatives) -> Vec<String> {
    let mut all = vec![name(relatives)];
    all.extend(
        [
            relatives.in_init,
            relatives.in_own,
            relatives.tgid,
            relatives.parent,
            relatives.group,
            relatives.session,
            relatives.threads as i32,
            relatives.level as i32,
        ]
        .map(|number| number.to_string()),
    );
    all.extend([
        relatives.euid.to_string(),
        relatives.exit_state.to_string(),
        relatives.nice.to_string(),
        (relatives.start_time / Stat::TICK).to_string(),
        relatives.cpu.to_string(),
        relatives.files.to_string(),
    ]);
    all
}

/// Seen from the initial namespace.
fn all_threads() -> Result<()> {
    let device = Tester::open()?;
    let mut compared = 0;
    let mut kernel = 0;
    for nr in threads()? {
        // Whoever is not the same before and after has changed, or is gone.
        let before = from_proc(nr);
        let answer = device.relatives(nr);
        let after = from_proc(nr);
        let (Ok(before), Ok(after)) = (before, after) else {
            continue;
        };
        if before != after {
            continue;
        }
        let answer = answer.with_context(|| format!("thread {nr}, {}", before[0]))?;
        let mut told = from_device(&answer);
        // /proc says more of the names of kernel threads.
        if answer.is_kthread == 1 && before[0].starts_with(&told[0]) {
            told[0].clone_from(&before[0]);
        }
        ensure!(
            told == before,
            "{nr}: the crate says {told:?}, /proc says {before:?}"
        );
        ensure!(
            answer.leader == answer.tgid && answer.is_below == 1,
            "{answer:?}"
        );
        // A thread of the kernel is `kthreadd` or made by it, and nobody else is.
        let is_kthread = answer.tgid == 2 || answer.parent == 2;
        ensure!(answer.is_kthread == u32::from(is_kthread), "{answer:?}");
        kernel += answer.is_kthread;
        compared += 1;
    }
    did("threads compared", compared);
    ensure!(
        compared > 10 && kernel > 5 && kernel < compared,
        "{kernel} of {compared}"
    );
    Ok(())
}

/// All threads have nearly the same of these, so this one changes them.
fn facts() -> Result<()> {
    let device = Tester::open()?;
    let agree = |nr| -> Result<Relatives> {
        let (answer, proc) = (device.relatives(nr)?, from_proc(nr)?);
        let told = from_device(&answer);
        ensure!(told == proc, "the crate says {told:?}, /proc says {proc:?}");
        Ok(answer)
    };

    // The rest is done on one CPU, so that it stays there; the last there is.
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
        // SAFETY: It takes numbers.
        ensure!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) } == 0);
        seteuid(Uid::from_raw(1234))?;
        let after = agree(getpid().as_raw())?;
        fact("a child", "is nice", after.nice, 7);
        fact("a child", "open files", after.files, 321);
        fact("a child", "effective user", after.euid, 1234);
        fact("a child", "CPU", after.cpu, cpu);
        fact("a child", "start", after.start_time, before.start_time);
        ensure!(before.nice == 0 && before.euid == 0 && before.files != 321);
        Ok(())
    })?;

    let zombie = Child::start(|| Ok(()))?;
    let begin = Instant::now();
    while device.relatives(zombie.pid().as_raw())?.exit_state != 1 {
        ensure!(begin.elapsed() < Duration::from_secs(60), "it does not end");
    }
    agree(zombie.pid().as_raw())?;
    zombie.join()
}

/// The same user and group have one number in one namespace, and another in another.
fn users() -> Result<()> {
    const NONE: u32 = u32::MAX;
    let device = Tester::open()?;
    let parent = getpid().as_raw();
    let here = device.relatives(parent)?;
    ensure!((here.euid, here.euid_there, here.egid_there) == (0, 0, 0));

    in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        let me = getpid().as_raw();
        let unknown = device.relatives(me)?;
        ensure!((unknown.euid, unknown.euid_there, unknown.egid_there) == (NONE, NONE, NONE));

        fs::write("/proc/self/uid_map", "7 0 1")?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/gid_map", "9 0 1")?;
        let own = device.relatives(me)?;
        fact("own", "user", own.euid, geteuid());
        fact("own, in its namespace", "user", own.euid_there, 7);
        fact("own, in its namespace", "group", own.egid_there, getegid());
        let above = device.relatives(parent)?;
        fact("parent", "user", above.euid, 7);
        fact("parent, in its namespace", "user", above.euid_there, 0);
        fact("parent, in its namespace", "group", above.egid_there, 0);
        Ok(())
    })
}

/// Compares what is known of this thread in its own namespace.
fn compare_self(scenario: &str, device: &Tester, parent: i32) -> Result<()> {
    let status = Status::of_this_thread()?;
    let own = device.relatives(gettid().as_raw())?;
    let depth = status.count("NSpid")? - 1;
    fact(scenario, "level", own.level, depth);
    fact(
        scenario,
        "number in the initial namespace",
        own.in_init,
        status.one("NSpid")?,
    );
    fact(
        scenario,
        "number in its own",
        own.in_own,
        status.last("NSpid")?,
    );
    fact(scenario, "process", own.tgid, getpid());
    fact(scenario, "leader", own.leader, getpid());
    fact(scenario, "parent", own.parent, parent);
    fact(scenario, "group", own.group, status.last("NSpgid")?);
    fact(scenario, "session", own.session, status.last("NSsid")?);
    fact(scenario, "threads", own.threads, status.one("Threads")?);
    fact(scenario, "a thread of the kernel", own.is_kthread, 0);
    fact(scenario, "is below the caller's", own.is_below, 1);
    Ok(())
}

fn nested() -> Result<()> {
    let device = Tester::open()?;
    in_namespace(|| {
        // Its parent is above, and has no number here.
        compare_self("first of a namespace", &device, 0)?;
        let me = getpid().as_raw();
        in_child(|| compare_self("a child in it", &device, me))?;
        in_child(|| {
            let second = thread::spawn(|| -> Result<()> {
                compare_self("a second thread", &Tester::open()?, 1)
            });
            second.join().expect("it has panicked")
        })?;

        let inner = Child::start(|| {
            in_namespace(|| {
                compare_self("two below", &device, 0)?;
                // Nothing of what is above can be found.
                ensure!(device.relatives(4242) == Err(Errno::ESRCH));
                thread::sleep(Duration::from_secs(60));
                Ok(())
            })
        })?;
        // The last one of those here is the first one there.
        let begin = Instant::now();
        let found = loop {
            let mut below = (2..100).filter_map(|nr| device.relatives(nr).ok());
            if let Some(found) = below.find(|found| found.level == 2) {
                break found;
            }
            ensure!(begin.elapsed() < Duration::from_secs(60), "nobody is there");
        };
        fact("one below", "number in its own", found.in_own, 1);
        fact("one below", "number here", found.tgid, found.nr);
        fact("one below", "is below", found.is_below, 1);
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
            let there = now();
            barrier.wait();
            // The scope ends while they may still hold locks of the library, which a child would
            // then wait for.
            for other in others {
                other.join().expect("it has panicked");
            }
            let there = there?;
            ensure!(there == (1, 4), "{there:?}");
            Ok(())
        })?;
        in_child(|| {
            let there = now()?;
            ensure!(there.0 == 2, "{there:?}");
            Ok(())
        })?;
        // It is counted here, but not the other way round.
        in_namespace(|| {
            let there = now()?;
            ensure!(there == (1, 1), "{there:?}");
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

fn nobody() -> Result<()> {
    let device = Tester::open()?;
    for nr in [0, -1, i32::MIN, i32::MAX, 1 << 22] {
        let answer = device.relatives(nr);
        ensure!(answer == Err(Errno::ESRCH), "{nr}: {answer:?}");
    }
    Ok(())
}

fn gone() -> Result<()> {
    let (device, tid) = thread::spawn(|| -> Result<_> {
        let device = Tester::open()?;
        let opener = device.opener()?;
        fact("an opener", "has a number", opener.held, gettid());
        fact("an opener", "is a thread", opener.held_has_task, 1);
        fact("an opener", "has relatives", opener.relatives, 3);
        Ok((device, gettid().as_raw()))
    })
    .join()
    .expect("it has panicked")?;

    // Whoever joins a thread may be faster than its end.
    let begin = Instant::now();
    while device.opener()?.held_has_task == 1 {
        ensure!(begin.elapsed() < Duration::from_secs(60), "it does not end");
    }
    fact(
        "an opener that is gone",
        "has its number",
        device.opener()?.held,
        tid,
    );
    // Its task is kept, but points to what need not be there.
    fact(
        "an opener that is gone",
        "has relatives",
        device.opener()?.relatives,
        0,
    );
    let mut to_thread = Kill {
        signal: Signal::SIGUSR1 as i32,
        to_thread: 1,
        ..Default::default()
    };
    for sent in [device.kill(0, true), device.signal(&mut to_thread)] {
        ensure!(sent == Err(Errno::ESRCH), "{sent:?}");
    }
    ensure!(device.relatives(tid) == Err(Errno::ESRCH));
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

    // Who may not do it may have the kernel do it.
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

    // A thread can be meant as well.
    let to_thread = |signal| Kill {
        signal,
        to_thread: 1,
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

    // One that is not blocked interrupts, but does not kill who has a handler.
    extern "C" fn nothing(_: i32) {}
    let handler = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: The handler does nothing.
    unsafe { sigaction(Signal::SIGUSR2, &handler)? };
    let mut request = to_thread(Signal::SIGUSR2 as i32);
    device.signal(&mut request)?;
    ensure!(request.fatal == 0, "a handler is fatal");

    // Who kills himself learns of it, but others have to tell.
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_ANONYMOUS;
    let seen = device::map(None, 4096, rights, flags)?
        .cast::<Kill>()
        .as_ptr();
    let child = Child::start(|| {
        // SAFETY: The page is there, it has zeroes, and the parent waits for the end of this.
        let request = unsafe { &mut *seen };
        *request = to_thread(Signal::SIGKILL as i32);
        Tester::open()?.signal(request)?;
        bail!("it lives")
    })?;
    let status = child.wait()?;
    ensure!(
        matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
        "{status:?}"
    );
    // SAFETY: The child has ended.
    fact("killed", "knows it", unsafe { (*seen).fatal }, 1);
    Ok(())
}
