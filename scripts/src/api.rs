// SPDX-License-Identifier: GPL-2.0

//! The public API of mainline's modules, which ours must have too.

use crate::{kernel, report::Outcome, setup::Tools, step, Place};
use anyhow::{Context, Result};
use public_api::Builder;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// The modules that ours take the place of, and the macro that belongs to them.
const MODULES: &[&str] = &["kernel::task", "kernel::mm", "kernel::pid_namespace"];
const MACROS: &[&str] = &["kernel::current!"];

/// The command that makes the kernel's pages, and the JSON that belongs to them.
pub fn rustdoc(place: &Place, tools: &Tools) -> Command {
    let mut make = kernel::make(place, tools);
    let rustdoc = place.root.join("scripts/rustdoc");
    make.arg(format!("RUSTDOC={}", rustdoc.display()))
        .arg("rustdoc");
    make
}

/// Where that JSON is.
fn json(place: &Place) -> PathBuf {
    place
        .objects
        .join("Documentation/output/rust/rustdoc/kernel.json")
}

/// Writes the JSON, unless it is newer than the crate.
pub fn document(place: &Place, tools: &Tools) -> Result<()> {
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let times = (
        time(&json(place)),
        time(&place.objects.join("rust/kernel.o")),
    );
    if matches!(times, (Some(json), Some(built)) if json > built) {
        return Ok(());
    }
    step::run(
        &format!("API of {}", place.title()),
        &place.log("rustdoc"),
        &mut rustdoc(place, tools),
    )
}

/// Reads the items of our modules, a line each.
fn items(place: &Place) -> Result<BTreeSet<String>> {
    let json = json(place);
    let api = Builder::from_rustdoc_json(&json).build().with_context(|| {
        let json = json.display();
        format!("{json}: not understood, as it is of another Rust than 1.95")
    })?;
    let of_module = |line: &str| {
        MODULES.iter().any(|module| {
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

/// Tests that `ours` has each item of `mainline`, with the same signature.
pub fn compare(ours: &Place, mainline: &Place, outcome: &mut Outcome) -> Result<()> {
    let (had, have) = (items(mainline)?, items(ours)?);
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
