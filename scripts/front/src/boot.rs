// SPDX-License-Identifier: GPL-2.0

//! Booting the kernel in QEMU, or running it as a program, and reading its logs.

use crate::{kernel, outcome::Outcome, step, Build};
use anyhow::{bail, Error, Result};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// The output of a guest.
pub struct Guest {
    /// The kernel's log, with KUnit's KTAP in it.
    pub console: String,
    /// The KTAP of the selftests.
    pub results: String,
}

/// What the kernel's warnings and error reports contain.
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
    "Unable to handle kernel",
    "rcu: INFO:",
    "rcu_preempt detected",
    "INFO: task",
    "possible circular locking",
    "suspected memory leaks",
];

/// A guest without output for this time counts as hung. Every test prints more often, also beside
/// a build.
const SILENCE: Duration = Duration::from_secs(90);

/// A kernel that is a program is killed after this time.
const LIMIT: Duration = Duration::from_secs(120);

/// What drives the guest's clock.
#[derive(Clone, Copy)]
pub enum Clock {
    /// The host's clock.
    Time,
    /// One nanosecond per instruction, on one CPU; the same in each run.
    Instructions,
}

/// How a guest is booted.
pub struct BootOptions<'a> {
    /// Parameters of the kernel's command line.
    pub parameters: &'a str,
    pub clock: Clock,
    /// The guest is killed after this time.
    pub limit: Duration,
    /// Whether the guest is killed at the first failed test, splat or hang.
    pub until_failure: bool,
}

impl<'a> BootOptions<'a> {
    /// Returns the default options with these kernel parameters.
    pub fn new(parameters: &'a str) -> Self {
        Self {
            parameters,
            clock: Clock::Time,
            // Another guest, or a build, may run at the same time.
            limit: Duration::from_secs(1200),
            until_failure: false,
        }
    }
}

/// Why a guest did not run to completion, as a message.
pub type GuestFailure = String;

/// Boots the kernel and waits for the guest to finish. A splat in the kernel log is a failed test.
///
/// # Errors
///
/// - The guest does not finish.
pub fn boot(
    build: &Build,
    initramfs: &Path,
    options: &BootOptions<'_>,
    outcome: &mut Outcome,
) -> Result<Guest> {
    try_boot(build, initramfs, options, outcome)?.map_err(Error::msg)
}

/// Returns the command that boots a kernel, without its consoles.
pub fn qemu(
    build: &Build,
    clock: Clock,
    image: &Path,
    initramfs: &Path,
    parameters: &str,
) -> Result<Command> {
    let machine = build.machine.qemu()?;
    let mut qemu = Command::new(machine.program);
    match clock {
        Clock::Time => qemu.args(["-accel", "tcg,thread=multi", "-smp", machine.smp]),
        Clock::Instructions => qemu.args(["-accel", "tcg", "-icount", "shift=0,sleep=off"]),
    };
    qemu.args(machine.machine)
        .args(["-m", "1G", "-display", "none", "-no-reboot"])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-append")
        .arg(format!(
            "console={} results={} panic=-1 {parameters}",
            machine.console, machine.results
        ));
    Ok(qemu)
}

/// Returns the options of QEMU that write the kernel log and the output of the programs to files.
pub fn logs(build: &Build, console: &Path, results: &Path) -> Result<Vec<String>> {
    let machine = build.machine.qemu()?;
    let console = format!("file:{}", console.display());
    let results = format!("{}{}", machine.results_file, results.display());
    let options = ["-monitor", "none", "-serial", &console];
    let options = options.iter().chain(machine.results_port);
    let options = options.map(|option| (*option).to_owned());
    Ok(options.chain([results]).collect())
}

/// Like [`boot`], but returns a guest that hangs or dies as the inner error.
pub fn try_boot(
    build: &Build,
    initramfs: &Path,
    options: &BootOptions<'_>,
    outcome: &mut Outcome,
) -> Result<Result<Guest, GuestFailure>> {
    let dir = build.objects.join("boot");
    let console = dir.join("console.log");
    let results = dir.join("results.ktap");
    for old in [&console, &results] {
        let _ = fs::remove_file(old);
    }

    // C's softdog must not reboot the guest.
    let parameters = format!(
        "kunit.stats_enabled=0 softdog.soft_noboot=1 {}",
        options.parameters
    );
    let image = kernel::image(build);
    let mut qemu = qemu(build, options.clock, &image, initramfs, &parameters)?;
    qemu.args(logs(build, &console, &results)?);
    let title = format!("boot of {}", build.title());
    let mut last_output = (0, Instant::now());
    let failure = || -> Option<String> {
        if !options.until_failure {
            return None;
        }
        let logs = [read(&console), read(&results)];
        let length = logs.iter().map(String::len).sum();
        if length > last_output.0 {
            last_output = (length, Instant::now());
        }
        let silent = last_output.1.elapsed() > SILENCE;
        logs.iter()
            .flat_map(|text| text.lines())
            .find_map(failed_test)
            .or_else(|| first_splat(&logs[0]).map(str::to_owned))
            .or_else(|| {
                silent.then(|| {
                    format!(
                        "the guest has no output any more; see {}",
                        console.display()
                    )
                })
            })
    };
    let limit = Some(options.limit);
    let now = || current_test(&read(&results)).unwrap_or_else(|| step::last_line(&console));
    match step::watch_until(&title, &build.log("qemu"), &mut qemu, limit, now, failure) {
        Err(err) if err.is::<step::Killed>() => return Ok(Err(err.to_string())),
        other => other?,
    };

    let guest = Guest {
        console: read(&console),
        results: read(&results),
    };
    if let Clock::Time = options.clock {
        outcome.check(
            "the guest has two CPUs",
            !guest.console.contains("Brought up 1 node, 1 CPU\n"),
            "it has one, so little runs concurrently",
        );
    }
    let (ours, others) = data_races(&guest.console);
    if others > 0 {
        println!("{others} data races within the kernel's own C code");
    }
    let splat = first_splat(&guest.console).or(ours.first().copied());
    no_splat(splat, &console, outcome);
    if guest.results.lines().last() != Some("# guest done") {
        let last = splat.or(guest.console.lines().last()).unwrap_or("nothing");
        return Ok(Err(format!(
            "the guest did not finish; its kernel printed: {last}; see {}",
            console.display()
        )));
    }
    Ok(Ok(guest))
}

/// Adds the test that there is no splat.
fn no_splat(splat: Option<&str>, console: &Path, outcome: &mut Outcome) {
    outcome.check(
        "no splat in the kernel log",
        splat.is_none(),
        &format!("{}; see {}", splat.unwrap_or_default(), console.display()),
    );
}

/// Returns the text of a log.
fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\r', "")
}

/// What the kernel prints last.
const HALTED: &str = "reboot: System halted";

/// Runs a kernel that is a program. It has no file system, and ends after KUnit. Returns its log.
///
/// # Errors
///
/// - The kernel does not halt.
pub fn run(build: &Build, outcome: &mut Outcome) -> Result<String> {
    let dir = build.objects.join("boot");
    fs::create_dir_all(&dir)?;
    let console = dir.join("console.log");
    let mut linux = Command::new(kernel::image(build));
    linux
        .args(["mem=512M", "console=tty0", "con=null", "con0=fd:0,fd:1"])
        .args(["panic=-1", "kunit.stats_enabled=0", "kunit_shutdown=halt"])
        // A directory with the PID, by default in the home directory.
        .arg(format!("uml_dir={}/", dir.display()))
        // The kernel's memory is a file there. /dev/shm, the default, may be small.
        .env("TMPDIR", &dir);
    step::watch(&build.title(), &console, &mut linux, Some(LIMIT))?;

    let log = read(&console);
    let splat = first_splat(&log);
    no_splat(splat, &console, outcome);
    if !log.contains(HALTED) {
        let last = splat.or(log.lines().last()).unwrap_or("nothing");
        bail!(
            "the kernel did not halt; it printed: {last}; see {}",
            console.display()
        );
    }
    Ok(log)
}

/// Returns the first line of the first splat that is not a KCSAN report.
pub fn first_splat(console: &str) -> Option<&str> {
    console
        .lines()
        .find(|l| !l.contains(RACE) && SPLATS.iter().any(|s| l.contains(s)))
}

/// Returns the name of the test, if a KTAP line reports a failure. The last line of a log may be
/// incomplete; it is read again a second later.
fn failed_test(line: &str) -> Option<String> {
    let (_, test) = line.split_once("not ok ")?;
    let (_, name) = test.split_once(' ')?;
    Some(name.trim_start_matches("- ").to_owned())
}

/// Returns the test that runs, or has run last: the program and the name.
fn current_test(results: &str) -> Option<String> {
    let (_, of_program) = results.rsplit_once("# program ")?;
    let (_, of_test) = of_program.rsplit_once("# test\t")?;
    let (program, test) = (of_program.lines().next()?, of_test.lines().next()?);
    Some(format!("{program}: {test}"))
}

/// The beginning of a KCSAN report.
const RACE: &str = "BUG: KCSAN: ";

/// C functions with intended data races. `lock_vma_under_rcu()` walks the maple tree and validates the
/// result afterwards. The others read one flag of a kthread while the kthread may set other flags in
/// the same word.
const MAY_RACE: &[&str] = &[
    " lock_vma_under_rcu+0x",
    " kthread_stop+0x",
    " kthread_park+0x",
    " kthread_unpark+0x",
];

/// Returns the titles of the data races with Rust code or its callees on one of the stacks, and the
/// number of other races.
fn data_races(console: &str) -> (Vec<&str>, usize) {
    let (mut ours, mut others) = (Vec::new(), 0);
    // KCSAN prints this line before and after each report.
    for report in
        console.split("==================================================================")
    {
        let Some(title) = report.lines().find(|line| line.contains(RACE)) else {
            continue;
        };
        // Rust's symbols are mangled. Only stack frames are matched, as the process may be named
        // rust_task_test.
        let of_rust =
            |line: &str| line.contains("+0x") && (line.contains(" _R") || line.contains(" rust_"));
        let may_race = |line: &str| MAY_RACE.iter().any(|function| line.contains(function));
        // A stack begins with the access. The race is reported if a caller is Rust code, unless a function
        // in between is in `MAY_RACE`.
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
    use super::{current_test, data_races};

    #[test]
    fn the_last_test_of_the_last_program_runs() {
        let results = "# program p\n# test\ta\nok 1 a\n# program q\n# test\tb c\n# did\tx\t1\n";
        assert_eq!(current_test(results).as_deref(), Some("q: b c"));
        assert_eq!(current_test("# program p\n# test\ta\n# program q\n"), None);
    }

    #[test]
    fn data_races_of_rust_code_are_distinguished() {
        let line = "=".repeat(66);
        let report = |title: &str, frame: &str| {
            format!("[ 1.0] {line}\n[ 1.0] BUG: KCSAN: {title}\n[ 1.0]  {frame}+0x10/0x20\n[ 1.0] CPU: 0 Comm: rust_task_soak\n[ 1.0] {line}\n")
        };
        let console = report("data-race in a / b", "tick_sched_timer")
            + "[ 1.0] _RNvC1a is named between two reports\n"
            + &report("data-race in c / d", "_RNvMs_NtC6kernel4task4Task3pid")
            + &report("data-race in e / f", "rust_helper_mmget")
            + &report("data-race in g / h", "lock_vma_under_rcu+0x1/0x2\n _RNvC1b");
        let (ours, others) = data_races(&console);
        assert_eq!(others, 2);
        assert_eq!(ours.len(), 2);
        assert!(ours[0].ends_with("data-race in c / d"));
    }
}
