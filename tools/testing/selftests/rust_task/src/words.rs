// SPDX-License-Identifier: GPL-2.0

//! What was asked for on the kernel's command line. It gives words that it does not know to the first
//! process as variables, and all others inherit them.

use anyhow::{Context, Result};
use std::env;

pub fn text(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// How long to go on.
pub fn seconds() -> Result<u64> {
    Ok(number("seconds")?.unwrap_or(60))
}

/// What chance begins with.
pub fn seed() -> Result<u64> {
    Ok(number("seed")?.unwrap_or(1))
}

fn number(name: &str) -> Result<Option<u64>> {
    text(name)
        .map(|value| value.parse().with_context(|| format!("{name}={value}")))
        .transpose()
}
