// SPDX-License-Identifier: GPL-2.0

//! `make apply` and `make unapply`: the files of the tree, copied into a kernel tree of the user.

use crate::patches::{is_repository, version};
use anyhow::{bail, Context, Result};
use front::{
    build::Build,
    step,
    tree::{self, Changed},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What was done to a tree. The directory of this record also has `before/`, the replaced and edited
/// files as they were, and `after/`, all files as they were written.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Each file, and whether it existed before.
    files: BTreeMap<PathBuf, bool>,
    /// The directories that did not exist before.
    directories: BTreeSet<PathBuf>,
}

/// Returns the user's tree.
fn kdir(build: &Build) -> Result<PathBuf> {
    let kdir = build.kdir.as_ref();
    let kdir = kdir.context("pass the tree to change: KDIR=path")?;
    kdir.canonicalize()
        .with_context(|| format!("KDIR={}", kdir.display()))
}

/// Returns the directory of the record: that of git's files if the tree is a repository, so that
/// `git status` does not show it.
fn place(kdir: &Path) -> Result<PathBuf> {
    if !is_repository(kdir) {
        return Ok(kdir.join(".rust-task-mm"));
    }
    let path = ["rev-parse", "--git-path", "rust-task-mm"];
    let path = step::output(Command::new("git").arg("-C").arg(kdir).args(path))?;
    Ok(kdir.join(path.trim()))
}

/// Deletes the record of a tree.
pub fn forget(kdir: &Path) -> Result<()> {
    let place = place(kdir)?;
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    Ok(())
}

/// Copies the files into the tree.
///
/// # Errors
///
/// - The series is not supported, or an edit does not fit. Nothing is written.
/// - The tree has been changed. Nothing is written.
pub fn apply(build: &Build) -> Result<()> {
    let kdir = kdir(build)?;
    let name = || format!("KDIR={}", kdir.display());
    let series = build.root.join("backport").join(&build.series);
    if !series.is_dir() {
        bail!(
            "{}: Linux {} is not supported; backport/ has the series that are",
            name(),
            build.series
        );
    }
    if place(&kdir)?.join("record.toml").exists() || kdir.join("rust/Kconfig.task").exists() {
        bail!(
            "{}: has the crate already; `make unapply` takes it back",
            name()
        );
    }
    let difference = tree::difference(build).with_context(name)?;
    write_all(&kdir, &difference).with_context(name)?;
    println!("{}: Linux {}", kdir.display(), version(&kdir)?);
    print(&difference);
    println!("`make unapply KDIR={}` takes it back", kdir.display());
    Ok(())
}

/// Writes the record and the files.
fn write_all(kdir: &Path, difference: &BTreeMap<PathBuf, Changed>) -> Result<()> {
    clean(kdir, difference)?;
    let place = place(kdir)?;
    let mut record = Record {
        files: BTreeMap::new(),
        directories: BTreeSet::new(),
    };
    for (at, changed) in difference {
        record.files.insert(at.clone(), changed.before.is_some());
        let missing = at
            .ancestors()
            .skip(1)
            .filter(|dir| !kdir.join(dir).exists());
        record.directories.extend(missing.map(Path::to_path_buf));
    }
    // The record is complete before the tree is changed, so what is interrupted can be taken back.
    let _ = fs::remove_dir_all(&place);
    for (at, changed) in difference {
        write(&place.join("after").join(at), &changed.after)?;
        if changed.before.is_some() {
            copy(&kdir.join(at), &place.join("before").join(at))?;
        }
    }
    write(&place.join("record.toml"), &toml::to_string(&record)?)?;
    for (at, changed) in difference {
        write(&kdir.join(at), &changed.after)?;
    }
    Ok(())
}

/// Returns an error if a file that would be written is not as it was published or committed.
fn clean(kdir: &Path, difference: &BTreeMap<PathBuf, Changed>) -> Result<()> {
    if let Some((at, _)) = difference.iter().find(|(at, _)| kdir.join(at).is_symlink()) {
        bail!("{}: is a link", at.display());
    }
    if !is_repository(kdir) {
        return Ok(());
    }
    let git = |args: &[&str]| step::output(Command::new("git").arg("-C").arg(kdir).args(args));
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    if let Some(first) = changes.lines().next() {
        bail!(
            "has changes that are not committed ({}); commit or stash them",
            first.trim()
        );
    }
    let tracked = git(&["ls-files", "-z"])?;
    let tracked: BTreeSet<&Path> = tracked.split('\0').map(Path::new).collect();
    let mut present = difference
        .iter()
        .filter(|(_, changed)| changed.before.is_some());
    if let Some((at, _)) = present.find(|(at, _)| !tracked.contains(at.as_path())) {
        bail!("{}: is not committed", at.display());
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(file.parent().context("a path has no directory")?)?;
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// Copies a file with its mode.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a path has no directory")?)?;
    fs::copy(from, to).with_context(|| to.display().to_string())?;
    Ok(())
}

/// Prints what was done.
fn print(difference: &BTreeMap<PathBuf, Changed>) {
    let lines = |text: &str| text.lines().count();
    let mut rows = [
        ("added", 0, 0, 0),
        ("replaced", 0, 0, 0),
        ("edited", 0, 0, 0),
    ];
    for changed in difference.values() {
        let row = match &changed.before {
            None => &mut rows[0],
            Some(_) if !changed.edited => &mut rows[1],
            Some(_) => &mut rows[2],
        };
        row.1 += 1;
        row.2 += changed.before.as_deref().map_or(0, lines);
        row.3 += lines(&changed.after);
    }
    println!(
        "{:10} {:>6} {:>14} {:>13}",
        "", "files", "lines before", "lines after"
    );
    for (what, files, before, after) in rows {
        println!("{what:10} {files:>6} {before:>14} {after:>13}");
    }
}

/// Takes back what [`apply`] did.
///
/// # Errors
///
/// - A file has been changed since. Nothing is written.
pub fn unapply(build: &Build) -> Result<()> {
    let kdir = kdir(build)?;
    let name = || format!("KDIR={}", kdir.display());
    let files = take_back(&kdir).with_context(name)?;
    println!("{}: {files} files are as they were", kdir.display());
    Ok(())
}

/// Restores the files, and deletes the record. Returns the number of files.
fn take_back(kdir: &Path) -> Result<usize> {
    let place = place(kdir)?;
    let record = fs::read_to_string(place.join("record.toml"))
        .context("`make apply` has not changed this tree")?;
    let record: Record = toml::from_str(&record)?;

    // An interrupted `make apply` or `make unapply` leaves some files as they were before.
    let before = |at: &Path| fs::read(place.join("before").join(at)).ok();
    for at in record.files.keys() {
        let now = fs::read(kdir.join(at)).ok();
        let written = fs::read(place.join("after").join(at)).ok();
        if now != written && now != before(at) {
            bail!("{} has been changed since `make apply`", at.display());
        }
    }
    for (at, existed) in &record.files {
        let file = kdir.join(at);
        if *existed {
            copy(&place.join("before").join(at), &file)?;
        } else if file.exists() {
            fs::remove_file(file)?;
        }
    }
    // The innermost directories come first. One that has other files stays.
    for dir in record.directories.iter().rev() {
        let _ = fs::remove_dir(kdir.join(dir));
    }
    fs::remove_dir_all(&place)?;
    Ok(record.files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a new directory with the files of `difference` as they are before.
    fn tree(name: &str, difference: &BTreeMap<PathBuf, Changed>) -> PathBuf {
        let kdir = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&kdir);
        fs::create_dir_all(&kdir).unwrap();
        for (at, changed) in difference {
            if let Some(before) = &changed.before {
                write(&kdir.join(at), before).unwrap();
            }
        }
        kdir.canonicalize().unwrap()
    }

    fn difference() -> BTreeMap<PathBuf, Changed> {
        let changed = |before: Option<&str>| Changed {
            before: before.map(ToOwned::to_owned),
            after: "after\n".to_owned(),
            edited: before.is_some(),
        };
        [
            ("old".into(), changed(Some("before\n"))),
            ("new/directory/file".into(), changed(None)),
        ]
        .into()
    }

    fn contents(kdir: &Path) -> Vec<(PathBuf, String)> {
        let mut files = tree::walk(kdir).unwrap();
        files.retain(|file| !file.starts_with(kdir.join(".git")));
        files.sort();
        let text = |file: &PathBuf| fs::read_to_string(file).unwrap();
        files
            .iter()
            .map(|file| (file.clone(), text(file)))
            .collect()
    }

    #[test]
    fn what_was_written_is_taken_back() {
        let kdir = tree("taken-back", &difference());
        let before = contents(&kdir);
        write_all(&kdir, &difference()).unwrap();
        assert_eq!(fs::read_to_string(kdir.join("old")).unwrap(), "after\n");
        assert!(kdir.join("new/directory/file").exists());

        // A file that is as it was before is what an interrupted run leaves.
        write(&kdir.join("old"), "before\n").unwrap();
        assert_eq!(take_back(&kdir).unwrap(), 2);
        assert_eq!(contents(&kdir), before);
        assert!(!kdir.join("new").exists());
        let again = format!("{:#}", take_back(&kdir).unwrap_err());
        assert!(again.contains("has not changed this tree"), "{again}");
        fs::remove_dir_all(kdir).unwrap();
    }

    #[test]
    fn a_changed_file_is_not_taken_back() {
        let kdir = tree("changed", &difference());
        write_all(&kdir, &difference()).unwrap();
        write(&kdir.join("old"), "other\n").unwrap();
        let before = contents(&kdir);
        let error = format!("{:#}", take_back(&kdir).unwrap_err());
        assert_eq!(error, "old has been changed since `make apply`");
        assert_eq!(contents(&kdir), before);
        fs::remove_dir_all(kdir).unwrap();
    }

    #[test]
    fn a_tree_with_changes_is_left_as_it_is() {
        let kdir = tree("dirty", &difference());
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(&kdir).args(args);
            for role in ["AUTHOR", "COMMITTER"] {
                git.env(format!("GIT_{role}_NAME"), "a")
                    .env(format!("GIT_{role}_EMAIL"), "a@b");
            }
            step::output(&mut git).unwrap()
        };
        let refused = || {
            write_all(&kdir, &difference())
                .err()
                .map(|err| err.to_string())
        };
        git(&["init", "--quiet"]);
        assert_eq!(refused().as_deref(), Some("old: is not committed"));
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "-m", "source"]);
        write(&kdir.join("old"), "other\n").unwrap();
        let error = refused().unwrap();
        assert!(
            error.starts_with("has changes that are not committed"),
            "{error}"
        );
        assert_eq!(contents(&kdir).len(), 1);

        git(&["checkout", "--quiet", "old"]);
        assert_eq!(refused(), None);
        assert_ne!(git(&["status", "--porcelain"]), "");
        take_back(&kdir).unwrap();
        assert_eq!(git(&["status", "--porcelain"]), "");
        fs::remove_dir_all(kdir).unwrap();
    }
}
