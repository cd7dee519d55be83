// SPDX-License-Identifier: GPL-2.0

//! The guest's first process: mounts, loads the modules, runs programs, reboots.
//!
//! What they say goes to the second serial port, away from the kernel's log.

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
    // QEMU was told to end instead of rebooting.
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
            // Only the kernel with the checkers has it.
            Err(Errno::ENOENT) if kind == "debugfs" => {}
            Err(err) => eprintln!("init: {at}: {err}"),
        }
    }

    let mut port = open_port().context("/dev/ttyS1")?;
    let words = fs::read_to_string("/proc/cmdline")?;
    // Which folders' programs are wanted, such as /selftests.
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

/// Opens the serial port so that bytes pass as they are, and no input comes back as output.
fn open_port() -> Result<File> {
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open("/dev/ttyS1")?;
    let mut settings = tcgetattr(&port)?;
    cfmakeraw(&mut settings);
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    Ok(port)
}

fn modules(dir: &str, port: &mut File) -> Result<()> {
    for module in sorted(dir, |path| path.extension() == Some("ko".as_ref()))? {
        let file = File::open(&module)?;
        // The tests say what is missing without it.
        if let Err(err) = finit_module(&file, c"", ModuleInitFlags::empty()) {
            writeln!(port, "# {}: {err}", module.display())?;
        }
    }
    Ok(())
}

/// Runs the programs of a folder, after the modules that they need.
fn programs(dir: &str, port: &mut File) -> Result<()> {
    modules(dir, port)?;
    let executable =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    // The kernel hands on words that it does not know.
    let only = env::var("only").ok();
    for program in sorted(dir, executable)? {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        writeln!(port, "# program {name}")?;
        let how = match run_to_end(&program, port)? {
            WaitStatus::Exited(_, 0) => continue,
            WaitStatus::Exited(_, code) => format!("exit status {code}"),
            WaitStatus::Signaled(_, signal, _) => signal.to_string(),
            other => format!("{other:?}"),
        };
        writeln!(port, "# died: {how}")?;
    }
    Ok(())
}

/// Has the kernel look for memory that nobody knows any more, if it can.
///
/// What it finds it says in its log, which fails the run; here is where it was taken.
fn find_leaks(port: &mut File) -> Result<()> {
    let path = "/sys/kernel/debug/kmemleak";
    if !Path::new(path).exists() {
        return Ok(());
    }
    // An object that a thread is just about to store is reported in the second scan only if it
    // is still unknown then, and none that is younger than 5 s.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(6));
        fs::write(path, "scan")?;
    }
    for line in fs::read_to_string(path)?.lines() {
        writeln!(port, "# kmemleak: {line}")?;
    }
    Ok(())
}

/// Runs a program, and ends what it leaves behind, which must not talk into what comes next.
fn run_to_end(program: &Path, port: &File) -> Result<WaitStatus> {
    let child = Command::new(program)
        .stdin(Stdio::null())
        .stdout(port.try_clone()?)
        .stderr(port.try_clone()?)
        .spawn()
        .with_context(|| program.display().to_string())?;
    let child = Pid::from_raw(child.id().try_into()?);
    let status = loop {
        // Others are orphans, which are this process's to reap.
        let status = wait()?;
        if status.pid() == Some(child) {
            break status;
        }
    };
    let everybody = Pid::from_raw(-1);
    let _ = kill(everybody, Signal::SIGKILL);
    // Whoever is stuck is told of by the kernel, and need not be waited for.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        match waitpid(everybody, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(status)
}

/// The paths in a directory that are `wanted`, by name.
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
