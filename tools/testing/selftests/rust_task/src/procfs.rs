// SPDX-License-Identifier: GPL-2.0

//! The oracle: what /proc says.

use crate::device::abi;
use anyhow::{ensure, Context, Result};
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

    /// All of the line.
    pub fn line(&self, name: &str) -> Result<String> {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        Ok(line
            .with_context(|| format!("no {name} in status"))?
            .to_owned())
    }

    /// The first value.
    pub fn one(&self, name: &str) -> Result<String> {
        self.nth(name, 0)
    }

    /// The last value.
    pub fn last(&self, name: &str) -> Result<String> {
        self.nth(name, self.count(name)? - 1)
    }

    /// Compares what the device tells of this thread, and fails with the first difference.
    pub fn agrees_with(&self, info: &abi::TaskInfo) -> Result<()> {
        for (name, told, expected) in [
            ("pid", info.pid, self.one("Pid")?),
            ("tgid", info.tgid, self.one("Tgid")?),
            ("leader", info.leader, self.one("Tgid")?),
            ("ns_tgid", info.ns_tgid, self.last("NStgid")?),
        ] {
            ensure!(
                told.to_string() == expected,
                "{name} is {told} instead of {expected}"
            );
        }
        ensure!(info.has_mm == 1, "a process has no address space");
        Ok(())
    }

    /// A set of signals.
    pub fn signals(&self, name: &str) -> Result<u64> {
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

/// A `stat` file.
pub struct Stat(Vec<String>);

impl Stat {
    /// How many nanoseconds a tick of these files has.
    pub const TICK: u64 = 10_000_000;

    /// That of process or thread `pid`.
    pub fn of(pid: i32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name comes before, and may hold anything.
        let (_, rest) = text.rsplit_once(')').context("stat has no name")?;
        Ok(Self(rest.split_whitespace().map(str::to_owned).collect()))
    }

    /// The field that proc(5) gives this number.
    fn field(&self, number: usize) -> Result<&str> {
        let field = number.checked_sub(3).and_then(|at| self.0.get(at));
        Ok(field.with_context(|| format!("stat has no field {number}"))?)
    }

    /// 0 for a task that has not ended, 1 for a zombie, 2 for a dead one.
    pub fn exit_state(&self) -> Result<u32> {
        Ok(match self.field(3)? {
            "Z" => 1,
            "X" => 2,
            _ => 0,
        })
    }

    pub fn nice(&self) -> Result<i32> {
        Ok(self.field(19)?.parse()?)
    }

    /// When it was started, in ticks.
    pub fn start_time(&self) -> Result<u64> {
        Ok(self.field(22)?.parse()?)
    }

    /// The CPU that it runs on, or ran on last.
    pub fn cpu(&self) -> Result<u32> {
        Ok(self.field(39)?.parse()?)
    }
}

/// How many files a process may have open.
pub fn files_limit(pid: i32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    Ok(soft.context("limits has no open files")?.parse()?)
}

/// One line of /proc/self/maps.
#[derive(Debug)]
pub struct Area {
    pub start: u64,
    pub end: u64,
    /// As the device tells them.
    pub flags: u64,
    /// Whether it has pages of the device.
    pub of_device: bool,
    /// Whether it is one of the drivers whose areas have data.
    pub has_data: bool,
}

impl Area {
    /// Reads a line. The vsyscall page is listed but is no area of the process, so it is `None`.
    ///
    /// Nothing is allocated, so that the areas stay as they are.
    pub fn parse(line: &str) -> Result<Option<Self>> {
        if line.ends_with("[vsyscall]") {
            return Ok(None);
        }
        let area = Self::fields(line).context("a line of maps is not understood")?;
        Ok(Some(area))
    }

    fn fields(line: &str) -> Option<Self> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let letters = [
            (0, b'r', abi::READ),
            (1, b'w', abi::WRITE),
            (2, b'x', abi::EXEC),
            (3, b's', abi::SHARED),
        ];
        let set = |(at, letter, _): &(usize, u8, u64)| rest.as_bytes().get(*at) == Some(letter);
        let hex = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Self {
            start: hex(start)?,
            end: hex(end)?,
            flags: letters
                .iter()
                .filter(|l| set(l))
                .fold(0, |all, l| all | l.2),
            of_device: line.ends_with(" /dev/rust_task_info"),
            has_data: line.contains(" /dev/rust_vma_"),
        })
    }

    /// The area that holds `addr`.
    pub fn at(addr: u64) -> Result<Option<Self>> {
        for line in fs::read_to_string("/proc/self/maps")?.lines() {
            if let Some(area) = Self::parse(line)?.filter(|a| (a.start..a.end).contains(&addr)) {
                return Ok(Some(area));
            }
        }
        Ok(None)
    }

    /// Whether the device has told the same.
    pub fn is(&self, told: &abi::VmaInfo) -> bool {
        (self.start, self.end, self.flags) == (told.start, told.end, told.flags)
    }
}

/// The two letters for each flag of the area that begins at `addr`.
pub fn flags_of(addr: u64) -> Result<String> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut lines = smaps
        .lines()
        .skip_while(|line| !line.starts_with(&format!("{addr:x}-")));
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    Ok(flags.context("no area")?.to_owned())
}

/// Flags as /proc/self/maps writes them.
pub fn rights(flags: u64) -> String {
    let letter = |bit, set, clear| if flags & bit != 0 { set } else { clear };
    [
        letter(abi::READ, 'r', '-'),
        letter(abi::WRITE, 'w', '-'),
        letter(abi::EXEC, 'x', '-'),
        letter(abi::SHARED, 's', 'p'),
    ]
    .iter()
    .collect()
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
