// SPDX-License-Identifier: GPL-2.0

//! The kernel with all of its checkers in it, and what it is put through there.

use crate::{
    boot::{self, Boot},
    kernel,
    report::{self, Outcome},
    setup::Tools,
    user, Place,
};
use anyhow::Result;
use std::{env, time::Duration};

/// What is done to the kernel, besides its tests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ordeal {
    /// Each allocation and each copy fails once.
    Faults,
    /// Random calls.
    Fuzz,
    /// Processes that come and go in all ways.
    Soak,
}

impl Ordeal {
    pub const ALL: &[Self] = &[Self::Faults, Self::Fuzz, Self::Soak];

    /// Its folder in the guest, and the end of its program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faults => "faults",
            Self::Fuzz => "fuzz",
            Self::Soak => "soak",
        }
    }

    pub fn program(self) -> String {
        format!("rust_task_{}", self.name())
    }
}

/// How long each ordeal takes by default: on its own, and as one of several.
const LONG: u64 = 600;
const SHORT: u64 = 30;
/// For a boot with all tests under all checkers.
const LIMIT: u64 = 1200;

/// Configures the kernel with the checkers.
pub fn configure(place: &Place, tools: &Tools) -> Result<Place> {
    let variant = place.variant("debug");
    kernel::derive(&variant, tools, place, Some("debug"))?;
    Ok(variant)
}

/// Runs all tests and ordeals under the checkers.
pub fn all(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let place = configure(place, tools)?;
    kernel::build(&place, tools)?;
    run(&place, tools, outcome)
}

/// Runs all tests and ordeals on a kernel that has been built with the checkers.
pub fn run(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let initramfs = user::initramfs(place, tools)?;
    let folders: Vec<_> = Ordeal::ALL
        .iter()
        .map(|o| format!("/{}", o.name()))
        .collect();
    let words = format!(
        "programs=/selftests,{} {}",
        folders.join(","),
        asked_for(SHORT)
    );
    let guest = boot::boot(place, &initramfs.archive, &how(&words, SHORT), outcome)?;
    report::kunit(place, &guest, outcome)?;
    outcome.programs(&initramfs.programs, &guest.results);
    for ordeal in Ordeal::ALL {
        outcome.programs(&[ordeal.program()], &guest.results);
    }
    Ok(())
}

/// Puts the kernel with the checkers through one ordeal.
pub fn one(ordeal: Ordeal, place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let place = configure(place, tools)?;
    kernel::build(&place, tools)?;
    let initramfs = user::initramfs(&place, tools)?;
    let words = format!(
        "programs=/{} kunit.enable=0 {}",
        ordeal.name(),
        asked_for(LONG)
    );
    let guest = boot::boot(&place, &initramfs.archive, &how(&words, LONG), outcome)?;
    outcome.programs(&[ordeal.program()], &guest.results);
    report::remarks(&guest.results);
    Ok(())
}

fn how(words: &str, seconds: u64) -> Boot<'_> {
    let seconds = wanted("SECONDS")
        .and_then(|s| s.parse().ok())
        .unwrap_or(seconds);
    Boot {
        // Two ordeals take this long.
        limit: Duration::from_secs(LIMIT + 2 * seconds),
        ..Boot::with(words)
    }
}

fn wanted(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What a person has asked for, in words that the guest's programs find in their environment.
fn asked_for(seconds: u64) -> String {
    let mut words = format!(
        "seconds={}",
        wanted("SECONDS").unwrap_or_else(|| seconds.to_string())
    );
    for name in ["SEED", "CASE"] {
        if let Some(value) = wanted(name) {
            words += &format!(" {}={value}", name.to_lowercase());
        }
    }
    words
}
