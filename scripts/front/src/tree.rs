// SPDX-License-Identifier: GPL-2.0

//! The assembled tree: a kernel's source together with the files of this repository.
//!
//! A directory without a file of this repository is a symbolic link to the source. Its other
//! directories are real and contain links. The source itself is never written to, and the next build
//! sees an edit of this repository's files.

use crate::{step, Build};
use anyhow::{bail, Context, Result};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// `backport/<series>/tree.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(default)]
    link: Vec<Link>,
    #[serde(default)]
    insert: Vec<Insert>,
}

/// A file of this repository that has another path in the tree.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    from: PathBuf,
    to: PathBuf,
}

/// Lines to be put before, after or in the place of a line of the kernel's own. An anchor is the whole
/// line, or its beginning if it ends in `…`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Insert {
    file: PathBuf,
    after: Option<String>,
    before: Option<String>,
    instead_of: Option<String>,
    /// With `instead_of`: the last line that goes, the next of this kind. It is the only one
    /// without.
    through: Option<String>,
    lines: String,
}

/// What a path of the tree is, if it is not a link to the source.
enum Ours {
    Link(PathBuf),
    Text(String),
}

/// Directories that kbuild or its scripts need to be real, or that have excluded contents.
const REAL: &[&str] = &["include", "scripts", "arch", "arch/x86", "arch/x86/include"];

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

/// Returns the directory of `backport/` for this kernel: that of its series, or else of the newest
/// earlier one.
pub fn backport(build: &Build) -> Result<PathBuf> {
    let wanted = version(&build.series);
    supported(&build.root)?
        .into_iter()
        .rfind(|series| version(series) <= wanted)
        .map(|series| build.root.join("backport").join(series))
        .with_context(|| {
            format!(
                "Linux {} is older than each series in backport/",
                build.series
            )
        })
}

/// Returns this repository's files, by their path in the tree.
pub fn files(build: &Build) -> Result<BTreeMap<PathBuf, PathBuf>> {
    if !build.ours {
        return Ok(BTreeMap::new());
    }
    let backport = backport(build)?;
    let mut all = BTreeMap::new();
    for top in [build.root.as_path(), backport.as_path()] {
        for part in &build.manifest.tree {
            for file in walk(&top.join(part))? {
                let at = file.strip_prefix(top)?.to_owned();
                if let Some(other) = all.insert(at.clone(), file) {
                    bail!(
                        "{} and a file of backport/ have the same path in the tree",
                        other.display()
                    );
                }
            }
        }
    }
    Ok(all)
}

/// Returns the files below a directory; none if it does not exist.
pub fn walk(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(found);
    };
    for entry in entries.flatten() {
        if entry.file_type()?.is_dir() {
            found.extend(walk(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Returns the kernel's source, which is never written to.
fn base(build: &Build) -> Result<PathBuf> {
    match &build.kdir {
        Some(kdir) => Ok(kdir.canonicalize()?),
        None => Ok(build.cache.join(format!("linux-{}", build.series))),
    }
}

/// Returns the build of the same kernel without this repository, if that kernel has the files that
/// this repository replaces.
pub fn mainline(build: &Build) -> Result<Option<Build>> {
    let tree = base(build)?;
    Ok(tree.join("rust/kernel/mm.rs").exists().then(|| Build {
        tree,
        ours: false,
        ..build.variant("mainline")
    }))
}

/// Returns the build of the same kernel with this repository's files, but unmodified drivers.
pub fn unmodified_drivers(build: &Build) -> Build {
    let mut tree = build.tree.clone().into_os_string();
    tree.push("-unchanged");
    Build {
        tree: tree.into(),
        drivers: false,
        ..build.variant("unchanged")
    }
}

/// Creates or updates the tree.
pub fn assemble(build: &Build) -> Result<()> {
    let base = base(build)?;
    if base.join(".config").exists() || base.join("include/config").exists() {
        bail!(
            "{}: contains build output; run `make mrproper` there first",
            base.display()
        );
    }

    let path = backport(build)?.join("tree.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let manifest: Manifest = toml::from_str(&text).with_context(|| path.display().to_string())?;

    let mut ours: BTreeMap<PathBuf, Ours> = BTreeMap::new();
    for (at, file) in files(build)? {
        ours.insert(at, Ours::Link(file));
    }
    let wanted = |at: &Path| build.drivers || !at.starts_with("drivers");
    for link in manifest.link.into_iter().filter(|link| wanted(&link.to)) {
        ours.insert(link.to, Ours::Link(build.root.join(link.from)));
    }
    let mut inserts: BTreeMap<PathBuf, Vec<Insert>> = BTreeMap::new();
    for insert in manifest.insert.into_iter().filter(|i| wanted(&i.file)) {
        inserts.entry(insert.file.clone()).or_default().push(insert);
    }
    for (file, inserts) in inserts {
        let text = fs::read_to_string(base.join(&file))
            .with_context(|| format!("{}: this kernel has no such file", file.display()))?;
        let text = inserted(&text, &inserts).with_context(|| file.display().to_string())?;
        ours.insert(file, Ours::Text(text));
    }

    let mut real: BTreeSet<PathBuf> = REAL.iter().map(PathBuf::from).collect();
    for at in ours.keys() {
        real.extend(at.ancestors().skip(1).map(Path::to_path_buf));
    }
    for dir in &real {
        folder(&base.join(dir), &build.tree.join(dir), dir, &real, &ours)?;
    }
    Ok(())
}

/// Puts the lines of `inserts` where their anchors stand in `text`.
fn inserted(text: &str, inserts: &[Insert]) -> Result<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut at: BTreeMap<usize, String> = BTreeMap::new();
    let mut gone = BTreeSet::new();

    for insert in inserts {
        let (anchor, below) = match (&insert.after, &insert.before, &insert.instead_of) {
            (Some(anchor), None, None) => (anchor, 1),
            (None, Some(anchor), None) | (None, None, Some(anchor)) => (anchor, 0),
            _ => bail!("an insertion needs one of `after`, `before` and `instead_of`"),
        };
        if insert.through.is_some() && insert.instead_of.is_none() {
            bail!("`through` is for lines that go: it needs `instead_of`");
        }
        let like = |i: &usize, anchor: &str| match anchor.strip_suffix('…') {
            Some(beginning) => lines[*i].trim().starts_with(beginning),
            None => lines[*i].trim() == anchor.trim(),
        };
        let mut found = (0..lines.len()).filter(|i| like(i, anchor));
        let line = match (found.next(), found.next()) {
            (Some(line), None) => line,
            (None, _) => bail!("the line `{anchor}`, where ours belong, is not there"),
            _ => bail!("the line `{anchor}`, where ours belong, is there more than once"),
        };
        at.entry(line + below).or_default().push_str(&insert.lines);

        let last = match &insert.through {
            Some(last) => (line + 1..lines.len())
                .find(|i| like(i, last))
                .with_context(|| format!("the line `{last}`, after `{anchor}`, is not there"))?,
            None => line,
        };
        if insert.instead_of.is_some() {
            gone.extend(line..=last);
        }
    }

    let mut out = String::new();
    for i in 0..=lines.len() {
        out.push_str(at.get(&i).map_or("", String::as_str));
        if let Some(line) = lines.get(i).filter(|_| !gone.contains(&i)) {
            out.push_str(line);
            out.push('\n');
        }
    }
    Ok(out)
}

/// Creates or updates one real directory of the tree.
fn folder(
    base: &Path,
    tree: &Path,
    dir: &Path,
    real: &BTreeSet<PathBuf>,
    ours: &BTreeMap<PathBuf, Ours>,
) -> Result<()> {
    if tree.is_symlink() {
        fs::remove_file(tree)?;
    }
    fs::create_dir_all(tree)?;

    let mut keep = BTreeSet::new();
    if let Ok(entries) = fs::read_dir(base) {
        for entry in entries.flatten() {
            let at = dir.join(entry.file_name());
            if at == Path::new(".git") || at.starts_with("include/generated") {
                continue;
            }
            keep.insert(entry.file_name());
            if !real.contains(&at) && !ours.contains_key(&at) {
                link(&entry.path(), &tree.join(entry.file_name()))?;
            }
        }
    }
    for (at, what) in ours.iter().filter(|(at, _)| at.parent() == Some(dir)) {
        let name = at.file_name().context("a path has no file name")?;
        keep.insert(name.to_owned());
        let target = tree.join(name);
        match what {
            Ours::Link(file) => link(file, &target)?,
            Ours::Text(text) => {
                if target.is_symlink() {
                    fs::remove_file(&target)?;
                }
                step::write_if_changed(&target, text)?;
            }
        }
    }
    keep.extend(
        real.iter()
            .filter(|sub| sub.parent() == Some(dir) && !sub.as_os_str().is_empty())
            .filter_map(|sub| sub.file_name().map(ToOwned::to_owned)),
    );
    // Remove what is no longer needed.
    for entry in fs::read_dir(tree)?.flatten() {
        if !keep.contains(&entry.file_name()) {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

/// Makes `at` a symbolic link to `target`.
pub fn link(target: &Path, at: &Path) -> Result<()> {
    if fs::read_link(at).is_ok_and(|old| old == target) {
        return Ok(());
    }
    if at.is_dir() && !at.is_symlink() {
        fs::remove_dir_all(at)?;
    } else if at.exists() || at.is_symlink() {
        fs::remove_file(at)?;
    }
    symlink(target, at).with_context(|| at.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(after: Option<&str>, before: Option<&str>) -> Insert {
        Insert {
            file: "lib.rs".into(),
            after: after.map(Into::into),
            before: before.map(Into::into),
            instead_of: None,
            through: None,
            lines: "ours\n".into(),
        }
    }

    #[test]
    fn lines_go_where_their_anchor_is() {
        let text = "a\nb\nc\n";
        let at = |insert| inserted(text, &[insert]).unwrap();
        assert_eq!(at(insert(Some("b"), None)), "a\nb\nours\nc\n");
        assert_eq!(at(insert(None, Some("b"))), "a\nours\nb\nc\n");
    }

    #[test]
    fn lines_take_the_place_of_others() {
        let mut insert = self::insert(None, None);
        insert.instead_of = Some("b".into());
        assert_eq!(inserted("a\nb\nc\n", &[insert]).unwrap(), "a\nours\nc\n");

        let mut insert = self::insert(None, None);
        insert.instead_of = Some("b".into());
        insert.through = Some("c".into());
        let text = "c\nb\nx\n  c\nc\n";
        assert_eq!(inserted(text, &[insert]).unwrap(), "c\nours\nc\n");

        let mut insert = self::insert(Some("b"), None);
        insert.through = Some("c".into());
        assert!(inserted(text, &[insert]).is_err());
    }

    #[test]
    fn an_anchor_may_be_the_beginning_of_a_line() {
        let text = "a 1\nb 2\n";
        assert_eq!(
            inserted(text, &[insert(Some("a…"), None)]).unwrap(),
            "a 1\nours\nb 2\n"
        );
        assert!(inserted("a 1\na 2\n", &[insert(Some("a…"), None)]).is_err());
    }

    #[test]
    fn an_anchor_that_is_not_there_once_is_refused() {
        assert!(inserted("a\n", &[insert(Some("b"), None)]).is_err());
        assert!(inserted("b\nb\n", &[insert(Some("b"), None)]).is_err());
    }

    /// Returns a temporary directory, with a tree of a later series that only consists of the anchors of
    /// tree.toml, and its build.
    fn later(name: &str) -> (PathBuf, Build) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap()
            .to_owned();
        let top = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let kdir = top.join("linux");
        let manifest = fs::read_to_string(root.join("backport/7.3/tree.toml")).unwrap();
        let manifest: Manifest = toml::from_str(&manifest).unwrap();
        let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
        for Insert {
            file,
            after,
            before,
            instead_of,
            through,
            ..
        } in manifest.insert
        {
            let anchor = after.or(before).or(instead_of).unwrap();
            let last = through.unwrap_or_default();
            let text = files.entry(file).or_default();
            for line in [anchor, last] {
                if !text.lines().any(|old| old == line) {
                    *text += &format!("{line}\n");
                }
            }
        }
        for (file, text) in &files {
            let file = kdir.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        fs::write(kdir.join("Makefile"), "VERSION = 7\nPATCHLEVEL = 4\n").unwrap();

        let build = Build {
            manifest: crate::manifest::Manifest::read(&root).unwrap().into(),
            root,
            out: top.clone(),
            cache: top.clone(),
            series: crate::build::series_of(&kdir).unwrap(),
            tree: top.join("tree"),
            objects: top.join("objects"),
            kdir: Some(kdir),
            ours: true,
            drivers: true,
        };
        (top, build)
    }

    #[test]
    fn a_missing_anchor_is_an_error_that_names_the_file() {
        let (top, build) = later("later");
        assert_eq!(build.series, "7.4");
        assert!(backport(&build).unwrap().ends_with("7.3"));
        assemble(&build).unwrap();

        fs::write(top.join("linux/rust/kernel/lib.rs"), "pub mod other;\n").unwrap();
        let error = format!("{:#}", assemble(&build).unwrap_err());
        assert!(error.contains("rust/kernel/lib.rs"), "{error}");
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn drivers_are_edited_or_unmodified() {
        let (top, edited) = later("drivers");
        let unmodified = unmodified_drivers(&edited);
        let is_own = |build: &Build, file: &str| {
            let text = |tree: &Path| fs::read_to_string(tree.join(file)).ok();
            text(&build.tree) == text(&base(build).unwrap())
        };
        for (build, own) in [(&edited, false), (&unmodified, true)] {
            assemble(build).unwrap();
            assert_eq!(is_own(build, "drivers/android/binder/vma.rs"), own);
            assert_eq!(is_own(build, "drivers/android/binder/process.rs"), own);
            assert!(!is_own(build, "rust/kernel/lib.rs"));
            assert!(!is_own(build, "rust/kernel/kthread.rs"));
        }
        fs::remove_dir_all(top).unwrap();
    }
}
