// SPDX-License-Identifier: GPL-2.0

//! Many processes use the drivers, and are forked, traced, frozen, starved of memory and killed while
//! they do; a CPU comes and goes. In the end, nothing of it may be left.
//!
//! `seconds=` and `seed=` are taken from the environment.

mod lives;
mod tally;
mod trouble;

use anyhow::{bail, Context, Result};
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
    words,
};
use std::{
    fs, process, thread,
    time::{Duration, Instant},
};
use tally::Did;
use trouble::Group;

const TESTS: &[Test] = &[("processes that come and go", soak)];

/// How many processes make others live.
const MAKERS: usize = 6;
/// How long the last ones may take to die.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(lives::AFTER_EXEC) {
        process::exit(lives::after_exec());
    }
    let seconds = words::seconds()?;
    ktap::run_within(Duration::from_secs(2 * seconds + 600), TESTS)
}

fn soak() -> Result<()> {
    tally::start()?;
    let seed = words::seed()?;
    let time = Duration::from_secs(words::seconds()?);
    // What is made once is made now, such as the stacks that the checkers remember.
    in_child(lives::each)?;
    in_child(|| some_time(!seed, time / 4).map(drop))?;
    let before = InUse::settled()?;
    tally::reset();
    ktap::did("seed", seed);
    in_child(|| tally::report(&some_time(seed, time)?))?;
    before.has_come_back()
}

/// Makes lives and trouble, and sees all of them end. Returns what this kernel has no means for.
fn some_time(seed: u64, time: Duration) -> Result<Vec<Did>> {
    let group = Group::new()?;
    let mut rng = Rng::with_seed(seed);
    let begin = Instant::now();
    let binder = lives::prepare_binder()?;

    let impossible = match binder {
        true => Vec::new(),
        false => vec![Did::Conversed],
    };
    // Who has starved is counted at the end. A machine with much else to do gets more time.
    let missing = || !tally::missing(&[&impossible[..], &[Did::Starved]].concat()).is_empty();
    let over = |begin: Instant| {
        let now = begin.elapsed();
        now > 4 * time || (now > time && !missing())
    };

    // Each maker, and whether it is the one that answers the others through Binder.
    let mut makers: Vec<(Pid, bool)> = Vec::new();
    while !over(begin) {
        while makers.len() < MAKERS {
            let seed = rng.u64(..);
            let serves = binder && makers.iter().all(|(_, serves)| !serves);
            let maker = start(|| {
                group.join()?;
                match serves {
                    true => lives::serve(),
                    false => lives::make(Rng::with_seed(seed)),
                }
            })?;
            makers.push((maker, serves));
        }
        trouble::one(&group, &mut rng)?;
        // Who has been killed is followed by another.
        makers.retain(|(maker, _)| {
            matches!(
                waitpid(*maker, Some(WaitPidFlag::WNOHANG)),
                Ok(WaitStatus::StillAlive)
            )
        });
        tally::all_right()?;
    }

    trouble::end()?;
    for (maker, _) in makers {
        // It may not have joined the group yet, nor made anything live.
        kill(maker, Signal::SIGKILL)?;
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
        if begin.elapsed() > PATIENCE {
            for pid in &left {
                let stack = fs::read_to_string(format!("/proc/{pid}/stack")).unwrap_or_default();
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                println!("# {stat}# {}", stack.trim().replace('\n', "\n# "));
            }
            bail!("{} processes are stuck", left.len());
        }
        thread::sleep(Duration::from_millis(20));
    }
    tally::add(Did::Starved, group.starved()?);
    group.remove().context("the cgroup stays")?;
    Ok(impossible)
}

/// Starts a process that nobody waits for at once.
fn start(run: impl FnOnce() -> Result<()>) -> Result<Pid> {
    // SAFETY: This process has one thread.
    match unsafe { fork()? } {
        ForkResult::Child => ktap::exit(run()),
        ForkResult::Parent { child } => Ok(child),
    }
}
