// SPDX-License-Identifier: GPL-2.0

//! The programs of the guest, and its initramfs.

use crate::{kernel, setup::Tools, step, Build};
use anyhow::{Context, Result};
use std::{fmt::Write, fs, path::PathBuf, process::Command};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The crate of the guest's programs.
pub const CRATE: &str = "tools/testing/selftests/rust_task";

/// The stress tests: the directory in the guest, and the program.
const STRESS_TESTS: &[(&str, &str)] = &[
    ("faults", "rust_task_faults"),
    ("fuzz", "rust_task_fuzz"),
    ("soak", "rust_task_soak"),
];

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
    let dir = build.out.join("selftests");
    fs::create_dir_all(&dir)?;
    step::write_if_changed(&dir.join("binder.rs"), &rust)?;
    Ok(include)
}

/// Builds the programs, and packs them together with the modules of `build`.
pub fn create(build: &Build, tools: &Tools) -> Result<Initramfs> {
    let include = uapi(build, tools)?;
    let target = build.out.join("selftests");
    step::run(
        "selftests",
        &build.log("selftests"),
        Command::new("cargo")
            .args(["build", "--release", "--locked", "--target", TARGET])
            .arg("--manifest-path")
            .arg(build.root.join(CRATE).join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    let bin = target.join(TARGET).join("release");

    let boot = build.objects.join("boot");
    fs::create_dir_all(&boot)?;
    let mut tests = Vec::new();
    // The other builds do not have the drivers that these programs test.
    if build.ours && build.drivers {
        tests.push(bin.join("rust_task_test"));
        tests.push(bin.join("rust_vma_test"));
        tests.push(bin.join("rust_pid_test"));
        tests.push(bin.join("rust_kthread_test"));
    }
    if kernel::has(build, "CONFIG_ANDROID_BINDER_IPC_RUST=y")? {
        tests.push(bin.join("binder_test"));
        step::run(
            "selftests of the kernel",
            &build.log("kselftest"),
            tools
                .command("make")
                .arg("-C")
                .arg(
                    build
                        .tree
                        .join("tools/testing/selftests/filesystems/binderfs"),
                )
                .arg(format!("OUTPUT={}", boot.display()))
                .arg(format!("KHDR_INCLUDES=-isystem {}", include.display()))
                .arg("LDFLAGS=-static"),
        )?;
        tests.push(boot.join("binderfs_test"));
    }

    let mut list = String::new();
    let dirs = [
        "dev",
        "proc",
        "sys",
        "tmp",
        "modules",
        "selftests",
        "bench",
        "cost",
        "known",
    ];
    for dir in dirs
        .into_iter()
        .chain(STRESS_TESTS.iter().map(|(name, _)| *name))
    {
        writeln!(list, "dir /{dir} 0755 0 0")?;
    }
    writeln!(list, "nod /dev/console 0600 0 0 c 5 1")?;
    let mut file = |at: &str, from: &PathBuf| {
        let mode = if at.ends_with(".ko") { "0644" } else { "0755" };
        writeln!(list, "file {at} {} {mode} 0 0", from.display())
    };
    file("/init", &bin.join("init"))?;
    file("/bench/binder_bench", &bin.join("binder_bench"))?;
    for (dir, program) in STRESS_TESTS {
        file(&format!("/{dir}/{program}"), &bin.join(program))?;
    }
    for (dir, program, objects) in [
        ("cost", "rust_task_bench", "rust_task_bench"),
        ("known", "rust_task_known", "known"),
    ] {
        file(&format!("/{dir}/{program}"), &bin.join(program))?;
        let module = build.objects.join(objects).join(format!("{program}.ko"));
        if module.exists() {
            file(&format!("/{dir}/{program}.ko"), &module)?;
        }
    }
    let mut programs = Vec::new();
    for test in &tests {
        let name = test.file_name().context("no name")?.to_string_lossy();
        file(&format!("/selftests/{name}"), test)?;
        programs.push(name.into_owned());
    }
    for sample in ["rust_task_info", "rust_vma_buffer"] {
        let module = build.objects.join(format!("samples/rust/{sample}.ko"));
        if module.exists() {
            file(&format!("/modules/{sample}.ko"), &module)?;
        }
    }
    let spec = boot.join("initramfs.list");
    fs::write(&spec, list)?;

    let program = build.objects.join("usr/gen_init_cpio");
    if !program.exists() {
        let mut make = kernel::make(build, tools);
        step::run("gen_init_cpio", &build.log("usr"), make.arg("usr/"))?;
    }
    let archive = boot.join("initramfs.cpio");
    let bytes = Command::new(program)
        .arg(&spec)
        .output()
        .context("gen_init_cpio")?
        .stdout;
    fs::write(&archive, bytes)?;
    Ok(Initramfs { archive, programs })
}
