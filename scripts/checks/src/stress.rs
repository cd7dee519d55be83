// SPDX-License-Identifier: GPL-2.0

//! The stress tests, which need a kernel with checkers, and how they are started.

use anyhow::Result;
use front::{
    boot::{self, BootOptions, Guest, GuestFailure},
    build::Build,
    initramfs::Initramfs,
    manifest::Stress,
    outcome::Outcome,
};
use std::{env, slice, time::Duration};

/// The default duration of a stress test on its own, in seconds.
pub const LONG: u64 = 600;
/// The default duration of a stress test among others, in seconds.
pub const SHORT: u64 = 30;
/// Kernel parameters: one slab cache per object type, and the allocation stack of each page. Those of
/// `configs/stress.config` that no test may leave out.
const PARAMETERS: &str = "slab_nomerge page_owner=on must=cgroups,SHRINKER_DEBUG";
/// The time limit of a boot with all tests under all checkers, in seconds.
const LIMIT: u64 = 2400;

/// Boots a kernel that has been built with the checkers, and runs `test`, or one case of it.
pub fn run(
    test: &Stress,
    build: &Build,
    initramfs: &Initramfs,
    seconds: u64,
    case: Option<&str>,
    outcome: &mut Outcome,
) -> Result<Result<Guest, GuestFailure>> {
    let mut parameters = parameters(&format!("/{} kunit.enable=0", test.name), seconds);
    if let Some(case) = case {
        parameters += &format!(" case={case}");
    }
    let guest = boot::try_boot(build, &initramfs.archive, &options(&parameters), outcome)?;
    if let Ok(guest) = &guest {
        outcome.programs(slice::from_ref(&test.program), &guest.results);
    }
    Ok(guest)
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
