// SPDX-License-Identifier: GPL-2.0

//! What has been done, counted in memory that all processes share.

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

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
pub enum Did {
    Lived,
    Nested,
    Executed,
    Outlived,
    Conversed,
    Killed,
    Traced,
    Frozen,
    Unplugged,
    Starved,
    Wrong,
}

impl Did {
    const ALL: &[(Self, &str)] = &[
        (Self::Lived, "lives to their end"),
        (Self::Nested, "in nested namespaces"),
        (Self::Executed, "exec from a thread that does not lead"),
        (Self::Outlived, "files that outlived their opener"),
        (Self::Conversed, "messages through Binder"),
        (Self::Killed, "killed at random"),
        (Self::Traced, "stops for a tracer"),
        (Self::Frozen, "freezes of all"),
        (Self::Unplugged, "a CPU unplugged"),
        (Self::Starved, "killed for want of memory"),
    ];
}

/// The counters, in a page that is mapped before the first child is made.
static SHARED: OnceLock<usize> = OnceLock::new();

/// Maps the page.
pub fn start() -> Result<()> {
    let length = NonZeroUsize::new(4096).context("no length")?;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: The kernel chooses where, so nothing that is in use is replaced.
    let at = unsafe { mmap_anonymous(None, length, rights, MapFlags::MAP_SHARED)? };
    SHARED.get_or_init(|| at.as_ptr() as usize);
    Ok(())
}

fn counter(what: Did) -> &'static AtomicU64 {
    let page = *SHARED.get().expect("start() comes first") as *const AtomicU64;
    // SAFETY: The page has room for all of them, begins as zeroes, and stays.
    unsafe { &*page.add(what as usize) }
}

pub fn add(what: Did, times: u64) {
    counter(what).fetch_add(times, Ordering::Relaxed);
}

/// Begins to count anew, but for wrong answers.
pub fn reset() {
    for (what, _) in Did::ALL {
        counter(*what).store(0, Ordering::Relaxed);
    }
}

/// Fails if an answer was wrong.
pub fn all_right() -> Result<()> {
    match counter(Did::Wrong).load(Ordering::Relaxed) {
        0 => Ok(()),
        n => bail!("{n} wrong answers"),
    }
}

/// What has not been done yet, but for some.
pub fn missing(but: &[Did]) -> Vec<&'static str> {
    Did::ALL
        .iter()
        .filter(|(what, _)| counter(*what).load(Ordering::Relaxed) == 0 && !but.contains(what))
        .map(|(_, name)| *name)
        .collect()
}

/// Says what has been done, and fails if something was not, but for what is `impossible`.
pub fn report(impossible: &[Did]) -> Result<()> {
    for (what, name) in Did::ALL {
        ktap::did(name, counter(*what).load(Ordering::Relaxed));
    }
    let missing = missing(impossible);
    ensure!(missing.is_empty(), "never: {}", missing.join(", "));
    all_right()
}
