// SPDX-License-Identifier: GPL-2.0

//! The kernel's releases as kernel.org publishes them, for machines that are not Debian's.

use crate::{step, Place};
use anyhow::{bail, Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where they are, unless `KERNEL_RELEASES` says otherwise.
const RELEASES: &str = "https://www.kernel.org/pub/linux/kernel";

/// Downloads the newest release of the series and returns the archive. Its checksum is that of
/// the published list.
pub fn download(place: &Place) -> Result<PathBuf> {
    let releases = env::var("KERNEL_RELEASES").unwrap_or_else(|_| RELEASES.into());
    let (major, _) = place.series.split_once('.').context("not a series")?;
    let releases = format!("{}/v{major}.x", releases.trim_end_matches('/'));
    let dir = place.cache.join("releases");
    fs::create_dir_all(&dir)?;

    let list = dir.join(format!("sha256sums-v{major}.x"));
    fetch(place, &format!("{releases}/sha256sums.asc"), &list)?;
    let list = fs::read_to_string(list)?;
    let (name, sum) = newest(&list, &place.series)
        .with_context(|| format!("{releases} has no release of {}", place.series))?;

    let archive = dir.join(&name);
    if !archive.exists() {
        let partial = dir.join("partial");
        fetch(place, &format!("{releases}/{name}"), &partial)?;
        verify(&partial, &sum).with_context(|| format!("{releases}/{name}"))?;
        fs::rename(partial, &archive)?;
    }
    Ok(archive)
}

fn fetch(place: &Place, from: &str, to: &Path) -> Result<()> {
    step::run(
        &format!("download of {from}"),
        &place.log("download"),
        Command::new("curl")
            .args(["--fail", "--location", "--show-error", "--output"])
            .arg(to)
            .arg(from),
    )
}

/// Finds the newest release of `series` in a list of checksums; returns its name and its sum.
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
    let said = step::ask(Command::new("sha256sum").arg(file))?;
    let have = said.split_whitespace().next().unwrap_or_default();
    if have != sum {
        bail!("has the checksum {have}, and not {sum} as published");
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
    fn a_file_with_another_sum_is_refused() {
        let file = env::temp_dir().join(format!("sum-{}", std::process::id()));
        fs::write(&file, "abc").unwrap();
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(verify(&file, sum).is_ok());
        fs::write(&file, "abd").unwrap();
        assert!(verify(&file, sum).is_err());
        fs::remove_file(file).unwrap();
    }
}
