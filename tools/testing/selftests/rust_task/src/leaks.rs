// SPDX-License-Identifier: GPL-2.0

//! Counts the objects and pages that the kernel uses, and checks that they are freed.

use crate::ktap;
use anyhow::{bail, Context, Result};
use nix::unistd::sync;
use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

/// The slab caches of a process. Each level of PID namespaces has a cache for its `struct pid`.
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
/// How many pages may be missing: per-CPU lists, and records of the checkers.
const PAGE_TOLERANCE: i64 = 4096;
/// The time limit for memory that is freed later: RCU, KASAN's quarantine, work items.
const PATIENCE: Duration = Duration::from_secs(60);

/// The drivers of this repository.
const DRIVER_NAMES: &[&str] = &[
    "rust_task_info",
    "rust_vma_buffer",
    "test_rust_task",
    "test_rust_vma",
];
/// The name of the counter of pages that the drivers have allocated.
const DRIVERS: &str = "pages of the drivers";

/// The number of objects in each cache, without those of existing threads and of the VMAs of this
/// process, and the number of free pages.
#[derive(Debug)]
pub struct InUse {
    objects: BTreeMap<&'static str, i64>,
    free: i64,
}

impl InUse {
    /// Counts after caches have been dropped.
    pub fn now() -> Result<Self> {
        sync();
        fs::write("/proc/sys/vm/drop_caches", "3")?;
        for cache in fs::read_dir("/sys/kernel/slab")?.flatten() {
            // The cache may have been destroyed.
            let _ = fs::write(cache.path().join("shrink"), "1");
        }
        let slabs = fs::read_to_string("/proc/slabinfo").context("/proc/slabinfo")?;
        let count = |name: &str| {
            let line = slabs.lines().find(|l| l.split(' ').next() == Some(name));
            match line.and_then(|l| l.split_whitespace().nth(1)?.parse::<i64>().ok()) {
                // The cache of a level is created with the first PID namespace of that level.
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
        let (threads, vmas) = (threads()?, vmas()?);
        let unaccounted = |name: &&'static str| {
            let known = match *name {
                // The kernel starts and stops kthreads.
                "task_struct" | "pid" => threads,
                // The buffers of this function may need another VMA.
                "vm_area_struct" => vmas,
                _ => 0,
            };
            Ok((*name, count(name)? - known))
        };
        let mut objects: BTreeMap<_, _> = CACHES.iter().map(unaccounted).collect::<Result<_>>()?;
        let allocated = allocated_pages()?;
        objects.insert(DRIVERS, allocated.drivers);
        Ok(Self {
            objects,
            free: free + allocated.shadow,
        })
    }

    /// Counts until four results in a row are the same, so that memory that is freed later has been
    /// freed.
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

    /// Waits until no more is in use than before. Returns an error after a timeout.
    pub fn check_freed(&self) -> Result<()> {
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
                    bail!("not freed: {}", more.join(", "));
                }
                return Ok(());
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Returns what there is more of than in `before`.
    fn more_than(&self, before: &Self) -> Vec<String> {
        let objects = self.objects.iter().filter_map(|(name, count)| {
            let more = count - before.objects[name];
            (more > 0).then(|| format!("{more} {name}"))
        });
        let pages = before.free - self.free;
        objects
            .chain((pages > PAGE_TOLERANCE).then(|| format!("{pages} pages")))
            .collect()
    }
}

/// Returns the number of threads, including kthreads.
fn threads() -> Result<i64> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().into_string().unwrap_or_default();
        if pid.parse::<u32>().is_ok() {
            // The process may have exited.
            count += fs::read_dir(entry.path().join("task")).map_or(0, Iterator::count) as i64;
        }
    }
    Ok(count)
}

/// Returns the number of VMAs of this process.
fn vmas() -> Result<i64> {
    Ok(fs::read_to_string("/proc/self/maps")?.lines().count() as i64)
}

/// Numbers of allocated pages, from `page_owner`.
struct Allocated {
    /// Allocated by the drivers.
    drivers: i64,
    /// Allocated by KASAN as the shadow of vmalloc memory, which it frees late.
    shadow: i64,
}

fn allocated_pages() -> Result<Allocated> {
    let path = "/sys/kernel/debug/page_owner_stacks/show_stacks";
    let (mut drivers, mut shadow) = (0, 0);
    // A stack, and then how many pages it has allocated. Pages of slabs are shared with
    // other users, and those of the stack depot belong to the checkers.
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
        } else if names(DRIVER_NAMES) && !names(&["slab", "stack_depot", "kasan_save"]) {
            drivers += pages;
        }
        stack.clear();
    }
    Ok(Allocated { drivers, shadow })
}
