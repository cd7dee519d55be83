// SPDX-License-Identifier: GPL-2.0

//! Fuzzer: makes random calls to the drivers, and random changes to the memory of the caller.
//!
//! The expected result of each call is known from /proc and from the previous calls, so wrong
//! results are found in addition to reports of the kernel. `seconds=`, `seed=` and `case=` are
//! taken from the environment.

mod case;
mod kcov;
mod machine;

use anyhow::{bail, ensure, Context, Result};
use case::Case;
use fastrand::Rng;
use kcov::Kcov;
use machine::Machine;
use nix::{
    sys::{
        signal::{kill, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::{fork, ForkResult},
};
use rust_task::{
    child::in_child,
    ktap::{self, Test},
    leaks::InUse,
    params,
};
use std::{
    collections::HashSet,
    fs,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[("random calls", random_calls)];

/// The time limit of a case.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let seconds = params::seconds()?;
    ktap::run_within(Duration::from_secs(seconds + 300), TESTS)
}

fn random_calls() -> Result<()> {
    let kcov = Kcov::open()?;
    if let Some(case) = params::text("case") {
        let case: Case = case.parse().context("case=")?;
        for op in case.ops() {
            println!("# {op:x?}");
        }
        return run(&case, kcov.as_ref(), tainted()?);
    }
    // The records of coverage need memory, so a child keeps them.
    let before = InUse::settled()?;
    in_child(|| guided(kcov.as_ref()))?;
    before.check_freed()
}

/// Runs cases for the requested time, guided by coverage.
fn guided(kcov: Option<&Kcov>) -> Result<()> {
    let seconds = params::seconds()?;
    let seed = params::seed()?;
    let mut rng = Rng::with_seed(seed);
    let (mut cases, mut max_depth) = (0, 0);
    // The covered instructions, and the cases that covered new ones.
    let (mut seen, mut found) = (HashSet::new(), Vec::<Case>::new());
    let taint = tainted()?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        let case = match rng.choice(&found) {
            Some(known) if rng.bool() => known.changed(rng.u32(..)),
            _ => Case::new(rng.u32(..)),
        };
        run(&case, kcov, taint)?;
        cases += 1;
        if let Some(kcov) = kcov {
            let known = seen.len();
            seen.extend(kcov.covered());
            if seen.len() > known {
                max_depth = max_depth.max(case.depth());
                found.push(case);
            }
        }
    }
    ktap::did("seed", seed);
    ktap::did("cases", cases);
    if kcov.is_some() {
        ktap::did("covered instructions", seen.len());
        ktap::did("cases with new coverage", found.len());
        ktap::did("changes of the most changed case", max_depth - 1);
        ensure!(!found.is_empty(), "kcov has recorded nothing");
    }
    ensure!(cases > 0, "no case was run");
    Ok(())
}

/// Runs a case in a child process. Returns an error if a result is wrong or the kernel reports a
/// problem.
fn run(case: &Case, kcov: Option<&Kcov>, taint: u64) -> Result<()> {
    // If the kernel crashes, this is the last message.
    fs::write("/dev/kmsg", format!("fuzz: CASE={case}"))?;
    if let Some(kcov) = kcov {
        kcov.reset();
    }
    // SAFETY: This process has one thread.
    let child = match unsafe { fork()? } {
        ForkResult::Child => ktap::exit(run_case(case, kcov)),
        ForkResult::Parent { child } => child,
    };
    let begin = Instant::now();
    let status = loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::StillAlive if begin.elapsed() > LIMIT => {
                kill(child, Signal::SIGKILL)?;
                waitpid(child, None)?;
                bail!("CASE={case} did not end");
            }
            WaitStatus::StillAlive => std::thread::sleep(Duration::from_micros(200)),
            status => break status,
        }
    };
    ensure!(
        matches!(status, WaitStatus::Exited(_, 0)),
        "CASE={case}: {status:?}"
    );
    ensure!(tainted()? == taint, "CASE={case}: the kernel is tainted");
    Ok(())
}

fn run_case(case: &Case, kcov: Option<&Kcov>) -> Result<()> {
    let mut machine = Machine::new()?;
    if let Some(kcov) = kcov {
        kcov.enable()?;
    }
    machine.run(&case.ops())
}

/// Returns the taint flags, which include those of warnings and oopses.
fn tainted() -> Result<u64> {
    Ok(fs::read_to_string("/proc/sys/kernel/tainted")?
        .trim()
        .parse()?)
}
