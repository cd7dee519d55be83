// SPDX-License-Identifier: GPL-2.0

//! Control groups, version 2.

use crate::child::wait_for;
use anyhow::{Context, Result};
use nix::{
    mount::{mount, MsFlags},
    unistd::Pid,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const ROOT: &str = "/tmp/cgroup";

/// Returns whether the kernel has cgroups of version 2.
pub fn is_there() -> Result<bool> {
    Ok(fs::read_to_string("/proc/filesystems")?.contains("cgroup2"))
}

/// A cgroup below the root. Its processes are killed when this is dropped.
pub struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        // It may have been removed.
        let _ = self.kill().and_then(|()| self.remove());
    }
}

impl Group {
    /// Creates a cgroup, with controllers such as `+memory`.
    pub fn new(name: &str, controllers: &str) -> Result<Self> {
        let root = Path::new(ROOT);
        if !root.join("cgroup.procs").exists() {
            fs::create_dir_all(root)?;
            let none = MsFlags::empty();
            mount(Some("cgroup2"), root, Some("cgroup2"), none, None::<&str>).context("cgroup2")?;
        }
        fs::write(root.join("cgroup.subtree_control"), controllers)?;
        let group = Self(root.join(name));
        fs::create_dir(&group.0)?;
        Ok(group)
    }

    /// Writes a file of the cgroup.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.0.join(file), value).with_context(|| file.to_owned())
    }

    /// Returns a value of a file that has a name and a value in each line.
    pub fn get(&self, file: &str, name: &str) -> Result<u64> {
        let text = fs::read_to_string(self.0.join(file)).with_context(|| file.to_owned())?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let value = lines.find_map(|(key, value)| (key == name).then_some(value));
        Ok(value.with_context(|| format!("no {name}"))?.parse()?)
    }

    /// Moves the calling process into the cgroup.
    pub fn join(&self) -> Result<()> {
        self.set("cgroup.procs", "0")
    }

    /// Returns the PIDs of its processes.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let text = fs::read_to_string(self.0.join("cgroup.procs"))?;
        let pids = text.lines().map(|pid| Ok(Pid::from_raw(pid.parse()?)));
        pids.collect()
    }

    /// Freezes all processes, and waits until they are frozen.
    pub fn freeze(&self) -> Result<()> {
        self.set("cgroup.freeze", "1")?;
        wait_for("the processes are not frozen", || {
            Ok(self.get("cgroup.events", "frozen")? == 1)
        })
    }

    pub fn thaw(&self) -> Result<()> {
        self.set("cgroup.freeze", "0")
    }

    /// Kills all processes of the cgroup, frozen or not.
    pub fn kill(&self) -> Result<()> {
        self.thaw()?;
        self.set("cgroup.kill", "1")
    }

    /// Removes the cgroup when it has no process any more.
    pub fn remove(&self) -> Result<()> {
        // Exiting processes keep the cgroup busy for a short time.
        wait_for("the cgroup is busy", || match fs::remove_dir(&self.0) {
            Err(err) if err.kind() == io::ErrorKind::ResourceBusy => Ok(false),
            other => Ok(other.map(|()| true)?),
        })
    }
}
