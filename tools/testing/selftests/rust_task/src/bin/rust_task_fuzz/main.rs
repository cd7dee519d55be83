// SPDX-License-Identifier: GPL-2.0

//! Random calls to the four drivers, among random changes to the memory of the caller.
//!
//! What each call should do is known, from /proc and from what was done before, so a wrong answer is
//! found, and not only what the kernel complains about. `seconds=`, `seed=` and `case=` are taken
//! from the environment.

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
    words,
};
use std::{
    collections::HashSet,
    fs,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[("random calls", random_calls)];

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let seconds = words::seconds()?;
    ktap::run_within(Duration::from_secs(seconds + 300), TESTS)
}

fn random_calls() -> Result<()> {
    let kcov = Kcov::open()?;
    if let Some(case) = words::text("case") {
        let case: Case = case.parse().context("case=")?;
        for op in case.ops() {
            println!("# {op:x?}");
        }
        return run(&case, kcov.as_ref(), tainted()?);
    }
    // What this process learns needs memory, so another one counts.
    let before = InUse::settled()?;
    in_child(|| guided(kcov.as_ref()))?;
    before.has_come_back()
}

/// Runs cases as long as was asked for, the next ones in view of where the last have led.
fn guided(kcov: Option<&Kcov>) -> Result<()> {
    let seconds = words::seconds()?;
    let seed = words::seed()?;
    let mut rng = Rng::with_seed(seed);
    let (mut cases, mut deepest) = (0, 0);
    // What the kernel has come by, and the cases that were the first to lead it there.
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
            seen.extend(kcov.seen());
            if seen.len() > known {
                deepest = deepest.max(case.depth());
                found.push(case);
            }
        }
    }
    ktap::did("seed", seed);
    ktap::did("cases", cases);
    if kcov.is_some() {
        ktap::did("instructions that were come by", seen.len());
        ktap::did("cases that led to new ones", found.len());
        ktap::did("changes to the most changed of them", deepest - 1);
        ensure!(!found.is_empty(), "kcov has seen nothing");
    }
    ensure!(cases > 0, "no case was run");
    Ok(())
}

/// Runs a case in a process of its own, and fails if anything is wrong then.
fn run(case: &Case, kcov: Option<&Kcov>, taint: u64) -> Result<()> {
    // If the kernel dies of it, this is what it says last.
    fs::write("/dev/kmsg", format!("fuzz: CASE={case}"))?;
    if let Some(kcov) = kcov {
        kcov.forget();
    }
    // SAFETY: This process has one thread.
    let child = match unsafe { fork()? } {
        ForkResult::Child => ktap::exit(live(case, kcov)),
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
    ensure!(tainted()? == taint, "CASE={case}: the kernel complains");
    Ok(())
}

fn live(case: &Case, kcov: Option<&Kcov>) -> Result<()> {
    let mut machine = Machine::new()?;
    if let Some(kcov) = kcov {
        kcov.follow()?;
    }
    machine.run(&case.ops())
}

/// Bits that are set when the kernel complains.
fn tainted() -> Result<u64> {
    Ok(fs::read_to_string("/proc/sys/kernel/tainted")?
        .trim()
        .parse()?)
}
