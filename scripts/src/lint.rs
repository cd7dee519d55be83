// SPDX-License-Identifier: GPL-2.0

//! rustfmt, clippy, rustdoc and checkpatch, with the kernel's own settings, over our files.

use crate::{api, kernel, known, report::Outcome, setup::Tools, step, tree, user, Place};
use anyhow::Result;
use std::{fs, path::PathBuf, process::Command};

/// Our own cargo crates.
const CRATES: &[&str] = &["scripts", "tests", user::CRATE];

pub fn all(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let all = tree::files(place)?;
    let in_tree: Vec<PathBuf> = all.keys().map(|at| place.tree.join(at)).collect();
    let files: Vec<PathBuf> = all.into_values().collect();
    let ending = |ends: &[&str]| -> Vec<&PathBuf> {
        let ends_so = |p: &&PathBuf| p.extension().is_some_and(|e| ends.iter().any(|x| e == *x));
        files.iter().filter(ends_so).collect()
    };

    let missing = unproven(place, &files)?;
    outcome.report(
        "layout of each field that is read",
        missing.is_empty(),
        &format!("add to rust/layout.c: {}", missing.join(", ")),
    );

    let conditional: Vec<_> = versioned(place, &files)?;
    outcome.report(
        "no file of rust/ asks for the kernel's version",
        conditional.is_empty(),
        &conditional.join(", "),
    );
    user::uapi(place, tools)?;

    part(
        outcome,
        place,
        "rustfmt",
        Command::new("rustfmt")
            .args(["--check", "--edition", "2021", "--config-path"])
            .arg(place.tree.join(".rustfmt.toml"))
            // In the tree, a module of backport/ lies beside the file that names it.
            .args(
                in_tree
                    .iter()
                    .filter(|p| p.extension().is_some_and(|e| e == "rs")),
            )
            .arg(place.root.join(known::MODULE).join("rust_task_known.rs")),
        |_| false,
    )?;
    for name in CRATES {
        let manifest = place.root.join(name).join("Cargo.toml");
        let short = name.rsplit('/').next().unwrap_or(name);
        part(
            outcome,
            place,
            &format!("rustfmt of {short}"),
            Command::new("cargo")
                .args(["fmt", "--check", "--manifest-path"])
                .arg(&manifest),
            |_| false,
        )?;
        part(
            outcome,
            place,
            &format!("clippy of {short}"),
            Command::new("cargo")
                .args(["clippy", "--release", "--locked", "--manifest-path"])
                .arg(&manifest)
                .env("CARGO_TARGET_DIR", place.build.join("clippy"))
                .args(["--", "-D", "warnings"]),
            |_| false,
        )?;
    }

    part(
        outcome,
        place,
        "tests of scripts",
        Command::new("cargo")
            .args(["test", "--release", "--locked", "--manifest-path"])
            .arg(place.root.join("scripts/Cargo.toml"))
            .env("CARGO_TARGET_DIR", place.build.join("clippy")),
        |_| false,
    )?;

    let named = files.clone();
    let about_ours = move |log: &str| {
        log.lines().any(|line| {
            line.trim_start().starts_with("-->")
                && named.iter().any(|f| {
                    let name = f.file_name().map(|n| n.to_string_lossy().into_owned());
                    name.is_some_and(|n| line.contains(&format!("/{n}:")))
                })
        })
    };
    let variant = place.variant("clippy");
    kernel::derive(&variant, tools, place, &[])?;
    part(
        outcome,
        &variant,
        "clippy",
        kernel::make(&variant, tools).args([
            "CLIPPY=1",
            "rust/",
            "samples/rust/",
            "lib/test_rust_task.o",
        ]),
        &about_ours,
    )?;
    part(
        outcome,
        &variant,
        "rustdoc",
        &mut api::rustdoc(&variant, tools),
        &about_ours,
    )?;

    part(
        outcome,
        place,
        "checkpatch",
        tools
            .command("perl")
            .arg("scripts/checkpatch.pl")
            .args(["--strict", "--terse", "--no-summary", "--show-types"])
            // There is no patch here, and no spelling list on every machine.
            .args(["--ignore", "FILE_PATH_CHANGES", "-f"])
            .args(ending(&["rs", "c", "h"]))
            .arg(place.root.join("Kconfig"))
            .current_dir(&place.tree),
        |_| false,
    )?;
    Ok(())
}

/// Returns the files below rust/ that are not the same for every kernel.
fn versioned(place: &Place, files: &[PathBuf]) -> Result<Vec<String>> {
    let rust = place.root.join("rust");
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.starts_with(&rust)) {
        let text = fs::read_to_string(file)?;
        let words = [
            "LINUX_VERSION",
            "KERNEL_VERSION",
            "generated/uapi/linux/version",
        ];
        if words.iter().any(|word| text.contains(word)) {
            found.push(file.display().to_string());
        }
    }
    Ok(found)
}

/// Runs one part; it is well if it succeeds and `complains` finds nothing in what it prints.
fn part(
    outcome: &mut Outcome,
    place: &Place,
    name: &str,
    command: &mut Command,
    complains: impl Fn(&str) -> bool,
) -> Result<()> {
    let log = place.log(&name.replace(' ', "-"));
    let done = step::watch(name, &log, command, None)?;
    let text = fs::read_to_string(&log).unwrap_or_default();
    let well = done && !complains(&text);
    outcome.report(name, well, &format!("see {}", log.display()));
    Ok(())
}

/// Returns the fields that our Rust files read through a pointer, as in `(*task).pid`, and that
/// rust/layout.c does not have.
fn unproven(place: &Place, files: &[PathBuf]) -> Result<Vec<String>> {
    let proven = fs::read_to_string(place.root.join("rust/layout.c"))?;
    let mut missing = Vec::new();
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "rs"))
    {
        let text = fs::read_to_string(file)?;
        for field in fields_read(&text) {
            if !proven.contains(&format!(" {field})")) {
                missing.push(format!("{field} of {}", file.display()));
            }
        }
    }
    Ok(missing)
}

/// The first named field behind each `(*...)` in `text`.
fn fields_read(text: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    for (at, _) in text.match_indices("(*") {
        let mut depth = 0;
        let close = text[at..].find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let Some(path) = close.and_then(|n| text[at + n + 1..].strip_prefix('.')) else {
            continue;
        };
        let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        let path = &path[..end.unwrap_or(path.len())];
        let named = path
            .split('.')
            .find(|name| !name.starts_with("__bindgen_anon"));
        fields.extend(named.filter(|name| !name.is_empty()));
    }
    fields
}
