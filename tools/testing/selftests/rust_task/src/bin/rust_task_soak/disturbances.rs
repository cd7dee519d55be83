// SPDX-License-Identifier: GPL-2.0

//! Kills, ptrace stops, cgroup freezes and CPU hotplug.

use crate::counters::{self, Event};
use anyhow::{Context, Result};
use fastrand::Rng;
use nix::{
    sys::{
        ptrace,
        signal::{kill, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::Pid,
};
use rust_task::{cgroup::Group, child::in_child};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

const CPU: &str = "/sys/devices/system/cpu/cpu1/online";
/// More than the workloads need, and less than `allocate_too_much()` takes.
const MEMORY: &str = "32M";

/// Creates the cgroup of all workloads.
pub fn group() -> Result<Group> {
    let group = Group::new("soak", "+memory")?;
    group.set("memory.max", MEMORY)?;
    Ok(group)
}

/// Returns the number of OOM kills.
pub fn oom_kills(group: &Group) -> Result<u64> {
    group.get("memory.events", "oom_kill")
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
            group.thaw()?;
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
