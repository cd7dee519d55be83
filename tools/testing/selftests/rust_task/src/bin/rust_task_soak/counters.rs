// SPDX-License-Identifier: GPL-2.0

//! Counters in memory that all processes share.

use anyhow::{bail, ensure, Context, Result};
use nix::sys::mman::{mmap_anonymous, MapFlags, ProtFlags};
use rust_task::ktap;
use std::{
    num::NonZeroUsize,
    sync::{
        atomic::{AtomicU64, Ordering},
        OnceLock,
    },
};

/// The events that are counted.
#[derive(Clone, Copy, PartialEq)]
pub enum Event {
    Completed,
    Nested,
    Executed,
    Outlived,
    Binder,
    Mirrored,
    Messages,
    Killed,
    Traced,
    Frozen,
    Unplugged,
    OomKilled,
    Wrong,
}

impl Event {
    const ALL: &[(Self, &str)] = &[
        (Self::Completed, "processes that completed"),
        (Self::Nested, "processes in nested PID namespaces"),
        (Self::Executed, "exec from a non-leader thread"),
        (Self::Outlived, "files that outlived their opener"),
        (Self::Binder, "messages through Binder"),
        (
            Self::Mirrored,
            "processes whose memory is pinned and mirrored",
        ),
        (Self::Messages, "processes that sent messages by a mailbox"),
        (Self::Killed, "random kills"),
        (Self::Traced, "ptrace stops"),
        (Self::Frozen, "cgroup freezes"),
        (Self::Unplugged, "CPU unplugs"),
        (Self::OomKilled, "OOM kills"),
    ];
}

/// The address of a page with the counters, which is mapped before the first fork().
static SHARED: OnceLock<usize> = OnceLock::new();

/// Maps the page.
pub fn start() -> Result<()> {
    let length = NonZeroUsize::new(4096).context("no length")?;
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
    let at = unsafe { mmap_anonymous(None, length, prot, MapFlags::MAP_SHARED)? };
    SHARED.get_or_init(|| at.as_ptr() as usize);
    Ok(())
}

fn counter(what: Event) -> &'static AtomicU64 {
    let page = *SHARED.get().expect("start() has been called") as *const AtomicU64;
    // SAFETY: The page is large enough for all counters, was zeroed when mapped, and is never
    // unmapped.
    unsafe { &*page.add(what as usize) }
}

pub fn add(what: Event, times: u64) {
    counter(what).fetch_add(times, Ordering::Relaxed);
}

pub fn set(what: Event, times: u64) {
    counter(what).store(times, Ordering::Relaxed);
}

/// Resets all counters except that of wrong results.
pub fn reset() {
    for (what, _) in Event::ALL {
        counter(*what).store(0, Ordering::Relaxed);
    }
}

/// Returns an error if a result was wrong.
pub fn check_wrong() -> Result<()> {
    match counter(Event::Wrong).load(Ordering::Relaxed) {
        0 => Ok(()),
        n => bail!("{n} wrong results"),
    }
}

/// Returns the events that have not occurred, without those in `except`.
pub fn missing(except: &[Event]) -> Vec<&'static str> {
    Event::ALL
        .iter()
        .filter(|(what, _)| counter(*what).load(Ordering::Relaxed) == 0 && !except.contains(what))
        .map(|(_, name)| *name)
        .collect()
}

/// Prints all counters. Returns an error if an event has not occurred that is not `impossible`.
pub fn report(impossible: &[Event]) -> Result<()> {
    for (what, name) in Event::ALL {
        ktap::did(name, counter(*what).load(Ordering::Relaxed));
    }
    let missing = missing(impossible);
    ensure!(missing.is_empty(), "never: {}", missing.join(", "));
    check_wrong()
}
