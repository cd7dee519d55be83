// SPDX-License-Identifier: GPL-2.0

//! Comparing the public API with that of mainline's modules, which ours replace.

use anyhow::{Context, Result};
use front::{build::Build, kernel, outcome::Outcome, setup::Tools, step, tree};
use public_api::Builder;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// The macros of the modules that ours replace.
const MACROS: &[&str] = &["kernel::current!"];

/// Returns the command that generates the kernel's documentation, also as JSON.
pub fn rustdoc(build: &Build, tools: &Tools) -> Command {
    let mut make = kernel::make(build, tools);
    let rustdoc = build.root.join("scripts/rustdoc");
    make.arg(format!("RUSTDOC={}", rustdoc.display()))
        .arg("rustdoc");
    make
}

/// Returns the path of the JSON.
fn json(build: &Build) -> PathBuf {
    build
        .objects
        .join("Documentation/output/rust/rustdoc/kernel.json")
}

/// Generates the JSON, unless it is newer than the crate.
pub fn document(build: &Build, tools: &Tools) -> Result<()> {
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let times = (
        time(&json(build)),
        time(&build.objects.join("rust/kernel.o")),
    );
    if matches!(times, (Some(json), Some(built)) if json > built) {
        return Ok(());
    }
    step::run(
        &format!("API of {}", build.title()),
        &build.log("rustdoc"),
        &mut rustdoc(build, tools),
    )
}

/// Returns the modules of mainline's that ours replace, such as `kernel::mm`.
fn replaced(ours: &Build, mainline: &Build) -> Result<BTreeSet<String>> {
    let files = tree::files(ours)?.into_keys();
    let modules = files.filter_map(|file| {
        let module = file.strip_prefix("rust/kernel").ok()?.with_extension("");
        let replaces = file.extension()? == "rs" && mainline.tree.join(&file).exists();
        replaces.then(|| format!("kernel::{}", module.display()).replace('/', "::"))
    });
    Ok(modules.collect())
}

/// Returns the items of `modules`, one line each.
fn items(build: &Build, modules: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let json = json(build);
    let api = Builder::from_rustdoc_json(&json).build().with_context(|| {
        let json = json.display();
        format!("{json}: cannot be parsed; the public-api crate needs the JSON of Rust 1.95")
    })?;
    let of_module = |line: &str| {
        modules.iter().any(|module| {
            line.match_indices(module).any(|(at, _)| {
                let end = line[at + module.len()..].chars().next();
                end.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            })
        })
    };
    Ok(api
        .items()
        .map(ToString::to_string)
        .filter(|line| of_module(line) || MACROS.iter().any(|name| line.contains(name)))
        .collect())
}

/// Tests that `ours` has each item of `mainline` with the same signature.
pub fn compare(ours: &Build, mainline: &Build, outcome: &mut Outcome) -> Result<()> {
    let modules = replaced(ours, mainline)?;
    let (had, have) = (items(mainline, &modules)?, items(ours, &modules)?);
    let missing: Vec<_> = had.difference(&have).collect();
    let name = "mainline's public API, item by item";
    for line in &missing {
        println!("         missing: {line}");
    }
    if missing.is_empty() {
        println!("ok     {name}: {} of {}", had.len(), have.len());
    }
    outcome.check(
        name,
        missing.is_empty() && !had.is_empty(),
        &format!("{} of {} items are missing", missing.len(), had.len()),
    );
    Ok(())
}
