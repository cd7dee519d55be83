// SPDX-License-Identifier: GPL-2.0

//! Misuse that must not compile.

use crate::{report::Outcome, step, Place};
use anyhow::Result;
use std::{fs, process::Command};

/// Compiles the cases of tests/ui/ against the crate that was built.
pub fn all(place: &Place, outcome: &mut Outcome) -> Result<()> {
    let log = place.log("ui");
    step::watch(
        "tests/ui",
        &log,
        Command::new("cargo")
            .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
            .arg(place.root.join("tests/Cargo.toml"))
            .arg("--")
            .args([&place.root, &place.objects])
            .env("CARGO_TARGET_DIR", place.build.join("ui")),
        None,
    )?;
    outcome.ktap("ui", &fs::read_to_string(log)?);
    Ok(())
}
