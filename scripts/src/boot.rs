// SPDX-License-Identifier: GPL-2.0

//! Booting the kernel in QEMU and listening to it.

use crate::{kernel, report::Outcome, step, Place};
use anyhow::{Error, Result};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What a guest has said.
pub struct Guest {
    /// The kernel's log, with KUnit's KTAP in it.
    pub console: String,
    /// The KTAP of the selftests.
    pub results: String,
}

/// What a kernel says when something is wrong with it.
const SPLATS: &[&str] = &[
    "BUG:",
    "WARNING:",
    "Oops",
    "KASAN",
    "kernel BUG at",
    "Kernel panic",
    "UBSAN:",
    "ODEBUG:",
    "DEBUG_LOCKS_WARN_ON",
    "general protection",
    "rcu: INFO:",
    "rcu_preempt detected",
    "INFO: task",
    "possible circular locking",
    "suspected memory leaks",
];

/// After this, a guest that says nothing has hung. No test takes as long.
const SILENCE: Duration = Duration::from_secs(30);

/// What the guest's clock follows.
#[derive(Clone, Copy)]
pub enum Clock {
    /// Our own time.
    Time,
    /// A nanosecond for each instruction, on one CPU: the same in each run.
    Instructions,
}

/// How a guest is booted.
pub struct Boot<'a> {
    /// Words for the kernel's command line.
    pub words: &'a str,
    pub clock: Clock,
    /// After this, the guest has hung.
    pub limit: Duration,
    /// Whether one failure is all there is to know: of a test, or of a kernel that complains or
    /// falls silent.
    pub until_failure: bool,
}

impl<'a> Boot<'a> {
    /// As usual, with these words.
    pub fn with(words: &'a str) -> Self {
        Self {
            words,
            clock: Clock::Time,
            limit: Duration::from_secs(600),
            until_failure: false,
        }
    }
}

/// How a guest came to its end before it was done.
pub type Death = String;

/// Boots until the guest is done. A splat fails the outcome.
pub fn boot(
    place: &Place,
    initramfs: &Path,
    how: &Boot<'_>,
    outcome: &mut Outcome,
) -> Result<Guest> {
    boot_or_die(place, initramfs, how, outcome)?.map_err(Error::msg)
}

/// The same where the guest may hang or die, which is an answer then.
pub fn boot_or_die(
    place: &Place,
    initramfs: &Path,
    how: &Boot<'_>,
    outcome: &mut Outcome,
) -> Result<Result<Guest, Death>> {
    let dir = place.objects.join("boot");
    let console = dir.join("console.log");
    let results = dir.join("results.ktap");
    for old in [&console, &results] {
        let _ = fs::remove_file(old);
    }

    let mut qemu = Command::new("qemu-system-x86_64");
    match how.clock {
        // Linux finds one CPU of each socket.
        Clock::Time => qemu.args(["-accel", "tcg,thread=multi", "-smp", "2,sockets=2"]),
        Clock::Instructions => qemu.args(["-accel", "tcg", "-icount", "shift=0,sleep=off"]),
    };
    // Linux 6.12 forgets for a moment that it has five levels of page tables while it identifies
    // the first CPU, and KASAN complains of an interrupt that comes just then.
    qemu.args(["-cpu", "max,la57=off", "-m", "1G"])
        .args([
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
            "-kernel",
        ])
        .arg(kernel::image(place))
        .arg("-initrd")
        .arg(initramfs)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 panic=-1 kunit.stats_enabled=0 {}",
            how.words
        ))
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-serial")
        .arg(format!("file:{}", results.display()));
    let title = format!("boot of {}", place.title());
    let read = |path: &Path| -> String {
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\r', "")
    };
    let mut heard = (0, Instant::now());
    let failure = || -> Option<String> {
        if !how.until_failure {
            return None;
        }
        let said = [read(&console), read(&results)];
        let length = said.iter().map(String::len).sum();
        if length > heard.0 {
            heard = (length, Instant::now());
        }
        let silent = heard.1.elapsed() > SILENCE;
        said.iter()
            .flat_map(|text| text.lines())
            .find_map(failed_test)
            .or_else(|| complaint(&said[0]).map(str::to_owned))
            .or_else(|| silent.then(|| format!("the guest fell silent; see {}", console.display())))
    };
    let limit = Some(how.limit);
    match step::watch_until(&title, &place.log("qemu"), &mut qemu, limit, failure) {
        Err(err) if err.is::<step::Overdue>() => return Ok(Err(err.to_string())),
        other => other?,
    };

    let guest = Guest {
        console: read(&console),
        results: read(&results),
    };
    if let Clock::Time = how.clock {
        outcome.check(
            "the guest has two CPUs",
            !guest.console.contains("Brought up 1 node, 1 CPU\n"),
            "it has one, on which little can happen at the same time",
        );
    }
    let (ours, others) = races(&guest.console);
    if others > 0 {
        println!("{others} data races within the kernel's own C code");
    }
    let splat = complaint(&guest.console).or(ours.first().copied());
    outcome.check(
        "kernel log without complaint",
        splat.is_none(),
        &format!("{}; see {}", splat.unwrap_or_default(), console.display()),
    );
    if guest.results.lines().last() != Some("# guest done") {
        let said = splat.or(guest.console.lines().last()).unwrap_or("nothing");
        return Ok(Err(format!(
            "the guest did not finish, its kernel said: {said}; see {}",
            console.display()
        )));
    }
    Ok(Ok(guest))
}

/// What the kernel says first of something that is wrong with it, but for data races.
fn complaint(console: &str) -> Option<&str> {
    console
        .lines()
        .find(|l| !l.contains(RACE) && SPLATS.iter().any(|s| l.contains(s)))
}

/// Returns the name of a test of which a line of KTAP says that it failed. The last line may be there
/// in part, but then it is there in whole a second later.
fn failed_test(line: &str) -> Option<String> {
    let (_, test) = line.split_once("not ok ")?;
    let (_, name) = test.split_once(' ')?;
    Some(name.trim_start_matches("- ").to_owned())
}

/// How KCSAN begins what it has to say.
const RACE: &str = "BUG: KCSAN: ";

/// Functions of C that look at what somebody else writes. The first walks the tree of areas, and looks
/// afterwards whether that mattered. The others ask for one flag of a thread, which sets others itself.
const MAY_RACE: &[&str] = &[
    " lock_vma_under_rcu+0x",
    " kthread_stop+0x",
    " kthread_park+0x",
    " kthread_unpark+0x",
];

/// The data races that Rust code, or what it has called, takes part in; and how many others there are.
fn races(console: &str) -> (Vec<&str>, usize) {
    let (mut ours, mut others) = (Vec::new(), 0);
    // Each report stands between two lines of this kind.
    for report in
        console.split("==================================================================")
    {
        let Some(title) = report.lines().find(|line| line.contains(RACE)) else {
            continue;
        };
        // Rust's symbols are mangled. Only frames count, as the process may be called rust_task_test.
        let of_rust =
            |line: &str| line.contains("+0x") && (line.contains(" _R") || line.contains(" rust_"));
        let may_race = |line: &str| MAY_RACE.iter().any(|function| line.contains(function));
        // A stack begins with the access. What counts is a caller in Rust, but for a few functions.
        let races = |stack: &str| {
            let caller = stack.lines().position(of_rust);
            caller.is_some_and(|n| !stack.lines().take(n).any(may_race))
        };
        if report.split(" bytes by ").any(races) {
            ours.push(title);
        } else {
            others += 1;
        }
    }
    (ours, others)
}

#[cfg(test)]
mod tests {
    use super::races;

    #[test]
    fn races_of_rust_are_told_from_others() {
        let line = "=".repeat(66);
        let report = |title: &str, frame: &str| {
            format!("[ 1.0] {line}\n[ 1.0] BUG: KCSAN: {title}\n[ 1.0]  {frame}+0x10/0x20\n[ 1.0] CPU: 0 Comm: rust_task_soak\n[ 1.0] {line}\n")
        };
        let console = report("data-race in a / b", "tick_sched_timer")
            + "[ 1.0] _RNvC1a is named between two reports\n"
            + &report("data-race in c / d", "_RNvMs_NtC6kernel4task4Task3pid")
            + &report("data-race in e / f", "rust_helper_mmget")
            + &report("data-race in g / h", "lock_vma_under_rcu+0x1/0x2\n _RNvC1b");
        let (ours, others) = races(&console);
        assert_eq!(others, 2);
        assert_eq!(ours.len(), 2);
        assert!(ours[0].ends_with("data-race in c / d"));
    }
}
