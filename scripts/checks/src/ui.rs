// SPDX-License-Identifier: GPL-2.0

//! Compiling misuse of the crate, which must fail, and checking that each public type has such a case.

use anyhow::{ensure, Result};
use front::{build::Build, manifest::Manifest, outcome::Outcome, step, tree};
use std::{fs, path::Path, process::Command};

/// Compiles the cases of tests/ui/ against the crate that was built last.
pub fn all(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let log = build.log("ui");
    step::watch(
        "tests/ui",
        &log,
        Command::new("cargo")
            .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
            .arg(build.root.join("tests/Cargo.toml"))
            .arg("--")
            .args([&build.root, &build.objects, &build.manifest.ui.flags_of])
            .env("CARGO_TARGET_DIR", build.out.join("ui")),
        None,
    )?;
    outcome.ktap("ui", &fs::read_to_string(log)?);

    let missing = untested(&build.root, &build.manifest)?;
    outcome.report(
        "each public type has a directory in tests/ui",
        missing.is_empty(),
        &missing.join(", "),
    );
    Ok(())
}

/// Returns the public types that have no case, each with its file and the directory that is missing.
fn untested(root: &Path, manifest: &Manifest) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    let mut types = 0;
    for source in &manifest.ui.sources {
        for file in tree::walk(&root.join(source))? {
            if file.extension().is_none_or(|e| e != "rs") {
                continue;
            }
            let text = fs::read_to_string(&file)?;
            for name in text.lines().filter_map(public_type) {
                types += 1;
                let folder = root.join("tests/ui").join(snake(name));
                if !fs::read_dir(&folder).is_ok_and(|mut cases| cases.next().is_some()) {
                    let file = file.strip_prefix(root).unwrap_or(&file);
                    missing.push(format!(
                        "{name} of {} (tests/ui/{})",
                        file.display(),
                        snake(name)
                    ));
                }
            }
        }
    }
    ensure!(types > 0, "no public type was found");
    missing.sort();
    Ok(missing)
}

/// Returns the name of the public type that `line` declares.
fn public_type(line: &str) -> Option<&str> {
    let kinds = ["struct", "enum", "union", "trait", "unsafe trait"];
    let rest = line.strip_prefix("pub ")?;
    let name = kinds
        .iter()
        .find_map(|kind| rest.strip_prefix(kind)?.strip_prefix(' '))?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(&name[..end.unwrap_or(name.len())])
}

/// Returns the directory name of a type: `vma_ref` for `VmaRef`, `pinned_sg_table` for
/// `PinnedSGTable`. `KThread` is one word.
fn snake(name: &str) -> String {
    let name: Vec<_> = name.replace("KThread", "Kthread").chars().collect();
    let mut snake = String::new();
    for (i, c) in name.iter().enumerate() {
        let lowercase = |i: usize| name.get(i).is_some_and(|c| c.is_lowercase());
        if c.is_uppercase() && i > 0 && (lowercase(i - 1) || lowercase(i + 1)) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_after_types() {
        for (name, directory) in [
            ("VmaRef", "vma_ref"),
            ("Pid", "pid"),
            ("KThread", "kthread"),
            ("NewKThread", "new_kthread"),
            ("CurrentKThread", "current_kthread"),
            ("PinnedSGTable", "pinned_sg_table"),
        ] {
            assert_eq!(snake(name), directory);
        }
    }

    #[test]
    fn declarations_are_recognized() {
        assert_eq!(public_type("pub struct A<'a> {"), Some("A"));
        assert_eq!(public_type("pub struct B(C);"), Some("B"));
        assert_eq!(public_type("pub unsafe trait D: E {"), Some("D"));
        assert_eq!(public_type("pub(crate) struct F;"), None);
        assert_eq!(public_type("pub fn g() {"), None);
    }

    #[test]
    fn a_type_without_a_case_is_found_in_each_directory() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = Manifest::read(manifest.ancestors().nth(2).unwrap()).unwrap();
        let root = std::env::temp_dir().join(format!("types-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "rust/kernel/pid.rs",
            "pub struct Tested;\npub struct One;\n",
        );
        write("rust/kernel/mm/virt/two.rs", "pub enum Two {}\n");
        write("tests/ui/tested/case.rs", "");
        fs::create_dir_all(root.join("tests/ui/one")).unwrap();
        assert_eq!(
            untested(&root, &manifest).unwrap(),
            [
                "One of rust/kernel/pid.rs (tests/ui/one)",
                "Two of rust/kernel/mm/virt/two.rs (tests/ui/two)"
            ]
        );
        fs::remove_dir_all(root).unwrap();
    }
}
