// SPDX-License-Identifier: GPL-2.0

//! Compares the driver `rust_softdog` with C's softdog, by the program `watchdog-test` of the
//! kernel, and lets a timeout pass.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    libc,
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use rust_task::{
    ioctl::{ask, call, ior, iowr},
    ktap::{self, did, Test},
};
use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

#[path = "../../../../../../samples/rust/rust_softdog_abi.rs"]
mod abi;

const TESTS: &[Test] = &[
    ("options of watchdog-test", options),
    ("watchdog-test until a signal", pings),
    ("a second open()", second_open),
    ("bad arguments", bad_arguments),
    ("timeout that passes", timeout),
    ("file that is closed while the watchdog runs", closed),
    ("module that goes while the watchdog runs", module),
];

const OURS: &str = "/dev/rust_softdog";
const C: &str = "/dev/watchdog";
const PROGRAM: &str = "/watchdog/watchdog-test";
const MODULE: &str = "/modules/rust_softdog.ko";

const GETSTATUS: u32 = ior::<u32>(abi::MAGIC, abi::GETSTATUS);
const SETOPTIONS: u32 = ior::<u32>(abi::MAGIC, abi::SETOPTIONS);
const SETTIMEOUT: u32 = iowr::<u32>(abi::MAGIC, abi::SETTIMEOUT);
const GETTIMELEFT: u32 = ior::<u32>(abi::MAGIC, abi::GETTIMELEFT);

/// Arguments with which the program ends by itself.
const ARGUMENTS: &[&[&str]] = &[
    &["-i"],
    &["-b"],
    &["-s"],
    &["-s", "-s"],
    &["-T"],
    &["-t", "5", "-T"],
    &["-t", "65535", "-T"],
    &["-t", "65536", "-T"],
    &["-t", "0", "-T"],
    &["-n", "3"],
    &["-N"],
    &["-d", "-s"],
    &["-d", "-d", "-s"],
    &["-d", "-s", "-e", "-s"],
    &["-e", "-T"],
    &["-d", "-t", "7", "-T"],
    &["-t", "60", "-T"],
];

fn run(device: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(PROGRAM)
        .args(["-f", device])
        .args(arguments)
        .output()
        .context(PROGRAM)?;
    let text = String::from_utf8(output.stdout)?;
    Ok(format!("{text}{:?}", output.status.code()))
}

fn options() -> Result<()> {
    for arguments in ARGUMENTS {
        // If a watchdog in C is not running when its file is closed, it keeps the flag that says
        // that it may be stopped. This clears it.
        run(C, &["-T"])?;
        let (c, ours) = (run(C, arguments)?, run(OURS, arguments)?);
        ensure!(c == ours, "{arguments:?}: C {c:?}, ours {ours:?}");
        ensure!(c.contains('\n'), "{arguments:?}: {c:?}");
    }
    did("calls of watchdog-test", ARGUMENTS.len());
    Ok(())
}

/// Returns what the program prints until it is interrupted. It pings each second.
fn pinged(device: &str) -> Result<String> {
    let mut child = Command::new(PROGRAM)
        .args(["-f", device, "-t", "2", "-p", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .context(PROGRAM)?;
    sleep(Duration::from_millis(3500));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT)?;
    let mut text = String::new();
    let stdout = child.stdout.as_mut().context("no standard output")?;
    stdout.read_to_string(&mut text)?;
    Ok(format!("{text}{:?}", child.wait()?.code()))
}

fn pings() -> Result<()> {
    let mut log = Log::open()?;
    let ours = pinged(OURS)?;
    // A busy machine may delay a ping.
    let dots = ours.matches('.').count();
    let c = pinged(C)?;
    let without_dots = |text: &str| text.replace('.', "");
    ensure!(
        without_dots(&c) == without_dots(&ours),
        "C {c:?}, ours {ours:?}"
    );
    ensure!(dots >= 2, "{ours:?}");
    ensure!(
        !log.has(abi::TRIGGERED, Duration::ZERO)?,
        "the timeout has passed"
    );
    Ok(())
}

/// The messages of the kernel after the call of `open()`.
struct Log(File);

impl Log {
    fn open() -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .context("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// Waits for a message of the driver.
    fn has(&mut self, message: &str, limit: Duration) -> Result<bool> {
        let begin = Instant::now();
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(len) => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    if text.contains("rust_softdog") && text.contains(message) {
                        return Ok(true);
                    }
                }
                Err(err) if err.kind() == ErrorKind::WouldBlock => {
                    if begin.elapsed() >= limit {
                        return Ok(false);
                    }
                    sleep(Duration::from_millis(20));
                }
                Err(err) => return Err(err).context("/dev/kmsg"),
            }
        }
    }
}

fn open(device: &str) -> std::io::Result<File> {
    OpenOptions::new().write(true).open(device)
}

/// Stops the watchdog.
fn stop(mut file: File) -> Result<()> {
    file.write_all(&[abi::MAGIC_CLOSE])?;
    Ok(())
}

fn second_open() -> Result<()> {
    for device in [C, OURS] {
        let first = open(device).context(device)?;
        let second = open(device).map(drop).map_err(|err| err.raw_os_error());
        ensure!(second == Err(Some(libc::EBUSY)), "{device}: {second:?}");
        stop(first)?;
        stop(open(device)?)?;
    }
    Ok(())
}

fn write_from_nowhere(file: &File) -> Result<isize, Errno> {
    // SAFETY: The kernel finds no memory at this address.
    Errno::result(unsafe { libc::write(file.as_raw_fd(), 8 as *const _, 100) })
}

fn bad_arguments() -> Result<()> {
    for device in [C, OURS] {
        let file = open(device).context(device)?;
        for (command, error) in [
            (GETSTATUS, Errno::EFAULT),
            (SETOPTIONS, Errno::EFAULT),
            (SETTIMEOUT, Errno::EFAULT),
            (iowr::<u32>(abi::MAGIC, abi::SETPRETIMEOUT), Errno::EFAULT),
            (ior::<u64>(abi::MAGIC, abi::GETSTATUS), Errno::ENOTTY),
            (ior::<u32>(abi::MAGIC, 11), Errno::ENOTTY),
        ] {
            let result = call(&file, command, 8);
            ensure!(result == Err(error), "{device}: {command:#x}: {result:?}");
        }
        let result = write_from_nowhere(&file);
        ensure!(result == Err(Errno::EFAULT), "{device}: {result:?}");
        stop(file)?;
    }
    Ok(())
}

fn timeout() -> Result<()> {
    let mut log = Log::open()?;
    let file = open(OURS)?;
    ensure!(ask(&file, SETTIMEOUT, 3)? == 3);
    let begin = Instant::now();
    let left = ask(&file, GETTIMELEFT, 0u32)?;
    ensure!((2..=3).contains(&left), "{left}");
    let limit = Duration::from_secs(20);
    ensure!(log.has(abi::TRIGGERED, limit)?, "the timeout does not pass");
    ensure!(
        begin.elapsed() > Duration::from_millis(2900),
        "{:?}",
        begin.elapsed()
    );
    ensure!(ask(&file, GETTIMELEFT, 1u32)? == 0);
    // It runs again after the next ping.
    ask(&file, SETTIMEOUT, 1)?;
    ensure!(log.has(abi::TRIGGERED, limit)?, "it does not pass again");
    // A watchdog that is stopped does not trigger.
    ask(&file, SETTIMEOUT, 1)?;
    ask(&file, SETOPTIONS, abi::WDIOS_DISABLECARD)?;
    let after = Duration::from_millis(2500);
    ensure!(
        !log.has(abi::TRIGGERED, after)?,
        "it passes when it is stopped"
    );
    ask(&file, SETTIMEOUT, 60)?;
    stop(file)
}

fn closed() -> Result<()> {
    let limit = Duration::from_secs(20);
    // Only the last write counts, also if it fails.
    for fails in [false, true] {
        let mut log = Log::open()?;
        let mut file = open(OURS)?;
        ask(&file, SETTIMEOUT, 1)?;
        file.write_all(&[abi::MAGIC_CLOSE])?;
        match fails {
            true => ensure!(write_from_nowhere(&file) == Err(Errno::EFAULT)),
            false => file.write_all(b"-")?,
        }
        drop(file);
        ensure!(log.has("did not stop", limit)?, "{fails}: it stops");
        ensure!(log.has(abi::TRIGGERED, limit)?, "{fails}: no timeout");
    }
    let file = open(OURS)?;
    ask(&file, SETTIMEOUT, 60)?;
    stop(file)
}

fn module() -> Result<()> {
    let mut log = Log::open()?;
    let file = open(OURS)?;
    ask(&file, SETTIMEOUT, 1)?;
    drop(file);
    let mut result = Err(Errno::EAGAIN);
    while result == Err(Errno::EAGAIN) {
        result = delete_module(c"rust_softdog", DeleteModuleFlags::O_NONBLOCK);
    }
    result.context("delete_module()")?;
    ensure!(!Path::new(OURS).exists(), "{OURS} remains");
    let after = Duration::from_millis(2500);
    ensure!(
        !log.has(abi::TRIGGERED, after)?,
        "the timer expires without the module"
    );
    let file = File::open(MODULE).context(MODULE)?;
    finit_module(&file, c"", ModuleInitFlags::empty()).context("finit_module()")?;
    stop(open(OURS)?)
}

fn main() -> Result<()> {
    ktap::run(TESTS)
}
