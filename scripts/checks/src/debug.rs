// SPDX-License-Identifier: GPL-2.0

//! Tests and stress tests on kernels with checkers: KASAN, lockdep and others, or KCSAN.

use crate::stress;
use anyhow::{Error, Result};
use front::{
    boot, build::Build, initramfs, kernel, manifest::Stress, outcome::Outcome, report, setup::Tools,
};

/// Configures the kernel with the checkers.
pub fn configure(build: &Build, tools: &Tools) -> Result<Build> {
    let variant = build.variant("debug");
    kernel::derive(&variant, tools, build, &["stress", "debug", "matrix/device-memory"])?;
    Ok(variant)
}

/// Runs all tests and stress tests under the checkers, and then those for data races.
pub fn all(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    checked(build, tools, outcome)?;
    races(build, tools, outcome)
}

/// Runs all tests and stress tests under the checkers.
pub fn checked(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let variant = configure(build, tools)?;
    let all: Vec<_> = build.manifest.stress.iter().collect();
    everything(&variant, tools, &all, outcome)
}

/// Looks for data races. KCSAN excludes KASAN, so this is another kernel.
pub fn races(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let variant = build.variant("kcsan");
    kernel::derive(&variant, tools, build, &["stress", "kcsan"])?;
    let some: Vec<_> = build.manifest.stress.iter().filter(|t| t.kcsan).collect();
    everything(&variant, tools, &some, outcome)
}

/// Builds a kernel, boots it once, and runs all tests and the given stress tests.
fn everything(
    build: &Build,
    tools: &Tools,
    stress_tests: &[&Stress],
    outcome: &mut Outcome,
) -> Result<()> {
    kernel::compile(build, tools)?;
    let initramfs = initramfs::create(build, tools)?;
    let mut directories = vec!["/selftests".to_owned()];
    directories.extend(stress_tests.iter().map(|test| format!("/{}", test.name)));
    let parameters = stress::parameters(&directories.join(","), stress::SHORT);
    let options = stress::options(&parameters);
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    report::kunit(build, &guest.console, outcome)?;
    let mut programs = initramfs.programs;
    programs.extend(stress_tests.iter().map(|test| test.program.clone()));
    outcome.programs(&programs, &guest.results);
    Ok(())
}

/// Runs one stress test on the kernel with the checkers.
pub fn one(name: &str, build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let test = build.manifest.stress(name)?;
    let build = configure(build, tools)?;
    kernel::compile(&build, tools)?;
    let initramfs = initramfs::create(&build, tools)?;
    let guest =
        stress::run(test, &build, &initramfs, stress::LONG, None, outcome)?.map_err(Error::msg)?;
    report::remarks(&guest.results);
    Ok(())
}
