// SPDX-License-Identifier: GPL-2.0

//! Parameters of the kernel's command line. The kernel passes unknown parameters to init as
//! environment variables, and all other processes inherit them.

use anyhow::{Context, Result};
use std::env;

/// Returns the value of a parameter.
pub fn text(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Returns the duration of the test.
pub fn seconds() -> Result<u64> {
    Ok(number("seconds")?.unwrap_or(60))
}

/// Returns the seed of the random number generator.
pub fn seed() -> Result<u64> {
    Ok(number("seed")?.unwrap_or(1))
}

fn number(name: &str) -> Result<Option<u64>> {
    text(name)
        .map(|value| value.parse().with_context(|| format!("{name}={value}")))
        .transpose()
}
