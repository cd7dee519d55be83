// SPDX-License-Identifier: GPL-2.0

//! Running other programs, with progress, a log file, and a one-line error.

use anyhow::{bail, Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fmt,
    fs::{self, File},
    io::{IsTerminal, Read, Seek, SeekFrom},
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

/// The lock of a directory. Dropping it releases the lock.
pub type Lock = Flock<File>;

/// Takes the lock of a directory, so that only one make uses it at a time.
pub fn lock(directory: &Path) -> Result<Lock> {
    lock_file(&directory.join("lock"))
}

/// Takes a lock.
pub fn lock_file(path: &Path) -> Result<Lock> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, err)| err)
        .with_context(|| format!("cannot lock {}", path.display()))
}

/// The error of a command that was killed because of its time limit, or for another reason.
#[derive(Debug)]
pub struct Killed(String);

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Killed {}

/// The lines of the steps that run at the same time.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Runs `command` with its output in `log`. The error has the first error line of the output.
pub fn run(title: &str, log: &Path, command: &mut Command) -> Result<()> {
    run_until(title, log, command, || None)
}

/// Like [`run`]; the command is also killed, with the error [`Killed`], once `stop` returns a reason.
/// `stop` is called once a second.
pub fn run_until(
    title: &str,
    log: &Path,
    command: &mut Command,
    stop: impl FnMut() -> Option<String>,
) -> Result<()> {
    if !watch_until(title, log, command, None, || last_line(log), stop)? {
        let text = fs::read_to_string(log).unwrap_or_default();
        let log = log.display();
        match known_cause(&text) {
            Some(cause) => bail!("{title} failed: {cause}; then run the command again; see {log}"),
            None => bail!("{title} failed: {}; see {log}", first_error(&text)),
        }
    }
    Ok(())
}

/// Runs `command` with its output in `log`, and returns whether it succeeded.
///
/// # Errors
///
/// - [`Killed`]: it did not exit within `limit`.
pub fn watch(
    title: &str,
    log: &Path,
    command: &mut Command,
    limit: Option<Duration>,
) -> Result<bool> {
    watch_until(title, log, command, limit, || last_line(log), || None)
}

/// Like [`watch`]; `stop` is that of [`run_until`], and `now` returns what the progress line shows.
pub fn watch_until(
    title: &str,
    log: &Path,
    command: &mut Command,
    limit: Option<Duration>,
    now: impl Fn() -> String,
    mut stop: impl FnMut() -> Option<String>,
) -> Result<bool> {
    let out = File::create(log).with_context(|| log.display().to_string())?;
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("{title}: cannot start {program}"))?;

    let begin = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let bar = if terminal {
        BARS.add(ProgressBar::new_spinner())
    } else {
        eprintln!("{title} ...");
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template(
        "{spinner} {prefix} [{elapsed}] {wide_msg}",
    )?);
    bar.set_prefix(title.to_owned());
    let mut printed = 0;
    let mut checked = 0;

    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
        bar.tick();
        let seconds = begin.elapsed().as_secs();
        let mut reason = None;
        if seconds > checked {
            checked = seconds;
            reason = stop();
        }
        if limit.is_some_and(|limit| begin.elapsed() > limit) {
            reason = Some(format!(
                "{title} did not exit within {seconds} s; see {}",
                log.display()
            ));
        }
        if let Some(reason) = reason {
            let _ = child.kill();
            child.wait()?;
            return Err(Killed(reason).into());
        }
        if seconds >= printed + if terminal { 1 } else { 15 } {
            printed = seconds;
            let line = now();
            bar.set_message(line.clone());
            if !terminal {
                eprintln!("{title}: {seconds} s: {line}");
            }
        }
    };
    bar.finish_and_clear();
    BARS.suspend(|| eprintln!("{title}: {:.1} s", begin.elapsed().as_secs_f32()));
    Ok(status.success())
}

/// Returns the last line of a file that is not empty.
pub fn last_line(log: &Path) -> String {
    let mut tail = Vec::new();
    if let Ok(mut file) = File::open(log) {
        let len = file.metadata().map_or(0, |m| m.len());
        let _ = file.seek(SeekFrom::Start(len.saturating_sub(400)));
        let _ = file.read_to_end(&mut tail);
    }
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rev().find(|l| !l.trim().is_empty());
    line.unwrap_or_default().trim().chars().take(100).collect()
}

/// Causes that make each tool fail in a way of its own: a part of the output, and what to do.
const CAUSES: &[(&str, &str)] = &[
    (
        "No space left on device",
        "the disk is full: free some space",
    ),
    ("Could not resolve host", "no network: connect this machine"),
    (
        "Temporary failure resolving",
        "no network: connect this machine",
    ),
    ("Network is unreachable", "no network: connect this machine"),
];

/// Returns the cause of a failure if it is not the command's own.
fn known_cause(text: &str) -> Option<&'static str> {
    let mut causes = CAUSES.iter();
    let found = causes.find(|(part, _)| text.contains(part));
    found.map(|(_, cause)| *cause)
}

/// Returns the line of the output that most likely names the error.
fn first_error(text: &str) -> String {
    let errors = [
        "error",
        "Error",
        "E: ",
        "fatal",
        "undefined",
        "bindgen misplaces",
    ];
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    let names = |line: &&str| errors.iter().any(|error| line.contains(error));
    // "error: ..." and "error[E0308]: ..." are compilers' lines; "CC str_error.o" is one of kbuild's.
    let begins = lines.clone().find(|line| line.starts_with("error"));
    let hit = begins.or(lines.clone().find(names));
    // rustc prints the message of a failed const assertion below the line with "error".
    let named = text
        .lines()
        .find(|l| l.contains("evaluation panicked") || l.contains("bindgen has"));
    let line = named.or(hit).or(lines.next_back()).unwrap_or("no output");
    line.trim().chars().take(200).collect()
}

/// Runs `command` and returns its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !out.status.success() {
        bail!(
            "{program} failed: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// Writes `text` to `path` if the file does not contain it yet, so that the modification time only
/// changes with the contents.
pub fn write_if_changed(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    fs::write(path, text).with_context(|| path.display().to_string())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_missing_network_have_a_line_of_their_own() {
        let log = std::env::temp_dir().join(format!("step-{}", std::process::id()));
        let fail = |text: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo \"$0\"; exit 1", text]);
            let error = run("step", &log, &mut command).unwrap_err().to_string();
            error.split(';').next().unwrap_or_default().to_owned()
        };
        assert_eq!(
            fail("tar: cfe_error.h: Cannot write: No space left on device"),
            "step failed: the disk is full: free some space"
        );
        assert_eq!(
            fail("warning: network error: Could not resolve host: a"),
            "step failed: no network: connect this machine"
        );
        assert_eq!(fail("a\nerror: b"), "step failed: error: b");
        fs::remove_file(log).unwrap();
    }
}
