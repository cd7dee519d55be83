// SPDX-License-Identifier: GPL-2.0

//! How many instructions more than in C, or on mainline's files, an operation may take.

use anyhow::{Context, Result};
use front::build::Build;
use serde::Deserialize;
use std::fs;

/// `tests/bench.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(default)]
    pub extra: Vec<Extra>,
    #[serde(default)]
    pub binder: Vec<BinderExtra>,
}

impl Limits {
    pub fn read(build: &Build) -> Result<Self> {
        let path = build.root.join("tests/bench.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// The instructions that a transaction of Binder may take in addition to those on mainline's files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinderExtra {
    pub case: String,
    pub instructions: f64,
    /// The reason.
    pub why: String,
}

/// The instructions that an operation may take in addition to C's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    pub op: String,
    /// The kernel series; all if there is no entry.
    pub series: Option<String>,
    pub instructions: i64,
    /// The same with `CONFIG_CC_OPTIMIZE_FOR_SIZE`, if it differs.
    pub for_size: Option<i64>,
    /// Whether the operation may take less, as what the allocator does depends on its state.
    #[serde(default)]
    pub varies: bool,
    /// The reason, as a rule a check that C leaves to the caller.
    pub why: String,
}
