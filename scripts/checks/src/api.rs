// SPDX-License-Identifier: GPL-2.0

//! Comparing the public API with that of mainline's modules, which ours replace.

use anyhow::{Context, Result};
use front::{build::Build, kernel, outcome::Outcome, setup::Tools, step, tree};
use serde_json::{Map, Value};
use std::{
    collections::BTreeSet,
    fs,
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
pub fn json(build: &Build) -> PathBuf {
    build
        .objects
        .join("Documentation/output/rust/rustdoc/kernel.json")
}

/// Which public items of the crate.
pub enum Part {
    All,
    /// All but those of blanket, auto trait and derived implementations.
    Written,
}

/// Returns the public items of the crate, one a line. The JSON must have been generated.
pub fn items(build: &Build, part: Part) -> Result<String> {
    let target = build.out.join("front");
    step::run(
        "program items",
        &build.log("items"),
        Command::new("cargo")
            .args(["build", "--release", "--locked", "--package", "items"])
            .arg("--manifest-path")
            .arg(build.root.join("scripts/Cargo.toml"))
            .env("CARGO_TARGET_DIR", &target),
    )?;
    let mut items = Command::new(target.join("release/items"));
    items.arg(json(build));
    if let Part::Written = part {
        items.arg("--written");
    }
    step::output(&mut items)
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

/// Returns the re-exports of the crate: the path of a definition, and another path that names it.
///
/// A `pub use` in a module does not change the type, but its definition may be in another module than
/// mainline's.
fn aliases(build: &Build) -> Result<Vec<(String, String)>> {
    let json = json(build);
    let text = fs::read_to_string(&json).with_context(|| json.display().to_string())?;
    let krate: Value = serde_json::from_str(&text).with_context(|| json.display().to_string())?;
    let path = |id: &Value| -> Option<String> {
        let parts = krate["paths"][id.to_string()]["path"].as_array()?;
        let parts: Option<Vec<_>> = parts.iter().map(Value::as_str).collect();
        Some(parts?.join("::"))
    };

    let mut found = Vec::new();
    for item in krate["index"].as_object().into_iter().flat_map(Map::values) {
        let Some(children) = item["inner"]["module"]["items"].as_array() else {
            continue;
        };
        let Some(module) = path(&item["id"]) else {
            continue;
        };
        for child in children {
            let child = &krate["index"][child.to_string()];
            let import = &child["inner"]["use"];
            let is_public = child["visibility"] == "public" && import["is_glob"] == false;
            if let (true, Some(name), Some(definition)) =
                (is_public, import["name"].as_str(), path(&import["id"]))
            {
                found.push((definition, format!("{module}::{name}")));
            }
        }
    }
    Ok(found)
}

/// Returns `line` with each `old`, which must not be a part of another name, replaced by `new`.
fn renamed(line: &str, old: &str, new: &str) -> String {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(old) {
        let (before, after) = (&rest[..at], &rest[at + old.len()..]);
        let whole = !before.ends_with(|c| in_name(c) || c == ':') && !after.starts_with(in_name);
        out.push_str(before);
        out.push_str(if whole { new } else { old });
        rest = after;
    }
    out + rest
}

/// Returns the line of a method with the type that it belongs to in the place of `Self`.
fn without_self(line: &str) -> String {
    let Some((path, _)) = line.split_once("fn ").and_then(|(_, rest)| {
        let path = rest.split(['(', '<']).next()?;
        path.rsplit_once("::")
    }) else {
        return line.to_owned();
    };
    renamed(line, "Self", path)
}

/// Returns the items of `modules`. An item that a re-export names, too, has a line for
/// each of its paths.
fn items_of(build: &Build, modules: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let of_module = |line: &str| {
        modules.iter().any(|module| {
            line.match_indices(module).any(|(at, _)| {
                let end = line[at + module.len()..].chars().next();
                end.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            })
        })
    };
    let items = items(build, Part::All)?;
    let mut lines: BTreeSet<String> = items.lines().map(without_self).collect();
    for (definition, alias) in aliases(build)? {
        let more: Vec<_> = lines
            .iter()
            .filter(|line| line.contains(&definition))
            .map(|line| renamed(line, &definition, &alias))
            .collect();
        lines.extend(more);
    }
    Ok(lines
        .into_iter()
        .filter(|line| of_module(line) || MACROS.iter().any(|name| line.contains(name)))
        .collect())
}

/// Tests that `ours` has each item of `mainline` with the same signature.
pub fn compare(ours: &Build, mainline: &Build, outcome: &mut Outcome) -> Result<()> {
    let modules = replaced(ours, mainline)?;
    let (had, have) = (items_of(mainline, &modules)?, items_of(ours, &modules)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_are_renamed() {
        let line = "pub fn k::task::Task::uid(&self) -> k::uidgid::Kuid";
        assert_eq!(
            renamed(line, "k::uidgid::Kuid", "k::task::Kuid"),
            "pub fn k::task::Task::uid(&self) -> k::task::Kuid"
        );
        for other in ["k::uidgid::Ku", "uidgid::Kuid", "idgid::Kuid"] {
            assert_eq!(renamed(line, other, "x"), line, "{other}");
        }
    }

    #[test]
    fn self_is_the_type_of_the_method() {
        assert_eq!(
            without_self("pub unsafe fn k::A::dec_ref(NonNull<Self>)"),
            without_self("pub unsafe fn k::A::dec_ref(NonNull<k::A>)")
        );
        assert_ne!(
            without_self("pub unsafe fn k::A::dec_ref(NonNull<Self>)"),
            without_self("pub unsafe fn k::A::dec_ref(NonNull<k::B>)")
        );
        assert_eq!(without_self("pub struct k::A"), "pub struct k::A");
    }
}
