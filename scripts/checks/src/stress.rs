// SPDX-License-Identifier: GPL-2.0

//! The stress tests, which need a kernel with checkers, and how they are started.

use anyhow::Result;
use front::{
    boot::{self, BootOptions, Guest, GuestFailure},
    build::Build,
    initramfs::Initramfs,
    outcome::Outcome,
};
use serde::Deserialize;
use std::{env, time::Duration};

/// A stress test.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum StressTest {
    /// Each allocation and each user copy fails once.
    Faults,
    /// Random calls.
    Fuzz,
    /// Processes are created and end in many ways.
    Soak,
}

/// The default duration of a stress test on its own, in seconds.
pub const LONG: u64 = 600;
/// The default duration of a stress test among others, in seconds.
pub const SHORT: u64 = 30;
/// Kernel parameters: one slab cache per object type, and the allocation stack of each page.
const PARAMETERS: &str = "slab_nomerge page_owner=on";
/// The time limit of a boot with all tests under all checkers, in seconds.
const LIMIT: u64 = 1200;

impl StressTest {
    pub const ALL: &[Self] = &[Self::Faults, Self::Fuzz, Self::Soak];

    /// Returns the directory in the guest, which is also the last part of the program's name.
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

    /// Boots a kernel that has been built with the checkers, and runs this test, or one case of it.
    pub fn run(
        self,
        build: &Build,
        initramfs: &Initramfs,
        seconds: u64,
        case: Option<&str>,
        outcome: &mut Outcome,
    ) -> Result<Result<Guest, GuestFailure>> {
        let mut parameters = parameters(&format!("/{} kunit.enable=0", self.name()), seconds);
        if let Some(case) = case {
            parameters += &format!(" case={case}");
        }
        let guest = boot::try_boot(build, &initramfs.archive, &options(&parameters), outcome)?;
        if let Ok(guest) = &guest {
            outcome.programs(&[self.program()], &guest.results);
        }
        Ok(guest)
    }
}

/// Returns the kernel parameters that run the programs of some directories.
pub fn parameters(directories: &str, seconds: u64) -> String {
    let mut parameters = format!(
        "programs={directories} {PARAMETERS} seconds={}",
        seconds_or(seconds)
    );
    // The kernel passes parameters that it does not know to init, in the environment.
    for name in ["SEED", "CASE"] {
        if let Some(value) = variable(name) {
            parameters += &format!(" {}={value}", name.to_lowercase());
        }
    }
    parameters
}

/// Returns the boot options for stress tests.
pub fn options(parameters: &str) -> BootOptions<'_> {
    BootOptions {
        // Two stress tests run for the given time, and one of them slightly longer.
        limit: Duration::from_secs(LIMIT + 3 * seconds_or(SHORT)),
        ..BootOptions::new(parameters)
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn seconds_or(default: u64) -> u64 {
    variable("SECONDS")
        .and_then(|s| s.parse().ok())
        .unwrap_or(default)
}
