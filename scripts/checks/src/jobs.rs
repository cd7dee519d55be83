// SPDX-License-Identifier: GPL-2.0

//! Running the tests of several kernels at the same time, each in a process of its own.
//!
//! Much of a build and of a boot uses one CPU: rustc compiles the crate, or a guest waits.

use crate::configs;
use anyhow::{Context, Result};
use front::{build::Build, manifest::Tested, outcome::Outcome, setup::NOT_IN_DEBIAN};
use std::{
    collections::VecDeque,
    env,
    fs::File,
    io::{BufRead, BufReader, Read},
    num::NonZero,
    process::{Command, Stdio},
    sync::{mpsc, Mutex},
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

/// Set for the processes of the jobs, as their parent has locked `build/`.
const LOCKED: &str = "RUST_TASK_MM_LOCKED";

/// Returns whether this process is a job.
pub fn is_job() -> bool {
    env::var_os(LOCKED).is_some()
}

/// The result of a job.
struct Done {
    title: String,
    time: Duration,
    /// The lines that report a failure.
    failures: Vec<String>,
    /// The last line: `N passed, N failed`, or the error.
    last: String,
}

impl Done {
    /// Returns the numbers of tests, if the job ran to its end.
    fn counts(&self) -> Option<(usize, usize)> {
        let (passed, rest) = self.last.split_once(" passed, ")?;
        let failed = rest.strip_suffix(" failed")?;
        Some((passed.parse().ok()?, failed.parse().ok()?))
    }

    /// Returns whether the source of the kernel is not published any more.
    fn has_no_source(&self) -> bool {
        self.last.contains(NOT_IN_DEBIAN)
    }
}

/// Returns the name of a job, which begins its lines.
pub fn title(kernel: &Tested) -> String {
    let suffix = match kernel.checkers {
        true => Some("checkers"),
        false => kernel.arch.as_deref(),
    };
    match suffix {
        Some(suffix) => format!("{}-{suffix}", kernel.series),
        None => kernel.series.clone(),
    }
}

/// Returns the command of this program that runs a job.
fn command(kernel: &Tested) -> &'static str {
    match (kernel.whole, kernel.checkers) {
        (true, _) => "test-kernel",
        (false, true) => "test-checkers",
        (false, false) => "smoke",
    }
}

/// Runs one job. `print` gets each line of its output.
fn run(kernel: &Tested, lock: &File, print: impl Fn(String) + Sync) -> Result<Done> {
    let begin = Instant::now();
    let mut child = Command::new(env::current_exe()?)
        .arg(command(kernel))
        .env(LOCKED, "1")
        .env("KERNEL", &kernel.series)
        .env("LLVM", "1")
        .env("ARCH", kernel.arch.as_deref().unwrap_or_default())
        // A job that outlives this process keeps the lock.
        .stdin(lock.try_clone()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a job")?;

    let forward = |pipe: Box<dyn Read + Send>| -> Vec<String> {
        let lines = BufReader::new(pipe).split(b'\n').map_while(Result::ok);
        let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
        lines.inspect(|line| print(line.clone())).collect()
    };
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (output, errors) = (output.context("no output")?, errors.context("no errors")?);
    let (output, errors) = thread::scope(|scope| {
        let errors = scope.spawn(|| forward(Box::new(errors)));
        let output = forward(Box::new(output));
        (output, errors.join().unwrap_or_default())
    });
    let ended = child.wait()?;

    let summary = output.last().filter(|line| line.ends_with(" failed"));
    let last = summary.or_else(|| errors.last()).cloned();
    let mut done = Done {
        title: title(kernel),
        time: begin.elapsed(),
        failures: failures(&output),
        last: last.unwrap_or_else(|| "no output".to_owned()),
    };
    let succeeded = done.counts().is_some_and(|(_, failed)| failed == 0);
    if ended.success() != succeeded && done.counts().is_some() {
        done.last += &format!(", but {ended}");
    }
    Ok(done)
}

/// Returns the lines that report a failure, with the diagnostics below each.
fn failures(output: &[String]) -> Vec<String> {
    let mut failed = false;
    let lines = output.iter().filter(|line| {
        failed = line.starts_with("FAILED ") || (failed && line.starts_with(' '));
        failed
    });
    lines.cloned().collect()
}

/// Returns the kernels of this turn: one of those that take turns, and all others.
pub fn in_turn(tested: &[Tested], turn: usize) -> Vec<&Tested> {
    let (turns, mut all): (Vec<_>, Vec<_>) = tested.iter().partition(|kernel| kernel.turns);
    if !turns.is_empty() {
        all.push(turns[turn % turns.len()]);
    }
    all
}

/// Returns the jobs in groups. Those of a group use the same objects, so they run one after the other.
fn grouped<'a>(kernels: &[&'a Tested]) -> VecDeque<Vec<&'a Tested>> {
    let mut groups: VecDeque<Vec<&Tested>> = VecDeque::new();
    for &kernel in kernels {
        let same = |other: &Tested| (&other.series, &other.arch) == (&kernel.series, &kernel.arch);
        let mut begun = groups.iter_mut();
        match begun.find(|group| same(group[0])) {
            Some(group) => group.push(kernel),
            None => groups.push_back(vec![kernel]),
        }
    }
    groups
}

/// Runs the tests of the kernels that `manifest.toml` lists, and prints a table.
pub fn all(build: &Build, lock: &File, outcome: &mut Outcome) -> Result<()> {
    let kernels = in_turn(&build.manifest.tested, configs::turn()?);
    let width = kernels.iter().map(|kernel| title(kernel).len()).max();
    let width = width.unwrap_or(0);
    let queue = Mutex::new(grouped(&kernels));
    let next = || queue.lock().ok()?.pop_front();
    let workers = available_parallelism().map_or(1, NonZero::get);

    let (sender, receiver) = mpsc::channel();
    let mut all: Vec<Done> = thread::scope(|scope| {
        for _ in 0..workers.min(kernels.len()) {
            let sender = sender.clone();
            scope.spawn(move || {
                for kernel in std::iter::from_fn(next).flatten() {
                    let title = title(kernel);
                    let print = |line| println!("{title:width$} | {line}");
                    let done = run(kernel, lock, print).unwrap_or_else(|err| Done {
                        title: title.clone(),
                        time: Duration::ZERO,
                        failures: Vec::new(),
                        last: format!("error: {err:#}"),
                    });
                    if sender.send(done).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        receiver.iter().collect()
    });
    all.sort_by(|a, b| a.title.cmp(&b.title));
    report(&all, &kernels, outcome);
    Ok(())
}

/// Prints the table and the failures, and adds the tests to `outcome`.
fn report(all: &[Done], kernels: &[&Tested], outcome: &mut Outcome) {
    let width = all.iter().map(|done| done.title.len()).max().unwrap_or(0);
    for done in all {
        let (title, seconds) = (&done.title, done.time.as_secs());
        println!("{title:width$}  {seconds:5} s  {}", done.last);
    }
    for done in all {
        let is_whole = kernels
            .iter()
            .any(|kernel| title(kernel) == done.title && kernel.whole);
        match done.counts() {
            Some((passed, failed)) => outcome.count(passed, failed),
            // Debian removes the source of a series that has ended.
            None if done.has_no_source() && !is_whole => {
                println!("Linux {} is not published: not tested", done.title);
            }
            None => outcome.report(&format!("Linux {}", done.title), false, &done.last),
        }
        for failure in &done.failures {
            println!("{:width$} | {failure}", done.title);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(title: &str, last: &str) -> Done {
        Done {
            title: title.to_owned(),
            time: Duration::ZERO,
            failures: Vec::new(),
            last: last.to_owned(),
        }
    }

    fn tested(series: &str, whole: bool) -> Tested {
        Tested {
            series: series.to_owned(),
            arch: None,
            whole,
            checkers: false,
            turns: !whole,
        }
    }

    #[test]
    fn the_tests_of_all_jobs_are_added() {
        let mut outcome = Outcome::quiet();
        let all = [
            done("6.12", "10 passed, 0 failed"),
            done("7.3", "5 passed, 2 failed"),
        ];
        let kernels = [tested("6.12", true), tested("7.3", true)];
        report(&all, &kernels.each_ref(), &mut outcome);
        assert_eq!(outcome.summary(), "15 passed, 2 failed");
    }

    #[test]
    fn some_kernels_take_turns() {
        let all = [
            tested("7.3", true),
            tested("7.2", false),
            tested("6.18", false),
        ];
        let titles = |turn| -> Vec<String> {
            let chosen = in_turn(&all, turn);
            chosen.into_iter().map(title).collect()
        };
        assert_eq!(titles(4), ["7.3", "7.2"]);
        assert_eq!(titles(5), ["7.3", "6.18"]);
    }

    #[test]
    fn jobs_with_the_same_objects_do_not_run_at_the_same_time() {
        let checkers = Tested {
            checkers: true,
            ..tested("6.12", false)
        };
        let all = [tested("7.3", true), tested("6.12", true), checkers];
        let groups: Vec<Vec<String>> = grouped(&all.each_ref())
            .into_iter()
            .map(|group| group.into_iter().map(title).collect())
            .collect();
        assert_eq!(groups, [vec!["7.3"], vec!["6.12", "6.12-checkers"]]);
    }

    #[test]
    fn the_reason_is_kept_with_a_failure() {
        let output = ["ok     a", "FAILED b", "         # why", "ok     c", "  d"];
        let output = output.map(str::to_owned);
        assert_eq!(failures(&output), ["FAILED b", "         # why"]);
    }

    #[test]
    fn a_job_that_ends_early_fails() {
        let mut outcome = Outcome::quiet();
        let kernel = tested("6.12", false);
        report(&[done("6.12", "error: a")], &[&kernel], &mut outcome);
        assert_eq!(outcome.first_failure().as_deref(), Some("Linux 6.12"));
    }

    #[test]
    fn only_a_kernel_that_must_be_tested_fails_without_a_source() {
        // kernel.org may not be reachable either.
        let gone = "error: no source of Linux 7.2, which is not in Debian; pass a tree: no network";
        // Nothing is known about Debian.
        let offline = "error: no source of Linux 7.2; pass a tree: no network";
        for (last, whole, failures) in [(gone, false, 0), (gone, true, 1), (offline, false, 1)] {
            let mut outcome = Outcome::quiet();
            report(&[done("7.2", last)], &[&tested("7.2", whole)], &mut outcome);
            assert_eq!(outcome.failures(), failures, "{last}");
        }
    }
}
