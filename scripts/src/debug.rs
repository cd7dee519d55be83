// SPDX-License-Identifier: GPL-2.0

//! The kernel with all of its checkers in it, and what it is put through there.

use crate::{
    boot::{self, Boot, Death, Guest},
    kernel,
    report::{self, Outcome},
    setup::Tools,
    user::{self, Initramfs},
    Place,
};
use anyhow::{Error, Result};
use serde::Deserialize;
use std::{env, time::Duration};

/// What is done to the kernel, besides its tests.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
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

    /// Boots a kernel that has been built with the checkers, and puts it through this, or through
    /// one case of it.
    pub fn run(
        self,
        place: &Place,
        initramfs: &Initramfs,
        seconds: u64,
        case: Option<&str>,
        outcome: &mut Outcome,
    ) -> Result<Result<Guest, Death>> {
        let mut words = words(&format!("/{} kunit.enable=0", self.name()), seconds);
        if let Some(case) = case {
            words += &format!(" case={case}");
        }
        let guest = boot::boot_or_die(place, &initramfs.archive, &how(&words), outcome)?;
        if let Ok(guest) = &guest {
            outcome.programs(&[self.program()], &guest.results);
        }
        Ok(guest)
    }
}

/// How long each ordeal takes by default: on its own, and as one of several.
const LONG: u64 = 600;
pub const SHORT: u64 = 30;
/// A cache for each kind of object, and a note of who has taken each page.
const WORDS: &str = "slab_nomerge page_owner=on";
/// For a boot with all tests under all checkers.
const LIMIT: u64 = 1200;

/// Configures the kernel with the checkers.
pub fn configure(place: &Place, tools: &Tools) -> Result<Place> {
    let variant = place.variant("debug");
    kernel::derive(&variant, tools, place, &["stress", "debug"])?;
    Ok(variant)
}

/// Runs all tests and ordeals under the checkers, and then what KCSAN may see data races in.
pub fn all(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    checked(place, tools, outcome)?;
    races(place, tools, outcome)
}

/// Runs all tests and ordeals under the checkers.
pub fn checked(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let variant = configure(place, tools)?;
    everything(&variant, tools, Ordeal::ALL, outcome)
}

/// Looks for data races. KCSAN and KASAN exclude each other, so this is another kernel.
pub fn races(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let variant = place.variant("kcsan");
    kernel::derive(&variant, tools, place, &["stress", "kcsan"])?;
    everything(&variant, tools, &[Ordeal::Fuzz, Ordeal::Soak], outcome)
}

/// Builds a kernel, and runs all tests and some ordeals in one boot of it.
fn everything(
    place: &Place,
    tools: &Tools,
    ordeals: &[Ordeal],
    outcome: &mut Outcome,
) -> Result<()> {
    kernel::build(place, tools)?;
    let initramfs = user::initramfs(place, tools)?;
    let mut folders = vec!["/selftests".to_owned()];
    folders.extend(ordeals.iter().map(|o| format!("/{}", o.name())));
    let words = words(&folders.join(","), SHORT);
    let guest = boot::boot(place, &initramfs.archive, &how(&words), outcome)?;
    report::kunit(place, &guest, outcome)?;
    let mut programs = initramfs.programs;
    programs.extend(ordeals.iter().map(|o| o.program()));
    outcome.programs(&programs, &guest.results);
    Ok(())
}

/// Puts the kernel with the checkers through one ordeal.
pub fn one(ordeal: Ordeal, place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let place = configure(place, tools)?;
    kernel::build(&place, tools)?;
    let initramfs = user::initramfs(&place, tools)?;
    let guest = ordeal
        .run(&place, &initramfs, LONG, None, outcome)?
        .map_err(Error::msg)?;
    report::remarks(&guest.results);
    Ok(())
}

/// The command line for the programs of some folders.
fn words(folders: &str, seconds: u64) -> String {
    let mut words = format!("programs={folders} {WORDS} seconds={}", seconds_or(seconds));
    // What a person has asked for, the guest's programs find in their environment.
    for name in ["SEED", "CASE"] {
        if let Some(value) = wanted(name) {
            words += &format!(" {}={value}", name.to_lowercase());
        }
    }
    words
}

fn how(words: &str) -> Boot<'_> {
    Boot {
        // Two ordeals take as long as was asked for, and one of them a bit more.
        limit: Duration::from_secs(LIMIT + 3 * seconds_or(SHORT)),
        ..Boot::with(words)
    }
}

fn wanted(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn seconds_or(default: u64) -> u64 {
    wanted("SECONDS")
        .and_then(|s| s.parse().ok())
        .unwrap_or(default)
}
