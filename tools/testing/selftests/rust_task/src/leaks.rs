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
/// How many pages may be in other hands than before: lists of each CPU, and what the checkers note.
const SLACK: i64 = 4096;
/// How long things take that are given back later: RCU, KASAN's quarantine, work items.
const PATIENCE: Duration = Duration::from_secs(60);

const DRIVERS_OF_TESTS: &[&str] = &[
    "rust_task_info",
    "rust_vma_buffer",
    "test_rust_task",
    "test_rust_vma",
];
/// What pages are counted as that the drivers have taken.
const DRIVERS: &str = "pages of the drivers";

/// How many objects each cache has besides those of living threads and of this process's areas, and
/// how many pages are free.
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
            match line.and_then(|l| l.split_whitespace().nth(1)?.parse::<i64>().ok()) {
                // A cache for deep namespaces comes with the first of them.
                None if name.starts_with("pid_") => Ok(0),
                other => other.with_context(|| format!("no {name} in /proc/slabinfo")),
            }
        };
        let memory = fs::read_to_string("/proc/vmstat")?;
        let free: i64 = memory
            .lines()
            .find_map(|l| l.strip_prefix("nr_free_pages "))
            .context("no nr_free_pages in /proc/vmstat")?
            .parse()?;
        let (threads, areas) = (threads()?, areas()?);
        let unaccounted = |name: &&'static str| {
            let known = match *name {
                // The kernel starts and ends threads of its own.
                "task_struct" | "pid" => threads,
                // What is read here needs memory.
                "vm_area_struct" => areas,
                _ => 0,
            };
            Ok((*name, count(name)? - known))
        };
        let mut objects: BTreeMap<_, _> = CACHES.iter().map(unaccounted).collect::<Result<_>>()?;
        let taken = pages_taken()?;
        objects.insert(DRIVERS, taken.drivers);
        Ok(Self {
            objects,
            free: free + taken.shadow,
        })
    }

    /// Counts until several counts in a row are the same: what is given back later has been, then.
    pub fn settled() -> Result<Self> {
        let begin = Instant::now();
        let (mut last, mut same) = (Self::now()?, 0);
        while same < 3 && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(500));
            let next = Self::now()?;
            same = if next.objects == last.objects {
                same + 1
            } else {
                0
            };
            last = next;
        }
        Ok(last)
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

/// How many areas this process has.
fn areas() -> Result<i64> {
    Ok(fs::read_to_string("/proc/self/maps")?.lines().count() as i64)
}

/// How many pages were taken for what, as `page_owner` has noted.
struct Taken {
    /// By calls from the two drivers.
    drivers: i64,
    /// By KASAN, to watch over stacks and other mapped memory. It keeps them for long.
    shadow: i64,
}

fn pages_taken() -> Result<Taken> {
    let path = "/sys/kernel/debug/page_owner_stacks/show_stacks";
    let (mut drivers, mut shadow) = (0, 0);
    // A stack, and then how many pages it has taken. Those of slabs are not the driver's alone, and
    // those of noted stacks are the checkers'.
    let mut stack = Vec::new();
    for line in fs::read_to_string(path).context(path)?.lines() {
        let Some(count) = line.strip_prefix("nr_base_pages: ") else {
            stack.push(line.to_owned());
            continue;
        };
        let pages: i64 = count.parse()?;
        let names = |some: &[&str]| {
            let has = |line: &String| some.iter().any(|name| line.contains(name));
            stack.iter().any(has)
        };
        if names(&["kasan_populate_vmalloc"]) {
            shadow += pages;
        } else if names(DRIVERS_OF_TESTS) && !names(&["slab", "stack_depot", "kasan_save"]) {
            drivers += pages;
        }
        stack.clear();
    }
    Ok(Taken { drivers, shadow })
}
