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
    ops::Range,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// `backport/<series>/tree.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Manifest {
    /// Another series. What its `tree.toml` has is part of this one, except for `without`.
    #[serde(rename = "like")]
    _like: Option<String>,
    without: Vec<Without>,
    link: Vec<Link>,
    insert: Vec<Insert>,
}

/// Entries of the other series that this one does not have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Without {
    /// The file, or a directory.
    file: PathBuf,
    /// The anchor of the edit, or the first of the lines that it removes. All edits if missing.
    anchor: Option<String>,
}

impl Without {
    fn is_about(&self, file: &Path, anchor: Option<&Anchor>) -> bool {
        file.starts_with(&self.file)
            && (self.anchor.is_none() || self.anchor.as_ref() == anchor.map(|anchor| &anchor.0))
    }
}

/// A file of this repository that has another path in the tree.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    from: PathBuf,
    to: PathBuf,
}

/// Lines that are inserted after or before a line of the kernel's file, or that replace lines of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Insert {
    file: PathBuf,
    after: Option<Anchor>,
    before: Option<Anchor>,
    instead_of: Option<Removed>,
    lines: String,
}

impl Insert {
    fn anchor(&self) -> Option<&Anchor> {
        let removed = self.instead_of.as_ref().map(|removed| &removed.first);
        self.after.as_ref().or(self.before.as_ref()).or(removed)
    }
}

/// Lines of the kernel's file that are removed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removed {
    first: Anchor,
    /// Optional if only one line is removed.
    last: Option<Anchor>,
    lines: usize,
}

/// A line without the spaces around it, or the beginning of one if the anchor ends in `…`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct Anchor(String);

impl Anchor {
    fn matches(&self, line: &str) -> bool {
        match self.0.strip_suffix('…') {
            Some(beginning) => line.trim().starts_with(beginning),
            None => line.trim() == self.0.trim(),
        }
    }

    /// Returns the index of the only line that matches.
    fn find(&self, lines: &[&str]) -> Result<usize> {
        let all = (0..lines.len()).filter(|i| self.matches(lines[*i]));
        match all.collect::<Vec<_>>()[..] {
            [line] => Ok(line),
            [] => bail!("no line is `{}`", self.0),
            ref many => {
                let numbers: Vec<_> = many.iter().map(|i| (i + 1).to_string()).collect();
                bail!("lines {} are `{}`", numbers.join(", "), self.0)
            }
        }
    }
}

impl Removed {
    /// Returns the indices of the lines.
    ///
    /// # Errors
    ///
    /// - The first line does not occur exactly once.
    /// - The last line is not where the number of lines says.
    fn find(&self, lines: &[&str]) -> Result<Range<usize>> {
        let last = match &self.last {
            Some(last) => last,
            None if self.lines == 1 => &self.first,
            None => bail!(
                "`instead_of` needs `last`, as it removes {} lines",
                self.lines
            ),
        };
        if self.lines == 0 {
            bail!("`instead_of` removes no line");
        }
        let first = self.first.find(lines)?;
        let end = first + self.lines;
        if lines.get(end - 1).is_some_and(|line| last.matches(line)) {
            return Ok(first..end);
        }
        let found = (first..lines.len()).find(|i| last.matches(lines[*i]));
        bail!(
            "{} lines from line {} (`{}`) should end at line {end} with `{}`, but that line is {}; {}",
            self.lines,
            first + 1,
            self.first.0,
            last.0,
            lines.get(end - 1).map_or("missing".to_owned(), |line| format!("`{}`", line.trim())),
            match found {
                Some(i) => format!("such a line is line {}, after {} lines", i + 1, i + 1 - first),
                None => "no later line is like that".to_owned(),
            }
        )
    }
}

/// A file of the kernel that is edited.
pub struct Edited {
    pub before: String,
    pub after: String,
}

/// What a path of the tree is, if it is not a link to the source.
enum Ours {
    Link(PathBuf),
    Text(String),
}

/// Directories that kbuild or its scripts need to be real, or that have excluded contents.
const REAL: &[&str] = &["include", "scripts", "arch", "arch/x86", "arch/x86/include"];

/// Returns the directories of `backport/` whose files and edits this kernel has, nearest first.
pub fn backports(build: &Build) -> Vec<PathBuf> {
    let all = build.like.iter();
    all.map(|series| build.root.join("backport").join(series))
        .filter(|dir| dir.is_dir())
        .collect()
}

/// Returns this repository's files, by their path in the tree.
pub fn files(build: &Build) -> Result<BTreeMap<PathBuf, PathBuf>> {
    if !build.ours {
        return Ok(BTreeMap::new());
    }
    let mut all = BTreeMap::new();
    for backport in backports(build) {
        for (at, file) in files_of(build, &backport)? {
            all.entry(at).or_insert(file);
        }
    }
    for (at, file) in files_of(build, &build.root)? {
        if let Some(other) = all.insert(at, file) {
            bail!(
                "{} has the path of a file outside of backport/",
                other.display()
            );
        }
    }
    Ok(all)
}

/// Returns the files of the root or of one series, by their path in the tree.
fn files_of(build: &Build, top: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    for part in &build.manifest.tree {
        for file in walk(&top.join(part))? {
            files.push((file.strip_prefix(top)?.to_owned(), file));
        }
    }
    Ok(files)
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
pub fn base(build: &Build) -> Result<PathBuf> {
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
    // `make test` has a job for each architecture, which have one tree.
    let lock = format!("{}.lock", build.tree.display());
    let _lock = step::lock_file(Path::new(&lock))?;
    if base.join(".config").exists() || base.join("include/config").exists() {
        bail!(
            "{}: contains build output; run `make mrproper` there first",
            base.display()
        );
    }

    let ours = ours(build)?;
    let mut real: BTreeSet<PathBuf> = REAL.iter().map(PathBuf::from).collect();
    for at in ours.keys() {
        real.extend(at.ancestors().skip(1).map(Path::to_path_buf));
    }
    for dir in &real {
        folder(&base.join(dir), &build.tree.join(dir), dir, &real, &ours)?;
    }
    Ok(())
}

/// Returns each path of the tree that is not a link to the source.
fn ours(build: &Build) -> Result<BTreeMap<PathBuf, Ours>> {
    let mut ours: BTreeMap<PathBuf, Ours> = BTreeMap::new();
    for (at, file) in files(build)? {
        ours.insert(at, Ours::Link(file));
    }
    let links = manifest(build)?.link.into_iter();
    for link in links.filter(|link| is_wanted(build, &link.to)) {
        ours.insert(link.to, Ours::Link(build.root.join(link.from)));
    }
    for (file, edited) in edits(build)? {
        ours.insert(file, Ours::Text(edited.after));
    }
    Ok(ours)
}

/// A file of the tree that the source does not have, or has with other contents.
pub struct Changed {
    /// The source's own file.
    pub before: Option<String>,
    pub after: String,
    /// Whether the file is the source's own with the edits of `tree.toml`.
    pub edited: bool,
}

/// Returns the difference between the source and the tree.
pub fn difference(build: &Build) -> Result<BTreeMap<PathBuf, Changed>> {
    let base = base(build)?;
    let mut changed = BTreeMap::new();
    for (at, what) in ours(build)? {
        let before = base.join(&at);
        let read =
            |file: &Path| fs::read_to_string(file).with_context(|| file.display().to_string());
        let change = Changed {
            before: before.exists().then(|| read(&before)).transpose()?,
            edited: matches!(what, Ours::Text(_)),
            after: match what {
                Ours::Link(file) => read(&file)?,
                Ours::Text(text) => text,
            },
        };
        changed.insert(at, change);
    }
    Ok(changed)
}

/// Reads the `tree.toml` of a build, and those of the series that it is like.
fn manifest(build: &Build) -> Result<Manifest> {
    let mut all = Manifest::default();
    for backport in backports(build).into_iter().rev() {
        let path = backport.join("tree.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let own = toml::from_str(&text).with_context(|| path.display().to_string())?;
        add(&mut all, own).with_context(|| path.display().to_string())?;
    }
    Ok(all)
}

/// Adds the entries of a series to those of the one that it is like.
fn add(all: &mut Manifest, own: Manifest) -> Result<()> {
    for without in own.without {
        let entries = |all: &Manifest| all.insert.len() + all.link.len();
        let before = entries(all);
        all.insert
            .retain(|insert| !without.is_about(&insert.file, insert.anchor()));
        all.link.retain(|link| !without.is_about(&link.to, None));
        if entries(all) == before {
            let (file, anchor) = (without.file.display(), without.anchor.unwrap_or_default());
            bail!("`without` names no entry of the other series: {file} {anchor}");
        }
    }
    all.link.extend(own.link);
    all.insert.extend(own.insert);
    Ok(())
}

/// Returns whether the file of the kernel may be changed: the drivers are unmodified in some builds.
fn is_wanted(build: &Build, at: &Path) -> bool {
    build.drivers || !at.starts_with("drivers")
}

/// Returns the files of the kernel that are edited.
///
/// # Errors
///
/// - Some edits do not fit. All of them are printed as a table.
pub fn edits(build: &Build) -> Result<BTreeMap<PathBuf, Edited>> {
    let base = base(build)?;
    let mut inserts: BTreeMap<PathBuf, Vec<Insert>> = BTreeMap::new();
    let all = manifest(build)?.insert.into_iter();
    for insert in all.filter(|insert| is_wanted(build, &insert.file)) {
        inserts.entry(insert.file.clone()).or_default().push(insert);
    }
    let number = inserts.values().map(Vec::len).sum::<usize>();
    let mut edits = BTreeMap::new();
    let mut misfits = Vec::new();
    for (file, inserts) in inserts {
        let Ok(before) = fs::read_to_string(base.join(&file)) else {
            let missing = || (file.clone(), "this kernel has no such file".to_owned());
            misfits.extend(inserts.iter().map(|_| missing()));
            continue;
        };
        let (after, errors) = edited(&before, &inserts);
        let errors = errors.into_iter().map(|err| err.to_string());
        misfits.extend(errors.map(|err| (file.clone(), err)));
        edits.insert(file, Edited { before, after });
    }
    match &misfits[..] {
        [] => Ok(edits),
        [(file, error)] => bail!("{}: {error}", file.display()),
        _ => {
            print(&misfits);
            bail!(
                "{} of {number} edits do not fit Linux {}; see the table",
                misfits.len(),
                build.series
            )
        }
    }
}

/// Prints the edits that do not fit.
fn print(misfits: &[(PathBuf, String)]) {
    let width = misfits.iter().map(|(file, _)| file.as_os_str().len());
    let width = width.max().unwrap_or_default();
    println!("{:width$}  why the edit does not fit", "file");
    for (file, error) in misfits {
        println!("{:width$}  {error}", file.display().to_string());
    }
}

/// Returns `text` with the edits applied that fit, and the errors of the others. All anchors refer to
/// the original text.
fn edited(text: &str, inserts: &[Insert]) -> (String, Vec<anyhow::Error>) {
    let lines: Vec<&str> = text.lines().collect();
    let mut inserted: BTreeMap<usize, String> = BTreeMap::new();
    let mut removed = BTreeSet::new();
    let mut errors = Vec::new();

    for insert in inserts {
        match place(insert, &lines, &mut removed) {
            Ok(at) => inserted.entry(at).or_default().push_str(&insert.lines),
            Err(err) => errors.push(err),
        }
    }

    let mut out = String::new();
    for i in 0..=lines.len() {
        out.push_str(inserted.get(&i).map_or("", String::as_str));
        if let Some(line) = lines.get(i).filter(|_| !removed.contains(&i)) {
            out.push_str(line);
            out.push('\n');
        }
    }
    (out, errors)
}

/// Returns the index of the line before which the edit inserts its own, and adds the lines that it
/// removes to `removed`.
fn place(insert: &Insert, lines: &[&str], removed: &mut BTreeSet<usize>) -> Result<usize> {
    match (&insert.after, &insert.before, &insert.instead_of) {
        (Some(anchor), None, None) => Ok(anchor.find(lines)? + 1),
        (None, Some(anchor), None) => anchor.find(lines),
        (None, None, Some(range)) => {
            let range = range.find(lines)?;
            for line in range.clone() {
                if !removed.insert(line) {
                    bail!("line {} is removed twice", line + 1);
                }
            }
            Ok(range.start)
        }
        _ => bail!("an insertion needs one of `after`, `before` and `instead_of`"),
    }
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
                // The kernel's make runs its scripts directly.
                if let Ok(original) = fs::metadata(base.join(name)) {
                    fs::set_permissions(&target, original.permissions())?;
                }
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

    fn edited(text: &str, inserts: &[Insert]) -> Result<String> {
        let (text, errors) = super::edited(text, inserts);
        errors.into_iter().next().map_or(Ok(text), Err)
    }

    fn insert(after: Option<&str>, before: Option<&str>) -> Insert {
        let anchor = |text: &str| Anchor(text.to_owned());
        Insert {
            file: "lib.rs".into(),
            after: after.map(anchor),
            before: before.map(anchor),
            instead_of: None,
            lines: "ours\n".into(),
        }
    }

    fn replace(toml: &str) -> Insert {
        Insert {
            instead_of: Some(toml::from_str(toml).unwrap()),
            ..insert(None, None)
        }
    }

    #[test]
    fn lines_are_inserted_at_their_anchor() {
        let text = "a\nb\nc\n";
        let at = |insert| edited(text, &[insert]).unwrap();
        assert_eq!(at(insert(Some("b"), None)), "a\nb\nours\nc\n");
        assert_eq!(at(insert(None, Some("b"))), "a\nours\nb\nc\n");
    }

    #[test]
    fn lines_are_replaced() {
        let one = replace("first = 'b'\nlines = 1");
        assert_eq!(edited("a\nb\nc\n", &[one]).unwrap(), "a\nours\nc\n");

        let three = || replace("first = 'b'\nlast = 'c'\nlines = 3");
        assert_eq!(
            edited("c\nb\nx\n  c\nc\n", &[three()]).unwrap(),
            "c\nours\nc\n"
        );
        assert!(edited("b\nx\nc\n", &[three(), three()]).is_err());

        let mut both = three();
        both.after = Some(Anchor("b".into()));
        assert!(edited("b\nx\nc\n", &[both]).is_err());
        assert!(edited("b\nx\n", &[replace("first = 'b'\nlines = 2")]).is_err());
        assert!(edited("b\n", &[replace("first = 'b'\nlines = 0")]).is_err());
    }

    #[test]
    fn another_number_of_lines_is_an_error_with_numbers() {
        let three = || replace("first = 'b'\nlast = 'c'\nlines = 3");
        let error = |text: &str| edited(text, &[three()]).unwrap_err().to_string();
        assert_eq!(
            error("a\nb\nx\ny\nc\n"),
            "3 lines from line 2 (`b`) should end at line 4 with `c`, but that line is `y`; \
             such a line is line 5, after 4 lines"
        );
        assert_eq!(
            error("b\nx\n"),
            "3 lines from line 1 (`b`) should end at line 3 with `c`, but that line is missing; \
             no later line is like that"
        );
        assert_eq!(error("b\nb\nc\n"), "lines 1, 2 are `b`");
        assert_eq!(error("c\n"), "no line is `b`");
    }

    #[test]
    fn an_anchor_may_be_the_beginning_of_a_line() {
        let text = "a 1\nb 2\n";
        assert_eq!(
            edited(text, &[insert(Some("a…"), None)]).unwrap(),
            "a 1\nours\nb 2\n"
        );
        assert!(edited("a 1\na 2\n", &[insert(Some("a…"), None)]).is_err());
    }

    #[test]
    fn an_anchor_must_occur_exactly_once() {
        assert!(edited("a\n", &[insert(Some("b"), None)]).is_err());
        assert!(edited("b\nb\n", &[insert(Some("b"), None)]).is_err());
    }

    #[test]
    fn a_series_has_the_entries_of_another_except_for_some() {
        let other = "
            link = [{ from = 'c', to = 'd/c' }, { from = 'c', to = 'c' }]
            insert = [
                { file = 'a', after = 'x', lines = '1' },
                { file = 'a', before = 'y', lines = '2' },
                { file = 'a', instead_of = { first = 'z', lines = 1 }, lines = '3' },
                { file = 'd/b', after = 'x', lines = '4' },
            ]";
        let with = |own: &str| {
            let mut all = toml::from_str(other).unwrap();
            let own = toml::from_str(&format!("like = '7.3'\n{own}")).unwrap();
            add(&mut all, own)?;
            let lines: String = all.insert.into_iter().map(|insert| insert.lines).collect();
            anyhow::Ok((lines, all.link.len()))
        };
        let fine = |own, lines: &str, links| {
            assert_eq!(with(own).unwrap(), (lines.to_owned(), links), "{own}");
        };
        fine("", "1234", 2);
        fine(
            "insert = [{ file = 'a', after = 'x', lines = '5' }]",
            "12345",
            2,
        );
        fine("without = [{ file = 'a', anchor = 'y' }]", "134", 2);
        fine("without = [{ file = 'a', anchor = 'z' }]", "124", 2);
        fine("without = [{ file = 'a' }, { file = 'c' }]", "4", 1);
        fine("without = [{ file = 'd' }]", "123", 1);
        assert!(with("without = [{ file = 'b' }]").is_err());
        assert!(with("without = [{ file = 'a', anchor = 'w' }]").is_err());
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
        for insert in manifest.insert {
            let text = files.entry(insert.file).or_default();
            let anchors = insert.after.into_iter().chain(insert.before);
            for Anchor(line) in anchors {
                if !text.lines().any(|old| old == line) {
                    *text += &format!("{line}\n");
                }
            }
            if let Some(removed) = insert.instead_of {
                *text += &format!("{}\n", removed.first.0);
                for _ in 2..removed.lines {
                    *text += "removed\n";
                }
                if removed.lines > 1 {
                    *text += &format!("{}\n", removed.last.unwrap().0);
                }
            }
        }
        for (file, text) in &files {
            let file = kdir.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        let build = Build {
            manifest: crate::manifest::Manifest::read(&root).unwrap().into(),
            root,
            out: top.clone(),
            cache: top.clone(),
            series: "7.4".to_owned(),
            like: vec!["7.4".to_owned(), "7.3".to_owned()],
            tree: top.join("tree"),
            objects: top.join("objects"),
            kdir: Some(kdir),
            machine: crate::arch::Arch::find(None).unwrap(),
            arch: None,
            clang: true,
            ours: true,
            drivers: true,
        };
        (top, build)
    }

    #[test]
    fn each_edit_that_does_not_fit_is_an_error() {
        let (top, build) = later("later");
        let [backport] = &backports(&build)[..] else {
            panic!("7.4 has no directory");
        };
        assert!(backport.ends_with("7.3"));
        assemble(&build).unwrap();

        fs::write(top.join("linux/rust/kernel/lib.rs"), "pub mod other;\n").unwrap();
        let error = format!("{:#}", assemble(&build).unwrap_err());
        assert!(error.ends_with("edits do not fit Linux 7.4; see the table"));
        let number: usize = error.split(' ').next().unwrap().parse().unwrap();
        assert!(number > 1, "{error}");

        fs::remove_file(top.join("linux/lib/Makefile")).unwrap();
        let error = format!("{:#}", assemble(&build).unwrap_err());
        assert!(error.starts_with(&format!("{} of ", number + 1)), "{error}");
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
