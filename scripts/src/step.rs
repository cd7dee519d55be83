// SPDX-License-Identifier: GPL-2.0

//! Running other programs: with progress, a log, and one line when they fail.

use anyhow::{bail, Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fmt,
    fs::{self, File},
    io::{IsTerminal, Read, Seek, SeekFrom},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Keeps a second make out of the same build folder.
pub fn lock(build: &Path) -> Result<File> {
    let file = File::create(build.join("lock"))?;
    file.lock().context("cannot lock build/lock")?;
    Ok(file)
}

/// What was killed because it took too long.
#[derive(Debug)]
pub struct Overdue(String);

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Overdue {}

/// Runs `command` with all that it prints in `log`, and fails with one line.
pub fn run(title: &str, log: &Path, command: &mut Command) -> Result<()> {
    if !watch(title, log, command, None)? {
        let text = fs::read_to_string(log).unwrap_or_default();
        bail!(
            "{title} failed: {}; see {}",
            first_error(&text),
            log.display()
        );
    }
    Ok(())
}

/// Runs `command` and returns whether it succeeded; kills it after `limit`.
pub fn watch(
    title: &str,
    log: &Path,
    command: &mut Command,
    limit: Option<Duration>,
) -> Result<bool> {
    watch_until(title, log, command, limit, || None)
}

/// The same for what is stopped when `enough` has a reason, which is an [`Overdue`] too.
pub fn watch_until(
    title: &str,
    log: &Path,
    command: &mut Command,
    limit: Option<Duration>,
    mut enough: impl FnMut() -> Option<String>,
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
        ProgressBar::new_spinner()
    } else {
        eprintln!("{title} ...");
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template(
        "{spinner} {prefix} [{elapsed}] {wide_msg}",
    )?);
    bar.set_prefix(title.to_owned());
    let mut said = 0;
    let mut asked = 0;

    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
        bar.tick();
        let seconds = begin.elapsed().as_secs();
        let mut reason = None;
        if seconds > asked {
            asked = seconds;
            reason = enough();
        }
        if limit.is_some_and(|limit| begin.elapsed() > limit) {
            reason = Some(format!(
                "{title} did not end within {seconds} s; see {}",
                log.display()
            ));
        }
        if let Some(reason) = reason {
            let _ = child.kill();
            child.wait()?;
            return Err(Overdue(reason).into());
        }
        if seconds >= said + if terminal { 1 } else { 15 } {
            said = seconds;
            let line = last_line(log);
            bar.set_message(line.clone());
            if !terminal {
                eprintln!("  {seconds} s: {line}");
            }
        }
    };
    bar.finish_and_clear();
    eprintln!("{title}: {:.1} s", begin.elapsed().as_secs_f32());
    Ok(status.success())
}

fn last_line(log: &Path) -> String {
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

/// Picks the line that says what went wrong.
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
    let hit = lines.clone().find(|l| errors.iter().any(|e| l.contains(e)));
    // A failed assertion of the layout has its message a few lines below the word "error".
    let named = text
        .lines()
        .find(|l| l.contains("evaluation panicked") || l.contains("bindgen has"));
    let line = named.or(hit).or(lines.next_back()).unwrap_or("no output");
    line.trim().chars().take(200).collect()
}

/// Runs `command` quietly and returns what it prints.
pub fn ask(command: &mut Command) -> Result<String> {
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

/// Writes `text` to `path` unless it is there already, so that its time stamp means a change.
pub fn write_if_new(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    fs::write(path, text).with_context(|| path.display().to_string())?;
    Ok(true)
}
