// SPDX-License-Identifier: GPL-2.0

//! The guest's first process: mounts, loads the modules, runs the selftests, reboots.
//!
//! What they say goes to the second serial port, away from the kernel's log.

use anyhow::{Context, Result};
use nix::{
    kmod::{finit_module, ModuleInitFlags},
    mount::{mount, MsFlags},
    sys::reboot::{reboot, RebootMode},
};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Command, Stdio},
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
    ];
    for (kind, at) in file_systems {
        // /dev is mounted by the kernel already.
        if let Err(err) = mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>) {
            eprintln!("init: {at}: {err}");
        }
    }

    let mut port = OpenOptions::new()
        .write(true)
        .open("/dev/ttyS1")
        .context("/dev/ttyS1")?;
    let words = fs::read_to_string("/proc/cmdline")?;
    if !words.split_whitespace().any(|word| word == "selftests=off") {
        selftests(&mut port)?;
    }
    writeln!(port, "# guest done")?;
    // SAFETY: The descriptor is open.
    unsafe { libc::tcdrain(port.as_raw_fd()) };
    Ok(())
}

fn selftests(port: &mut File) -> Result<()> {
    for module in sorted("/modules")? {
        let file = File::open(&module)?;
        finit_module(&file, c"", ModuleInitFlags::empty())
            .with_context(|| module.display().to_string())?;
    }
    for program in sorted("/selftests")? {
        let status = Command::new(&program)
            .stdin(Stdio::null())
            .stdout(port.try_clone()?)
            .stderr(port.try_clone()?)
            .status()
            .with_context(|| program.display().to_string())?;
        if !status.success() {
            writeln!(port, "# {}: {status}", program.display())?;
        }
    }
    Ok(())
}

fn sorted(dir: &str) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(dir)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    Ok(paths)
}
