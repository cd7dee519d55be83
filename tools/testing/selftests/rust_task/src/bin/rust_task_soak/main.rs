// SPDX-License-Identifier: GPL-2.0

//! Many processes use the drivers, while they are forked, traced, frozen, killed and run out of
//! memory, and a CPU is unplugged and plugged in. At the end, no memory may be leaked.
//!
//! `seconds=` and `seed=` are taken from the environment.

mod counters;
mod disturbances;
mod workloads;

use anyhow::{bail, Context, Result};
use counters::Event;
use fastrand::Rng;
use nix::{
    sys::{
        signal::{kill, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::{fork, ForkResult, Pid},
};
use rust_task::{
    child::in_child,
    ktap::{self, Test},
    leaks::InUse,
    mailbox, params,
};
use std::{
    fs, process, thread,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[("workloads under disturbances", soak)];

/// The number of processes that run workloads.
const RUNNERS: usize = 6;
/// How much longer it takes at most until each event has occurred.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time limit until all killed processes are gone.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(workloads::AFTER_EXEC) {
        process::exit(workloads::after_exec());
    }
    let seconds = params::seconds()?;
    ktap::run_within(Duration::from_secs(2 * seconds + 600), TESTS)
}

fn soak() -> Result<()> {
    counters::start()?;
    let seed = params::seed()?;
    let time = Duration::from_secs(params::seconds()?);
    // One-time allocations are made now, such as the stack traces of the checkers.
    in_child(workloads::each)?;
    in_child(|| run_for(!seed, time / 4).map(drop))?;
    let before = InUse::settled()?;
    counters::reset();
    ktap::did("seed", seed);
    in_child(|| counters::report(&run_for(seed, time)?))?;
    mailbox::wait_until_free()?;
    before.check_freed()
}

/// Runs workloads and disturbances, and waits for all processes. Returns the events that cannot
/// occur on this kernel.
fn run_for(seed: u64, time: Duration) -> Result<Vec<Event>> {
    let group = disturbances::group()?;
    let mut rng = Rng::with_seed(seed);
    let begin = Instant::now();
    let binder = workloads::prepare_binder()?;

    let impossible = match binder {
        true => Vec::new(),
        false => vec![Event::Binder],
    };
    // A slow machine gets more time, with fewer disturbances.
    let over = |begin: Instant| -> Result<bool> {
        counters::set(Event::OomKilled, disturbances::oom_kills(&group)?);
        let now = begin.elapsed();
        let missing = !counters::missing(&impossible).is_empty();
        Ok(now > time + PATIENCE || (now > time && !missing))
    };

    // Each runner, and whether it is the Binder server.
    let mut runners: Vec<(Pid, bool)> = Vec::new();
    while !over(begin)? {
        while runners.len() < RUNNERS {
            let seed = rng.u64(..);
            let serves = binder && runners.iter().all(|(_, serves)| !serves);
            let runner = start(|| {
                group.join()?;
                match serves {
                    true => workloads::serve(),
                    false => workloads::run(Rng::with_seed(seed)),
                }
            })?;
            runners.push((runner, serves));
        }
        if begin.elapsed() < time || rng.u32(0..8) == 0 {
            disturbances::one(&group, &mut rng)?;
        } else {
            thread::sleep(Duration::from_millis(20));
        }
        // A runner that was killed is replaced.
        runners.retain(|(runner, _)| {
            matches!(
                waitpid(*runner, Some(WaitPidFlag::WNOHANG)),
                Ok(WaitStatus::StillAlive)
            )
        });
        counters::check_wrong()?;
    }

    disturbances::end()?;
    for (runner, _) in runners {
        // The runner may not have joined the cgroup yet.
        kill(runner, Signal::SIGKILL)?;
    }
    group.kill()?;
    let begin = Instant::now();
    loop {
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|s| s != WaitStatus::StillAlive) {
        }
        let left = group.processes()?;
        if left.is_empty() {
            break;
        }
        if begin.elapsed() > TIMEOUT {
            for pid in &left {
                let stack = fs::read_to_string(format!("/proc/{pid}/stack")).unwrap_or_default();
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                println!("# {stat}# {}", stack.trim().replace('\n', "\n# "));
            }
            bail!("{} processes have not exited", left.len());
        }
        thread::sleep(Duration::from_millis(20));
    }
    counters::set(Event::OomKilled, disturbances::oom_kills(&group)?);
    group.remove().context("removing the cgroup")?;
    Ok(impossible)
}

/// Starts a process without waiting for it.
fn start(run: impl FnOnce() -> Result<()>) -> Result<Pid> {
    // SAFETY: This process has one thread.
    match unsafe { fork()? } {
        ForkResult::Child => ktap::exit(run()),
        ForkResult::Parent { child } => Ok(child),
    }
}
