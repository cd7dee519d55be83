// SPDX-License-Identifier: GPL-2.0

//! Tests that the documentation says of each public safe function which attacks were tried on it.

use crate::api::{self, Part};
use anyhow::{Context, Result};
use front::{build::Build, outcome::Outcome, tree};
use std::{collections::BTreeSet, fs};

const PAGE: &str = "Documentation/rust/task-mm/soundness/attacks.rst";

/// Methods that a trait of the core library or a macro of pin-init defines. Those of the crate's types
/// only copy, compare or borrow.
const OF_CORE: &[&str] = &["clone", "deref", "deref_mut", "eq", "fmt", "ne", "project"];

/// Returns the public safe functions of the crate.
pub fn of_crate(build: &Build) -> Result<BTreeSet<String>> {
    let items = api::items(build, Part::Written)?;
    Ok(items.lines().filter_map(safe_function).collect())
}

/// Returns the public safe functions of our modules.
fn functions(build: &Build) -> Result<BTreeSet<String>> {
    let ours = build.root.join("rust/kernel");
    let files = tree::files(build)?.into_values();
    let modules: BTreeSet<String> = files
        .filter_map(|file| {
            let module = file.strip_prefix(&ours).ok()?.with_extension("");
            Some(format!("kernel::{}::", module.display()).replace('/', "::"))
        })
        .collect();
    let is_ours = |item: &&str| {
        let path = item.split_once("fn ").map_or("", |(_, path)| path);
        modules
            .iter()
            .any(|module| path.starts_with(module.as_str()))
    };
    let items = api::items(build, Part::Written)?;
    let items = items.lines().filter(is_ours);
    Ok(items.filter_map(safe_function).collect())
}

/// Tests that the page lists each function. The JSON of rustdoc must have been generated for `build`.
pub fn check(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let functions = functions(build)?;
    let page = fs::read_to_string(build.root.join(PAGE)).context(PAGE)?;
    let listed: BTreeSet<&str> = page.split("``").skip(1).step_by(2).collect();
    let missing: Vec<_> = functions
        .iter()
        .filter(|name| !listed.contains(name.as_str()))
        .collect();
    for name in &missing {
        println!("         not in {PAGE}: {name}");
    }
    outcome.report(
        "the attacks on each public safe function are documented",
        missing.is_empty() && !functions.is_empty(),
        &format!(
            "{} of {} functions are missing",
            missing.len(),
            functions.len()
        ),
    );
    Ok(())
}

/// Returns the last two parts of the path, such as `Task::pid`, if the item is a safe function.
fn safe_function(item: &str) -> Option<String> {
    let (qualifiers, rest) = item.split_once("fn ")?;
    if !qualifiers.starts_with("pub") || qualifiers.contains("unsafe") {
        return None;
    }
    let path = without_generics(rest.split('(').next()?);
    let mut parts = path.rsplit("::");
    let (method, owner) = (parts.next()?, parts.next()?);
    (!OF_CORE.contains(&method)).then(|| format!("{owner}::{method}"))
}

/// Returns `path` without what stands between `<` and `>`.
fn without_generics(path: &str) -> String {
    let mut depth = 0;
    path.chars()
        .filter(|c| {
            let inside = depth > 0;
            match c {
                '<' => depth += 1,
                '>' => depth -= 1,
                _ => {}
            }
            !inside && *c != '<'
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_functions_are_named_by_type() {
        let name = |item| safe_function(item).unwrap_or_default();
        assert_eq!(name("pub fn k::task::Task::pid(&self) -> i32"), "Task::pid");
        assert_eq!(
            name("pub fn k::mm::DriverVma<T>::data<'a>(&'a self) -> X<T>"),
            "DriverVma::data"
        );
        assert_eq!(name("pub const fn k::a::B::new() -> Self"), "B::new");
        assert_eq!(name("pub unsafe fn k::a::B::from_raw() -> Self"), "");
        assert_eq!(name("pub fn k::a::B::clone(&self) -> Self"), "");
        assert_eq!(name("pub struct k::a::B"), "");
    }
}
