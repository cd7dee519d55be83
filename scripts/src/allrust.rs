// SPDX-License-Identifier: GPL-2.0

//! All that the kernel has in Rust, built on our files.

use crate::{kernel, report::Outcome, setup::Tools, step, Place};
use anyhow::Result;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where the kernel has Rust code of its own. The rest of `rust/` comes from elsewhere.
const TOPS: &[&str] = &[
    "arch",
    "block",
    "crypto",
    "drivers",
    "fs",
    "kernel",
    "lib",
    "mm",
    "net",
    "rust/kernel",
    "rust/macros",
    "samples",
    "security",
    "sound",
];

/// Tests that each file of Rust compiles, without the rest of the kernel.
pub fn compile(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let goals = crates(&place.tree, &sources_of(place)?);
    build(place, tools, &goals, outcome)?;
    Ok(())
}

/// Tests that the kernel with all of its Rust in it builds. Returns that kernel.
pub fn whole(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<Option<Place>> {
    build(
        place,
        tools,
        &["bzImage".to_owned(), "modules".to_owned()],
        outcome,
    )
}

/// Tests that `goals` build, and that they are all the Rust there is.
fn build(
    place: &Place,
    tools: &Tools,
    goals: &[String],
    outcome: &mut Outcome,
) -> Result<Option<Place>> {
    let variant = place.variant("allrust");
    kernel::derive(&variant, tools, place, &["allrust"])?;

    let log = variant.log("build");
    let mut make = kernel::make(&variant, tools);
    let built = step::watch(&variant.title(), &log, make.args(goals), None)?;
    outcome.report(
        "all Rust code of the kernel builds",
        built,
        &format!("see {}", log.display()),
    );
    if !built {
        return Ok(None);
    }

    let known = sources_of(place)?;
    let mut compiled = BTreeSet::new();
    for top in TOPS {
        dependencies(&variant.objects.join(top), &mut compiled)?;
    }
    // The objects of the crates lie beside their folders.
    dependencies(&variant.objects.join("rust"), &mut compiled)?;

    let missing: Vec<_> = known
        .iter()
        .filter(|file| !compiled.iter().any(|path| path.ends_with(file)))
        .map(|file| file.display().to_string())
        .collect();
    println!("{} files of Rust", known.len());
    outcome.report(
        "no file of Rust was forgotten",
        missing.is_empty() && !known.is_empty(),
        &format!("not compiled: {}", missing.join(" ")),
    );
    Ok(Some(variant))
}

/// The goals of kbuild that compile the crates outside of `rust/`, which is built before any goal.
fn crates(tree: &Path, files: &BTreeSet<PathBuf>) -> Vec<String> {
    files.iter().filter_map(|file| goal(tree, file)).collect()
}

/// The goal that compiles a file, if it is the root of a crate.
fn goal(tree: &Path, file: &Path) -> Option<String> {
    let object = file.with_extension("o");
    // A makefile may name what lies in a folder below its own.
    for folder in file.ancestors().skip(1) {
        let makefile = fs::read_to_string(tree.join(folder).join("Makefile")).unwrap_or_default();
        let lines = makefile.lines().filter(|line| !line.starts_with('#'));
        let name = object.strip_prefix(folder).ok()?.to_str()?;
        let program = format!("{}-rust", name.strip_suffix(".o")?);
        for line in lines {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if first == program {
                // A program of the host is no goal; its folder is.
                return Some(format!("{}/", folder.display()));
            }
            if first != name && !words.any(|word| word == name) {
                continue;
            }
            // Kbuild looks for it in its own folder, or else as a part of something here.
            let part = match first.strip_suffix("-y") {
                Some(whole) if name.contains('/') => format!("{whole}.o"),
                _ => name.to_owned(),
            };
            return Some(folder.join(part).display().to_string());
        }
    }
    None
}

/// All files of Rust.
fn sources_of(place: &Place) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for top in TOPS {
        sources(&place.tree, Path::new(top), &mut found)?;
    }
    Ok(found)
}

/// Collects the files of Rust below `dir`.
fn sources(tree: &Path, dir: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(tree.join(dir)) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let at = dir.join(entry.file_name());
        if tree.join(&at).is_dir() {
            sources(tree, &at, found)?;
        } else if at.extension().is_some_and(|e| e == "rs") {
            found.insert(at);
        }
    }
    Ok(())
}

/// Collects the files of Rust that the objects below `dir` were made from, as kbuild notes them.
fn dependencies(dir: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            dependencies(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "cmd") {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            let words = text.split_whitespace();
            found.extend(words.filter(|w| w.ends_with(".rs")).map(PathBuf::from));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_what_makefiles_name() {
        let tree = std::env::temp_dir().join(format!("goals-{}", std::process::id()));
        let makefile = |folder: &str, text: &str| {
            fs::create_dir_all(tree.join(folder)).unwrap();
            fs::write(tree.join(folder).join("Makefile"), text).unwrap();
        };
        makefile(
            "drivers/plain",
            "obj-y += one.o\nmany-y := \\\n\ttwo.o \\\n\tlast.o\n",
        );
        makefile(
            "drivers/gpu",
            "obj-m += nova.o\nnova-y := core/three.o core/exports.o\n",
        );
        makefile("drivers/gpu/core", "# three.o is made elsewhere.\n");
        makefile(
            "samples/host",
            "hostprogs-always-y := single\nsingle-rust := y\n",
        );
        let goal = |file: &str| goal(&tree, Path::new(file));

        assert_eq!(goal("drivers/plain/one.rs").unwrap(), "drivers/plain/one.o");
        assert_eq!(goal("drivers/plain/two.rs").unwrap(), "drivers/plain/two.o");
        assert_eq!(
            goal("drivers/gpu/core/three.rs").unwrap(),
            "drivers/gpu/nova.o"
        );
        assert_eq!(goal("samples/host/single.rs").unwrap(), "samples/host/");
        assert_eq!(goal("drivers/plain/module.rs"), None);
        fs::remove_dir_all(tree).unwrap();
    }
}
