// SPDX-License-Identifier: GPL-2.0

//! The programs of the guest, and its initramfs.

use crate::{kernel, setup::Tools, step, Build};
use anyhow::{Context, Result};
use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The crate of the guest's programs.
const CRATE: &str = "tools/testing/selftests/rust_task";

/// The variable with the path of Binder's bindings, when the crate is compiled.
pub const BINDINGS: &str = "BINDER_BINDINGS";

/// Returns the directory in which cargo builds the programs. Each series has its own bindings.
fn target(build: &Build) -> PathBuf {
    build.out.join("selftests").join(&build.series)
}

/// Returns the path of Binder's bindings.
pub fn bindings(build: &Build) -> PathBuf {
    target(build).join("binder.rs")
}

/// The archive that a guest boots from.
pub struct Initramfs {
    pub archive: PathBuf,
    /// The names of its test programs.
    pub programs: Vec<String>,
}

/// Installs the kernel's UAPI headers, and generates the Rust bindings of Binder's for the programs.
pub fn uapi(build: &Build, tools: &Tools) -> Result<PathBuf> {
    let include = build.objects.join("usr/include");
    let header = include.join("linux/android/binderfs.h");
    let mut make = kernel::make(build, tools);
    step::run("UAPI headers", &build.log("headers"), make.arg("headers"))?;
    let rust = step::output(
        tools
            .command("bindgen")
            .arg(header)
            .args(["--allowlist-file", ".*/linux/android/.*"])
            .args(["--no-prepend-enum-name", "--no-doc-comments", "--"])
            .arg("-I")
            .arg(&include),
    )?;
    fs::create_dir_all(target(build))?;
    step::write_if_changed(&bindings(build), &rust)?;
    Ok(include)
}

/// Builds the programs. Returns their directory.
pub fn programs(build: &Build) -> Result<PathBuf> {
    let target = target(build);
    let machine = build.machine;
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--locked", "--target", machine.target])
        .arg("--manifest-path")
        .arg(build.root.join(CRATE).join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .env(BINDINGS, bindings(build))
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    if let Some(prefix) = machine.cross {
        let name = machine.target.to_uppercase().replace('-', "_");
        let linker = format!("CARGO_TARGET_{name}_LINKER");
        cargo.env(linker, format!("{prefix}gcc"));
    }
    step::run("selftests", &build.log("selftests"), &mut cargo)?;
    Ok(target.join(machine.target).join("release"))
}

/// Builds a program of the kernel's selftests, and returns its path. `sources` are compiled without the
/// Makefile of the folder if there are any.
fn kernel_selftest(
    build: &Build,
    tools: &Tools,
    include: &Path,
    name: &str,
    folder: &Path,
    sources: &[PathBuf],
) -> Result<PathBuf> {
    let boot = build.objects.join("boot");
    let program = boot.join(name);
    let folder = build.tree.join(folder);
    let prefix = build.machine.cross.unwrap_or_default();
    let mut compile = if sources.is_empty() {
        let mut make = tools.command("make");
        make.arg("-C")
            .arg(folder)
            .arg(format!("OUTPUT={}", boot.display()))
            .arg(format!("KHDR_INCLUDES=-isystem {}", include.display()))
            .arg(format!("CROSS_COMPILE={prefix}"))
            .arg("LDFLAGS=-static")
            .arg(&program);
        make
    } else {
        let all = sources.iter().map(|source| folder.join(source));
        let present = all.filter(|source| source.exists());
        let mut cc = tools.command(&format!("{prefix}gcc"));
        cc.args(["-O2", "-static", "-D_GNU_SOURCE=", "-isystem"])
            .arg(include)
            .arg("-I")
            .arg(build.tree.join("tools/testing/selftests"))
            .arg("-I")
            .arg(build.tree.join("tools/include"))
            .arg("-I")
            .arg(build.root.join("tests/gup"))
            .arg("-idirafter")
            .arg(&build.tree)
            .args(present)
            .arg("-o")
            .arg(&program);
        cc
    };
    let log = build.log("kselftest");
    step::run("selftests of the kernel", &log, &mut compile)?;
    Ok(program)
}

/// Builds the programs, and packs them together with the modules of `build`.
pub fn create(build: &Build, tools: &Tools) -> Result<Initramfs> {
    // The programs need what this generates.
    let include = uapi(build, tools)?;
    let bin = programs(build)?;
    let boot = build.objects.join("boot");
    fs::create_dir_all(&boot)?;
    let manifest = &build.manifest;
    let path = |name: &str, folder: &Option<PathBuf>, sources: &[PathBuf]| match folder {
        Some(folder) => kernel_selftest(build, tools, &include, name, folder, sources),
        None => Ok(bin.join(name)),
    };
    // The programs, each with its directory in the guest.
    let mut programs: Vec<(&str, PathBuf)> = Vec::new();
    let mut modules: Vec<(&str, PathBuf)> = Vec::new();
    let mut tests = Vec::new();
    for test in &manifest.test {
        // The other builds do not have the drivers that these programs test.
        if test.drivers && !(build.ours && build.drivers) {
            continue;
        }
        if test.except.contains(&build.series) {
            continue;
        }
        if let Some(symbol) = &test.config {
            if !kernel::has(build, &format!("CONFIG_{symbol}=y"))? {
                continue;
            }
        }
        if let Some(name) = &test.module {
            let directory = manifest.module(name)?.directory();
            let objects = kernel::module(build, tools, name)?;
            let directory = directory.to_str().context("no UTF-8")?;
            modules.push((directory, objects.join(format!("{name}.ko"))));
        }
        programs.push(("selftests", path(&test.name, &test.folder, &[])?));
        tests.push(test.name.clone());
    }
    for test in &manifest.stress {
        programs.push((&test.name, bin.join(&test.program)));
    }
    for program in &manifest.program {
        if program.except.contains(&build.series) {
            continue;
        }
        let file = path(&program.name, &program.folder, &program.sources)?;
        programs.push((&program.directory, file));
        if let Some(name) = &program.module {
            let folder = manifest.module(name)?.directory();
            let module = build.objects.join(folder).join(format!("{name}.ko"));
            modules.push((&program.directory, module));
        }
    }
    for driver in &manifest.driver {
        modules.push(("modules", build.objects.join(driver.module())));
    }
    // A driver that is built in, or an external module that is not needed, has no file.
    modules.retain(|(_, module)| module.exists());

    let mut list = String::new();
    let mut directories: BTreeSet<&str> =
        ["dev", "proc", "sys", "tmp", "modules", "selftests"].into();
    directories.extend(
        programs
            .iter()
            .chain(&modules)
            .map(|(directory, _)| *directory),
    );
    for directory in directories.into_iter().filter(|name| !name.is_empty()) {
        writeln!(list, "dir /{directory} 0755 0 0")?;
    }
    writeln!(list, "nod /dev/console 0600 0 0 c 5 1")?;
    for (files, mode) in [(&programs, "0755"), (&modules, "0644")] {
        for (directory, file) in files {
            let name = file.file_name().context("no file name")?;
            let at = Path::new("/").join(directory).join(name);
            writeln!(list, "file {} {} {mode} 0 0", at.display(), file.display())?;
        }
    }
    let archive = pack(build, tools, "initramfs", &list)?;
    Ok(Initramfs {
        archive,
        programs: tests,
    })
}

/// Packs the files of a list in the form of the kernel's `gen_init_cpio`. Returns the archive.
pub fn pack(build: &Build, tools: &Tools, name: &str, list: &str) -> Result<PathBuf> {
    let boot = build.objects.join("boot");
    fs::create_dir_all(&boot)?;
    let spec = boot.join(format!("{name}.list"));
    fs::write(&spec, list)?;

    let program = build.objects.join("usr/gen_init_cpio");
    if !program.exists() {
        let mut make = kernel::make(build, tools);
        step::run("gen_init_cpio", &build.log("usr"), make.arg("usr/"))?;
    }
    let archive = boot.join(format!("{name}.cpio"));
    let bytes = Command::new(program)
        .arg(&spec)
        .output()
        .context("gen_init_cpio")?
        .stdout;
    fs::write(&archive, bytes)?;
    Ok(archive)
}
