// SPDX-License-Identifier: GPL-2.0

//! Building all Rust code of the kernel with our files.

use anyhow::Result;
use front::{build::Build, kernel, outcome::Outcome, setup::Tools, step};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Directories with Rust code of the kernel. The rest of `rust/` is vendored.
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

/// Tests that each Rust file compiles, without building the rest of the kernel.
pub fn compile(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let goals = crates(&build.tree, &sources_of(build)?);
    compile_goals(build, tools, &goals, outcome)?;
    Ok(())
}

/// Tests that the kernel with all of its Rust code builds. Returns that build.
pub fn whole(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<Option<Build>> {
    compile_goals(
        build,
        tools,
        &["bzImage".to_owned(), "modules".to_owned()],
        outcome,
    )
}

/// Tests that `goals` build, and that they include each Rust file.
fn compile_goals(
    build: &Build,
    tools: &Tools,
    goals: &[String],
    outcome: &mut Outcome,
) -> Result<Option<Build>> {
    let variant = build.variant("allrust");
    kernel::derive(&variant, tools, build, &["allrust"])?;

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

    let known = sources_of(build)?;
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
    println!("{} Rust files", known.len());
    outcome.report(
        "each Rust file was compiled",
        missing.is_empty() && !known.is_empty(),
        &format!("not compiled: {}", missing.join(" ")),
    );
    Ok(Some(variant))
}

/// Returns the kbuild goals of the crates outside of `rust/`, which is built before any goal.
fn crates(tree: &Path, files: &BTreeSet<PathBuf>) -> Vec<String> {
    files.iter().filter_map(|file| goal(tree, file)).collect()
}

/// Returns the kbuild goal that compiles a file, if the file is the root of a crate.
fn goal(tree: &Path, file: &Path) -> Option<String> {
    let object = file.with_extension("o");
    // A Makefile may name objects in subdirectories.
    for folder in file.ancestors().skip(1) {
        let makefile = fs::read_to_string(tree.join(folder).join("Makefile")).unwrap_or_default();
        let lines = makefile.lines().filter(|line| !line.starts_with('#'));
        let name = object.strip_prefix(folder).ok()?.to_str()?;
        let program = format!("{}-rust", name.strip_suffix(".o")?);
        for line in lines {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if first == program {
                // A host program is not a goal; its directory is.
                return Some(format!("{}/", folder.display()));
            }
            if first != name && !words.any(|word| word == name) {
                continue;
            }
            // An object in a subdirectory is only built as part of a composite object.
            let part = match first.strip_suffix("-y") {
                Some(whole) if name.contains('/') => format!("{whole}.o"),
                _ => name.to_owned(),
            };
            return Some(folder.join(part).display().to_string());
        }
    }
    None
}

/// Returns all Rust files, except those of modules that are built by `make M=`.
fn sources_of(build: &Build) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for top in TOPS {
        sources(&build.tree, Path::new(top), &mut found)?;
    }
    for file in build.manifest.module.iter().flat_map(|m| &m.files) {
        found.remove(file);
    }
    Ok(found)
}

/// Collects the Rust files below `dir`.
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

/// Collects the Rust files that the objects below `dir` depend on, according to kbuild's .cmd files.
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
    fn goals_are_found_in_makefiles() {
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
