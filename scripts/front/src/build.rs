// SPDX-License-Identifier: GPL-2.0

//! One build of the kernel: the paths of its source and objects, and what it contains.

use crate::{arch::Arch, manifest::Manifest, series};
use anyhow::{bail, Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One build of the kernel.
#[derive(Clone)]
pub struct Build {
    /// The root of this repository.
    pub root: PathBuf,
    /// `manifest.toml`.
    pub manifest: Arc<Manifest>,
    /// `build/`, which holds everything that is generated.
    pub out: PathBuf,
    /// Downloads and kernel sources, shared by all clones of this user.
    pub cache: PathBuf,
    /// The kernel series, for example `6.12`.
    pub series: String,
    /// The series, and those whose edits, files and settings it has as well, nearest first.
    pub like: Vec<String>,
    /// The user's own kernel tree (`KDIR=`).
    pub kdir: Option<PathBuf>,
    /// Whether the tree contains the files of this repository.
    pub ours: bool,
    /// Whether the edits to the kernel's own drivers are applied.
    pub drivers: bool,
    /// The architecture that is booted (`ARCH=`).
    pub machine: &'static Arch,
    /// The architecture that is compiled for, if it is not that of the build machine.
    pub arch: Option<String>,
    /// Whether the kernel is compiled by Clang, with the tools of LLVM (`LLVM=1`), or by gcc.
    pub clang: bool,
    /// The assembled source tree.
    pub tree: PathBuf,
    /// The object directory.
    pub objects: PathBuf,
}

impl Build {
    /// Returns the build of `series`; if that is `None`, of the kernel that `KERNEL` or `KDIR` names.
    pub fn find(series: Option<String>) -> Result<Self> {
        let kdir = env::var_os("KDIR").filter(|kdir| !kdir.is_empty());
        Self::find_in(series, kdir.map(PathBuf::from))
    }

    /// Returns the build of `series`, or of the tree `kdir`.
    pub fn find_in(series: Option<String>, kdir: Option<PathBuf>) -> Result<Self> {
        let root = env::current_dir()?.canonicalize()?;
        if !root.join("backport").is_dir() {
            bail!(
                "{}: not the root of this repository; run make there",
                root.display()
            );
        }
        let out = root.join("build");
        fs::create_dir_all(out.join("log"))?;

        let var = |name| env::var(name).ok().filter(|v| !v.is_empty());
        if let Some(llvm) = var("LLVM").filter(|llvm| llvm != "1") {
            bail!("LLVM={llvm}: only LLVM=1 is supported, as bindgen and rustc use LLVM too");
        }
        let machine = Arch::find(var("ARCH").as_deref())?;
        let cache = cache()?;

        let asked = series.or(var("KERNEL"));
        let series = series::asked(&root, asked.as_deref(), kdir.as_deref())?;
        let suffix = if kdir.is_some() { "-kdir" } else { "" };
        Ok(Self {
            tree: out.join(format!("linux-{series}{suffix}")),
            objects: out.join(format!("{series}-{}{suffix}", machine.name)),
            manifest: Arc::new(Manifest::read(&root)?),
            like: series::like(&root, &series)?,
            root,
            out,
            cache,
            series,
            kdir,
            machine,
            arch: machine.variable().map(str::to_owned),
            clang: true,
            ours: true,
            drivers: true,
        })
    }

    /// Returns a build of the same tree with an object directory of its own, for another configuration.
    pub fn variant(&self, name: &str) -> Self {
        let mut objects = self.objects.clone().into_os_string();
        objects.push(format!("-{name}"));
        Self {
            objects: objects.into(),
            ..self.clone()
        }
    }

    /// Returns the build of the same tree by gcc.
    pub fn with_gcc(&self) -> Result<Self> {
        if !self.machine.is_default() {
            bail!(
                "ARCH={}: gcc is not supported; pass LLVM=1",
                self.machine.name
            );
        }
        Ok(Self {
            clang: false,
            ..self.variant("gcc")
        })
    }

    /// Returns the name of the object directory, for example `6.12-x86_64`.
    pub fn name(&self) -> String {
        let name = self.objects.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Returns the name for messages, for example `Linux 6.12-x86_64`.
    pub fn title(&self) -> String {
        format!("Linux {}", self.name())
    }

    /// Returns the log file of a step.
    pub fn log(&self, step: &str) -> PathBuf {
        let dir = self.out.join("log").join(self.name());
        // If this fails, opening the log fails and reports the error.
        let _ = fs::create_dir_all(&dir);
        dir.join(format!("{step}.log"))
    }
}

/// Returns the directory of downloads and kernel sources.
pub fn cache() -> Result<PathBuf> {
    let var = |name| env::var(name).ok().filter(|v| !v.is_empty());
    let user = match var("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(var("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(user.join("rust-task-mm"))
}

/// Returns the series of a kernel tree, which need not be supported.
pub fn series_of(kdir: &Path) -> Result<String> {
    series::of_tree(kdir).with_context(|| format!("KDIR={} is not a kernel tree", kdir.display()))
}
