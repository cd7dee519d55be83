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

/// Tests that everything builds, and that it is everything. Returns the kernel.
pub fn build(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<Option<Place>> {
    let variant = place.variant("allrust");
    kernel::derive(&variant, tools, place, &["allrust"])?;

    let log = variant.log("build");
    let mut make = kernel::make(&variant, tools);
    let built = step::watch(
        &variant.title(),
        &log,
        make.args(["bzImage", "modules"]),
        None,
    )?;
    outcome.report(
        "all Rust code of the kernel builds",
        built,
        &format!("see {}", log.display()),
    );
    if !built {
        return Ok(None);
    }

    let (mut known, mut compiled) = (BTreeSet::new(), BTreeSet::new());
    for top in TOPS {
        sources(&place.tree, Path::new(top), &mut known)?;
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
