// SPDX-License-Identifier: GPL-2.0

//! The programs of the guest, and the archive that it boots from.

use crate::{kernel, setup::Tools, step, Place};
use anyhow::{Context, Result};
use std::{fmt::Write, fs, path::PathBuf, process::Command};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the selftests and packs them; returns the archive.
pub fn initramfs(place: &Place, tools: &Tools) -> Result<PathBuf> {
    let target = place.build.join("selftests");
    step::run(
        "selftests",
        &place.log("selftests"),
        Command::new("cargo")
            .args([
                "build",
                "--release",
                "--locked",
                "--target",
                TARGET,
                "--manifest-path",
            ])
            .arg(
                place
                    .root
                    .join("tools/testing/selftests/rust_task/Cargo.toml"),
            )
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    let bin = target.join(TARGET).join("release");

    let mut list = String::new();
    for dir in ["dev", "proc", "sys", "tmp", "modules", "selftests"] {
        writeln!(list, "dir /{dir} 0755 0 0")?;
    }
    writeln!(list, "nod /dev/console 0600 0 0 c 5 1")?;
    writeln!(list, "file /init {} 0755 0 0", bin.join("init").display())?;
    let test = bin.join("rust_task_test");
    writeln!(
        list,
        "file /selftests/rust_task_test {} 0755 0 0",
        test.display()
    )?;
    let module = place.objects.join("samples/rust/rust_task_info.ko");
    if module.exists() {
        writeln!(
            list,
            "file /modules/rust_task_info.ko {} 0644 0 0",
            module.display()
        )?;
    }
    let boot = place.objects.join("boot");
    fs::create_dir_all(&boot)?;
    let spec = boot.join("initramfs.list");
    fs::write(&spec, list)?;

    let program = place.objects.join("usr/gen_init_cpio");
    if !program.exists() {
        let mut make = kernel::make(place, tools, &place.objects);
        step::run("gen_init_cpio", &place.log("usr"), make.arg("usr/"))?;
    }
    let archive = boot.join("initramfs.cpio");
    let bytes = Command::new(program)
        .arg(&spec)
        .output()
        .context("gen_init_cpio")?
        .stdout;
    fs::write(&archive, bytes)?;
    Ok(archive)
}
