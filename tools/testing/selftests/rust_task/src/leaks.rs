// SPDX-License-Identifier: GPL-2.0

//! What of the kernel's memory is in use, and whether it is given back.

use crate::ktap;
use anyhow::{bail, Context, Result};
use nix::unistd::sync;
use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

/// What a process is made of. Each level of PID namespaces has a cache for its `struct pid`.
const CACHES: &[&str] = &[
    "task_struct",
    "mm_struct",
    "vm_area_struct",
    "pid_namespace",
    "pid",
    "pid_2",
    "pid_3",
    "pid_4",
];
/// How many pages may be in other hands than before: lists of each CPU, and of page tables' allocators.
const SLACK: i64 = 1024;
/// How long things take that are given back later: RCU, KASAN's quarantine, work items.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of these there is one for each thread, and the kernel starts and ends threads of its own.
const OF_THREADS: &[&str] = &["task_struct", "pid"];

/// How many objects each cache has that no thread accounts for, and how many pages are free.
#[derive(Debug)]
pub struct InUse {
    objects: BTreeMap<&'static str, i64>,
    free: i64,
}

impl InUse {
    /// Counts, after all that is kept without need has been given back.
    pub fn now() -> Result<Self> {
        sync();
        fs::write("/proc/sys/vm/drop_caches", "3")?;
        for cache in fs::read_dir("/sys/kernel/slab")?.flatten() {
            // One may be gone by now.
            let _ = fs::write(cache.path().join("shrink"), "1");
        }
        let slabs = fs::read_to_string("/proc/slabinfo").context("/proc/slabinfo")?;
        let count = |name: &str| {
            let line = slabs.lines().find(|l| l.split(' ').next() == Some(name));
            let active = line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok());
            active.unwrap_or(0)
        };
        let memory = fs::read_to_string("/proc/vmstat")?;
        let free = memory
            .lines()
            .find_map(|l| l.strip_prefix("nr_free_pages "))
            .context("no nr_free_pages in /proc/vmstat")?
            .parse()?;
        let threads = threads()?;
        let unaccounted = |name: &&'static str| {
            let of_threads = if OF_THREADS.contains(name) {
                threads
            } else {
                0
            };
            (*name, count(name) - of_threads)
        };
        Ok(Self {
            objects: CACHES.iter().map(unaccounted).collect(),
            free,
        })
    }

    /// Waits until no more is in use than there was before, and fails if that does not come.
    pub fn has_come_back(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let now = Self::now()?;
            let more = now.more_than(self);
            if more.is_empty() || begin.elapsed() > PATIENCE {
                for (name, count) in &now.objects {
                    ktap::did(
                        name,
                        format!("{} before, {count} after", self.objects[name]),
                    );
                }
                ktap::did(
                    "free pages",
                    format!("{} before, {} after", self.free, now.free),
                );
                if !more.is_empty() {
                    bail!("left over: {}", more.join(", "));
                }
                return Ok(());
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// What there is more of than `before`.
    fn more_than(&self, before: &Self) -> Vec<String> {
        let objects = self.objects.iter().filter_map(|(name, count)| {
            let more = count - before.objects[name];
            (more > 0).then(|| format!("{more} {name}"))
        });
        let pages = before.free - self.free;
        objects
            .chain((pages > SLACK).then(|| format!("{pages} pages")))
            .collect()
    }
}

/// How many threads there are, the kernel's included.
fn threads() -> Result<i64> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().into_string().unwrap_or_default();
        if pid.parse::<u32>().is_ok() {
            // It may end just now.
            count += fs::read_dir(entry.path().join("task")).map_or(0, Iterator::count) as i64;
        }
    }
    Ok(count)
}
