// SPDX-License-Identifier: GPL-2.0

//! Tests in processes of their own, and what is said of them.

use anyhow::{bail, Result};
use nix::{
    sys::{
        signal::{killpg, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::{fork, setpgid, ForkResult, Pid},
};
use std::{
    fmt::Display,
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A name and what to do.
pub type Test = (&'static str, fn() -> Result<()>);

/// How many facts differ in this process.
static DIFFERENT: AtomicU32 = AtomicU32::new(0);

/// Says a fact, as the crate and as /proc has it. The test fails at its end if they differ.
pub fn fact(scenario: &str, name: &str, answer: impl Display, oracle: impl Display) {
    let (answer, oracle) = (answer.to_string(), oracle.to_string());
    println!("# fact\t{scenario}\t{name}\t{answer}\t{oracle}");
    if answer != oracle {
        println!("# {scenario}: {name}: the crate says {answer}, /proc says {oracle}");
        DIFFERENT.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says what has been done, and how often, for whoever asks what a test was worth.
pub fn did(what: &str, how_much: impl Display) {
    println!("# did\t{what}\t{how_much}");
}

/// The verdict on a process: what went wrong, or how many facts differ.
pub fn leave(result: Result<()>) -> Result<()> {
    result?;
    match DIFFERENT.load(Ordering::Relaxed) {
        0 => Ok(()),
        n => bail!("{n} facts differ"),
    }
}

/// Ends a child process with its verdict.
pub fn exit(result: Result<()>) -> ! {
    match leave(result) {
        Ok(()) => process::exit(0),
        Err(err) => {
            println!("# {err:#}");
            process::exit(1)
        }
    }
}

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs each test in a child, and prints KTAP.
pub fn run(tests: &[Test]) -> Result<()> {
    run_within(LIMIT, tests)
}

/// The same for tests that take longer.
pub fn run_within(limit: Duration, tests: &[Test]) -> Result<()> {
    println!("KTAP version 1\n1..{}", tests.len());
    for (i, (name, test)) in tests.iter().enumerate() {
        // SAFETY: This process has one thread.
        let child = match unsafe { fork()? } {
            // A group of its own, to be killed as one.
            ForkResult::Child => {
                let own = Pid::from_raw(0);
                exit(setpgid(own, own).map_err(Into::into).and_then(|()| test()))
            }
            ForkResult::Parent { child } => child,
        };
        let begin = Instant::now();
        let status = loop {
            match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive if begin.elapsed() > limit => {
                    println!("# it did not end");
                    killpg(child, Signal::SIGKILL)?;
                    break waitpid(child, None)?;
                }
                WaitStatus::StillAlive => std::thread::sleep(Duration::from_millis(2)),
                status => break status,
            }
        };
        let well = matches!(status, WaitStatus::Exited(_, 0));
        if !well {
            println!("# {status:?}");
        }
        println!("{} {} {name}", if well { "ok" } else { "not ok" }, i + 1);
    }
    Ok(())
}
