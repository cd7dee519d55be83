// SPDX-License-Identifier: GPL-2.0

//! The kernel series: those that `backport/` supports, and the one that a command is for.

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use std::{fs, path::Path};

/// `KERNEL` for a tree of a series that is later than the supported ones.
const NEXT: &str = "next";

/// The series without `KERNEL` and `KDIR`.
const DEFAULT: &str = "6.12";

/// A file that each kernel tree has, unlike other projects with a similar Makefile.
const OF_A_KERNEL: &str = "include/linux/sched.h";

/// Returns the series that have a directory in `backport/`, oldest first.
pub fn supported(root: &Path) -> Result<Vec<String>> {
    let mut all: Vec<_> = fs::read_dir(root.join("backport"))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter_map(|series| Some((version(&series)?, series)))
        .collect();
    all.sort();
    Ok(all.into_iter().map(|(_, series)| series).collect())
}

/// Parses `6.12`.
fn version(series: &str) -> Option<(u32, u32)> {
    let (version, patchlevel) = series.split_once('.')?;
    Some((version.parse().ok()?, patchlevel.parse().ok()?))
}

/// The part of `tree.toml` that names another series.
#[derive(Deserialize)]
struct Like {
    like: Option<String>,
}

/// Returns the series itself, the one whose edits and files it takes as well, and so on. A series
/// that is not supported takes those of the newest earlier one.
pub fn like(root: &Path, series: &str) -> Result<Vec<String>> {
    let mut all = vec![series.to_owned()];
    let supported = supported(root)?;
    if !supported.contains(&all[0]) {
        let mut earlier = supported.into_iter().rev();
        match earlier.find(|other| version(other) < version(series)) {
            Some(earlier) => all.push(earlier),
            None => return Ok(all),
        }
    }
    loop {
        let path = root.join("backport").join(&all[all.len() - 1]);
        let path = path.join("tree.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let Like { like } = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let Some(next) = like else {
            return Ok(all);
        };
        if all.contains(&next) {
            bail!("{}: Linux {next} is like itself", path.display());
        }
        all.push(next);
    }
}

/// Returns the series that `KERNEL` or `KDIR` names.
///
/// # Errors
///
/// - The series is not supported.
/// - `KDIR` is not a kernel tree, or of another series than `KERNEL`.
pub fn asked(root: &Path, kernel: Option<&str>, kdir: Option<&Path>) -> Result<String> {
    let supported = supported(root)?;
    let is_supported = |series: &str| supported.iter().any(|other| other == series);
    let list = supported.join(", ");
    let next = kernel == Some(NEXT);

    if next && kdir.is_none() {
        bail!("KERNEL={NEXT} needs a kernel tree (KDIR=); the supported series: {list}");
    }
    let kernel = kernel.filter(|_| !next);
    if let Some(kernel) = kernel.filter(|kernel| !is_supported(kernel)) {
        bail!("KERNEL={kernel} is not supported; the supported series: {list}");
    }
    let Some(kdir) = kdir else {
        return Ok(kernel.unwrap_or(DEFAULT).to_owned());
    };
    let at = kdir.display();
    let Some(series) = of_tree(kdir) else {
        bail!("KDIR={at} is not a kernel tree; the supported series: {list}");
    };
    if let Some(kernel) = kernel.filter(|kernel| *kernel != series) {
        bail!("KDIR={at} is Linux {series}, but KERNEL={kernel}; the supported series: {list}");
    }
    let is_later = supported
        .iter()
        .all(|other| version(other) < version(&series));
    if !(is_supported(&series) || next && is_later) {
        bail!("KDIR={at} is Linux {series}, which is not supported; the supported series: {list}");
    }
    Ok(series)
}

/// Returns the series of a kernel tree, for example `6.12`. Returns `None` if it is not one.
pub fn of_tree(tree: &Path) -> Option<String> {
    if !tree.join(OF_A_KERNEL).exists() {
        return None;
    }
    let text = fs::read_to_string(tree.join("Makefile")).ok()?;
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='))
            .and_then(|value| value.trim().parse::<u32>().ok())
    };
    Some(format!("{}.{}", value("VERSION")?, value("PATCHLEVEL")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Returns a directory with `backport/` and a kernel tree with this version.
    fn root(name: &str, version: &str) -> (PathBuf, PathBuf) {
        let root = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        for series in ["7.3", "6.12", "6.9"] {
            fs::create_dir_all(root.join("backport").join(series)).unwrap();
        }
        let kdir = root.join("linux");
        fs::create_dir_all(kdir.join("include/linux")).unwrap();
        fs::write(kdir.join(OF_A_KERNEL), "").unwrap();
        fs::write(kdir.join("Makefile"), version).unwrap();
        (root, kdir)
    }

    #[test]
    fn a_supported_series_is_found() {
        let (root, kdir) = root("series", "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 1\n");
        let asked = |kernel, kdir| asked(&root, kernel, kdir).unwrap();
        assert_eq!(supported(&root).unwrap(), ["6.9", "6.12", "7.3"]);
        assert_eq!(asked(None, None), DEFAULT);
        assert_eq!(asked(Some("7.3"), None), "7.3");
        assert_eq!(asked(None, Some(&kdir)), "7.3");
        assert_eq!(asked(Some("7.3"), Some(&kdir)), "7.3");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn next_is_a_later_series_than_the_supported_ones() {
        let (root, kdir) = root("next", "VERSION = 7\nPATCHLEVEL = 10\n");
        fs::write(root.join("backport/7.3/tree.toml"), "").unwrap();
        let next = |kdir| asked(&root, Some(NEXT), kdir);
        assert_eq!(next(Some(&kdir)).unwrap(), "7.10");
        assert_eq!(like(&root, "7.10").unwrap(), ["7.10", "7.3"]);
        assert_eq!(like(&root, "6.8").unwrap(), ["6.8"]);
        assert!(asked(&root, None, Some(&kdir)).is_err());
        assert!(next(None).unwrap_err().to_string().contains("KDIR="));
        fs::write(kdir.join("Makefile"), "VERSION = 7\nPATCHLEVEL = 2\n").unwrap();
        assert!(next(Some(&kdir)).is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_series_may_be_like_another() {
        let (root, _) = root("like", "");
        let write = |series: &str, text: &str| {
            fs::write(root.join("backport").join(series).join("tree.toml"), text).unwrap();
        };
        write("6.9", "like = '6.12'");
        write("6.12", "like = '7.3'");
        write("7.3", "");
        assert_eq!(like(&root, "6.9").unwrap(), ["6.9", "6.12", "7.3"]);
        assert_eq!(like(&root, "7.3").unwrap(), ["7.3"]);
        write("7.3", "like = '6.9'");
        let error = like(&root, "6.12").unwrap_err().to_string();
        assert!(error.ends_with("Linux 6.12 is like itself"), "{error}");
        write("7.3", "like = '7.4'");
        assert!(like(&root, "6.9").is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn another_series_is_refused_in_one_line() {
        let (root, kdir) = root("refused", "VERSION = 7\nPATCHLEVEL = 1\n");
        let refused = |kernel, kdir| {
            let error = format!("{:#}", asked(&root, kernel, kdir).unwrap_err());
            let (said, list) = error.split_once("; ").unwrap();
            assert_eq!(list, "the supported series: 6.9, 6.12, 7.3");
            said.replace(&root.display().to_string(), "")
        };
        let some = Some(kdir.as_path());
        assert_eq!(refused(Some("7.1"), None), "KERNEL=7.1 is not supported");
        assert_eq!(
            refused(None, some),
            "KDIR=/linux is Linux 7.1, which is not supported"
        );
        assert_eq!(
            refused(Some("7.3"), some),
            "KDIR=/linux is Linux 7.1, but KERNEL=7.3"
        );
        fs::write(kdir.join("Makefile"), "VERSION = 1\n").unwrap();
        assert_eq!(refused(None, some), "KDIR=/linux is not a kernel tree");
        // As the Makefile of another project.
        fs::write(kdir.join("Makefile"), "VERSION = 7\nPATCHLEVEL = 3\n").unwrap();
        fs::remove_file(kdir.join(OF_A_KERNEL)).unwrap();
        assert_eq!(refused(None, some), "KDIR=/linux is not a kernel tree");
        fs::remove_dir_all(&root).unwrap();
    }
}
