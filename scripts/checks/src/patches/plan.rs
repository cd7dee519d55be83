// SPDX-License-Identifier: GPL-2.0

//! `patches.toml`: which patch has which file, or which lines of a file.

use anyhow::{bail, Context, Result};
use front::tree::Changed;
use serde::Deserialize;
use similar::{ChangeTag, TextDiff};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The contents of `patches.toml`, where each entry is described.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    pub change_id: String,
    pub title: String,
    pub cover: String,
    pub maintainers: Maintainers,
    pub patch: Vec<Patch>,
}

/// The entry of MAINTAINERS, which is the last patch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintainers {
    pub title: String,
    pub entry: String,
    pub subject: String,
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub subject: String,
    pub message: String,
    #[serde(default)]
    files: Vec<PathBuf>,
    #[serde(default)]
    part: Vec<Part>,
    /// Instead of `subject` and `message`, if the source has none of the files.
    pub new: Option<Message>,
    pub user: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub subject: String,
    pub message: String,
}

/// Lines of a file that another patch has, or that is split completely.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    file: PathBuf,
    lines: Vec<String>,
    unless: Option<PathBuf>,
}

impl Declared {
    /// Reads `patches.toml` in `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("patches.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// One line of a changed file.
struct Line {
    text: String,
    /// The patch that adds the line; `None` if the source has it.
    added: Option<usize>,
    /// The patch that removes the line.
    removed: Option<usize>,
}

/// A changed file, with the patches that change it.
struct Planned {
    lines: Vec<Line>,
    /// The patch whose `files` have it.
    owner: Option<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    New,
    Replaced,
    Edited,
}

/// The patches of one series.
pub struct Plan<'a> {
    pub patches: Vec<&'a Patch>,
    files: BTreeMap<PathBuf, Planned>,
}

impl<'a> Plan<'a> {
    /// Divides the difference between a source and its tree into patches. `exists` tells whether the
    /// source has a file.
    ///
    /// # Errors
    ///
    /// - A file is in no patch, or in two.
    /// - A line of a file that is split is in no patch, or in two.
    pub fn new(
        declared: &'a Declared,
        difference: &BTreeMap<PathBuf, Changed>,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Self> {
        let mut files = BTreeMap::new();
        for (at, changed) in difference {
            let planned =
                file(declared, at, changed, &exists).with_context(|| at.display().to_string())?;
            files.insert(at.clone(), planned);
        }
        // A patch without a file of this series is left out.
        let used: BTreeSet<usize> = files.values().flat_map(Planned::patches).collect();
        let number: BTreeMap<usize, usize> = used.iter().copied().zip(0..).collect();
        for line in files.values_mut().flat_map(|file| &mut file.lines) {
            line.added = line.added.map(|patch| number[&patch]);
            line.removed = line.removed.map(|patch| number[&patch]);
        }
        for file in files.values_mut() {
            file.owner = file.owner.and_then(|patch| number.get(&patch).copied());
        }
        let patches = used.iter().map(|patch| &declared.patch[*patch]).collect();
        Ok(Self { patches, files })
    }

    /// Returns the files that this patch changes, with their contents afterwards.
    pub fn changes(&self, patch: usize) -> BTreeMap<&Path, String> {
        self.files
            .iter()
            .filter(|(_, file)| file.patches().contains(&patch))
            .map(|(at, file)| (at.as_path(), file.after(patch)))
            .collect()
    }

    /// Returns the subject and the message of a patch.
    pub fn message(&self, patch: usize) -> (&'a str, &'a str) {
        let declared = self.patches[patch];
        let kinds = self.of(patch).map(|(_, file)| file.kind);
        let new = declared.new.as_ref();
        match new.filter(|_| kinds.clone().all(|kind| kind == Kind::New)) {
            Some(new) => (new.subject.as_str(), new.message.as_str()),
            None => (declared.subject.as_str(), declared.message.as_str()),
        }
    }

    /// Returns the files that a patch has, other than parts.
    fn of(&self, patch: usize) -> impl Iterator<Item = (&Path, &Planned)> + Clone {
        let all = self.files.iter().map(|(at, file)| (at.as_path(), file));
        all.filter(move |(_, file)| file.owner == Some(patch))
    }

    /// Returns the files of the source that this patch replaces.
    pub fn replaces(&self, patch: usize) -> Vec<&Path> {
        self.of(patch)
            .filter(|(_, file)| file.kind == Kind::Replaced)
            .map(|(at, _)| at)
            .collect()
    }
}

impl Planned {
    fn patches(&self) -> BTreeSet<usize> {
        let of_lines = self
            .lines
            .iter()
            .flat_map(|l| l.added.into_iter().chain(l.removed));
        // A new file may be empty.
        let created = self.owner.filter(|_| self.kind == Kind::New);
        of_lines.chain(created).collect()
    }

    /// Returns the contents after a patch.
    fn after(&self, patch: usize) -> String {
        let is_there = |line: &&Line| {
            line.added.is_none_or(|added| added <= patch)
                && line.removed.is_none_or(|removed| removed > patch)
        };
        let lines = self.lines.iter().filter(is_there);
        lines.map(|line| line.text.as_str()).collect()
    }
}

/// Returns whether an entry of `files` is this file, or a directory that contains it.
fn covers(entry: &Path, at: &Path) -> bool {
    match entry.as_os_str().as_encoded_bytes().last() {
        Some(b'/') => at.starts_with(entry),
        _ => at == entry,
    }
}

/// Divides one file.
fn file(
    declared: &Declared,
    at: &Path,
    changed: &Changed,
    exists: &impl Fn(&Path) -> bool,
) -> Result<Planned> {
    let patches = || declared.patch.iter().enumerate();
    let owners: Vec<_> = patches()
        .filter(|(_, patch)| patch.files.iter().any(|entry| covers(entry, at)))
        .collect();
    if let [(_, first), (_, second), ..] = owners[..] {
        bail!(
            "is in two patches of patches.toml: `{}` and `{}`",
            first.subject,
            second.subject
        );
    }
    let owner = owners.first().map(|(i, _)| *i);
    let parts: Vec<(usize, &Part)> = patches()
        .flat_map(|(i, patch)| patch.part.iter().map(move |part| (i, part)))
        .filter(|(_, part)| part.file == at)
        .filter(|(_, part)| !part.unless.as_deref().is_some_and(exists))
        .collect();
    if owner.is_none() && parts.is_empty() {
        bail!("is in no patch of patches.toml");
    }

    let mut lines = lines(changed);
    for (patch, part) in parts {
        if !changed.edited && owner.is_none_or(|owner| patch < owner) {
            bail!(
                "`{}` has a part of it before the file",
                declared.patch[patch].subject
            );
        }
        for wanted in &part.lines {
            take(&mut lines, patch, wanted)?;
        }
    }

    for i in 0..lines.len() {
        let previous = i.checked_sub(1).and_then(|i| lines[i].added);
        let line = &mut lines[i];
        let blank = line.text.trim().is_empty();
        let rest = |what: &str| -> Result<usize> {
            owner.with_context(|| format!("the {what} line `{}` is in no patch", line.text.trim()))
        };
        if line.added == Some(usize::MAX) {
            line.added = Some(match previous {
                Some(previous) if owner.is_none() && blank => previous,
                _ => rest("added")?,
            });
        }
        if line.removed == Some(usize::MAX) {
            line.removed = Some(rest("removed")?);
        }
    }
    Ok(Planned {
        lines,
        owner,
        kind: match changed.before {
            None => Kind::New,
            Some(_) if changed.edited => Kind::Edited,
            Some(_) => Kind::Replaced,
        },
    })
}

/// Returns the lines of both versions. A patch that is not known yet is `usize::MAX`.
fn lines(changed: &Changed) -> Vec<Line> {
    let unknown = Some(usize::MAX);
    let line = |text: &str, added, removed| Line {
        text: text.to_owned(),
        added,
        removed,
    };
    let before = changed.before.as_deref().unwrap_or_default();
    if !changed.edited {
        // The lines that both versions have do not matter: the whole file is replaced.
        let old = before
            .split_inclusive('\n')
            .map(|text| line(text, None, unknown));
        let new = changed
            .after
            .split_inclusive('\n')
            .map(|text| line(text, unknown, None));
        return old.chain(new).collect();
    }
    TextDiff::from_lines(before, changed.after.as_str())
        .iter_all_changes()
        .map(|change| match change.tag() {
            ChangeTag::Equal => line(change.value(), None, None),
            ChangeTag::Insert => line(change.value(), unknown, None),
            ChangeTag::Delete => line(change.value(), None, unknown),
        })
        .collect()
}

/// Assigns the lines that `wanted` names to a patch: one line, or all from one to another, as in
/// `first … last`. Nothing is assigned if this series does not add the first line.
fn take(lines: &mut [Line], patch: usize, wanted: &str) -> Result<()> {
    let is = |line: &Line, text: &str| line.added.is_some() && line.text.trim() == text;
    let mut anchors = wanted.split(" … ");
    let first = anchors.next().unwrap_or_default();
    let found: Vec<_> = (0..lines.len()).filter(|i| is(&lines[*i], first)).collect();
    let begin = match found[..] {
        [] => return Ok(()),
        [begin] => begin,
        _ => bail!("the line `{first}` is added more than once"),
    };
    let mut end = begin;
    for anchor in anchors {
        end = (end..lines.len())
            .find(|i| is(&lines[*i], anchor))
            .with_context(|| format!("no line `{anchor}` after `{first}`"))?;
    }
    for line in &mut lines[begin..=end] {
        match line.added {
            Some(usize::MAX) => line.added = Some(patch),
            Some(_) => bail!("the line `{}` is in two patches", line.text.trim()),
            None => {}
        }
    }
    // One of the blank lines around the part belongs to it.
    let free = |line: &Line| line.added == Some(usize::MAX) && line.text.trim().is_empty();
    if lines.get(end + 1).is_some_and(free) {
        lines[end + 1].added = Some(patch);
    } else if begin > 0 && free(&lines[begin - 1]) {
        lines[begin - 1].added = Some(patch);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"
        change_id = "c"
        title = "t"
        cover = "c"
        [maintainers]
        title = "T"
        entry = ""
        subject = "s"
        message = "m"
    "#;

    fn declared(patches: &[&str]) -> Declared {
        let mut text = HEAD.to_owned();
        for (i, patch) in patches.iter().enumerate() {
            text += &format!("\n[[patch]]\nsubject = \"s{i}\"\nmessage = \"\"\n{patch}\n");
        }
        toml::from_str(&text).unwrap()
    }

    fn changed(before: Option<&str>, after: &str, edited: bool) -> Changed {
        Changed {
            before: before.map(ToOwned::to_owned),
            after: after.to_owned(),
            edited,
        }
    }

    fn difference(files: Vec<(&str, Changed)>) -> BTreeMap<PathBuf, Changed> {
        files.into_iter().map(|(at, c)| (at.into(), c)).collect()
    }

    fn error(patches: &[&str], files: Vec<(&str, Changed)>) -> String {
        let declared = declared(patches);
        let plan = Plan::new(&declared, &difference(files), |_| false);
        format!("{:#}", plan.err().expect("the plan has an error"))
    }

    /// Returns the contents of a file after each patch.
    fn states(patches: &[&str], at: &str, file: Changed) -> Vec<String> {
        let declared = declared(patches);
        let plan = Plan::new(&declared, &difference(vec![(at, file)]), |_| false).unwrap();
        (0..plan.patches.len())
            .filter_map(|patch| plan.changes(patch).remove(Path::new(at)))
            .collect()
    }

    /// Returns the paths of the tree that `tree.toml` names.
    fn edited(backport: &Path) -> Vec<PathBuf> {
        let text = fs::read_to_string(backport.join("tree.toml")).unwrap_or_default();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let paths = |list: &str, key: &str| -> Vec<PathBuf> {
            let entries = manifest.get(list).and_then(|list| list.as_array());
            let entries = entries.into_iter().flatten();
            entries
                .map(|entry| entry[key].as_str().unwrap().into())
                .collect()
        };
        let mut all = paths("insert", "file");
        all.extend(paths("link", "to"));
        all
    }

    #[test]
    fn each_declared_file_is_in_a_tree() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.ancestors().nth(2).unwrap();
        let backports = fs::read_dir(root.join("backport")).unwrap().flatten();
        let backports: Vec<_> = backports.map(|entry| entry.path()).collect();
        let edited: Vec<_> = backports.iter().flat_map(|dir| edited(dir)).collect();
        let exists = |at: &Path| {
            let mut tops = backports.iter().map(PathBuf::as_path).chain([root]);
            tops.any(|top| top.join(at).exists()) || edited.iter().any(|file| file == at)
        };
        let declared = Declared::read(root).unwrap();
        for patch in &declared.patch {
            let parts = patch.part.iter().map(|part| &part.file);
            for file in patch.files.iter().chain(parts) {
                assert!(exists(file), "{}: {}", patch.subject, file.display());
            }
        }
    }

    #[test]
    fn a_file_is_in_exactly_one_patch() {
        let new = || vec![("a/b.rs", changed(None, "x\n", false))];
        assert_eq!(
            error(&["files = ['a.rs']"], new()),
            "a/b.rs: is in no patch of patches.toml"
        );
        assert_eq!(
            error(&["files = ['a/b.rs']", "files = ['a/']"], new()),
            "a/b.rs: is in two patches of patches.toml: `s0` and `s1`"
        );
        let declared = declared(&["files = ['other.rs']", "files = ['a/']"]);
        let plan = Plan::new(&declared, &difference(new()), |_| false).unwrap();
        // The patch without a file is left out.
        assert_eq!(plan.patches.len(), 1);
        assert_eq!(plan.changes(0)[Path::new("a/b.rs")], "x\n");
    }

    #[test]
    fn a_list_is_split_into_lines() {
        let file = || changed(Some("a\nd\n"), "a\nb\nc\nd\ne\n", true);
        let part = |lines: &str| format!("part = [{{ file = 'l', lines = [{lines}] }}]");
        let (one, two) = (part("'c', 'other'"), part("'b', 'e'"));
        assert_eq!(
            states(&[&one, &two], "l", file()),
            ["a\nc\nd\n", "a\nb\nc\nd\ne\n"]
        );
        assert_eq!(
            error(&[&one], vec![("l", file())]),
            "l: the added line `b` is in no patch"
        );
        assert_eq!(
            error(&[&one, &two, &part("'e'")], vec![("l", file())]),
            "l: the line `e` is in two patches"
        );
        // The rest belongs to the patch that has the file.
        assert_eq!(
            states(&["files = ['l']", &one], "l", file()),
            ["a\nb\nd\ne\n", "a\nb\nc\nd\ne\n"]
        );
        assert_eq!(
            error(
                &[&part("'b'")],
                vec![("l", changed(Some("a\n"), "b\n", true))]
            ),
            "l: the removed line `a` is in no patch"
        );
    }

    #[test]
    fn a_part_of_a_new_file_comes_later() {
        let file = || changed(Some("old\n"), "a\n\nmod b;\nuse b::{\n};\n\nc\n", false);
        let later = "part = [{ file = 'f', lines = ['mod b; … };'] }]";
        assert_eq!(
            states(&["files = ['f']", later], "f", file()),
            ["a\n\nc\n", "a\n\nmod b;\nuse b::{\n};\n\nc\n"]
        );
        assert_eq!(
            error(&[later, "files = ['f']"], vec![("f", file())]),
            "f: `s0` has a part of it before the file"
        );
    }

    #[test]
    fn a_message_may_depend_on_the_source() {
        let declared = declared(&["files = ['a', 'b']\nnew = { subject = 'n', message = '' }"]);
        let subject = |old: Option<&str>| {
            let files = difference(vec![
                ("a", changed(None, "x\n", false)),
                ("b", changed(old, "x\n", false)),
            ]);
            let plan = Plan::new(&declared, &files, |_| false).unwrap();
            (plan.message(0).0.to_owned(), plan.replaces(0).len())
        };
        assert_eq!(subject(None), ("n".to_owned(), 0));
        assert_eq!(subject(Some("y\n")), ("s0".to_owned(), 1));
    }

    #[test]
    fn a_part_may_depend_on_the_source() {
        let declared = declared(&[
            "files = ['f']",
            "part = [{ file = 'f', lines = ['b'], unless = 'other' }]",
        ]);
        let files = difference(vec![("f", changed(None, "a\nb\n", false))]);
        let plan = |has: bool| Plan::new(&declared, &files, move |_| has).unwrap();
        assert_eq!(plan(true).patches.len(), 1);
        assert_eq!(plan(false).changes(0)[Path::new("f")], "a\n");
    }
}
