// SPDX-License-Identifier: GPL-2.0

//! The assembled tree: a kernel's source with our files in it.
//!
//! A folder that holds none of our files is one link to the source. On the way to our files, folders
//! are real and hold links. So the source itself is never written to, and an edit of a file of ours
//! is seen by the next build.

use crate::{step, Place};
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

/// A file of ours that has another path in the tree.
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

/// What stands at a path of the tree in place of the source's.
enum Ours {
    Link(PathBuf),
    Text(String),
}

/// Folders that kbuild or its scripts want to be real, or whose contents are left out.
const REAL: &[&str] = &["include", "scripts", "arch", "arch/x86", "arch/x86/include"];

/// Reads the series of a kernel tree, such as `6.12`.
pub fn series_of(kdir: &Path) -> Result<String> {
    let text = fs::read_to_string(kdir.join("Makefile"))
        .with_context(|| format!("KDIR={}: not a kernel tree", kdir.display()))?;
    let value = |name: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(name)?.trim().strip_prefix('='))
            .map(|v| v.trim().to_owned())
    };
    match (value("VERSION"), value("PATCHLEVEL")) {
        (Some(version), Some(patchlevel)) => Ok(format!("{version}.{patchlevel}")),
        _ => bail!("KDIR={}: its Makefile has no version", kdir.display()),
    }
}

/// The series that have a folder in `backport/`, oldest first.
pub fn supported(root: &Path) -> Result<Vec<String>> {
    let mut all: Vec<_> = fs::read_dir(root.join("backport"))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter_map(|series| Some((number(&series)?, series)))
        .collect();
    all.sort();
    Ok(all.into_iter().map(|(_, series)| series).collect())
}

/// `6.12` as two numbers.
fn number(series: &str) -> Option<(u32, u32)> {
    let (version, patchlevel) = series.split_once('.')?;
    Some((version.parse().ok()?, patchlevel.parse().ok()?))
}

/// The folder of `backport/` that serves this kernel: its own, or the newest before it.
pub fn backport(place: &Place) -> Result<PathBuf> {
    let wanted = number(&place.series);
    supported(&place.root)?
        .into_iter()
        .rfind(|series| number(series) <= wanted)
        .map(|series| place.root.join("backport").join(series))
        .with_context(|| {
            format!(
                "Linux {} is older than all that backport/ serves",
                place.series
            )
        })
}

/// Our files and where they belong in the tree.
pub fn files(place: &Place) -> Result<BTreeMap<PathBuf, PathBuf>> {
    if !place.ours {
        return Ok(BTreeMap::new());
    }
    let backport = backport(place)?;
    let mut all = BTreeMap::new();
    for top in [place.root.as_path(), backport.as_path()] {
        for part in ["rust", "samples", "lib"] {
            for file in walk(&top.join(part))? {
                let at = file.strip_prefix(top)?.to_owned();
                if let Some(other) = all.insert(at.clone(), file) {
                    bail!(
                        "{} and its like in backport/ are for the same path",
                        other.display()
                    );
                }
            }
        }
    }
    Ok(all)
}

/// The files below a folder, which need not exist.
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

/// The kernel's source, which is never written to.
fn base(place: &Place) -> Result<PathBuf> {
    match &place.kdir {
        Some(kdir) => Ok(kdir.canonicalize()?),
        None => Ok(place.cache.join(format!("linux-{}", place.series))),
    }
}

/// The same kernel with its own files, if it has any where ours stand.
pub fn mainline(place: &Place) -> Result<Option<Place>> {
    let tree = base(place)?;
    Ok(tree.join("rust/kernel/mm.rs").exists().then(|| Place {
        tree,
        ours: false,
        ..place.variant("mainline")
    }))
}

/// The same kernel with our files, and with its drivers as they are.
pub fn unchanged(place: &Place) -> Place {
    let mut tree = place.tree.clone().into_os_string();
    tree.push("-unchanged");
    Place {
        tree: tree.into(),
        drivers: false,
        ..place.variant("unchanged")
    }
}

/// Makes or renews the tree.
pub fn assemble(place: &Place) -> Result<()> {
    let base = base(place)?;
    if base.join(".config").exists() || base.join("include/config").exists() {
        bail!(
            "{}: was built in place; run `make mrproper` there first",
            base.display()
        );
    }

    let path = backport(place)?.join("tree.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let manifest: Manifest = toml::from_str(&text).with_context(|| path.display().to_string())?;

    let mut ours: BTreeMap<PathBuf, Ours> = BTreeMap::new();
    for (at, file) in files(place)? {
        ours.insert(at, Ours::Link(file));
    }
    let wanted = |at: &Path| place.drivers || !at.starts_with("drivers");
    for link in manifest.link.into_iter().filter(|link| wanted(&link.to)) {
        ours.insert(link.to, Ours::Link(place.root.join(link.from)));
    }
    let mut inserts: BTreeMap<PathBuf, Vec<Insert>> = BTreeMap::new();
    for insert in manifest.insert.into_iter().filter(|i| wanted(&i.file)) {
        inserts.entry(insert.file.clone()).or_default().push(insert);
    }
    for (file, inserts) in inserts {
        let text = fs::read_to_string(base.join(&file))
            .with_context(|| format!("{}: not in this kernel", file.display()))?;
        let text = inserted(&text, &inserts).with_context(|| file.display().to_string())?;
        ours.insert(file, Ours::Text(text));
    }

    let mut real: BTreeSet<PathBuf> = REAL.iter().map(PathBuf::from).collect();
    for at in ours.keys() {
        real.extend(at.ancestors().skip(1).map(Path::to_path_buf));
    }
    for dir in &real {
        folder(&base.join(dir), &place.tree.join(dir), dir, &real, &ours)?;
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

/// Makes one real folder of the tree: links to the source, and what is ours.
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
        let name = at.file_name().context("a file of ours has no name")?;
        keep.insert(name.to_owned());
        let target = tree.join(name);
        match what {
            Ours::Link(file) => link(file, &target)?,
            Ours::Text(text) => {
                if target.is_symlink() {
                    fs::remove_file(&target)?;
                }
                step::write_if_new(&target, text)?;
            }
        }
    }
    keep.extend(
        real.iter()
            .filter(|sub| sub.parent() == Some(dir) && !sub.as_os_str().is_empty())
            .filter_map(|sub| sub.file_name().map(ToOwned::to_owned)),
    );
    // What is not needed any more.
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

/// Makes `at` a link to `target`, if it is none.
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

    /// A tree of a later series that has no more than the lines where ours belong, and the place to
    /// assemble it in.
    fn later(name: &str) -> (PathBuf, Place) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
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
            *files.entry(file).or_default() += &format!("{anchor}\n{last}\n");
        }
        for (file, text) in &files {
            let file = kdir.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        fs::write(kdir.join("Makefile"), "VERSION = 7\nPATCHLEVEL = 4\n").unwrap();

        let place = Place {
            root,
            build: top.clone(),
            cache: top.clone(),
            series: series_of(&kdir).unwrap(),
            tree: top.join("tree"),
            objects: top.join("objects"),
            kdir: Some(kdir),
            ours: true,
            drivers: true,
        };
        (top, place)
    }

    /// A file has changed where ours belongs.
    #[test]
    fn a_later_kernel_that_does_not_fit_is_refused_by_file() {
        let (top, place) = later("later");
        assert_eq!(place.series, "7.4");
        assert!(backport(&place).unwrap().ends_with("7.3"));
        assemble(&place).unwrap();

        fs::write(top.join("linux/rust/kernel/lib.rs"), "pub mod other;\n").unwrap();
        let said = format!("{:#}", assemble(&place).unwrap_err());
        assert!(said.contains("rust/kernel/lib.rs"), "{said}");
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn drivers_are_changed_or_left_as_they_are() {
        let (top, changed) = later("drivers");
        let unchanged = unchanged(&changed);
        let is_own = |place: &Place, file: &str| {
            let text = |tree: &Path| fs::read_to_string(tree.join(file)).ok();
            text(&place.tree) == text(&base(place).unwrap())
        };
        for (place, own) in [(&changed, false), (&unchanged, true)] {
            assemble(place).unwrap();
            assert_eq!(is_own(place, "drivers/android/binder/vma.rs"), own);
            assert_eq!(is_own(place, "drivers/android/binder/process.rs"), own);
            assert!(!is_own(place, "rust/kernel/lib.rs"));
            assert!(!is_own(place, "rust/kernel/kthread.rs"));
        }
        fs::remove_dir_all(top).unwrap();
    }
}
