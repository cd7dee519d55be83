// SPDX-License-Identifier: GPL-2.0

//! Versions of tools: what is found, what a kernel needs, and what is known to be bad.

use crate::step;
use anyhow::{bail, Result};
use serde::Deserialize;
use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// A version of up to three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl Version {
    /// Returns the first word of `text` that is a version, for example of the output of `--version`.
    pub fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse)
    }

    /// Parses `1.85.0`, `v1.25` or `22.1.8-1`.
    fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.');
        let word = &word[..end.unwrap_or(word.len())];
        let mut numbers = [0; 3];
        let mut count = 0;
        for part in word.split('.').take(3) {
            numbers[count] = part.parse().ok()?;
            count += 1;
        }
        (count > 1).then_some(Self(numbers))
    }

    /// Returns the version as Kconfig has it, for example 108500 for rustc 1.85.0.
    pub fn canonical(self) -> u32 {
        let [major, minor, patch] = self.0;
        major * 100_000 + minor * 100 + patch
    }

    /// Returns the version of pahole as Kconfig has it, for example 125 for 1.25.
    pub fn of_pahole(self) -> u32 {
        self.0[0] * 100 + self.0[1]
    }

    /// Returns the version of LLVM as Kconfig has it, for example 190107 for 19.1.7.
    pub fn of_llvm(self) -> u32 {
        let [major, minor, patch] = self.0;
        major * 10_000 + minor * 100 + patch
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The lowest versions with which a series of the kernel can be built with Rust.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    pub series: String,
    pub rustc: String,
    pub bindgen: String,
    pub llvm: String,
}

impl Needs {
    /// Returns the lowest version of `tool`, which is `rustc`, `bindgen` or `llvm`.
    pub fn of(&self, tool: &str) -> Option<Version> {
        Version::parse(match tool {
            "rustc" => &self.rustc,
            "bindgen" => &self.bindgen,
            "llvm" => &self.llvm,
            _ => return None,
        })
    }

    /// Refuses a tool that is too old for the series. `found` is what it prints as its version.
    pub fn refuse_old(&self, tool: &str, found: &str) -> Result<()> {
        let lowest = self.of(tool);
        let found = Version::find(found);
        if let (Some(lowest), Some(found)) = (lowest, found.filter(|found| Some(*found) < lowest)) {
            bail!(
                "{tool} {found} is too old for Linux {}: install {lowest} or newer; `make doctor` \
                 prints what each series needs",
                self.series
            );
        }
        Ok(())
    }

    /// Asks a kernel tree.
    pub fn of_tree(tree: &Path, series: &str) -> Result<Self> {
        let ask = |tool: &str| -> Result<String> {
            let mut script = Command::new("sh");
            script
                .arg(tree.join("scripts/min-tool-version.sh"))
                .arg(tool)
                .env("ARCH", "x86_64")
                .env("SRCARCH", "x86");
            Ok(step::output(&mut script)?.trim().to_owned())
        };
        Ok(Self {
            series: series.to_owned(),
            rustc: ask("rustc")?,
            bindgen: ask("bindgen")?,
            llvm: ask("llvm")?,
        })
    }
}

/// Versions that must not be used, and why.
const BAD: &[(&str, &str, &str)] = &[(
    "bindgen",
    "0.73.1",
    "it is known to generate wrong bindings; use 0.73.2 or newer",
)];

/// Returns why a version of a tool must not be used.
pub fn known_bad(tool: &str, version: Version) -> Option<&'static str> {
    BAD.iter()
        .find(|(name, bad, _)| *name == tool && Version::parse(bad) == Some(version))
        .map(|(_, _, why)| *why)
}

/// Returns the file that the shell would run.
pub fn which(name: &str, path: &str) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Returns the version that a program prints.
pub fn of(program: &Path) -> Option<Version> {
    let text = step::output(Command::new(program).arg("--version").env("LC_ALL", "C")).ok()?;
    Version::find(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_output_of_tools() {
        let find = |text: &str| Version::find(text).map(|v| v.to_string());
        let is = |text: &str, version: &str| assert_eq!(find(text).as_deref(), Some(version));
        is("rustc 1.95.0 (59807616e 2026-04-14)", "1.95.0");
        is("rustc 1.97.0-nightly (0 2026-05-01)", "1.97.0");
        is("bindgen 0.73.2", "0.73.2");
        is("v1.25", "1.25.0");
        is("Debian clang version 22.1.8 (1~deb13)", "22.1.8");
        is(
            "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds)",
            "10.0.2",
        );
        assert_eq!(find("GNU"), None);
        assert_eq!(Version::find("1.85.0").unwrap().canonical(), 108_500);
        assert_eq!(Version::find("1.25").unwrap().of_pahole(), 125);
        assert_eq!(Version::find("19.1.7").unwrap().of_llvm(), 190_107);
        assert!(Version::find("1.9.0") < Version::find("1.10.0"));
    }

    #[test]
    fn an_old_version_is_refused() {
        let needs = Needs {
            series: "7.3".into(),
            rustc: "1.85.0".into(),
            bindgen: "0.71.1".into(),
            llvm: "17.0.1".into(),
        };
        assert!(needs.refuse_old("rustc", "rustc 1.85.0 (x)").is_ok());
        let error = needs.refuse_old("rustc", "rustc 1.84.1 (x)").unwrap_err();
        assert!(error
            .to_string()
            .starts_with("rustc 1.84.1 is too old for Linux 7.3"));
    }

    #[test]
    fn a_bad_version_is_known() {
        let version = |text| Version::find(text).unwrap();
        assert!(known_bad("bindgen", version("0.73.1")).is_some());
        assert!(known_bad("bindgen", version("0.73.2")).is_none());
        assert!(known_bad("rustc", version("0.73.1")).is_none());
    }
}
