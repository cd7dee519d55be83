// SPDX-License-Identifier: GPL-2.0

//! Tests and stress tests on kernels with checkers: KASAN, lockdep and others, or KCSAN.

use crate::{shell, stress};
use anyhow::{Error, Result};
use front::{
    boot, build::Build, initramfs, kernel, manifest::Stress, outcome::Outcome, report, setup::Tools,
};

/// Configures the kernel with the checkers.
pub fn configure(build: &Build, tools: &Tools) -> Result<Build> {
    let variant = build.variant("debug");
    kernel::derive(
        &variant,
        tools,
        build,
        &["stress", "debug", "matrix/device-memory"],
    )?;
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
    everything(&variant, tools, &all, outcome)?;
    mistakes(&variant, tools, outcome)
}

/// What the checkers report of the module `wrong`: the beginning of each report, and the function that
/// it names.
const REPORTS: &[(&str, &str)] = &[
    ("possible circular locking dependency", "lock_in_reverse"),
    (
        "sleeping function called from invalid context",
        "allocate_under_spinlock",
    ),
    ("KASAN: slab-use-after-free", "read_freed_memory"),
    ("refcount_t: addition on 0", "count_from_zero"),
];

/// Returns the reports that the console lacks, or that do not name the function.
fn missing(console: &str) -> Vec<&'static str> {
    let is_there = |(report, function): &(&str, &str)| {
        let after = console.split_once(report).map(|(_, after)| after);
        // As in a stack trace. The title of the next report may be that of another function.
        after.is_some_and(|after| after.contains(&format!("{function}+0x")))
    };
    let reports = REPORTS.iter().filter(|report| !is_there(report));
    reports.map(|(report, _)| *report).collect()
}

/// Tests that the checkers report mistakes of Rust code, as the guide says.
fn mistakes(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let module = kernel::module(build, tools, "wrong")?.join("wrong.ko");
    let image = kernel::image(build);
    let (console, _) = shell::guest(build, tools, &image, &[module], "insmod /wrong.ko")?;
    let missing = missing(&console);
    outcome.report(
        "the checkers report mistakes of Rust code",
        missing.is_empty(),
        &format!("not reported: {}", missing.join(", ")),
    );
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_function() {
        let all: Vec<_> = REPORTS
            .iter()
            .map(|(report, function)| format!("BUG: {report}\n _RNv5wrong{function}+0x1/0x2\n"))
            .collect();
        assert!(missing(&all.concat()).is_empty());
        assert_eq!(missing(&all[1..].concat()), [REPORTS[0].0]);
        assert_eq!(missing("").len(), REPORTS.len());
        let other = all[3].replace("count_from_zero", "other");
        assert_eq!(
            missing(
                &[&all[0], &all[1], &all[2], &other]
                    .map(String::as_str)
                    .concat()
            ),
            [REPORTS[3].0]
        );
    }
}
