// SPDX-License-Identifier: GPL-2.0

//! Exploring the models of what the crate does without a lock: see `tests/models/`.

use anyhow::Result;
use front::{build::Build, outcome::Outcome, step};
use std::{fs, process::Command};

/// Explores the models, and the litmus tests of the kernel, which say what their result is.
pub fn all(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let log = build.log("models");
    step::watch(
        "tests/models",
        &log,
        Command::new("cargo")
            .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
            .arg(build.root.join("tests/models/Cargo.toml"))
            .arg("--")
            .arg(&build.tree)
            .env("CARGO_TARGET_DIR", build.out.join("models")),
        None,
    )?;
    outcome.ktap("models", &fs::read_to_string(log)?);
    Ok(())
}
