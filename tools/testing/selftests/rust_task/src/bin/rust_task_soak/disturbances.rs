// SPDX-License-Identifier: GPL-2.0

//! Kills, ptrace stops, cgroup freezes and CPU hotplug.

use crate::counters::{self, Event};
use anyhow::{Context, Result};
use fastrand::Rng;
use nix::{
    mount::{mount, MsFlags},
    sys::{
        ptrace,
        signal::{kill, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::Pid,
};
use rust_task::child::in_child;
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

const ROOT: &str = "/tmp/cgroup";
const CPU: &str = "/sys/devices/system/cpu/cpu1/online";
/// More than the workloads need, and less than `allocate_too_much()` takes.
const MEMORY: &str = "32M";

/// The cgroup of all workloads.
pub struct Group(PathBuf);

impl Group {
    pub fn new() -> Result<Self> {
        let root = Path::new(ROOT);
        if !root.join("cgroup.procs").exists() {
            fs::create_dir_all(root)?;
            let none = MsFlags::empty();
            mount(Some("cgroup2"), root, Some("cgroup2"), none, None::<&str>).context("cgroup2")?;
        }
        fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        let group = Self(root.join("soak"));
        fs::create_dir(&group.0)?;
        group.set("memory.max", MEMORY)?;
        Ok(group)
    }

    fn set(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.0.join(file), value).with_context(|| file.to_owned())
    }

    /// Moves the calling process into the cgroup.
    pub fn join(&self) -> Result<()> {
        self.set("cgroup.procs", "0")
    }

    pub fn processes(&self) -> Result<Vec<Pid>> {
        let text = fs::read_to_string(self.0.join("cgroup.procs"))?;
        let pids = text.lines().map(|pid| Ok(Pid::from_raw(pid.parse()?)));
        pids.collect()
    }

    /// Kills all processes of the cgroup, frozen or not.
    pub fn kill(&self) -> Result<()> {
        self.set("cgroup.freeze", "0")?;
        self.set("cgroup.kill", "1")
    }

    /// Returns the number of OOM kills.
    pub fn oom_kills(&self) -> Result<u64> {
        let events = fs::read_to_string(self.0.join("memory.events"))?;
        let count = events.lines().find_map(|l| l.strip_prefix("oom_kill "));
        Ok(count.context("no oom_kill")?.parse()?)
    }

    pub fn remove(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match fs::remove_dir(&self.0) {
                // Exiting processes keep the cgroup busy for a short time.
                Err(err)
                    if err.kind() == io::ErrorKind::ResourceBusy
                        && begin.elapsed() < Duration::from_secs(10) =>
                {
                    thread::sleep(Duration::from_millis(20));
                }
                other => return Ok(other?),
            }
        }
    }
}

/// Does one random disturbance.
pub fn one(group: &Group, rng: &mut Rng) -> Result<()> {
    let victim = rng.choice(group.processes()?);
    match rng.u32(0..40) {
        0..=11 => {
            if victim.is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok()) {
                counters::add(Event::Killed, 1);
            }
        }
        12..=17 => {
            if let Some(pid) = victim {
                // The process may exit at any time, or be a zombie.
                in_child(|| {
                    let _ = trace(pid);
                    Ok(())
                })?;
            }
        }
        18 | 19 => {
            group.set("cgroup.freeze", "1")?;
            thread::sleep(Duration::from_millis(rng.u64(1..30)));
            // A frozen process can be killed, too.
            if victim.is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok()) {
                counters::add(Event::Killed, 1);
            }
            group.set("cgroup.freeze", "0")?;
            counters::add(Event::Frozen, 1);
        }
        20 => {
            fs::write(CPU, "0").context(CPU)?;
            thread::sleep(Duration::from_millis(rng.u64(1..30)));
            fs::write(CPU, "1").context(CPU)?;
            counters::add(Event::Unplugged, 1);
        }
        21 => fs::write("/proc/sys/vm/drop_caches", "3")?,
        _ => thread::sleep(Duration::from_millis(rng.u64(1..40))),
    }
    Ok(())
}

/// Plugs the CPU in again.
pub fn end() -> Result<()> {
    match fs::read_to_string(CPU)?.trim() {
        "1" => Ok(()),
        _ => fs::write(CPU, "1").context(CPU),
    }
}

/// Stops a process at its system calls for some time. The exit of the tracer detaches it.
fn trace(pid: Pid) -> Result<()> {
    ptrace::seize(pid, ptrace::Options::empty())?;
    ptrace::interrupt(pid)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(50) {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::StillAlive => thread::sleep(Duration::from_millis(1)),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => break,
            _ => {
                counters::add(Event::Traced, 1);
                ptrace::syscall(pid, None)?;
            }
        }
    }
    Ok(())
}
