// SPDX-License-Identifier: GPL-2.0

//! Small faults in our files, each of which some test has to notice.

use crate::{
    boot::{self, Boot},
    debug::{self, Ordeal},
    kernel,
    report::{self, Outcome},
    setup::Tools,
    step, tree, ui,
    user::{self, Initramfs},
    Place,
};
use anyhow::{bail, Context, Result};
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
    /// What has to find it; the selftests if there is nothing.
    by: Option<By>,
    /// The case of the ordeal that finds it. With all, that takes minutes. Or the program, of the
    /// selftests.
    case: Option<String>,
    file: PathBuf,
    find: String,
    replace: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum By {
    /// `tests/ui/`, for which nothing is booted.
    Ui,
    /// The examples of the documentation.
    Examples,
    #[serde(untagged)]
    Ordeal(Ordeal),
}

impl Mutant {
    /// Returns the text of the file with the fault in it.
    fn apply(&self, source: &Path) -> Result<String> {
        let text = fs::read_to_string(source).with_context(|| source.display().to_string())?;
        if text.matches(&self.find).count() != 1 {
            bail!(
                "{}: `{}` must stand once in {}",
                self.name,
                self.find,
                source.display()
            );
        }
        Ok(text.replace(&self.find, &self.replace))
    }
}

/// Objects that are made anew for each mutant, as time stamps do not tell a file from its mutant.
const STALE: &[&str] = &[
    "rust/kernel.o",
    "lib/test_rust_task.o",
    "lib/test_rust_vma.o",
    "samples/rust/rust_task_info.o",
    "samples/rust/rust_vma_buffer.o",
    "built",
];

/// Builds each mutant, and fails the outcome for each that no test notices.
pub fn all(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let path = place.root.join("tests/mutants.toml");
    let list: List =
        toml::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;

    // A part of the names, for whoever works on one of them.
    let only = env::var("ONLY").unwrap_or_default();
    let wanted: Vec<_> = list
        .mutant
        .iter()
        .filter(|m| m.name.contains(&only))
        .collect();
    for mutant in &wanted {
        mutant.apply(&place.root.join(&mutant.file))?;
    }

    let mut survived = 0;
    let ordeals = Ordeal::ALL
        .iter()
        .copied()
        .map(|ordeal| Some(By::Ordeal(ordeal)));
    let tests = [Some(By::Ui), Some(By::Examples), None];
    for by in tests.into_iter().chain(ordeals) {
        let some: Vec<_> = wanted.iter().filter(|m| m.by == by).collect();
        if !some.is_empty() {
            survived += each(&some, by, place, tools, outcome)?;
        }
    }
    println!("{} mutants, {survived} survived", wanted.len());
    Ok(())
}

/// Builds each of some mutants that the same tests have to notice. Returns how many survived.
fn each(
    mutants: &[&&Mutant],
    by: Option<By>,
    place: &Place,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<usize> {
    let like = match by {
        Some(By::Ordeal(_)) => debug::configure(place, tools)?,
        Some(By::Ui | By::Examples) | None => place.clone(),
    };
    kernel::build(&like, tools)?;
    let (variant, fragments): (_, &[_]) = match by {
        None => (like.variant("mutants-plain"), &["no-examples"]),
        Some(_) => (like.variant("mutants"), &[]),
    };
    kernel::derive(&variant, tools, &like, fragments)?;
    let guest = like.variant("mutants-guest");
    let mut survived = 0;
    let mut tell = |mutant: Option<&Mutant>, found: Option<String>| -> Result<()> {
        let Some(mutant) = mutant else {
            // What fails anyway has not noticed anything.
            return found.map_or(Ok(()), |failure| bail!("fails without a mutant: {failure}"));
        };
        let mark = if found.is_some() { "ok" } else { "" };
        let how = found.as_deref().unwrap_or("SURVIVED");
        println!("{mark:7}{}: {how}", mutant.name);
        survived += usize::from(found.is_none());
        outcome.check(&mutant.name, found.is_some(), "no test has noticed");
        Ok(())
    };

    // While one is booted, the next is built.
    thread::scope(|scope| {
        let mut booted: Option<(Option<&Mutant>, ScopedJoinHandle<'_, _>)> = None;
        for mutant in [None].into_iter().chain(mutants.iter().map(|m| Some(**m))) {
            let build = || build(&variant, by, tools);
            let built = match mutant {
                Some(mutant) => {
                    let source = place.root.join(&mutant.file);
                    let changed = mutant.apply(&source)?;
                    with_file(&place.tree.join(&mutant.file), &source, &changed, build)?
                }
                None => build()?,
            };
            let initramfs = match built {
                Ok(initramfs) => initramfs,
                Err(found) => {
                    tell(mutant, found)?;
                    continue;
                }
            };
            if let Some((mutant, boot)) = booted.take() {
                tell(mutant, joined(boot)?)?;
            }
            let initramfs = move_in(&guest, &variant, initramfs)?;
            let guest = &guest;
            // Without a mutant, what the first one of an ordeal is found by, or all selftests.
            let chosen = mutant.or(by.and(mutants.first().map(|m| **m)));
            let case = chosen.and_then(|m| m.case.as_deref());
            booted = Some((
                mutant,
                scope.spawn(move || boot(guest, &initramfs, by, case)),
            ));
        }
        match booted {
            Some((mutant, boot)) => tell(mutant, joined(boot)?),
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

/// Copies what a guest needs, so that the next kernel can be built.
fn move_in(guest: &Place, built: &Place, initramfs: Initramfs) -> Result<Initramfs> {
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

/// Puts `text` in the place of a file of the tree while `run` runs.
fn with_file<R>(
    at: &Path,
    source: &Path,
    text: &str,
    run: impl FnOnce() -> Result<R>,
) -> Result<R> {
    fs::remove_file(at)?;
    fs::write(at, text)?;
    let result = run();
    // If this is not reached, the next `make` puts it right when it assembles the tree.
    tree::link(source, at)?;
    result
}

/// Builds the kernel and what goes with it, or finds out without what fails.
fn build(
    place: &Place,
    by: Option<By>,
    tools: &Tools,
) -> Result<std::result::Result<Initramfs, Option<String>>> {
    for object in STALE {
        let _ = fs::remove_file(place.objects.join(object));
    }
    if by == Some(By::Ui) {
        let mut make = kernel::make(place, tools);
        step::run("the crate", &place.log("build"), make.arg("rust/kernel.o"))?;
        let mut outcome = Outcome::quiet();
        ui::all(place, &mut outcome)?;
        return Ok(Err(outcome.failure()));
    }
    kernel::build(place, tools)?;
    Ok(Ok(user::initramfs(place, tools)?))
}

/// Boots the kernel, and returns the first test that fails.
fn boot(
    place: &Place,
    initramfs: &Initramfs,
    by: Option<By>,
    case: Option<&str>,
) -> Result<Option<String>> {
    let mut outcome = Outcome::quiet();
    if let Some(By::Ordeal(ordeal)) = by {
        let ran = ordeal.run(place, initramfs, debug::SHORT, case, &mut outcome)?;
        return Ok(ran.err().or(outcome.failure()));
    }
    let examples = by == Some(By::Examples);
    let mut words = String::new();
    let mut programs = initramfs.programs.clone();
    if !examples {
        words += "programs=/selftests kunit.enable=0";
        if let Some(only) = case {
            words += &format!(" only={only}");
            programs.retain(|program| program == only);
        }
    }
    let how = Boot {
        until_failure: true,
        ..Boot::with(&words)
    };
    match boot::boot_or_die(place, &initramfs.archive, &how, &mut outcome)? {
        Ok(guest) => {
            if examples {
                report::kunit(place, &guest, &mut outcome)?;
            } else {
                outcome.programs(&programs, &guest.results);
            }
            Ok(outcome.failure())
        }
        Err(death) => Ok(Some(death)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that has been rewritten since would stop `make mutants` before its first.
    #[test]
    fn each_mutant_finds_its_line() {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = scripts.parent().unwrap();
        let text = fs::read_to_string(root.join("tests/mutants.toml")).unwrap();
        let list: List = toml::from_str(&text).unwrap();
        for mutant in list.mutant {
            mutant.apply(&root.join(&mutant.file)).unwrap();
        }
    }
}
