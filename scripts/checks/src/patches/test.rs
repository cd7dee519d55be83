// SPDX-License-Identifier: GPL-2.0

//! Tests the patches, and `make apply`, on a repository with the published source.

use super::{folder, generate, git, tree, version, Submitter};
use crate::apply;
use anyhow::{Context, Result};
use front::{build::Build, outcome::Outcome, setup, step};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The branch with the published source.
pub const SOURCE: &str = "source";
/// The branch with the patches.
pub const PATCHED: &str = "patched";

/// Applies the patches to a new repository, and compares it with the tree. Then does the same with
/// `make apply`, and takes that back.
pub fn test(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let patched = patched(build, outcome)?;
    let log = build.log("patches");

    let differ = differences(&patched, &build.tree)?;
    outcome.report(
        "the patched source is the tree with an entry in MAINTAINERS",
        differ
            == [format!(
                "Files {0}/MAINTAINERS and {1}/MAINTAINERS differ",
                patched.display(),
                build.tree.display()
            )],
        &first_of(&differ),
    );

    for patch in patches(build)? {
        let name = patch
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let clean = step::watch(
            &format!("checkpatch of {name}"),
            &log,
            Command::new("perl")
                .arg("scripts/checkpatch.pl")
                .args(["--strict", "--terse", "--no-summary", "--show-types"])
                // The entry of MAINTAINERS is a patch of its own. `Kconfig` names `rust/Kconfig.task`,
                // which contains its own name.
                .args(["--ignore", "FILE_PATH_CHANGES,EMBEDDED_FILENAME"])
                .arg(&patch)
                .current_dir(&build.tree),
            None,
        )?;
        let text = fs::read_to_string(&log).unwrap_or_default();
        let first = text.lines().next().unwrap_or("no output");
        outcome.check(&format!("checkpatch of {name}"), clean, first);
    }

    checkout(&patched, SOURCE)?;
    let kdir = Build {
        kdir: Some(patched.clone()),
        ..build.clone()
    };
    apply::apply(&kdir)?;
    let differ = differences(&patched, &build.tree)?;
    outcome.report(
        "apply makes the source equal to the tree",
        differ.is_empty(),
        &first_of(&differ),
    );
    let again = apply::apply(&kdir);
    outcome.report(
        "apply refuses a tree that has the crate",
        again.is_err(),
        "applied twice",
    );
    apply::unapply(&kdir)?;
    let status = step::output(git(&patched).args(["status", "--porcelain", "--ignored"]))?;
    outcome.report(
        "unapply makes the source as it was",
        status.is_empty(),
        status.trim(),
    );

    let file = patched.join("rust/kernel/lib.rs");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, format!("{text}// changed\n"))?;
    let refused = apply::apply(&kdir).is_err();
    let status = step::output(git(&patched).args(["status", "--porcelain"]))?;
    outcome.report(
        "apply refuses a tree with changes, and leaves it as it is",
        refused && status.trim() == "M rust/kernel/lib.rs",
        status.trim(),
    );
    fs::write(&file, text)?;
    Ok(())
}

/// Returns a repository with the source and the patches, each a commit.
pub fn patched(build: &Build, outcome: &mut Outcome) -> Result<PathBuf> {
    if build.kdir.is_none() {
        setup::source(build)?;
    }
    tree::assemble(build)?;
    let submitter = Submitter {
        name: "A Tester".into(),
        mail: "tester@example.org".into(),
        signs: true,
    };
    let count = generate(build, &submitter)?;
    let dir = build
        .out
        .join("patches")
        .join(format!("{}-source", build.series));
    repository(build, &dir)?;

    checkout(&dir, SOURCE)?;
    step::output(git(&dir).args(["checkout", "--quiet", "-B", PATCHED]))?;
    let applied = step::watch(
        "git am",
        &build.log("git-am"),
        committer(&mut git(&dir))
            .args(["am", "--empty=drop"])
            .arg(folder(build).join(super::COVER))
            .args(patches(build)?),
        None,
    )?;
    if !applied {
        let _ = git(&dir).args(["am", "--abort"]).output();
    }
    let range = format!("{SOURCE}..{PATCHED}");
    let commits = step::output(git(&dir).args(["rev-list", "--count", &range]))?;
    outcome.report(
        &format!("git am applies {count} patches"),
        applied && commits.trim() == count.to_string(),
        &format!(
            "{} are applied; see {}",
            commits.trim(),
            build.log("git-am").display()
        ),
    );
    Ok(dir)
}

/// Returns the patches without the cover letter, in their order.
pub fn patches(build: &Build) -> Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder(build))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !path.ends_with(super::COVER))
        .collect();
    all.sort();
    Ok(all)
}

fn committer(git: &mut Command) -> &mut Command {
    git.env("GIT_COMMITTER_NAME", "A Tester")
        .env("GIT_COMMITTER_EMAIL", "tester@example.org")
}

/// Makes a git repository of the published source, if there is none of this version.
fn repository(build: &Build, dir: &Path) -> Result<()> {
    let source = tree::base(build)?;
    let has = version(dir).ok().filter(|_| git_has(dir, SOURCE));
    if has == Some(version(&source)?) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    let log = build.log("repository");
    step::run(
        "copy of the source",
        &log,
        Command::new("cp")
            .args(["--archive", "--reflink=auto"])
            .arg(source.join("."))
            .arg(dir),
    )?;
    // `KDIR` may be a repository.
    let _ = fs::remove_dir_all(dir.join(".git"));
    step::output(git(dir).args(["init", "--quiet", "-b", SOURCE]))?;
    step::output(git(dir).args(["config", "core.compression", "1"]))?;
    step::output(git(dir).args(["config", "gc.auto", "0"]))?;
    // Some files of the source match its .gitignore.
    step::run(
        "repository of the source",
        &log,
        git(dir).args(["add", "--all", "--force"]),
    )?;
    let mut git = git(dir);
    git.env("GIT_AUTHOR_NAME", "A Tester")
        .env("GIT_AUTHOR_EMAIL", "tester@example.org");
    step::output(committer(&mut git).args(["commit", "--quiet", "-m", "source"]))?;
    Ok(())
}

fn git_has(dir: &Path, branch: &str) -> bool {
    let branch = format!("refs/heads/{branch}");
    step::output(git(dir).args(["rev-parse", "--verify", "--quiet", &branch])).is_ok()
}

/// Checks out a branch or commit, without what is left of an earlier run.
pub fn checkout(dir: &Path, what: &str) -> Result<()> {
    apply::forget(dir)?;
    step::output(git(dir).args(["checkout", "--quiet", "--force", what]))
        .with_context(|| dir.display().to_string())?;
    step::output(git(dir).args(["clean", "--quiet", "-fdx"]))?;
    Ok(())
}

/// Returns the first difference, and how many there are.
fn first_of(differ: &[String]) -> String {
    match differ {
        [] => String::new(),
        [first] => first.clone(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}

/// Returns the files that differ; links are followed.
fn differences(one: &Path, other: &Path) -> Result<Vec<String>> {
    let out = Command::new("diff")
        .args(["--recursive", "--brief", "--exclude=.git"])
        .args([one, other])
        .env("LC_ALL", "C")
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    Ok(text
        .lines()
        .chain(errors.lines())
        .map(ToOwned::to_owned)
        .collect())
}
