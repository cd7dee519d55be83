// SPDX-License-Identifier: GPL-2.0

//! Debian packages of the kernel and of its headers, by the kernel's own `bindeb-pkg`.

use crate::{doctor, shell};
use anyhow::{Context, Result};
use front::{build::Build, kernel, outcome::Outcome, setup, setup::Tools, step, tree};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds the packages. Tests that a module which is built against the headers is loaded by the image.
pub fn all(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    setup::also(build, setup::PACKAGING)?;
    kernel::compile(build, tools)?;
    // The packages have a version of their own, so the next build must not be skipped.
    let _ = fs::remove_file(kernel::stamp(build));
    let folder = build.out.join("deb").join(build.name());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut make = kernel::make(build, tools);
    // The tree has links to the source, which the packages must not have.
    make.env("TAR_OPTIONS", "--dereference").arg("bindeb-pkg");
    step::run("packages", &build.log("deb"), &mut make)?;

    // dpkg-buildpackage writes next to the directory in which it runs.
    for file in fs::read_dir(&build.out)?.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let is_package = name.ends_with(".deb") && name.starts_with("linux-");
        if is_package || name.starts_with("linux-upstream_") {
            fs::rename(file.path(), folder.join(name))?;
        }
    }
    let packages = packages(&folder)?;
    let mut rows = vec![["package", "MB"].map(str::to_owned).to_vec()];
    for package in &packages {
        let size = fs::metadata(package)?.len() as f64 / 1e6;
        rows.push(vec![package.display().to_string(), format!("{size:.1}")]);
    }
    doctor::table(&rows);
    test(build, tools, &folder, &packages, outcome)
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let all = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut all: Vec<_> = all
        .filter(|file| file.extension().is_some_and(|e| e == "deb"))
        .collect();
    all.sort();
    Ok(all)
}

/// Unpacks the packages, builds the README's driver against the headers, and boots the image with it.
fn test(
    build: &Build,
    tools: &Tools,
    folder: &Path,
    packages: &[PathBuf],
    outcome: &mut Outcome,
) -> Result<()> {
    let root = folder.join("root");
    for package in packages {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").args([package, &root]);
        step::run("unpacking", &build.log("deb-unpack"), &mut dpkg)?;
    }
    let find = |folder: &str, start: &str| -> Result<PathBuf> {
        let all = fs::read_dir(root.join(folder))?.flatten();
        let mut all = all.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
        let found = all
            .next()
            .with_context(|| format!("no package has {folder}/{start}"))?;
        Ok(found.path())
    };
    let headers = find("usr/src", "linux-headers-")?;
    let image = find("boot", "vmlinuz-")?;

    let outside = links_to_outside(&headers)?;
    outcome.report(
        "the headers package has no link to another directory",
        outside.is_empty(),
        &format!("{} links, for example {:?}", outside.len(), outside.first()),
    );
    let readme = shell::Readme::parse(&fs::read_to_string(build.root.join("README.md"))?)?;
    let module = folder.join("whoami");
    readme.write(&module)?;
    let mut make = tools.command("make");
    make.arg("-C")
        .arg(&headers)
        .arg("LLVM=1")
        .arg(format!("M={}", module.display()))
        .arg("modules");
    step::run("module", &build.log("deb-module"), &mut make)?;
    let module = [module.join("whoami.ko")];
    let (output, succeeded) = shell::run(build, tools, &image, &module, &readme.script)?;
    outcome.report(
        "a module that is built against the headers package is loaded by the image package",
        succeeded && shell::Readme::is_answered(&output),
        &format!("the guest printed: {}", output.trim().replace('\n', ", ")),
    );
    Ok(())
}

/// Returns the links that lead out of a directory.
fn links_to_outside(folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder.canonicalize()?;
    let all = tree::walk(&folder)?.into_iter();
    let is_outside = |file: &PathBuf| {
        let target = file.canonicalize();
        file.is_symlink() && !target.is_ok_and(|target| target.starts_with(&folder))
    };
    Ok(all.filter(is_outside).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_that_lead_out_of_a_directory_are_found() {
        let top = std::env::temp_dir().join(format!("links-{}", std::process::id()));
        let folder = top.join("headers");
        fs::create_dir_all(folder.join("include")).unwrap();
        fs::write(folder.join("include/a.h"), "").unwrap();
        fs::write(top.join("b.h"), "").unwrap();
        symlink("a.h", folder.join("include/inside.h")).unwrap();
        assert!(links_to_outside(&folder).unwrap().is_empty());
        symlink("../../b.h", folder.join("include/outside.h")).unwrap();
        symlink("/nonexistent", folder.join("broken")).unwrap();
        assert_eq!(links_to_outside(&folder).unwrap().len(), 2);
        fs::remove_dir_all(top).unwrap();
    }
}
