// SPDX-License-Identifier: GPL-2.0

//! rustfmt, clippy, rustdoc and checkpatch with the kernel's settings, and checks of our own.

use crate::{api, attacks, configs, coverage, docs, doctor, layout, patches, words};
use anyhow::Result;
use front::{build::Build, initramfs, kernel, outcome::Outcome, setup::Tools, step, tree};
use std::{fs, path::PathBuf, process::Command};

/// Checks the format of each file. A file on standard input is not searched for modules: rustfmt would
/// look for those of backport/ beside the file that declares them, where a link leads away from them.
const FORMATTED: &str = r#"config=$1; shift; status=0
for file; do
	rustfmt --check --edition 2021 --config-path "$config" <"$file" || { echo "$file"; status=1; }
done
exit $status"#;

/// Checks what is the same for all kernels.
pub fn sources(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    words::check(&build.root, outcome)?;
    initramfs::uapi(build, tools)?;
    part(
        outcome,
        build,
        "sphinx",
        docs::sphinx(&build.tree)
            // Without a configuration file, but with the directive for figures.
            .args(["-C", "-Dextensions=kfigure"])
            .arg(build.root.join("Documentation/rust/task-mm"))
            .arg(build.out.join("sphinx")),
        |_| false,
    )?;
    for folder in &build.manifest.cargo {
        let manifest = build.root.join(folder).join("Cargo.toml");
        let short = folder.file_name().unwrap_or_default().to_string_lossy();
        part(
            outcome,
            build,
            &format!("rustfmt of {short}"),
            Command::new("cargo")
                .args(["fmt", "--all", "--check", "--manifest-path"])
                .arg(&manifest),
            |_| false,
        )?;
        part(
            outcome,
            build,
            &format!("clippy of {short}"),
            Command::new("cargo")
                .args([
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--release",
                    "--locked",
                ])
                .arg("--manifest-path")
                .arg(&manifest)
                .env("CARGO_TARGET_DIR", target(build, &short))
                .env(initramfs::BINDINGS, initramfs::bindings(build))
                .args(["--", "-D", "warnings"]),
            |_| false,
        )?;
    }

    for package in ["scripts", "tests"] {
        part(
            outcome,
            build,
            &format!("tests of {package}"),
            Command::new("cargo")
                .args(["test", "--workspace", "--release", "--locked"])
                .arg("--manifest-path")
                .arg(build.root.join(package).join("Cargo.toml"))
                .env("CARGO_TARGET_DIR", target(build, package)),
            |_| false,
        )?;
    }
    Ok(())
}

/// Returns the directory in which a package is also compiled by others, so that what it depends on is
/// compiled once.
fn target(build: &Build, package: &str) -> PathBuf {
    build.out.join(match package {
        "scripts" => "front",
        "tests" => "ui",
        "models" => "models",
        _ => "clippy",
    })
}

/// Checks the files of one kernel.
pub fn kernel(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let all = tree::files(build)?;
    let files: Vec<PathBuf> = all.into_values().collect();
    let ending = |ends: &[&str]| -> Vec<&PathBuf> {
        let ends_so = |p: &&PathBuf| p.extension().is_some_and(|e| ends.iter().any(|x| e == *x));
        files.iter().filter(ends_so).collect()
    };

    doctor::check(build, outcome)?;
    patches::check(build, outcome)?;
    let conditional: Vec<_> = versioned(build, &files)?;
    outcome.report(
        "no file of rust/ depends on the kernel version",
        conditional.is_empty(),
        &conditional.join(", "),
    );

    let apart = build
        .manifest
        .module
        .iter()
        .flat_map(|module| &module.files);
    part(
        outcome,
        build,
        "rustfmt",
        Command::new("sh")
            .args(["-c", FORMATTED, "rustfmt"])
            .arg(build.tree.join(".rustfmt.toml"))
            .args(ending(&["rs"]))
            .args(apart.map(|file| build.root.join(file))),
        |_| false,
    )?;
    let named = files.clone();
    let about_ours = move |log: &str| configs::concerns(log, &named);
    let variant = build.variant("clippy");
    // Warnings about the examples do not name our files, so they would only take time.
    kernel::derive(&variant, tools, build, &["no-examples"])?;
    let mut goals = Vec::new();
    for driver in &build.manifest.driver {
        if kernel::is_set(&variant, &driver.config)? {
            goals.push(driver.goal());
        }
    }
    part(
        outcome,
        &variant,
        "clippy",
        kernel::make(&variant, tools)
            .args(["CLIPPY=1", "rust/"])
            .args(goals),
        &about_ours,
    )?;
    layout::check(&variant, tools, outcome)?;
    part(
        outcome,
        &variant,
        "rustdoc",
        &mut api::rustdoc(&variant, tools),
        &about_ours,
    )?;
    attacks::check(&variant, outcome)?;
    // The table is about the drivers of one kernel, and is the same on each. So are the pages.
    if build.series == coverage::SERIES && build.kdir.is_none() {
        coverage::check(&variant, outcome)?;
        docs::pages(&variant, outcome)?;
    }

    part(
        outcome,
        build,
        "checkpatch",
        tools
            .command("perl")
            .arg("scripts/checkpatch.pl")
            .args(["--strict", "--terse", "--no-summary", "--show-types"])
            // These are files, not patches, and not every machine has a spelling list.
            .args(["--ignore", "FILE_PATH_CHANGES", "-f"])
            .args(ending(&["rs", "c", "h"]))
            .arg(build.root.join("Kconfig"))
            .current_dir(&build.tree),
        |_| false,
    )?;
    Ok(())
}

/// Returns the files below rust/ that depend on the kernel version.
fn versioned(build: &Build, files: &[PathBuf]) -> Result<Vec<String>> {
    let rust = build.root.join("rust");
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

/// Runs one check. It passes if the command succeeds and `complains` accepts its output.
fn part(
    outcome: &mut Outcome,
    build: &Build,
    name: &str,
    command: &mut Command,
    complains: impl Fn(&str) -> bool,
) -> Result<()> {
    let log = build.log(&name.replace(' ', "-"));
    let done = step::watch(name, &log, command, None)?;
    let text = fs::read_to_string(&log).unwrap_or_default();
    let passed = done && !complains(&text);
    outcome.report(name, passed, &format!("see {}", log.display()));
    Ok(())
}
