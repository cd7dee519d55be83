// SPDX-License-Identifier: GPL-2.0

//! Mutation tests: small bugs in our files, each of which must make some test fail.

use crate::{debug, stress, ui};
use anyhow::{bail, Context, Result};
use front::{
    boot::{self, BootOptions},
    build::Build,
    initramfs::{self, Initramfs},
    kernel,
    manifest::Driver,
    outcome::Outcome,
    report,
    setup::Tools,
    step, tree,
};
use serde::Deserialize;
use std::{
    env, fs, panic,
    path::{Path, PathBuf},
    thread::{self, ScopedJoinHandle},
};

/// `tests/mutants.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    /// The tests that must fail; the selftests if there is no entry.
    by: Option<By>,
    /// The case of the stress test that must fail, as all cases take minutes; or the program of the
    /// selftests.
    case: Option<String>,
    /// The series whose default configuration the test needs. On others, the mutant is left out.
    kernel: Option<String>,
    file: PathBuf,
    find: String,
    replace: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum By {
    /// `tests/ui/`, which need no boot.
    Ui,
    /// The examples of the documentation.
    Examples,
    /// A stress test, by its name in `manifest.toml`.
    #[serde(untagged)]
    Stress(String),
}

impl Mutant {
    /// Returns the text of the mutated file.
    fn apply(&self, source: &Path) -> Result<String> {
        let text = fs::read_to_string(source).with_context(|| source.display().to_string())?;
        if text.matches(&self.find).count() != 1 {
            bail!(
                "{}: `{}` must occur exactly once in {}",
                self.name,
                self.find,
                source.display()
            );
        }
        Ok(text.replace(&self.find, &self.replace))
    }
}

/// Builds and tests each mutant. One that survives is a failed test.
pub fn all(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let path = build.root.join("tests/mutants.toml");
    let list: List =
        toml::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;

    // `ONLY=` selects mutants by parts of their names, with semicolons between them.
    let only = env::var("ONLY").unwrap_or_default();
    let parts = only.split(';').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    for part in &parts {
        if !list.mutant.iter().any(|m| m.name.contains(part)) {
            bail!("ONLY={part}: no mutant has such a name");
        }
    }
    let is_wanted =
        |m: &&Mutant| parts.is_empty() || parts.iter().any(|part| m.name.contains(part));
    let wanted = list.mutant.iter().filter(is_wanted);
    let (wanted, others): (Vec<_>, Vec<_>) = wanted.partition(|m| {
        m.kernel
            .as_ref()
            .is_none_or(|kernel| *kernel == build.series)
    });
    for mutant in others {
        let kernel = mutant.kernel.as_deref().unwrap_or_default();
        println!("left out, needs KERNEL={kernel}: {}", mutant.name);
    }
    for mutant in &wanted {
        mutant.apply(&build.root.join(&mutant.file))?;
    }

    let mut survived = 0;
    let stress_tests = build.manifest.stress.iter();
    let stress_tests = stress_tests.map(|test| Some(By::Stress(test.name.clone())));
    let tests = [Some(By::Ui), Some(By::Examples), None];
    let tests: Vec<_> = tests.into_iter().chain(stress_tests).collect();
    if let Some(mutant) = wanted.iter().find(|m| !tests.contains(&m.by)) {
        bail!("{}: `by` names no test", mutant.name);
    }
    for by in &tests {
        let some: Vec<_> = wanted.iter().filter(|m| m.by == *by).collect();
        if !some.is_empty() {
            survived += each(&some, by.as_ref(), build, tools, outcome)?;
        }
    }
    println!("{} mutants, {survived} survived", wanted.len());
    Ok(())
}

/// Builds and tests mutants that the same tests must detect. Returns how many survived.
fn each(
    mutants: &[&&Mutant],
    by: Option<&By>,
    build: &Build,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<usize> {
    let like = match by {
        Some(By::Stress(_)) => debug::configure(build, tools)?,
        Some(By::Ui | By::Examples) | None => build.clone(),
    };
    kernel::compile(&like, tools)?;
    let (variant, fragments): (_, &[_]) = match by {
        None => (like.variant("mutants-plain"), &["no-examples"]),
        Some(_) => (like.variant("mutants"), &[]),
    };
    kernel::derive(&variant, tools, &like, fragments)?;
    let guest = like.variant("mutants-guest");
    let mut survived = 0;
    let mut report = |mutant: Option<&Mutant>, found: Option<String>| -> Result<()> {
        let Some(mutant) = mutant else {
            // The tests must pass without a mutant.
            return found.map_or(Ok(()), |failure| {
                bail!("the tests fail without a mutant: {failure}")
            });
        };
        let mark = if found.is_some() { "ok" } else { "" };
        let how = found.as_deref().unwrap_or("SURVIVED");
        println!("{mark:7}{}: {how}", mutant.name);
        survived += usize::from(found.is_none());
        outcome.check(&mutant.name, found.is_some(), "no test failed");
        Ok(())
    };

    // The next mutant is built while this one is booted.
    thread::scope(|scope| {
        let mut booted: Option<(Option<&Mutant>, ScopedJoinHandle<'_, _>)> = None;
        for mutant in [None].into_iter().chain(mutants.iter().map(|m| Some(**m))) {
            let build_it = || build_mutant(&variant, by, tools);
            let built = match mutant {
                Some(mutant) => {
                    let source = build.root.join(&mutant.file);
                    let changed = mutant.apply(&source)?;
                    let at = build.tree.join(in_tree(&mutant.file));
                    with_file(&at, &source, &changed, build_it)?
                }
                None => build_it()?,
            };
            let initramfs = match built {
                Ok(initramfs) => initramfs,
                Err(found) => {
                    report(mutant, found)?;
                    continue;
                }
            };
            if let Some((mutant, boot)) = booted.take() {
                report(mutant, joined(boot)?)?;
            }
            let initramfs = copy_guest(&guest, &variant, initramfs)?;
            let guest = &guest;
            // Without a mutant: the case of the first mutant of a stress test, or all selftests.
            let chosen = mutant.or(by.and(mutants.first().map(|m| **m)));
            let case = chosen.and_then(|m| m.case.as_deref());
            booted = Some((
                mutant,
                scope.spawn(move || boot(guest, &initramfs, by, case)),
            ));
        }
        match booted {
            Some((mutant, boot)) => report(mutant, joined(boot)?),
            None => Ok(()),
        }
    })?;
    Ok(survived)
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Copies the kernel and the initramfs, so that the next kernel can be built.
fn copy_guest(guest: &Build, built: &Build, initramfs: Initramfs) -> Result<Initramfs> {
    let archive = guest.objects.join("boot/initramfs.cpio");
    let copies = [
        (kernel::image(built), kernel::image(guest)),
        (initramfs.archive, archive.clone()),
    ];
    for (from, to) in copies {
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(&from, &to).with_context(|| from.display().to_string())?;
    }
    Ok(Initramfs {
        archive,
        programs: initramfs.programs,
    })
}

/// Returns where a file of this repository is in the kernel's tree.
fn in_tree(file: &Path) -> PathBuf {
    let is_backport = file.starts_with("backport");
    // `backport/7.3/rust/` is `rust/` there.
    file.iter().skip(if is_backport { 2 } else { 0 }).collect()
}

/// Replaces a file of the tree by `text` while `run` runs.
fn with_file<R>(
    at: &Path,
    source: &Path,
    text: &str,
    run: impl FnOnce() -> Result<R>,
) -> Result<R> {
    fs::remove_file(at)?;
    fs::write(at, text)?;
    let result = run();
    // If this is not reached, the next `make` restores the link when it assembles the tree.
    tree::link(source, at)?;
    result
}

/// Builds the kernel and the initramfs; or, for UI tests, runs them and returns the first failure.
fn build_mutant(
    build: &Build,
    by: Option<&By>,
    tools: &Tools,
) -> Result<std::result::Result<Initramfs, Option<String>>> {
    // The modification time of a file does not change when it is mutated or restored.
    let drivers = build.manifest.driver.iter().map(Driver::object);
    let stale = build.manifest.mutants.stale.iter().cloned();
    for object in drivers.chain(stale).chain([kernel::stamp(build)]) {
        let _ = fs::remove_file(build.objects.join(object));
    }
    if by == Some(&By::Ui) {
        let mut make = kernel::make(build, tools);
        step::run("the crate", &build.log("build"), make.arg("rust/kernel.o"))?;
        let mut outcome = Outcome::quiet();
        ui::all(build, &mut outcome)?;
        return Ok(Err(outcome.first_failure()));
    }
    kernel::compile(build, tools)?;
    Ok(Ok(initramfs::create(build, tools)?))
}

/// Boots the kernel, and returns the first failure.
fn boot(
    build: &Build,
    initramfs: &Initramfs,
    by: Option<&By>,
    case: Option<&str>,
) -> Result<Option<String>> {
    let mut outcome = Outcome::quiet();
    if let Some(By::Stress(name)) = by {
        let test = build.manifest.stress(name)?;
        let ran = stress::run(test, build, initramfs, stress::SHORT, case, &mut outcome)?;
        return Ok(ran.err().or(outcome.first_failure()));
    }
    let examples = by == Some(&By::Examples);
    let mut parameters = String::new();
    let mut programs = initramfs.programs.clone();
    if !examples {
        parameters += "programs=/selftests kunit.enable=0";
        if let Some(only) = case {
            parameters += &format!(" only={only}");
            programs.retain(|program| program == only);
        }
    }
    let options = BootOptions {
        until_failure: true,
        ..BootOptions::new(&parameters)
    };
    match boot::try_boot(build, &initramfs.archive, &options, &mut outcome)? {
        Ok(guest) => {
            if examples {
                report::kunit(build, &guest.console, &mut outcome)?;
            } else {
                outcome.programs(&programs, &guest.results);
            }
            Ok(outcome.first_failure())
        }
        Err(failure) => Ok(Some(failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use front::manifest::Manifest;

    #[test]
    fn a_backport_is_found_in_the_tree() {
        for (file, expected) in [
            ("rust/kernel/pid.rs", "rust/kernel/pid.rs"),
            ("backport/7.3/rust/kernel/cdev.rs", "rust/kernel/cdev.rs"),
        ] {
            assert_eq!(in_tree(Path::new(file)), Path::new(expected));
        }
    }

    /// Without this, `make mutants` would only report it after the first build.
    #[test]
    fn each_mutant_matches_its_file() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.ancestors().nth(2).unwrap();
        let text = fs::read_to_string(root.join("tests/mutants.toml")).unwrap();
        let list: List = toml::from_str(&text).unwrap();
        let manifest = Manifest::read(root).unwrap();
        for mutant in list.mutant {
            if let Some(By::Stress(name)) = &mutant.by {
                manifest.stress(name).unwrap();
            }
            mutant.apply(&root.join(&mutant.file)).unwrap();
        }
    }
}
