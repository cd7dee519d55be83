// SPDX-License-Identifier: GPL-2.0

//! Commands that compile a package which needs a newer rustc than the tool does.

use anyhow::{bail, Context, Result};
use front::{step, versions::Version};
use serde::Deserialize;
use std::{fs, path::Path, process::Command};

/// The package that depends on public-api.
pub const ITEMS: &str = "scripts/items";
/// The package that depends on ui_test.
pub const UI: &str = "tests";

/// `Cargo.toml`.
#[derive(Deserialize)]
struct Cargo {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    #[serde(rename = "rust-version")]
    rust_version: String,
}

/// Refuses a rustc that is too old for the packages which `command` compiles.
pub fn refuse_old(root: &Path, command: &str, packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let found = step::output(Command::new("rustc").arg("--version"))?;
    for package in packages {
        let file = root.join(package).join("Cargo.toml");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let cargo: Cargo = toml::from_str(&text).with_context(|| file.display().to_string())?;
        compare(&found, &cargo.package.rust_version, command, package)?;
    }
    Ok(())
}

fn compare(found: &str, lowest: &str, command: &str, package: &str) -> Result<()> {
    let found = Version::find(found).context("rustc has no version")?;
    if Some(found) < Version::find(lowest) {
        bail!(
            "rustc {found} is too old for `make {command}`, which compiles {package}: install Rust \
             {lowest} or newer, with rustfmt and clippy"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_rustc_is_refused() {
        let compare = |found| compare(found, "1.95", "api", ITEMS);
        assert!(compare("rustc 1.95.0 (59807616e 2026-04-14)").is_ok());
        let error = compare("rustc 1.85.1 (4eb161250 2025-03-15)").unwrap_err();
        assert!(error
            .to_string()
            .starts_with("rustc 1.85.1 is too old for `make api`"));
    }

    #[test]
    fn the_packages_have_a_version() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        for package in [ITEMS, UI] {
            let text = fs::read_to_string(root.join(package).join("Cargo.toml")).unwrap();
            let cargo: Cargo = toml::from_str(&text).unwrap();
            assert!(
                Version::find(&cargo.package.rust_version).is_some(),
                "{package}"
            );
        }
    }
}
