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
    process::Command,
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
    /// The ordeal that has to find it; all other tests if there is none.
    by: Option<Ordeal>,
    /// The case of the ordeal that finds it. With all, that takes minutes.
    case: Option<String>,
    file: PathBuf,
    find: String,
    replace: String,
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
    for by in [None]
        .into_iter()
        .chain(Ordeal::ALL.iter().copied().map(Some))
    {
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
    by: Option<Ordeal>,
    place: &Place,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<usize> {
    let like = match by {
        Some(_) => debug::configure(place, tools)?,
        None => place.clone(),
    };
    kernel::build(&like, tools)?;
    // The mutants have objects of their own, which begin as a copy.
    let variant = like.variant("mutants");
    if !variant.objects.join(".config").exists() {
        step::run(
            "copy of the objects",
            &place.log("copy"),
            Command::new("cp")
                .arg("-a")
                .args([&like.objects, &variant.objects]),
        )?;
    }
    kernel::derive(&variant, tools, &like, &[])?;
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
                Err(failure) => {
                    tell(mutant, Some(failure))?;
                    continue;
                }
            };
            if let Some((mutant, boot)) = booted.take() {
                tell(mutant, joined(boot)?)?;
            }
            let initramfs = move_in(&guest, &variant, initramfs)?;
            let guest = &guest;
            // Without a mutant, what the first one is found by.
            let case = mutant.unwrap_or(mutants[0]).case.as_deref();
            booted = Some((
                mutant,
                scope.spawn(move || boot(guest, &initramfs, by, case)),
            ));
        }
        let (mutant, boot) = booted.context("no kernel was booted")?;
        tell(mutant, joined(boot)?)
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

/// Builds the kernel and what goes with it, or returns the first test that fails meanwhile.
fn build(
    place: &Place,
    by: Option<Ordeal>,
    tools: &Tools,
) -> Result<std::result::Result<Initramfs, String>> {
    for object in STALE {
        let _ = fs::remove_file(place.objects.join(object));
    }
    let log = place.log("build");
    let crate_built = step::watch(
        "the crate",
        &log,
        kernel::make(place, tools).arg("rust/kernel.o"),
        None,
    )?;
    if !crate_built {
        bail!("it does not compile; see {}", log.display());
    }
    if by.is_none() {
        let mut outcome = Outcome::quiet();
        ui::all(place, &mut outcome)?;
        if let Some(failure) = outcome.failure() {
            return Ok(Err(failure));
        }
    }
    kernel::build(place, tools)?;
    Ok(Ok(user::initramfs(place, tools)?))
}

/// Boots the kernel, and returns the first test that fails.
fn boot(
    place: &Place,
    initramfs: &Initramfs,
    by: Option<Ordeal>,
    case: Option<&str>,
) -> Result<Option<String>> {
    let mut outcome = Outcome::quiet();
    if let Some(ordeal) = by {
        let ran = ordeal.run(place, initramfs, debug::SHORT, case, &mut outcome)?;
        return Ok(ran.err().or(outcome.failure()));
    }
    let how = Boot {
        until_failure: true,
        ..Boot::with("programs=/selftests")
    };
    match boot::boot_or_die(place, &initramfs.archive, &how, &mut outcome)? {
        Ok(guest) => {
            report::kunit(place, &guest, &mut outcome)?;
            outcome.programs(&initramfs.programs, &guest.results);
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
