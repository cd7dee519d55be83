// SPDX-License-Identifier: GPL-2.0

//! Configuring and building the kernel, with the kernel's own make.

use crate::{setup::Tools, step, tree, Build};
use anyhow::{bail, Context, Result};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    thread::available_parallelism,
};

/// rustc needs most of its time to generate code. With these variables of make it does not. `touch`
/// creates the object that make expects, which is empty, so what reads objects is left out.
/// None of them is a tool: Kconfig asks for those, so the configuration would change.
pub const WITHOUT_CODE: &[&str] = &[
    "KRUSTFLAGS=-Zno-codegen",
    "rustc_objcopy=",
    "cmd_exports=: > $@",
    "cmd_objtool=; touch $@",
    "cmd_gen_objtooldep=",
];

/// Returns the file that is booted or run.
pub fn image(build: &Build) -> PathBuf {
    build.objects.join(build.machine.image)
}

/// Returns a command that runs the kernel's make.
pub fn make(build: &Build, tools: &Tools) -> Command {
    let mut make = tools.command("make");
    let jobs = available_parallelism().map_or(2, |n| n.get()) + 1;
    make.arg("-C")
        .arg(&build.tree)
        .arg(format!("-j{jobs}"))
        .args(build.clang.then_some("LLVM=1"))
        .arg(format!("O={}", build.objects.display()))
        .arg(format!("RUST_LIB_SRC={}", tools.library.display()));
    if let Some(arch) = &build.arch {
        make.arg(format!("ARCH={arch}"));
    }
    if has(build, "CONFIG_KCSAN=y").unwrap_or(false) {
        let wrappers = build.root.join("scripts/kcsan");
        make.arg(format!("RUSTC={}/rustc", wrappers.display()))
            .arg(format!("RUSTDOC={}/rustdoc", wrappers.display()));
    }
    make
}

/// Runs the kernel's make with `goals` and the variables `M` and `V`, on the terminal. Returns whether
/// it succeeded.
pub fn forward(build: &Build, tools: &Tools, goals: &[String]) -> Result<bool> {
    configure(build, tools)?;
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let mut make = make(build, tools);
    if let Some(verbosity) = variable("V") {
        make.arg(format!("V={verbosity}"));
    }
    if let Some(module) = variable("M") {
        // A module is built against a complete kernel.
        compile(build, tools)?;
        let folder = fs::canonicalize(&module).with_context(|| format!("M={module}"))?;
        make.arg(format!("M={}", folder.display()));
    } else {
        // The goal may change the objects, so the next build must not be skipped.
        let _ = fs::remove_file(stamp(build));
    }
    let status = make.args(goals).status()?;
    Ok(status.success())
}

/// Returns the fragments of this kernel's configuration.
fn fragments(build: &Build) -> Vec<PathBuf> {
    let configs = build.root.join("configs");
    let of_series = build.like.iter().rev();
    let names = of_series.map(|series| format!("{series}.config"));
    let of_arch = format!("{}.config", build.machine.name);
    // gcc cannot inline C's functions into Rust code.
    let of_gcc = (!build.clang).then(|| "calls.config".to_owned());
    // An architecture may lack what the others have.
    ["default.config".to_owned()]
        .into_iter()
        .chain(names)
        .chain([of_arch])
        .chain(of_gcc)
        .map(|name| configs.join(name))
        .filter(|path| path.exists())
        .collect()
}

/// Writes the configuration, if there is none or the fragments have changed.
pub fn configure(build: &Build, tools: &Tools) -> Result<()> {
    let fragments = fragments(build);
    let mut wanted = String::new();
    for fragment in &fragments {
        wanted += &fs::read_to_string(fragment)?;
    }
    let mut symbols = fs::read_to_string(build.root.join("Kconfig"))?;
    for backport in tree::backports(build) {
        symbols += &fs::read_to_string(backport.join("tree.toml"))?;
    }
    for (at, file) in tree::files(build)? {
        if at.file_stem().is_some_and(|name| name == "Kconfig") {
            symbols += &fs::read_to_string(file)?;
        }
    }

    fs::create_dir_all(&build.objects)?;
    let config = build.objects.join(".config");
    let stamp = build.objects.join("fragments");
    let symbols_stamp = build.objects.join("symbols");
    let is = |stamp: &Path, text: &str| fs::read_to_string(stamp).is_ok_and(|old| old == text);
    let log = build.log("config");
    let make = || make(build, tools);

    if config.exists() && is(&stamp, &wanted) {
        // The user's own settings stay; new symbols get their defaults.
        if !is(&symbols_stamp, &symbols) {
            step::run("configuration", &log, make().arg("olddefconfig"))?;
            fs::write(symbols_stamp, symbols)?;
        }
        return Ok(());
    }

    step::run("configuration", &log, make().arg("tinyconfig"))?;
    merge(build, tools, &fragments)?;
    fs::write(stamp, wanted)?;
    fs::write(symbols_stamp, symbols)?;
    Ok(())
}

/// Configures a build with tinyconfig, or with the configuration in `base`, and a fragment of configs/
/// that has everything else.
pub fn configure_alone(
    build: &Build,
    tools: &Tools,
    base: Option<&Path>,
    fragment: &str,
) -> Result<()> {
    fs::create_dir_all(&build.objects)?;
    match base {
        Some(base) => {
            fs::copy(base, build.objects.join(".config"))?;
        }
        None => {
            let log = build.log("config");
            step::run("configuration", &log, make(build, tools).arg("tinyconfig"))?;
        }
    }
    merge(build, tools, &named(build, &[fragment]))
}

/// Copies the objects of `like` to a variant that has not been built yet. The kernel's make then only
/// rebuilds what the configuration changes, which for most variants is the Rust code.
fn copy_objects(build: &Build, like: &Build) -> Result<()> {
    let copied = Command::new("cp")
        .args(["--archive", "--reflink=auto"])
        .arg(like.objects.join("."))
        .arg(&build.objects)
        .status()?;
    if !copied.success() {
        bail!("{}: cannot be copied", like.objects.display());
    }
    let _ = fs::remove_file(stamp(build));
    // External modules do not depend on the configuration.
    for module in &build.manifest.module {
        let _ = fs::remove_dir_all(build.objects.join(module.directory()));
    }

    let path = |path: &Path| path.display().to_string();
    let (objects, tree) = (path(&build.objects), path(&build.tree));
    let (old_objects, old_tree) = (path(&like.objects), path(&like.tree));
    // The same path may be another file in the other tree.
    let mut differ: HashMap<String, bool> = HashMap::new();
    let mut differs = |at: &str| {
        *differ.entry(at.to_owned()).or_insert_with(|| {
            let old = format!("{old_tree}{at}");
            let file = |path: &str| Path::new(path).canonicalize().ok();
            Path::new(&old).is_file() && file(&old) != file(&format!("{tree}{at}"))
        })
    };
    for record in tree::walk(&build.objects)? {
        let name = record.file_name().unwrap_or_default().to_string_lossy();
        let Some(target) = name.strip_prefix('.').and_then(|n| n.strip_suffix(".cmd")) else {
            continue;
        };
        let old = fs::read_to_string(&record)?;
        let mut used = old
            .split(|c: char| c.is_whitespace() || ":;)\"'".contains(c))
            .filter_map(|word| word.split_once(&old_tree));
        if old_tree != tree && used.any(|(_, at)| differs(at)) {
            let _ = fs::remove_file(record.with_file_name(target));
            fs::remove_file(&record)?;
            continue;
        }
        let new = old
            .replace(&old_objects, &objects)
            .replace(&old_tree, &tree);
        fs::write(&record, new)?;
    }
    Ok(())
}

/// Returns the fragments of configs/ with these names. `NAME-SERIES.config` holds the settings of
/// fragment `NAME` for one series, and `NAME-ARCH.config` those for one architecture.
fn named(build: &Build, names: &[&str]) -> Vec<PathBuf> {
    let configs = build.root.join("configs");
    names
        .iter()
        .flat_map(|name| {
            let of_series = build.like.iter().rev();
            let names = of_series.map(move |series| format!("{name}-{series}"));
            let of_arch = format!("{name}-{}", build.machine.name);
            [(*name).to_owned(), of_arch].into_iter().chain(names)
        })
        .map(|name| configs.join(format!("{name}.config")))
        .filter(|path| path.exists())
        .collect()
}

/// Configures a variant with the configuration of `like` and fragments of configs/, if that has not
/// been done.
pub fn derive(build: &Build, tools: &Tools, like: &Build, fragments: &[&str]) -> Result<()> {
    let fragments = named(build, fragments);
    let old = fs::read_to_string(like.objects.join(".config"))?;
    let mut wanted = old.clone();
    for fragment in &fragments {
        wanted += &fs::read_to_string(fragment)?;
    }

    fs::create_dir_all(&build.objects)?;
    let stamp = build.objects.join("fragments");
    if fs::read_to_string(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    let _ = fs::remove_file(&stamp);
    if !build.objects.join(".config").exists() && image(like).exists() {
        copy_objects(build, like)?;
    }
    fs::write(build.objects.join(".config"), old)?;
    merge(build, tools, &fragments)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Merges `fragments` into the configuration.
///
/// # Errors
///
/// - A setting of a fragment has no effect.
fn merge(build: &Build, tools: &Tools, fragments: &[PathBuf]) -> Result<()> {
    let config = build.objects.join(".config");
    let log = build.log("config-merge");
    step::run(
        "configuration: fragments",
        &log,
        tools
            .command("scripts/kconfig/merge_config.sh")
            .current_dir(&build.tree)
            .env("KCONFIG_CONFIG", &config)
            .args(["-m", "-O"])
            .arg(&build.objects)
            .arg(&config)
            .args(fragments),
    )?;
    step::run(
        "configuration: defaults",
        &log,
        make(build, tools).arg("olddefconfig"),
    )?;

    let mut wanted = BTreeMap::new();
    for fragment in fragments {
        for line in fs::read_to_string(fragment)?.lines() {
            let off = line.strip_prefix("# CONFIG_");
            let off = off.and_then(|rest| rest.strip_suffix(" is not set"));
            if let Some((symbol, _)) = line.split_once('=') {
                wanted.insert(symbol.to_owned(), line.to_owned());
            } else if let Some(symbol) = off {
                wanted.insert(format!("CONFIG_{symbol}"), line.to_owned());
            }
        }
    }
    let got = fs::read_to_string(&config)?;
    let set: BTreeSet<&str> = got
        .lines()
        .filter_map(|l| Some(l.split_once('=')?.0))
        .collect();
    let got: BTreeSet<&str> = got.lines().collect();
    // A symbol whose dependencies are off has no line.
    let has_effect = |(symbol, line): &(&String, &String)| match line.starts_with('#') {
        true => !set.contains(symbol.as_str()),
        false => got.contains(line.as_str()),
    };
    if let Some((_, line)) = wanted.iter().find(|setting| !has_effect(setting)) {
        let _ = fs::remove_file(&config);
        bail!(
            "{line} has no effect on Linux {}; see {}",
            build.series,
            log.display()
        );
    }
    Ok(())
}

/// Returns whether the configuration has `line`.
pub fn has(build: &Build, line: &str) -> Result<bool> {
    let config = fs::read_to_string(build.objects.join(".config"))?;
    Ok(config.lines().any(|l| l == line))
}

/// Builds an external module against a complete kernel. Returns the directory of its objects.
pub fn module(build: &Build, tools: &Tools, name: &str) -> Result<PathBuf> {
    let module = build.manifest.module(name)?;
    let source = build.root.join(&module.folder);
    let dir = build.objects.join(module.directory());
    fs::create_dir_all(&dir)?;
    for file in fs::read_dir(&source)?.flatten() {
        step::write_if_changed(
            &dir.join(file.file_name()),
            &fs::read_to_string(file.path())?,
        )?;
    }
    let mut make = make(build, tools);
    make.arg(format!("M={}", dir.display())).arg("modules");
    step::run("module", &build.log("module"), &mut make)?;
    Ok(dir)
}

/// Returns whether `symbol` is set to y or m.
pub fn is_set(build: &Build, symbol: &str) -> Result<bool> {
    Ok(has(build, &format!("CONFIG_{symbol}=y"))? || has(build, &format!("CONFIG_{symbol}=m"))?)
}

/// Returns whether C's inline functions are inlined into Rust code.
pub fn inline(build: &Build) -> Result<bool> {
    has(build, "CONFIG_RUST_INLINE_HELPERS=y")
}

/// Returns whether rustc and Clang use the same major version of LLVM.
pub fn same_llvm(build: &Build) -> Result<bool> {
    let config = fs::read_to_string(build.objects.join(".config"))?;
    let major = |symbol: &str| {
        let version = config.lines().find_map(|line| line.strip_prefix(symbol))?;
        Some(version.parse::<u32>().ok()? / 10000)
    };
    let (rust, clang) = (
        major("CONFIG_RUSTC_LLVM_VERSION="),
        major("CONFIG_CLANG_VERSION="),
    );
    Ok(rust.context("no RUSTC_LLVM_VERSION")? == clang.context("no CLANG_VERSION")?)
}

/// The file that is written after a complete build.
pub fn stamp(build: &Build) -> PathBuf {
    build.objects.join("built")
}

/// Returns a hash of everything that a build depends on, except a published source, which does not
/// change. Returns `None` for `KDIR`, as the user may change that tree.
fn inputs(build: &Build, tools: &Tools) -> Result<Option<String>> {
    if build.kdir.is_some() {
        return Ok(None);
    }
    let mut files: BTreeSet<PathBuf> = tree::files(build)?.into_values().collect();
    // tree.toml, and the files that it links to.
    for backport in tree::backports(build) {
        files.extend(tree::walk(&backport)?);
    }
    files.insert(build.root.join("Kconfig"));
    files.insert(build.objects.join(".config"));

    let mut hash = DefaultHasher::new();
    tools.versions.hash(&mut hash);
    for file in files {
        let meta = fs::metadata(&file).with_context(|| file.display().to_string())?;
        (file, meta.len(), meta.modified()?).hash(&mut hash);
    }
    Ok(Some(format!("{:x}", hash.finish())))
}

/// Builds the kernel and its modules, unless nothing has changed since the last build.
pub fn compile(build: &Build, tools: &Tools) -> Result<()> {
    let stamp = stamp(build);
    let inputs = inputs(build, tools)?;
    if inputs.is_some() && image(build).exists() && fs::read_to_string(&stamp).ok() == inputs {
        return Ok(());
    }

    let _ = fs::remove_file(&stamp);
    let goals = [build.machine.goal().to_owned(), "modules".to_owned()];
    compile_goals(build, tools, goals)?;
    println!(
        "C's inline functions are {}",
        match inline(build)? {
            true => "inlined into Rust code",
            false if !build.clang => "called: gcc compiles them",
            false => "called: rustc and Clang use different LLVM versions, or the kernel or its configuration does not inline them",
        }
    );
    // `inputs` was computed before the build, so a file that was edited meanwhile is built next time.
    if let Some(inputs) = inputs {
        fs::write(stamp, inputs)?;
    }
    Ok(())
}

/// Builds goals of the kernel's make.
pub fn compile_goals(
    build: &Build,
    tools: &Tools,
    goals: impl IntoIterator<Item = String>,
) -> Result<()> {
    let mut make = make(build, tools);
    step::run(&build.title(), &build.log("build"), make.args(goals))
}
