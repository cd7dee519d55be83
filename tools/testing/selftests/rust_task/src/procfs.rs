// SPDX-License-Identifier: GPL-2.0

//! Parsers of files in /proc, with which the results of the crate are compared.

use crate::{device::abi, memory::PAGE};
use anyhow::{ensure, Context, Result};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    str::FromStr,
};

/// The content of `/proc/PID/status`.
pub struct Status(String);

impl Status {
    /// Reads the file of the calling thread. PIDs are those of the PID namespace of the /proc
    /// mount.
    pub fn of_this_thread() -> Result<Self> {
        Ok(Self(fs::read_to_string("/proc/thread-self/status")?))
    }

    /// Reads the file of task `pid`.
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

    /// Returns whether there is a line of this name.
    pub fn has(&self, name: &str) -> bool {
        self.fields(name).is_some()
    }

    /// Returns the number of values of the line.
    pub fn count(&self, name: &str) -> Result<usize> {
        Ok(self
            .fields(name)
            .with_context(|| format!("no {name} in status"))?
            .len())
    }

    /// Returns value `n` of the line.
    pub fn nth(&self, name: &str, n: usize) -> Result<String> {
        let fields = self
            .fields(name)
            .with_context(|| format!("no {name} in status"))?;
        let value = fields
            .get(n)
            .with_context(|| format!("{name} is too short"))?;
        Ok(value.to_string())
    }

    /// Returns the whole line without the name.
    pub fn line(&self, name: &str) -> Result<String> {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        Ok(line
            .with_context(|| format!("no {name} in status"))?
            .to_owned())
    }

    /// Returns the first value of the line.
    pub fn one(&self, name: &str) -> Result<String> {
        self.nth(name, 0)
    }

    /// Returns the last value of the line.
    pub fn last(&self, name: &str) -> Result<String> {
        self.nth(name, self.count(name)? - 1)
    }

    /// Compares the information of the driver about this thread, and returns an error for the first
    /// difference.
    pub fn agrees_with(&self, info: &abi::TaskInfo) -> Result<()> {
        for (name, value, expected) in [
            ("pid", info.pid, self.one("Pid")?),
            ("tgid", info.tgid, self.one("Tgid")?),
            ("leader", info.leader, self.one("Tgid")?),
            ("ns_tgid", info.ns_tgid, self.last("NStgid")?),
        ] {
            ensure!(
                value.to_string() == expected,
                "{name} is {value} instead of {expected}"
            );
        }
        ensure!(info.has_mm == 1, "a process has no address space");
        Ok(())
    }

    /// Returns a set of signals.
    pub fn signals(&self, name: &str) -> Result<u64> {
        Ok(u64::from_str_radix(&self.one(name)?, 16)?)
    }

    /// Returns the signals that were sent and not delivered, whether blocked or not.
    pub fn signals_sent(&self) -> Result<u64> {
        Ok(self.signals("SigPnd")? | self.signals("ShdPnd")?)
    }

    /// Returns whether a signal is pending that is not blocked.
    pub fn signal_pending(&self) -> Result<bool> {
        Ok(self.signals_sent()? & !self.signals("SigBlk")? != 0)
    }
}

/// The content of `/proc/PID/stat`.
pub struct Stat(Vec<String>);

impl Stat {
    /// The length of a tick in nanoseconds.
    pub const TICK: u64 = 10_000_000;

    /// Reads the file of task `pid`.
    pub fn of(pid: i32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name precedes the other fields, and may contain any character.
        let (_, rest) = text.rsplit_once(')').context("stat has no name")?;
        Ok(Self(rest.split_whitespace().map(str::to_owned).collect()))
    }

    /// Returns field `n`, as counted in proc(5).
    fn field(&self, n: usize) -> Result<&str> {
        let field = n.checked_sub(3).and_then(|at| self.0.get(at));
        Ok(field.with_context(|| format!("stat has no field {n}"))?)
    }

    /// Returns 1 for a zombie, 2 for a dead task, else 0.
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

    /// Returns the start time in ticks.
    pub fn start_time(&self) -> Result<u64> {
        Ok(self.field(22)?.parse()?)
    }

    /// Returns the CPU that the task is on.
    pub fn cpu(&self) -> Result<u32> {
        Ok(self.field(39)?.parse()?)
    }
}

/// Returns the soft `RLIMIT_NOFILE` of a process.
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
pub struct MapsEntry {
    pub start: u64,
    pub end: u64,
    /// The flags, as encoded in the ABI of the driver.
    pub flags: u64,
    /// Whether the VMA is one of `/dev/rust_task_info`.
    pub of_task_info: bool,
    /// Whether the VMA is one of the drivers that implement `vm_ops`.
    pub has_vm_ops: bool,
}

impl MapsEntry {
    /// Parses a line. Returns `None` for the vsyscall page, which is listed but is not a VMA of the
    /// process.
    ///
    /// Does not allocate, so that the VMAs do not change.
    pub fn parse(line: &str) -> Result<Option<Self>> {
        if line.ends_with("[vsyscall]") {
            return Ok(None);
        }
        let entry = Self::fields(line).context("a line of maps cannot be parsed")?;
        Ok(Some(entry))
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
            of_task_info: line.ends_with(" /dev/rust_task_info"),
            has_vm_ops: [" anon_inode:rust_vma_", " /dev/test_rust_vma"]
                .iter()
                .any(|file| line.contains(file)),
        })
    }

    /// Returns the entry of the VMA that contains `addr`.
    pub fn at(addr: u64) -> Result<Option<Self>> {
        for line in fs::read_to_string("/proc/self/maps")?.lines() {
            if let Some(entry) = Self::parse(line)?.filter(|e| (e.start..e.end).contains(&addr)) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Returns whether the driver has returned the same.
    pub fn agrees_with(&self, info: &abi::VmaInfo) -> bool {
        (self.start, self.end, self.flags) == (info.start, info.end, info.flags)
    }
}

/// Returns the `VmFlags` of smaps of the VMA that starts at `addr`.
pub fn flags_of(addr: u64) -> Result<String> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut lines = smaps
        .lines()
        .skip_while(|line| !line.starts_with(&format!("{addr:x}-")));
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    Ok(flags.context("no such VMA in smaps")?.to_owned())
}

/// Returns flags in the format of /proc/self/maps.
pub fn permissions(flags: u64) -> String {
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

/// Returns the resident size in kB of the VMA that starts at `start`.
pub fn rss(start: u64) -> Result<u64> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let head = format!("{start:08x}-");
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&head));
    let rss = lines
        .find_map(|line| line.strip_prefix("Rss:"))
        .context("no such VMA in smaps")?;
    Ok(u64::from_str(rss.trim().trim_end_matches(" kB"))?)
}

/// Has the kernel call each shrinker.
pub fn drop_slab() -> Result<()> {
    Ok(fs::write("/proc/sys/vm/drop_caches", "2")?)
}

/// Returns an entry of a file that has 64 bits for each page.
pub fn entry(path: &str, page: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    let file = File::open(path).with_context(|| path.to_owned())?;
    file.read_exact_at(&mut bytes, page * 8)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Returns the PFN of a page of this process, if it is present.
pub fn pfn(addr: usize) -> Result<Option<u64>> {
    const PRESENT: u64 = 1 << 63;
    const PFN: u64 = (1 << 55) - 1;
    let entry = entry("/proc/self/pagemap", (addr / PAGE) as u64)?;
    Ok((entry & PRESENT != 0).then_some(entry & PFN))
}
