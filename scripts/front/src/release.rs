// SPDX-License-Identifier: GPL-2.0

//! Kernel releases from kernel.org, for machines that do not run Debian.

use crate::{step, Build};
use anyhow::{bail, Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The default of `KERNEL_RELEASES`.
const RELEASES: &str = "https://www.kernel.org/pub/linux/kernel";

/// Downloads the newest release of the series and returns the archive. Its checksum is compared with
/// the published list.
pub fn download(build: &Build) -> Result<PathBuf> {
    let releases = env::var("KERNEL_RELEASES").unwrap_or_else(|_| RELEASES.into());
    let (major, _) = build.series.split_once('.').context("not a series")?;
    let releases = format!("{}/v{major}.x", releases.trim_end_matches('/'));
    let dir = build.cache.join("releases");
    fs::create_dir_all(&dir)?;

    let list = dir.join(format!("sha256sums-v{major}.x"));
    fetch(build, &format!("{releases}/sha256sums.asc"), &list)?;
    let list = fs::read_to_string(list)?;
    let (name, sum) = newest(&list, &build.series)
        .with_context(|| format!("{releases} has no release of {}", build.series))?;

    let archive = dir.join(&name);
    if !archive.exists() {
        let partial = dir.join("partial");
        fetch(build, &format!("{releases}/{name}"), &partial)?;
        verify(&partial, &sum).with_context(|| format!("{releases}/{name}"))?;
        fs::rename(partial, &archive)?;
    }
    Ok(archive)
}

fn fetch(build: &Build, from: &str, to: &Path) -> Result<()> {
    step::run(
        &format!("download of {from}"),
        &build.log("download"),
        Command::new("curl")
            .args(["--fail", "--location", "--show-error", "--output"])
            .arg(to)
            .arg(from),
    )
}

/// Finds the newest release of `series` in a list of checksums. Returns its file name and checksum.
fn newest(list: &str, series: &str) -> Option<(String, String)> {
    let release = |line: &str| {
        let (sum, name) = line.split_once("  ")?;
        let version = name.strip_prefix("linux-")?.strip_suffix(".tar.xz")?;
        let point: u32 = match version.strip_prefix(series)? {
            "" => 0,
            point => point.strip_prefix('.')?.parse().ok()?,
        };
        Some((point, name.to_owned(), sum.to_owned()))
    };
    let (_, name, sum) = list.lines().filter_map(release).max()?;
    Some((name, sum))
}

fn verify(file: &Path, sum: &str) -> Result<()> {
    let text = step::output(Command::new("sha256sum").arg(file))?;
    let have = text.split_whitespace().next().unwrap_or_default();
    if have != sum {
        bail!("has the checksum {have}, but {sum} is published");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
-----BEGIN PGP SIGNED MESSAGE-----
aa  linux-7.3.tar.gz
bb  linux-7.3.tar.xz
cc  linux-7.3.9.tar.xz
dd  linux-7.3.10.tar.xz
ee  linux-7.30.tar.xz
ff  patch-7.3.11.xz
00  linux-6.12.5.tar.xz
";

    #[test]
    fn the_newest_point_release_is_found() {
        let found = |series| newest(LIST, series).map(|(name, _)| name);
        assert_eq!(found("7.3").as_deref(), Some("linux-7.3.10.tar.xz"));
        assert_eq!(found("7.30").as_deref(), Some("linux-7.30.tar.xz"));
        assert_eq!(found("7.4"), None);
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let file = env::temp_dir().join(format!("sum-{}", std::process::id()));
        fs::write(&file, "abc").unwrap();
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(verify(&file, sum).is_ok());
        fs::write(&file, "abd").unwrap();
        assert!(verify(&file, sum).is_err());
        fs::remove_file(file).unwrap();
    }
}
