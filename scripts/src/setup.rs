// SPDX-License-Identifier: GPL-2.0

//! What has to be on the machine: Debian's packages, bindgen, core's source, the kernel's source.
//!
//! Each is looked for by version first, so that a second call does nothing. Downloads come from
//! Debian's archive, which apt verifies, and from cargo's registry; the kernel's source, where Debian
//! is out of reach, from kernel.org.

use crate::{release, step, Place};
use anyhow::{bail, Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const BINDGEN: &str = "0.73.2";
const LLVM: &str = "/usr/lib/llvm-22";
/// A program or file of each package, by which one sees that it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("clang-22", "/usr/lib/llvm-22/bin/clang"),
    ("lld-22", "/usr/lib/llvm-22/bin/ld.lld"),
    ("llvm-22", "/usr/lib/llvm-22/bin/llvm-nm"),
    ("libclang-22-dev", "/usr/lib/llvm-22/lib/libclang.so"),
    ("flex", "/usr/bin/flex"),
    ("bison", "/usr/bin/bison"),
    ("bc", "/usr/bin/bc"),
    ("libelf-dev", "/usr/include/libelf.h"),
    ("libssl-dev", "/usr/include/openssl/ssl.h"),
    ("cpio", "/usr/bin/cpio"),
    ("kmod", "/usr/bin/kmod"),
    ("lz4", "/usr/bin/lz4"),
    ("xz-utils", "/usr/bin/xz"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    ("make", "/usr/bin/make"),
    ("gcc", "/usr/bin/gcc"),
    ("libc6-dev", "/usr/include/stdio.h"),
    ("perl", "/usr/bin/perl"),
    ("python3", "/usr/bin/python3"),
];

/// What our own make has put into the environment, which the kernel's must not see.
const OURS: &[&str] = &[
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "ARCH",
    "KDIR",
    "KERNEL",
    "LLVM",
    "ONLY",
    "SECONDS",
    "SEED",
    "CASE",
];

/// How the tools are called.
pub struct Tools {
    path: String,
    /// `library/` of the source of core.
    pub library: PathBuf,
    /// One line that changes when a tool does.
    pub versions: String,
}

impl Tools {
    /// A command with the tools in its PATH and nothing of ours in its environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PATH", &self.path)
            .env("LIBCLANG_PATH", format!("{LLVM}/lib"))
            .env("LC_ALL", "C");
        for name in OURS {
            command.env_remove(name);
        }
        command
    }
}

pub fn ensure(place: &Place) -> Result<Tools> {
    fs::create_dir_all(&place.cache)?;
    let rustc = step::ask(Command::new("rustc").arg("--version"))
        .context("no rustc: install Rust 1.89 or newer, with rustfmt and clippy")?;
    let version = rustc
        .split_whitespace()
        .nth(1)
        .context("rustc has no version")?
        .to_owned();

    packages(place)?;
    let bindgen = bindgen(place)?;
    let library = library(place, &version)?;
    if place.kdir.is_none() {
        source(place)?;
    }
    let path = env::var("PATH").unwrap_or_default();
    Ok(Tools {
        path: format!("{LLVM}/bin:{}:{path}", bindgen.display()),
        library,
        versions: format!("{} bindgen {BINDGEN} llvm 22", rustc.trim()),
    })
}

fn packages(place: &Place) -> Result<()> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }

    let root = step::ask(Command::new("id").arg("-u"))?.trim() == "0";
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "packages are missing; install them: apt-get install {}",
            missing.join(" ")
        );
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    step::run(
        "package lists",
        &place.log("apt-update"),
        apt().arg("update"),
    )?;
    step::run(
        "packages",
        &place.log("apt-install"),
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(missing),
    )
}

/// Returns the folder of the bindgen program.
fn bindgen(place: &Place) -> Result<PathBuf> {
    let root = place.cache.join(format!("bindgen-{BINDGEN}"));
    if !root.join("bin/bindgen").exists() {
        step::run(
            "bindgen",
            &place.log("bindgen"),
            Command::new("cargo")
                .args([
                    "install",
                    "--locked",
                    "bindgen-cli",
                    "--version",
                    BINDGEN,
                    "--root",
                ])
                .arg(&root)
                .env_remove("CARGO_TARGET_DIR"),
        )?;
    }
    Ok(root.join("bin"))
}

/// Returns the source of the core library that belongs to this rustc.
fn library(place: &Place, version: &str) -> Result<PathBuf> {
    let sysroot = step::ask(Command::new("rustc").args(["--print", "sysroot"]))?;
    let own = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    if own.join("core/src/lib.rs").exists() {
        return Ok(own);
    }

    let name = format!("rust-src-{version}");
    let dir = place.cache.join(&name);
    let library = dir.join(format!("usr/src/rustc-{version}/library"));
    if !library.join("core/src/lib.rs").exists() {
        let deb = download(place, &format!("rust-src={version}*"), true).with_context(|| {
            format!("no source of core {version}: run `rustup component add rust-src`")
        })?;
        into_place(&dir, |dir| {
            step::run(
                "core's source",
                &place.log("rust-src"),
                Command::new("dpkg").arg("-x").args([&deb, dir]),
            )
        })?;
    }
    Ok(library)
}

/// Unpacks the published kernel into the cache.
fn source(place: &Place) -> Result<()> {
    let name = format!("linux-{}", place.series);
    let dir = place.cache.join(&name);
    if dir.join("Makefile").exists() {
        return Ok(());
    }
    if !place.root.join("backport").join(&place.series).is_dir() {
        bail!(
            "KERNEL={}: not supported; backport/ has a folder for each series that is",
            place.series
        );
    }

    let log = place.log("unpack");
    let unpack = |title: &str, archive: &Path, dir: &Path| {
        step::run(
            title,
            &log,
            Command::new("tar")
                .arg("-xf")
                .arg(archive)
                .arg("--strip-components=1")
                .arg("-C")
                .arg(dir),
        )
    };
    let package = format!("linux-source-{}", place.series);
    let debian = download(place, &package, false).or_else(|_| download(place, &package, true));
    let deb = match debian {
        Ok(deb) => deb,
        Err(err) => {
            eprintln!("Debian's source is out of reach ({err:#}); trying the release");
            let archive = release::download(place).with_context(|| {
                format!(
                    "no source of Linux {}; pass your own with KDIR=",
                    place.series
                )
            })?;
            return into_place(&dir, |dir| unpack("kernel release", &archive, dir));
        }
    };
    into_place(&dir, |dir| {
        let outer = dir.with_extension("deb");
        fs::create_dir_all(&outer)?;
        step::run(
            "kernel package",
            &log,
            Command::new("dpkg").arg("-x").args([&deb, &outer]),
        )?;
        let tar = outer.join(format!("usr/src/{package}.tar.xz"));
        unpack("kernel source", &tar, dir)?;
        fs::remove_dir_all(outer)?;
        Ok(())
    })
}

/// Fills a folder beside `dir` and renames it, so that `dir` is there whole or not at all.
fn into_place(dir: &Path, fill: impl FnOnce(&PathBuf) -> Result<()>) -> Result<()> {
    let partial = PathBuf::from(format!("{}.partial", dir.display()));
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    fill(&partial)?;
    fs::rename(&partial, dir)?;
    Ok(())
}

/// Downloads a package, from the machine's own suites or from Debian's backports, and returns the
/// file. apt checks its signature.
fn download(place: &Place, package: &str, backports: bool) -> Result<PathBuf> {
    let dir = place.cache.join("packages");
    fs::create_dir_all(&dir)?;
    let stem = package.split('=').next().unwrap_or(package);
    let find = || -> Option<PathBuf> {
        let found = fs::read_dir(&dir).ok()?.flatten().map(|entry| entry.path());
        let name = format!("{stem}_");
        let version = package
            .split_once('=')
            .map_or("", |(_, v)| v.trim_end_matches('*'));
        let wanted = format!("{name}{version}");
        found
            .filter(|p| p.extension().is_some_and(|e| e == "deb"))
            .find(|p| {
                p.file_name()
                    .is_some_and(|n| n.to_string_lossy().starts_with(&wanted))
            })
    };
    if let Some(deb) = find() {
        return Ok(deb);
    }

    let mut options = vec!["-o".to_owned(), "APT::Sandbox::User=root".to_owned()];
    if backports {
        options.extend(private_apt(place)?);
        step::run(
            "package lists of the backports",
            &place.log("apt-backports"),
            Command::new("apt-get").args(&options).arg("update"),
        )?;
    }
    // What is interrupted stays in a folder of its own, and is begun anew.
    let partial = dir.join("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    step::run(
        &format!("download of {stem}"),
        &place.log("download"),
        Command::new("apt-get")
            .args(&options)
            .arg("download")
            .arg(package)
            .current_dir(&partial),
    )?;
    for file in fs::read_dir(&partial)?.flatten() {
        fs::rename(file.path(), dir.join(file.file_name()))?;
    }
    find().with_context(|| {
        let log = place.log("download");
        format!("{package} was not downloaded; see {}", log.display())
    })
}

/// Options that make apt look at Debian's backports, in lists of our own.
fn private_apt(place: &Place) -> Result<Vec<String>> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|l| l.strip_prefix("VERSION_CODENAME="))
        .context("this is not Debian: pass a kernel tree with KDIR=")?;
    let targets = step::ask(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME)",
        "Created-By: Packages",
    ]))?;
    let mirror = targets
        .lines()
        .filter_map(|l| l.split_once(' '))
        .find(|(_, name)| *name == codename)
        .map(|(uri, _)| uri)
        .context("apt knows no Debian mirror; run apt-get update")?;

    let apt = place.cache.join("apt");
    fs::create_dir_all(apt.join("lists/partial"))?;
    fs::create_dir_all(apt.join("cache/archives/partial"))?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let sources = apt.join("sources.list");
    fs::write(
        &sources,
        format!("deb [signed-by={keyring}] {mirror} trixie-backports main\n"),
    )?;

    Ok([
        format!("Dir::Etc::SourceList={}", sources.display()),
        "Dir::Etc::SourceParts=/dev/null".into(),
        format!("Dir::State::Lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect())
}
