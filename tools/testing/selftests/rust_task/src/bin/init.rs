// SPDX-License-Identifier: GPL-2.0

//! The init process of the guest: mounts file systems, loads modules, runs programs, reboots.
//!
//! The output of the programs goes to the device that the parameter `results` names, separate from the
//! kernel log.

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    kmod::{finit_module, ModuleInitFlags},
    mount::{mount, MsFlags},
    sys::{
        reboot::{reboot, RebootMode},
        signal::{kill, Signal},
        termios::{cfmakeraw, tcdrain, tcgetattr, tcsetattr, SetArg},
        wait::{wait, waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::Pid,
};
use std::{
    env,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn main() {
    let port = std::panic::catch_unwind(run);
    if let Ok(Err(err)) = port {
        eprintln!("init: {err:#}");
    }
    // QEMU runs with -no-reboot, so this ends it.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

fn run() -> Result<()> {
    let file_systems = [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
        ("debugfs", "/sys/kernel/debug"),
    ];
    for (kind, at) in file_systems {
        match mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>) {
            // The kernel may have mounted /dev already.
            Ok(()) | Err(Errno::EBUSY) => {}
            // Not every configuration has debugfs.
            Err(Errno::ENOENT) if kind == "debugfs" => {}
            Err(err) => eprintln!("init: {at}: {err}"),
        }
    }

    // The kernel passes unknown parameters as environment variables.
    let port = env::var("results").context("results=")?;
    let mut port = open_port(&port).context(port)?;
    let words = fs::read_to_string("/proc/cmdline")?;
    // The directories of the programs to run, such as /selftests.
    if let Some(dirs) = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix("programs="))
    {
        if let Err(err) = modules("/modules", &mut port)
            .and_then(|()| dirs.split(',').try_for_each(|dir| programs(dir, &mut port)))
        {
            writeln!(port, "# init: {err:#}")?;
        }
    }
    find_leaks(&mut port)?;
    writeln!(port, "# guest done")?;
    tcdrain(&port)?;
    Ok(())
}

/// Opens a terminal device in raw mode, without echo.
fn open_port(name: &str) -> Result<File> {
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(Path::new("/dev").join(name))?;
    let mut settings = tcgetattr(&port)?;
    cfmakeraw(&mut settings);
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    Ok(port)
}

fn modules(dir: &str, port: &mut File) -> Result<()> {
    for module in sorted(dir, |path| path.extension() == Some("ko".as_ref()))? {
        let file = File::open(&module)?;
        // The tests report which device is missing.
        if let Err(err) = finit_module(&file, c"", ModuleInitFlags::empty()) {
            writeln!(port, "# {}: {err}", module.display())?;
        }
    }
    Ok(())
}

/// Loads the modules of a directory, and runs its programs.
fn programs(dir: &str, port: &mut File) -> Result<()> {
    modules(dir, port)?;
    let executable =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    let only = env::var("only").ok();
    for program in sorted(dir, executable)? {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        writeln!(port, "# program {name}")?;
        let status = match run_to_end(&program, port)? {
            WaitStatus::Exited(_, 0) => continue,
            WaitStatus::Exited(_, code) => format!("exit status {code}"),
            WaitStatus::Signaled(_, signal, _) => signal.to_string(),
            other => format!("{other:?}"),
        };
        writeln!(port, "# died: {status}")?;
    }
    Ok(())
}

/// Runs kmemleak, if the kernel has it.
///
/// The kernel log reports leaks, which makes the run fail; the output here has their stack traces.
fn find_leaks(port: &mut File) -> Result<()> {
    let path = "/sys/kernel/debug/kmemleak";
    if !Path::new(path).exists() {
        return Ok(());
    }
    // An object whose pointer is only in a register is reported if a second scan does not find it
    // either. Objects younger than 5 s are not reported.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(6));
        fs::write(path, "scan")?;
    }
    for line in fs::read_to_string(path)?.lines() {
        writeln!(port, "# kmemleak: {line}")?;
    }
    Ok(())
}

/// Runs a program, and then kills all remaining processes, so that they do not affect the next one.
fn run_to_end(program: &Path, port: &File) -> Result<WaitStatus> {
    let child = Command::new(program)
        .stdin(Stdio::null())
        .stdout(port.try_clone()?)
        .stderr(port.try_clone()?)
        .spawn()
        .with_context(|| program.display().to_string())?;
    let child = Pid::from_raw(child.id().try_into()?);
    let status = loop {
        // Other PIDs are those of orphans, which init must reap.
        let status = wait()?;
        if status.pid() == Some(child) {
            break status;
        }
    };
    let all = Pid::from_raw(-1);
    let _ = kill(all, Signal::SIGKILL);
    // The kernel reports hung tasks, so the wait is limited.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        match waitpid(all, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(status)
}

/// Returns the paths in a directory that are `wanted`, sorted by name.
fn sorted(dir: &str, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .with_context(|| dir.to_owned())?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| wanted(path))
        .collect();
    paths.sort();
    Ok(paths)
}
