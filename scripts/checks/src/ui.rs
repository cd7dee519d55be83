// SPDX-License-Identifier: GPL-2.0

//! Compiling misuse of the crate, which must fail.

use anyhow::Result;
use front::{build::Build, outcome::Outcome, step};
use std::{fs, process::Command};

/// Compiles the cases of tests/ui/ against the crate that was built last.
pub fn all(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let log = build.log("ui");
    step::watch(
        "tests/ui",
        &log,
        Command::new("cargo")
            .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
            .arg(build.root.join("tests/Cargo.toml"))
            .arg("--")
            .args([&build.root, &build.objects])
            .env("CARGO_TARGET_DIR", build.out.join("ui")),
        None,
    )?;
    outcome.ktap("ui", &fs::read_to_string(log)?);
    Ok(())
}
