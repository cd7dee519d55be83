// SPDX-License-Identifier: GPL-2.0

//! Installs what a kernel build needs: Debian packages, bindgen, the sources of core and the kernel.
//!
//! What is present in the right version is not installed again. Downloads come from Debian's archive,
//! verified by apt, and from cargo's registry. If Debian's archive is not reachable, the kernel source
//! comes from kernel.org.

use crate::{
    arch::Arch,
    release, step,
    versions::{self, Version},
    Build,
};
use anyhow::{bail, Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// The version that is installed if there is none that suffices.
const BINDGEN: &str = "0.73.2";
/// The oldest version that each supported kernel accepts.
const OLDEST_BINDGEN: &str = "0.71.1";
/// The major versions of LLVM that Debian 12 and 13 have. The first one is the default.
const LLVM: &[u32] = &[22, 19];
/// The packages of each version of LLVM, each with a file in its directory.
const LLVM_PACKAGES: &[(&str, &str)] = &[
    ("clang-N", "bin/clang"),
    ("lld-N", "bin/ld.lld"),
    ("llvm-N", "bin/llvm-nm"),
    ("libclang-N-dev", "lib/libclang.so"),
];
/// The other packages, each with a file that exists if it is installed.
const PACKAGES: &[(&str, &str)] = &[
    ("flex", "/usr/bin/flex"),
    ("bison", "/usr/bin/bison"),
    ("bc", "/usr/bin/bc"),
    ("libelf-dev", "/usr/include/libelf.h"),
    ("libdw-dev", "/usr/include/elfutils/libdw.h"),
    ("libssl-dev", "/usr/include/openssl/ssl.h"),
    ("cpio", "/usr/bin/cpio"),
    ("kmod", "/usr/bin/kmod"),
    ("lz4", "/usr/bin/lz4"),
    ("pahole", "/usr/bin/pahole"),
    ("xz-utils", "/usr/bin/xz"),
    ("make", "/usr/bin/make"),
    ("gcc", "/usr/bin/gcc"),
    ("libc6-dev", "/usr/include/stdio.h"),
    ("perl", "/usr/bin/perl"),
    ("python3", "/usr/bin/python3"),
    ("python3-sphinx", "/usr/bin/sphinx-build"),
    ("graphviz", "/usr/bin/dot"),
];

/// Variables that this repository's Makefile exports, which the kernel's make must not see.
const OWN_VARIABLES: &[&str] = &[
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
    "SIGNOFF",
    "CASE",
    "TURN",
    "FN",
    "CONFIG",
    "JSON",
    "M",
    "V",
];

/// The environment in which the kernel is built.
pub struct Tools {
    path: String,
    /// The directory of LLVM.
    llvm: PathBuf,
    /// `library/` of the Rust source, which contains core.
    pub library: PathBuf,
    /// The versions of the tools, in one line.
    pub versions: String,
}

impl Tools {
    /// Returns a command with the tools in its `PATH` and without [`OWN_VARIABLES`].
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PATH", &self.path)
            .env("LIBCLANG_PATH", self.llvm.join("lib"))
            .env("LC_ALL", "C");
        for name in OWN_VARIABLES {
            command.env_remove(name);
        }
        command
    }
}

/// Returns the major version of LLVM that is used: that of rustc if Debian has it, so that the helpers
/// can be inlined into Rust code.
pub fn llvm_version() -> u32 {
    let rustc = step::output(Command::new("rustc").arg("-vV")).unwrap_or_default();
    let of_rustc = rustc
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next())
        .and_then(|major| major.parse().ok());
    let found = LLVM.iter().find(|&&version| of_rustc == Some(version));
    *found.unwrap_or(&LLVM[0])
}

/// Returns the directory of LLVM.
pub fn llvm() -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{}", llvm_version()))
}

/// Returns the directories in which the tools are looked up.
pub fn search_path(cache: &Path) -> String {
    let path = env::var("PATH").unwrap_or_default();
    let llvm = llvm().join("bin");
    if has_bindgen(&path) {
        return format!("{}:{path}", llvm.display());
    }
    let bindgen = bindgen_root(cache).join("bin");
    format!("{}:{}:{path}", llvm.display(), bindgen.display())
}

/// What `make deb` needs in addition to [`PACKAGES`].
pub const PACKAGING: &[(&str, &str)] = &[
    ("debhelper", "/usr/bin/dh"),
    ("dpkg-dev", "/usr/bin/dpkg-buildpackage"),
    ("rsync", "/usr/bin/rsync"),
];

/// What the kernel's `menuconfig` and `nconfig` need in addition.
pub const MENUS: &[(&str, &str)] = &[("libncurses-dev", "/usr/include/curses.h")];

/// What the download of a release that is not in Debian needs in addition.
pub const DOWNLOAD: &[(&str, &str)] = &[("curl", "/usr/bin/curl")];

/// Installs what only some commands need.
pub fn also(build: &Build, packages: &[(&str, &str)]) -> Result<()> {
    install(build, &packages.iter().map(named).collect::<Vec<_>>())
}

/// Returns the packages that are not installed.
pub fn missing_packages(arch: &Arch) -> Vec<String> {
    missing(&packages(arch))
}

/// A package, and a file that exists if it is installed.
type Package = (String, PathBuf);

fn named((package, file): &(&str, &str)) -> Package {
    ((*package).to_owned(), PathBuf::from(file))
}

fn packages(arch: &Arch) -> Vec<Package> {
    let version = llvm_version().to_string();
    let llvm = llvm();
    let of_llvm = LLVM_PACKAGES.iter();
    let of_llvm = of_llvm.map(|(package, file)| (package.replace('N', &version), llvm.join(file)));
    let others = PACKAGES.iter().chain(arch.packages).map(named);
    of_llvm.chain(others).collect()
}

fn missing(packages: &[Package]) -> Vec<String> {
    let all = packages.iter();
    all.filter(|(_, file)| !file.exists())
        .map(|(package, _)| package.clone())
        .collect()
}

/// Installs what is missing.
pub fn ensure(build: &Build) -> Result<Tools> {
    fs::create_dir_all(&build.cache)?;
    // All clones of this user, and all kernels of `make test`, use one cache.
    let _lock = step::lock(&build.cache)?;
    let rustc = step::output(Command::new("rustc").arg("--version")).context(concat!(
        "no rustc: install Rust ",
        env!("CARGO_PKG_RUST_VERSION"),
        " or newer"
    ))?;
    let version = rustc
        .split_whitespace()
        .nth(1)
        .context("rustc has no version")?
        .to_owned();

    let all = packages(build.machine);
    can_install(&missing(&all))?;
    let rest = || -> Result<PathBuf> {
        install(build, &all)?;
        standard_library(build)?;
        let library = library(build, &version)?;
        if build.kdir.is_none() {
            source(build)?;
        }
        Ok(library)
    };
    if let Some(line) = refused_bindgen() {
        println!("{line}");
    }
    let failed = AtomicBool::new(false);
    let library = thread::scope(|scope| {
        // cargo compiles bindgen while apt and the network are what the rest waits for.
        let bindgen = scope.spawn(|| bindgen(build, &failed));
        let library = rest().inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        match bindgen.join() {
            Ok(installed) => installed.map(|()| library),
            Err(_) => bail!("the installation of bindgen has panicked"),
        }
    })?;
    let mut needs = build.manifest.needs.iter();
    if let Some(needs) = needs.find(|needs| needs.series == build.series) {
        needs.refuse_old("rustc", &rustc)?;
    }
    let path = search_path(&build.cache);
    let version_of = |program: &str| {
        let version = versions::which(program, &path).and_then(|file| versions::of(&file));
        version.with_context(|| format!("{program} does not run"))
    };
    Ok(Tools {
        library,
        versions: format!(
            "{} bindgen {} clang {}",
            rustc.trim(),
            version_of("bindgen")?,
            version_of("clang")?
        ),
        path,
        llvm: llvm(),
    })
}

/// Returns an error if packages are missing and cannot be installed.
fn can_install(missing: &[String]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let root = step::output(Command::new("id").arg("-u"))?.trim() == "0";
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "packages are missing; install them: apt-get install {}",
            missing.join(" ")
        );
    }
    Ok(())
}

/// Installs those of `all` that are missing.
fn install(build: &Build, all: &[Package]) -> Result<()> {
    let missing = missing(all);
    can_install(&missing)?;
    if missing.is_empty() {
        return Ok(());
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    step::run(
        "package lists",
        &build.log("apt-update"),
        apt().arg("update"),
    )?;
    step::run(
        "packages",
        &build.log("apt-install"),
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(&missing),
    )?;
    match all.iter().find(|(_, file)| !file.exists()) {
        Some((package, file)) => {
            let file = file.display();
            bail!("{package} is installed without {file}: apt-get install --reinstall {package}")
        }
        None => Ok(()),
    }
}

/// Installs the standard library with which the programs of the guest are compiled.
fn standard_library(build: &Build) -> Result<()> {
    let target = build.machine.target;
    let library = || -> Result<bool> {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir", "--target", target]);
        let directory = step::output(&mut rustc)?;
        Ok(Path::new(directory.trim()).is_dir())
    };
    if library()? {
        return Ok(());
    }
    step::run(
        &format!("standard library for {target}"),
        &build.log("rustup"),
        Command::new("rustup").args(["target", "add", target]),
    )
    .with_context(|| format!("no standard library for {target}; run `rustup target add {target}`"))
}

fn bindgen_root(cache: &Path) -> PathBuf {
    cache.join(format!("bindgen-{BINDGEN}"))
}

/// Installs bindgen, unless one that suffices is installed, or something else `failed`.
fn bindgen(build: &Build, failed: &AtomicBool) -> Result<()> {
    let root = bindgen_root(&build.cache);
    if has_bindgen(&env::var("PATH").unwrap_or_default()) || root.join("bin/bindgen").exists() {
        return Ok(());
    }
    step::run_until(
        "bindgen",
        &build.log("bindgen"),
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
        || {
            let failed = failed.load(Ordering::Relaxed);
            failed.then(|| "bindgen was not installed, as another step failed".to_owned())
        },
    )
}

/// Returns whether the first bindgen of `path` suffices for each supported kernel.
fn has_bindgen(path: &str) -> bool {
    let installed = versions::which("bindgen", path).and_then(|file| versions::of(&file));
    installed.is_some_and(suffices)
}

/// Returns a line about the first bindgen of the user's `PATH` if it is refused, as another one is used.
pub fn refused_bindgen() -> Option<String> {
    let file = versions::which("bindgen", &env::var("PATH").ok()?)?;
    let version = versions::of(&file)?;
    let why = versions::known_bad("bindgen", version)?;
    Some(format!(
        "{} is bindgen {version}, which is not used: {why}",
        file.display()
    ))
}

fn suffices(bindgen: Version) -> bool {
    Some(bindgen) >= Version::find(OLDEST_BINDGEN)
        && versions::known_bad("bindgen", bindgen).is_none()
}

/// Returns `library/` of the source of this rustc, if it is there.
pub fn library_found(cache: &Path, version: &str) -> Result<Option<PathBuf>> {
    let sysroot = step::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let own = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    let unpacked = cache.join(format!(
        "rust-src-{version}/usr/src/rustc-{version}/library"
    ));
    let mut all = [own, unpacked].into_iter();
    Ok(all.find(|library| library.join("core/src/lib.rs").exists()))
}

/// Returns `library/` of the source of this rustc.
fn library(build: &Build, version: &str) -> Result<PathBuf> {
    if let Some(library) = library_found(&build.cache, version)? {
        return Ok(library);
    }

    let name = format!("rust-src-{version}");
    let dir = build.cache.join(&name);
    let library = dir.join(format!("usr/src/rustc-{version}/library"));
    if !library.join("core/src/lib.rs").exists() {
        let package = format!("rust-src={version}*");
        let deb = of_debian(build, &package).with_context(|| {
            format!(
                "the source of core {version} is missing: run `rustup component add rust-src`, or for Debian's rustc `apt-get install rust-src`"
            )
        })?;
        fill_atomically(&dir, |dir| {
            step::run(
                "source of core",
                &build.log("rust-src"),
                Command::new("dpkg").arg("-x").args([&deb, dir]),
            )
        })?;
    }
    Ok(library)
}

/// Returns the shell and the other programs of a guest in which a person works. The package is unpacked
/// in the cache, not installed.
pub fn busybox(build: &Build) -> Result<PathBuf> {
    let machine = build.machine;
    let (folder, lists) = match machine.cross {
        None => ("busybox".to_owned(), Lists::Own),
        Some(_) => (
            format!("busybox-{}", machine.debian),
            Lists::Of(machine.debian),
        ),
    };
    let dir = build.cache.join(folder);
    let find = || {
        let mut all = ["usr/bin/busybox", "bin/busybox"].into_iter();
        all.find_map(|file| Some(dir.join(file)).filter(|file| file.is_file()))
    };
    if let Some(file) = find() {
        return Ok(file);
    }
    let _lock = step::lock(&build.cache)?;
    if let Some(file) = find() {
        return Ok(file);
    }
    let deb = download(build, "busybox-static", lists)?;
    fill_atomically(&dir, |dir| {
        step::run(
            "busybox",
            &build.log("busybox"),
            Command::new("dpkg").arg("-x").args([&deb, dir]),
        )
    })?;
    find().with_context(|| format!("{}: the package has no busybox", deb.display()))
}

/// Returns the configuration with which Debian builds its kernel of the series.
pub fn debian_config(build: &Build) -> Result<PathBuf> {
    let package = format!("linux-config-{}", build.series);
    let dir = build.cache.join(&package);
    let file = dir.join("config");
    let _lock = step::lock(&build.cache)?;
    if file.exists() {
        return Ok(file);
    }
    let deb = of_debian(build, &package)?;
    fill_atomically(&dir, |dir| {
        let outer = dir.join("package");
        fs::create_dir_all(&outer)?;
        step::run(
            "kernel configuration",
            &build.log("unpack"),
            Command::new("dpkg").arg("-x").args([&deb, &outer]),
        )?;
        let debian = build.machine.debian;
        let packed = outer.join(format!(
            "usr/src/{package}/config.{debian}_none_{debian}.xz"
        ));
        let text = step::output(Command::new("xz").arg("--decompress").arg("-c").arg(packed))?;
        fs::write(dir.join("config"), text)?;
        fs::remove_dir_all(outer)?;
        Ok(())
    })?;
    Ok(file)
}

/// Downloads a package that may be in the backports only.
fn of_debian(build: &Build, package: &str) -> Result<PathBuf> {
    download(build, package, Lists::Own).or_else(|_| download(build, package, Lists::Backports))
}

/// What the error of [`source`] says if Debian does not publish the series (any more).
pub const NOT_IN_DEBIAN: &str = ", which is not in Debian";

/// Downloads and unpacks the kernel source into the cache.
pub fn source(build: &Build) -> Result<()> {
    let name = format!("linux-{}", build.series);
    let dir = build.cache.join(&name);
    if dir.join("Makefile").exists() {
        return Ok(());
    }

    let log = build.log("unpack");
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
    let package = format!("linux-source-{}", build.series);
    let deb = match of_debian(build, &package) {
        Ok(deb) => deb,
        Err(err) => {
            let err = format!("{err:#}");
            eprintln!("Debian's kernel source is not available ({err}); trying kernel.org");
            // apt has read the lists of a Debian that is there.
            let why = match err.contains("Unable to locate package") {
                true => NOT_IN_DEBIAN,
                false => "",
            };
            let archive = also(build, DOWNLOAD).and_then(|()| release::download(build));
            let archive = archive.with_context(|| {
                let series = &build.series;
                format!("no source of Linux {series}{why}; pass a tree of your own with KDIR=")
            })?;
            return fill_atomically(&dir, |dir| unpack("kernel release", &archive, dir));
        }
    };
    fill_atomically(&dir, |dir| {
        let outer = dir.join("package");
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

/// Fills a temporary directory and renames it to `dir`, so that `dir` is never incomplete.
fn fill_atomically(dir: &Path, fill: impl FnOnce(&PathBuf) -> Result<()>) -> Result<()> {
    let partial = PathBuf::from(format!("{}.partial", dir.display()));
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    if let Err(err) = fill(&partial) {
        // On a full disk, the space is needed.
        let _ = fs::remove_dir_all(&partial);
        return Err(err);
    }
    fs::rename(&partial, dir)?;
    Ok(())
}

/// The package lists in which a package is looked up.
#[derive(Clone, Copy)]
enum Lists {
    /// Those of apt.
    Own,
    /// Those of Debian's backports.
    Backports,
    /// Those of apt for another architecture.
    Of(&'static str),
}

impl Lists {
    /// The directory of the packages.
    fn folder(self) -> String {
        match self {
            Self::Own | Self::Backports => "packages".to_owned(),
            Self::Of(arch) => format!("packages-{arch}"),
        }
    }
}

/// Downloads a package. apt verifies its signature.
fn download(build: &Build, package: &str, lists: Lists) -> Result<PathBuf> {
    let dir = build.cache.join(lists.folder());
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
    let private = match lists {
        Lists::Own => None,
        Lists::Backports => Some(("the backports", backports(build)?)),
        Lists::Of(arch) => Some((arch, foreign(build, arch)?)),
    };
    if let Some((whose, private)) = private {
        options.extend(private);
        step::run(
            &format!("package lists of {whose}"),
            &build.log("apt-lists"),
            Command::new("apt-get").args(&options).arg("update"),
        )?;
    }
    // An interrupted download stays in this directory, which the next one deletes.
    let partial = dir.join("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    step::run(
        &format!("download of {stem}"),
        &build.log("download"),
        Command::new("apt-get")
            .env("LC_ALL", "C")
            .args(&options)
            .arg("download")
            .arg(package)
            .current_dir(&partial),
    )?;
    for file in fs::read_dir(&partial)?.flatten() {
        fs::rename(file.path(), dir.join(file.file_name()))?;
    }
    find().with_context(|| {
        let log = build.log("download");
        format!("{package} was not downloaded; see {}", log.display())
    })
}

/// Returns the options that make apt use package lists of its own, in a directory of the cache.
fn private_lists(build: &Build, folder: &str) -> Result<Vec<String>> {
    let apt = build.cache.join(folder);
    fs::create_dir_all(apt.join("lists/partial"))?;
    fs::create_dir_all(apt.join("cache/archives/partial"))?;
    Ok(vec![
        format!("Dir::State::Lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
    ])
}

/// Puts the `-o` of apt before each option.
fn as_options(all: Vec<String>) -> Vec<String> {
    let all = all.into_iter();
    all.flat_map(|option| ["-o".to_owned(), option]).collect()
}

/// Returns the options that make apt use the packages of another architecture.
fn foreign(build: &Build, arch: &str) -> Result<Vec<String>> {
    let mut all = private_lists(build, &format!("apt-{arch}"))?;
    all.extend([
        format!("APT::Architecture={arch}"),
        format!("APT::Architectures={arch}"),
        "Dir::State::Status=/dev/null".into(),
    ]);
    Ok(as_options(all))
}

/// Returns the options that make apt use Debian's backports.
fn backports(build: &Build) -> Result<Vec<String>> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|l| l.strip_prefix("VERSION_CODENAME="))
        .context("this is not Debian: pass a kernel tree with KDIR=")?;
    let targets = step::output(Command::new("apt-get").args([
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
        .context("apt has no Debian mirror; run apt-get update")?;

    let mut all = private_lists(build, "apt")?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let sources = build.cache.join("apt/sources.list");
    fs::write(
        &sources,
        format!("deb [signed-by={keyring}] {mirror} trixie-backports main\n"),
    )?;
    all.extend([
        format!("Dir::Etc::SourceList={}", sources.display()),
        "Dir::Etc::SourceParts=/dev/null".into(),
    ]);
    Ok(as_options(all))
}

#[cfg(test)]
mod tests {
    use super::{suffices, Version};

    #[test]
    fn versions_of_bindgen() {
        let suffices = |version| suffices(Version::find(version).unwrap());
        for version in ["0.71.1", "0.72.0", "0.73.0", "0.73.2", "1.0.0"] {
            assert!(suffices(version), "{version}");
        }
        for version in ["0.60.1", "0.71.0", "0.73.1"] {
            assert!(!suffices(version), "{version}");
        }
    }
}
