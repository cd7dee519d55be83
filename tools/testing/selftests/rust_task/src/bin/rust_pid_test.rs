// SPDX-License-Identifier: GPL-2.0

//! Asks `/dev/rust_task_test` how tasks hang together and what their numbers are, and compares that
//! with /proc.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    sys::signal::{SigSet, Signal},
    unistd::{getpid, gettid, setresuid, Uid},
};
use rust_task::{
    child::{in_child, in_namespace, Child},
    device::{test_abi::Relatives, Tester},
    ktap::{self, did, fact, Test},
    procfs::Status,
};
use std::{
    fs,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("all threads, as /proc has them", all_threads),
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
fn from_proc(status: &Status) -> Result<Vec<String>> {
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
    all
}

/// Seen from the initial namespace.
fn all_threads() -> Result<()> {
    let device = Tester::open()?;
    let mut compared = 0;
    let mut kernel = 0;
    for nr in threads()? {
        // Whoever is not the same before and after has changed, or is gone.
        let before = Status::of(nr).and_then(|status| from_proc(&status));
        let answer = device.relatives(nr);
        let after = Status::of(nr).and_then(|status| from_proc(&status));
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
    let sent = device.kill(0, true);
    ensure!(sent == Err(Errno::ESRCH), "{sent:?}");
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
    let sent = Status::of_this_thread()?.signals_sent()?;
    ensure!(sent == 1 << (Signal::SIGUSR1 as i32 - 1), "{sent:x}");
    ensure!(blocked.wait()? == Signal::SIGUSR1);
    Ok(())
}
