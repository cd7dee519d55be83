// SPDX-License-Identifier: GPL-2.0

//! Runs each test in a child process, and prints KTAP.

use crate::params;
use anyhow::{bail, Result};
use nix::{
    errno::Errno,
    sys::{
        signal::{killpg, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
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

/// The name and the function of a test.
pub type Test = (&'static str, fn() -> Result<()>);

/// The number of facts that differ in this process.
static DIFFERENT: AtomicU32 = AtomicU32::new(0);

/// Prints a value as returned by the crate and by /proc. The test fails when it ends if they
/// differ.
pub fn fact(scenario: &str, name: &str, answer: impl Display, oracle: impl Display) {
    let (answer, oracle) = (answer.to_string(), oracle.to_string());
    println!("# fact\t{scenario}\t{name}\t{answer}\t{oracle}");
    if answer != oracle {
        println!("# {scenario}: {name}: the crate returns {answer}, /proc has {oracle}");
        DIFFERENT.fetch_add(1, Ordering::Relaxed);
    }
}

/// Prints what a test has done, and how often, so that its coverage can be judged.
pub fn did(what: &str, how_much: impl Display) {
    println!("# did\t{what}\t{how_much}");
}

/// Says that a test is left out, as the kernel does not have `what`.
///
/// Fails if `must=`, a list, has it: the kernel was configured for this test.
pub fn left_out(what: &str) -> Result<()> {
    did(&format!("left out, as the kernel has no {what}"), 1);
    let must = params::text("must").unwrap_or_default();
    if must.split(',').any(|word| word == what) {
        bail!("the kernel has no {what}");
    }
    Ok(())
}

/// Returns the result of a process: `result` if it is an error, else an error if facts differ.
pub fn leave(result: Result<()>) -> Result<()> {
    result?;
    match DIFFERENT.load(Ordering::Relaxed) {
        0 => Ok(()),
        n => bail!("{n} facts differ"),
    }
}

/// Exits with a status that tells the result.
pub fn exit(result: Result<()>) -> ! {
    match leave(result) {
        Ok(()) => process::exit(0),
        Err(err) => {
            println!("# {err:#}");
            process::exit(1)
        }
    }
}

/// The time limit of a test.
const LIMIT: Duration = Duration::from_secs(300);

/// Has `SIGBUS` and `SIGSEGV` kill this process, and its children, at the first access.
///
/// The handlers of the Rust runtime only look for a stack overflow. They restore the default action
/// and return otherwise, so the access is repeated, and may succeed then.
fn default_signals() -> Result<(), Errno> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGBUS, Signal::SIGSEGV] {
        // SAFETY: This installs no handler.
        unsafe { sigaction(signal, &default)? };
    }
    Ok(())
}

/// Runs each test in a child process, and prints KTAP.
pub fn run(tests: &[Test]) -> Result<()> {
    run_within(LIMIT, tests)
}

/// As [`run`], with another time limit.
pub fn run_within(limit: Duration, tests: &[Test]) -> Result<()> {
    println!("KTAP version 1\n1..{}", tests.len());
    for (i, (name, test)) in tests.iter().enumerate() {
        println!("# test\t{name}");
        // SAFETY: This process has one thread.
        let child = match unsafe { fork()? } {
            // A new process group, which is killed as a whole.
            ForkResult::Child => {
                let own = Pid::from_raw(0);
                let ready = setpgid(own, own).and_then(|()| default_signals());
                exit(ready.map_err(Into::into).and_then(|()| test()))
            }
            ForkResult::Parent { child } => child,
        };
        let begin = Instant::now();
        let status = loop {
            match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive if begin.elapsed() > limit => {
                    println!("# the test did not end");
                    killpg(child, Signal::SIGKILL)?;
                    break waitpid(child, None)?;
                }
                WaitStatus::StillAlive => std::thread::sleep(Duration::from_millis(2)),
                status => break status,
            }
        };
        let passed = matches!(status, WaitStatus::Exited(_, 0));
        if !passed {
            println!("# {status:?}");
        }
        println!("# seconds\t{:.1}", begin.elapsed().as_secs_f64());
        println!("{} {} {name}", if passed { "ok" } else { "not ok" }, i + 1);
    }
    Ok(())
}
