// SPDX-License-Identifier: GPL-2.0

//! The difference between a kernel's source and its tree, as a series of patches for `git am`.

mod build;
mod plan;
mod test;

pub use build::steps;
pub use test::test;

use crate::{configs, jobs};
use anyhow::{bail, Context, Result};
use front::{
    build::Build,
    outcome::Outcome,
    setup, step,
    tree::{self, Changed},
};
use plan::{Declared, Maintainers, Plan};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The name of the file with the cover letter.
const COVER: &str = "0000-cover-letter.patch";

/// The width of a line of a message.
const WIDTH: usize = 75;

/// The result of the last `make test`.
#[derive(Serialize, Deserialize)]
struct Tested {
    commit: String,
    kernels: Vec<String>,
    result: String,
}

/// The submitter of the patches.
struct Submitter {
    name: String,
    mail: String,
    /// Whether the patches have a trailer of the submitter.
    signs: bool,
}

impl Submitter {
    /// Returns the person that `SIGNOFF` names, or else the user of git.
    fn find() -> Result<Self> {
        let asked = env::var("SIGNOFF").ok().filter(|person| !person.is_empty());
        if let Some(person) = asked {
            return Self::parse(&person, true)
                .with_context(|| format!("SIGNOFF={person}: not of the form \"Name <mail>\""));
        }
        let user = step::output(Command::new("git").args(["var", "GIT_COMMITTER_IDENT"]));
        user.ok()
            .and_then(|user| Self::parse(&user, false))
            .context("git does not know your name: pass SIGNOFF=\"Name <mail>\"")
    }

    fn parse(person: &str, signs: bool) -> Option<Self> {
        let (name, rest) = person.split_once('<')?;
        let (mail, _) = rest.split_once('>')?;
        let (name, mail) = (name.trim().to_owned(), mail.trim().to_owned());
        let valid = !name.is_empty() && mail.contains('@');
        valid.then_some(Self { name, mail, signs })
    }

    fn person(&self) -> String {
        format!("{} <{}>", self.name, self.mail)
    }
}

/// Returns a command that runs git in `dir`, without the settings of the user.
fn git(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C");
    git
}

/// Returns the directory of the patches.
fn folder(build: &Build) -> PathBuf {
    let suffix = if build.kdir.is_some() { "-kdir" } else { "" };
    build
        .out
        .join("patches")
        .join(format!("{}{suffix}", build.series))
}

/// Divides the difference of a build into patches.
fn plan<'a>(
    build: &Build,
    declared: &'a Declared,
    difference: &BTreeMap<PathBuf, Changed>,
) -> Result<Plan<'a>> {
    let base = tree::base(build)?;
    Plan::new(declared, difference, |at| base.join(at).exists())
}

/// Checks that each file of the tree is in one patch, and the form of the messages.
pub fn check(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let declared = Declared::read(&build.root)?;
    let error = plan(build, &declared, &tree::difference(build)?).err();
    outcome.report(
        "each file of the tree is in one patch of patches.toml",
        error.is_none(),
        &error.map(|error| format!("{error:#}")).unwrap_or_default(),
    );
    let new = declared.patch.iter().flat_map(|patch| &patch.new);
    let messages = declared
        .patch
        .iter()
        .map(|patch| (&patch.subject, &patch.message))
        .chain(new.map(|new| (&new.subject, &new.message)));
    let own = &declared.maintainers;
    let wrong: Vec<_> = messages
        .chain([(&own.subject, &own.message)])
        .filter_map(|(subject, message)| fault(subject, message))
        .collect();
    outcome.report(
        "the messages of patches.toml have the form of a commit message",
        wrong.is_empty(),
        &wrong.join("; "),
    );
    Ok(())
}

/// Returns what is wrong with a message.
fn fault(subject: &str, message: &str) -> Option<String> {
    let long = message.lines().find(|line| line.chars().count() > WIDTH);
    let what = match () {
        () if !subject.contains(": ") => "no subsystem before a colon".to_owned(),
        () if subject.chars().count() > WIDTH => format!("longer than {WIDTH} characters"),
        () if subject.ends_with('.') => "ends with a period".to_owned(),
        () if message.trim().is_empty() => "has no message".to_owned(),
        () => format!("the line `{}` is longer than {WIDTH} characters", long?),
    };
    Some(format!("`{subject}`: {what}"))
}

/// Writes the result of `make test`, of this kernel alone or of all, for the cover letter.
pub fn record(build: &Build, one: bool, outcome: &Outcome) -> Result<()> {
    let kernels = match one {
        true => vec![build.name()],
        false => {
            let tested = jobs::in_turn(&build.manifest.tested, configs::turn()?);
            tested.into_iter().map(jobs::title).collect()
        }
    };
    let path = build.out.join("tested.toml");
    match commit(build) {
        Some(commit) => {
            let tested = Tested {
                commit,
                kernels,
                result: outcome.summary(),
            };
            fs::write(path, toml::to_string(&tested)?)?;
        }
        // The files are not those of a commit.
        None => {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

/// Returns this repository's commit, if its files are those of the commit.
fn commit(build: &Build) -> Option<String> {
    let git = |args: &[&str]| step::output(git(&build.root).args(args)).ok();
    let changes = git(&["status", "--porcelain"])?;
    let commit = git(&["rev-parse", "HEAD"])?;
    changes.is_empty().then(|| commit.trim().to_owned())
}

/// Returns what the last `make test` found, if it tested these files.
fn tested(build: &Build) -> Option<Tested> {
    let text = fs::read_to_string(build.out.join("tested.toml")).ok()?;
    let tested: Tested = toml::from_str(&text).ok()?;
    (Some(&tested.commit) == commit(build).as_ref()).then_some(tested)
}

/// What the patches apply to.
enum Base {
    Commit(String),
    /// A release or a package, and its version.
    Release(String),
}

impl Base {
    fn find(build: &Build) -> Result<Self> {
        let source = tree::base(build)?;
        if let Some(kdir) = build.kdir.as_ref().filter(|_| is_repository(&source)) {
            let changes =
                step::output(git(&source).args(["status", "--porcelain", "--untracked-files=no"]))?;
            if let Some(first) = changes.lines().next() {
                bail!(
                    "KDIR={}: has changes that are not committed ({}); commit or stash them",
                    kdir.display(),
                    first.trim()
                );
            }
            let commit = step::output(git(&source).args(["rev-parse", "HEAD"]))?;
            return Ok(Self::Commit(commit.trim().to_owned()));
        }
        let version = version(&source)?;
        let package = format!("linux-source-{}_{version}-", build.series);
        let packages = fs::read_dir(build.cache.join("packages"))
            .into_iter()
            .flatten();
        let found = packages
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .find(|name| build.kdir.is_none() && name.starts_with(&package));
        Ok(Self::Release(match found {
            Some(name) => {
                let mut words = name.split('_');
                let (package, version) = (words.next(), words.next());
                format!(
                    "Debian's package {} {}",
                    package.unwrap_or_default(),
                    version.unwrap_or_default()
                )
            }
            None => format!("Linux {version}"),
        }))
    }
}

/// Returns whether a directory is the top of a git working tree.
pub fn is_repository(dir: &Path) -> bool {
    let top = ["rev-parse", "--show-toplevel"];
    let top = step::output(Command::new("git").arg("-C").arg(dir).args(top));
    top.is_ok_and(|top| Path::new(top.trim()) == dir)
}

/// Returns the version of a kernel's source, for example `6.12.5`.
pub fn version(source: &Path) -> Result<String> {
    let text = fs::read_to_string(source.join("Makefile"))?;
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.trim().strip_prefix('='));
        line.map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    Ok(format!(
        "{}.{}.{}",
        value("VERSION"),
        value("PATCHLEVEL"),
        value("SUBLEVEL")
    ))
}

/// Returns MAINTAINERS with an entry, at its place among those whose titles have the same first word.
/// The whole list is not always in alphabetical order.
fn maintainers(before: &str, declared: &Maintainers, person: &str) -> Result<String> {
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let word = declared.title.split(' ').next().unwrap_or_default();
    let is_title = |i: usize| {
        let field = lines.get(i + 1).and_then(|next| next.get(1..3));
        field == Some(":\t") && lines[i].get(1..3) != Some(":\t") && !lines[i].trim().is_empty()
    };
    let previous = |i: &usize| {
        let title = lines[*i].trim();
        let same = title.split(' ').next() == Some(word);
        is_title(*i) && same && title < declared.title.as_str()
    };
    let previous = (0..lines.len()).rfind(previous);
    let previous = previous.with_context(|| format!("MAINTAINERS: has no entry of {word}"))?;
    let at = (previous + 1..lines.len())
        .find(|i| is_title(*i))
        .context("MAINTAINERS: has no later entry")?;
    let entry = format!(
        "{}\nM:\t{person}\n{}\n\n",
        declared.title,
        declared.entry.trim()
    );
    Ok(format!(
        "{}{entry}{}",
        lines[..at].concat(),
        lines[at..].concat()
    ))
}

/// Writes the patches.
pub fn write(build: &Build) -> Result<()> {
    if build.kdir.is_none() {
        setup::source(build)?;
    }
    let submitter = Submitter::find()?;
    let count = generate(build, &submitter)?;
    let folder = folder(build);
    println!("{count} patches and a cover letter: {}", folder.display());
    println!(
        "apply them: git am --empty=drop {}/*.patch",
        folder.display()
    );
    if !submitter.signs {
        println!("they have no Signed-off-by: pass SIGNOFF=\"Name <mail>\"");
    }
    Ok(())
}

/// Writes the patches into an empty directory. Returns their number.
fn generate(build: &Build, submitter: &Submitter) -> Result<usize> {
    let declared = Declared::read(&build.root)?;
    let difference = tree::difference(build)?;
    if let Some((at, _)) = difference
        .iter()
        .find(|(_, c)| c.before.as_ref() == Some(&c.after))
    {
        bail!("{}: the source has this file already", at.display());
    }
    let plan = plan(build, &declared, &difference)?;
    let base = Base::find(build)?;
    let source = tree::base(build)?;
    let list =
        fs::read_to_string(source.join("MAINTAINERS")).context("the source has no MAINTAINERS")?;

    // A repository that only has the files that the patches change.
    let work = build.out.join("patches").join("work");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    let date = step::output(git(&build.root).args(["log", "-1", "--format=%aI"]));
    let date = date.unwrap_or_default().trim().to_owned();
    let git = || {
        let mut git = git(&work);
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), &submitter.name)
                .env(format!("GIT_{role}_EMAIL"), &submitter.mail);
            // The same commit gives the same patches.
            if !date.is_empty() {
                git.env(format!("GIT_{role}_DATE"), &date);
            }
        }
        git
    };
    let commit = |message: &str| -> Result<()> {
        step::output(git().args(["add", "--all"]))?;
        step::output(git().args(["commit", "--quiet", "--allow-empty", "-m", message]))?;
        Ok(())
    };
    let put = |at: &Path, text: &str| -> Result<()> {
        let file = work.join(at);
        fs::create_dir_all(file.parent().context("a path has no directory")?)?;
        fs::write(&file, text).with_context(|| file.display().to_string())
    };

    step::output(git().args(["init", "--quiet"])).context("git is needed: install it")?;
    for (at, _) in difference.iter().filter(|(_, c)| c.before.is_some()) {
        let file = work.join(at);
        fs::create_dir_all(file.parent().context("a path has no directory")?)?;
        // This copies the mode as well, which is a part of the patch.
        fs::copy(source.join(at), &file).with_context(|| file.display().to_string())?;
    }
    put(Path::new("MAINTAINERS"), &list)?;
    commit("base")?;
    step::output(git().args(["tag", "base"]))?;
    let signed = |message: &str| match submitter.signs {
        true => format!(
            "{}\n\nSigned-off-by: {}",
            message.trim(),
            submitter.person()
        ),
        false => message.trim().to_owned(),
    };
    for i in 0..plan.patches.len() {
        for (at, text) in plan.changes(i) {
            put(at, &text)?;
        }
        let (subject, text) = plan.message(i);
        let mut message = format!("{subject}\n\n{}", text.trim());
        for at in plan.replaces(i) {
            message += &format!("\n\nThis replaces {}.", at.display());
        }
        commit(&signed(&message))?;
    }
    put(
        Path::new("MAINTAINERS"),
        &maintainers(&list, &declared.maintainers, &submitter.person())?,
    )?;
    let own = &declared.maintainers;
    commit(&signed(&format!("{}\n\n{}", own.subject, own.message)))?;

    let folder = folder(build);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    step::output(
        git()
            .args([
                "format-patch",
                "--quiet",
                "--no-renames",
                "--no-signature",
                "--cover-letter",
                "base",
                "-o",
            ])
            .arg(&folder),
    )?;
    let letter = folder.join(COVER);
    let text = cover(
        build,
        &declared,
        &plan,
        &base,
        &fs::read_to_string(&letter)?,
    )?;
    fs::write(letter, text)?;
    fs::remove_dir_all(work)?;
    Ok(plan.patches.len() + 1)
}

/// Returns the cover letter: that of git, with a subject, a text and the base.
fn cover(
    build: &Build,
    declared: &Declared,
    plan: &Plan<'_>,
    base: &Base,
    letter: &str,
) -> Result<String> {
    let mut text = declared.cover.trim().to_owned();

    let source = tree::base(build)?;
    let users: Vec<_> = plan
        .patches
        .iter()
        .enumerate()
        .filter(|(_, patch)| {
            patch
                .user
                .as_ref()
                .is_some_and(|user| source.join(user).exists())
        })
        .collect();
    let total = plan.patches.len() + 1;
    if users.is_empty() {
        text += &format!(
            "\n\nLinux {} has no Rust driver that uses these types; the sample drivers are\n\
             their users.",
            build.series
        );
    } else {
        text += "\n\nThese patches have a user in the kernel, Rust Binder, and should go first:\n";
        for (i, _) in users {
            text += &format!("\n  {:02}/{total} {}", i + 1, plan.message(i).0);
        }
    }
    if let Some(tested) = tested(build) {
        text += &format!(
            "\n\n`make LLVM=1 test` of commit {:.12}, on Linux {}:\n{}.",
            tested.commit,
            tested.kernels.join(", "),
            tested.result
        );
    }
    let base = match base {
        Base::Commit(commit) => format!("base-commit: {commit}"),
        Base::Release(release) => {
            text += &format!("\n\nThe patches apply to {release}.");
            format!("base: {release}")
        }
    };

    let (head, rest) = letter
        .split_once("\n\n*** BLURB HERE ***")
        .context("git has written another cover letter")?;
    Ok(format!(
        "{}\n\n{text}{}\n{base}\nchange-id: {}\n\n",
        head.replace("*** SUBJECT HERE ***", &declared.title),
        rest.trim_end(),
        declared
            .change_id
            .replace("{series}", &build.series.replace('.', "-"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_checked() {
        assert_eq!(fault("rust: add a", "b"), None);
        for (subject, message) in [
            ("add a", "b"),
            ("rust: add a.", "b"),
            ("rust: add a", ""),
            ("rust: add a", &"b".repeat(WIDTH + 1)),
            (&format!("rust: {}", "a".repeat(WIDTH)), "b"),
        ] {
            assert!(fault(subject, message).is_some(), "{subject}");
        }
    }

    #[test]
    fn a_submitter_has_a_name_and_an_address() {
        let parse = |text| Submitter::parse(text, true).map(|submitter| submitter.person());
        assert_eq!(parse("A B <a@b>").as_deref(), Some("A B <a@b>"));
        assert_eq!(parse("A B <a@b> 123 +0000").as_deref(), Some("A B <a@b>"));
        for wrong in ["A B", "<a@b>", "A B <a>", "a@b"] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn the_entry_of_maintainers_is_in_order() {
        let declared = Maintainers {
            title: "RUST [TASK]".into(),
            entry: "S:\tMaintained\nF:\ta\n".into(),
            subject: String::new(),
            message: String::new(),
        };
        let text = "Z:\tz\n\nS\nM:\tm\n\nRUST\nM:\tm\n\nRUST [X]\nM:\tm\n\nA\nM:\tm\n";
        let with = maintainers(text, &declared, "A <a@b>").unwrap();
        let entry = "RUST [TASK]\nM:\tA <a@b>\nS:\tMaintained\nF:\ta\n\n";
        assert_eq!(with, text.replace("RUST [X]", &format!("{entry}RUST [X]")));
        assert!(maintainers("A\nM:\tm\n", &declared, "A <a@b>").is_err());
    }
}
