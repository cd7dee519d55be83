// SPDX-License-Identifier: GPL-2.0

//! The oracle: what /proc says.

use anyhow::{Context, Result};
use std::{fs, str::FromStr};

/// A `status` file.
pub struct Status(String);

impl Status {
    /// That of the calling thread, as the namespace of the /proc mount sees it.
    pub fn of_this_thread() -> Result<Self> {
        Ok(Self(fs::read_to_string("/proc/thread-self/status")?))
    }

    /// That of process `pid`.
    pub fn of(pid: i32) -> Result<Self> {
        Ok(Self(fs::read_to_string(format!("/proc/{pid}/status"))?))
    }

    fn fields(&self, name: &str) -> Option<Vec<&str>> {
        let rest = self
            .0
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        Some(rest.split_whitespace().collect())
    }

    /// Whether there is such a line.
    pub fn has(&self, name: &str) -> bool {
        self.fields(name).is_some()
    }

    /// How many values the line has.
    pub fn count(&self, name: &str) -> Result<usize> {
        Ok(self
            .fields(name)
            .with_context(|| format!("no {name} in status"))?
            .len())
    }

    /// The value of number `n`.
    pub fn nth(&self, name: &str, n: usize) -> Result<String> {
        let fields = self
            .fields(name)
            .with_context(|| format!("no {name} in status"))?;
        let value = fields
            .get(n)
            .with_context(|| format!("{name} is too short"))?;
        Ok(value.to_string())
    }

    /// The first value.
    pub fn one(&self, name: &str) -> Result<String> {
        self.nth(name, 0)
    }

    /// The last value.
    pub fn last(&self, name: &str) -> Result<String> {
        self.nth(name, self.count(name)? - 1)
    }

    fn signals(&self, name: &str) -> Result<u64> {
        Ok(u64::from_str_radix(&self.one(name)?, 16)?)
    }

    /// The signals that were sent and not delivered yet, blocked or not.
    pub fn signals_sent(&self) -> Result<u64> {
        Ok(self.signals("SigPnd")? | self.signals("ShdPnd")?)
    }

    /// Whether a signal waits that is not blocked.
    pub fn signal_pending(&self) -> Result<bool> {
        Ok(self.signals_sent()? & !self.signals("SigBlk")? != 0)
    }
}

/// How many kB of the area that begins at `start` are resident.
pub fn rss(start: u64) -> Result<u64> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let head = format!("{start:08x}-");
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&head));
    let rss = lines
        .find_map(|line| line.strip_prefix("Rss:"))
        .context("no such area in smaps")?;
    Ok(u64::from_str(rss.trim().trim_end_matches(" kB"))?)
}
