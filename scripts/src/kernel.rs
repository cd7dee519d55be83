// SPDX-License-Identifier: GPL-2.0

//! Configuring and building the kernel, by its own make.

use crate::{bench, known, report::Outcome, setup::Tools, step, tree, Place};
use anyhow::{bail, Context, Result};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    thread::available_parallelism,
};

/// The kernel that is booted.
pub fn image(place: &Place) -> PathBuf {
    place.objects.join("arch/x86/boot/bzImage")
}

/// The kernel's make.
pub fn make(place: &Place, tools: &Tools) -> Command {
    let mut make = tools.command("make");
    let jobs = available_parallelism().map_or(2, |n| n.get()) + 1;
    make.arg("-C")
        .arg(&place.tree)
        .arg(format!("-j{jobs}"))
        .arg("LLVM=1")
        .arg(format!("O={}", place.objects.display()))
        .arg(format!("RUST_LIB_SRC={}", tools.library.display()));
    if has(place, "CONFIG_KCSAN=y").unwrap_or(false) {
        let watching = place.root.join("scripts/kcsan");
        make.arg(format!("RUSTC={}/rustc", watching.display()))
            .arg(format!("RUSTDOC={}/rustdoc", watching.display()));
    }
    make
}

/// Hands `goals` to the kernel's make, on the terminal.
pub fn forward(place: &Place, tools: &Tools, goals: &[String]) -> Result<bool> {
    configure(place, tools)?;
    if goals.iter().any(|goal| goal.starts_with("M=")) {
        // A module is built against a kernel that is built.
        build(place, tools)?;
        let status = make(place, tools).args(goals).status()?;
        return Ok(status.success());
    }
    // The goal may change what is built, so the next build has to look.
    let _ = fs::remove_file(stamp(place));
    let status = make(place, tools).args(goals).status()?;
    Ok(status.success())
}

/// The fragments of this kernel's configuration.
fn fragments(place: &Place) -> Vec<PathBuf> {
    let configs = place.root.join("configs");
    [
        "default.config".to_owned(),
        format!("{}.config", place.series),
    ]
    .into_iter()
    .map(|name| configs.join(name))
    .filter(|path| path.exists())
    .collect()
}

/// Writes the configuration, if there is none yet or the fragments have changed.
pub fn configure(place: &Place, tools: &Tools) -> Result<()> {
    let fragments = fragments(place);
    let mut wanted = String::new();
    for fragment in &fragments {
        wanted += &fs::read_to_string(fragment)?;
    }
    let mut symbols = fs::read_to_string(place.root.join("Kconfig"))?;
    symbols += &fs::read_to_string(tree::backport(place)?.join("tree.toml"))?;
    for (at, file) in tree::files(place)? {
        if at.file_stem().is_some_and(|name| name == "Kconfig") {
            symbols += &fs::read_to_string(file)?;
        }
    }

    fs::create_dir_all(&place.objects)?;
    let config = place.objects.join(".config");
    let stamp = place.objects.join("fragments");
    let symbols_stamp = place.objects.join("symbols");
    let is = |stamp: &Path, text: &str| fs::read_to_string(stamp).is_ok_and(|old| old == text);
    let log = place.log("config");
    let make = || make(place, tools);

    if config.exists() && is(&stamp, &wanted) {
        // What a person has chosen stays; new symbols get their defaults.
        if !is(&symbols_stamp, &symbols) {
            step::run("configuration", &log, make().arg("olddefconfig"))?;
            fs::write(symbols_stamp, symbols)?;
        }
        return Ok(());
    }

    step::run("configuration", &log, make().arg("tinyconfig"))?;
    merge(place, tools, &fragments)?;
    fs::write(stamp, wanted)?;
    fs::write(symbols_stamp, symbols)?;
    Ok(())
}

/// Gives a variant that has never been built the objects of `like`. The kernel's make then builds what
/// differs. For most variants that is Rust code only.
fn adopt(place: &Place, like: &Place) -> Result<()> {
    let copied = Command::new("cp")
        .args(["--archive", "--reflink=auto"])
        .arg(like.objects.join("."))
        .arg(&place.objects)
        .status()?;
    if !copied.success() {
        bail!("{}: cannot be copied", like.objects.display());
    }
    let _ = fs::remove_file(stamp(place));
    // Modules that are built apart do not notice that the configuration is another.
    for module in [bench::MODULE, known::MODULE] {
        let name = Path::new(module)
            .file_name()
            .context("a module has no name")?;
        let _ = fs::remove_dir_all(place.objects.join(name));
    }

    let path = |path: &Path| path.display().to_string();
    let (objects, tree) = (path(&place.objects), path(&place.tree));
    let (old_objects, old_tree) = (path(&like.objects), path(&like.tree));
    // What a path in the other tree names need not be what it names in this one.
    let mut differ: HashMap<String, bool> = HashMap::new();
    let mut differs = |at: &str| {
        *differ.entry(at.to_owned()).or_insert_with(|| {
            let old = format!("{old_tree}{at}");
            let file = |path: &str| Path::new(path).canonicalize().ok();
            Path::new(&old).is_file() && file(&old) != file(&format!("{tree}{at}"))
        })
    };
    for record in tree::walk(&place.objects)? {
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

/// Configures a variant like `like` with fragments of configs/ on top, if it is not yet. What only one
/// kernel knows is in a fragment of its own.
pub fn derive(place: &Place, tools: &Tools, like: &Place, fragments: &[&str]) -> Result<()> {
    let configs = place.root.join("configs");
    let fragments: Vec<_> = fragments
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}-{}", place.series)])
        .map(|name| configs.join(format!("{name}.config")))
        .filter(|path| path.exists())
        .collect();
    let old = fs::read_to_string(like.objects.join(".config"))?;
    let mut wanted = old.clone();
    for fragment in &fragments {
        wanted += &fs::read_to_string(fragment)?;
    }

    fs::create_dir_all(&place.objects)?;
    let stamp = place.objects.join("fragments");
    if fs::read_to_string(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    let _ = fs::remove_file(&stamp);
    if !place.objects.join(".config").exists() && image(like).exists() {
        adopt(place, like)?;
    }
    fs::write(place.objects.join(".config"), old)?;
    merge(place, tools, &fragments)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Puts `fragments` into the configuration, and sees that they have an effect.
fn merge(place: &Place, tools: &Tools, fragments: &[PathBuf]) -> Result<()> {
    let config = place.objects.join(".config");
    let log = place.log("config-merge");
    step::run(
        "configuration: ours",
        &log,
        tools
            .command("scripts/kconfig/merge_config.sh")
            .current_dir(&place.tree)
            .env("KCONFIG_CONFIG", &config)
            .args(["-m", "-O"])
            .arg(&place.objects)
            .arg(&config)
            .args(fragments),
    )?;
    step::run(
        "configuration: the rest",
        &log,
        make(place, tools).arg("olddefconfig"),
    )?;

    let mut wanted = BTreeMap::new();
    for fragment in fragments {
        for line in fs::read_to_string(fragment)?.lines() {
            if let Some((symbol, _)) = line.split_once('=') {
                wanted.insert(symbol.to_owned(), line.to_owned());
            }
        }
    }
    let got = fs::read_to_string(&config)?;
    let got: BTreeSet<&str> = got.lines().collect();
    if let Some(line) = wanted.values().find(|line| !got.contains(line.as_str())) {
        let _ = fs::remove_file(&config);
        bail!(
            "{line} has no effect on Linux {}; see {}",
            place.series,
            log.display()
        );
    }
    Ok(())
}

/// Whether the kernel is configured with `line`.
pub fn has(place: &Place, line: &str) -> Result<bool> {
    let config = fs::read_to_string(place.objects.join(".config"))?;
    Ok(config.lines().any(|l| l == line))
}

/// Builds the module in `folder` against a kernel that has been built.
pub fn module(place: &Place, tools: &Tools, folder: &str) -> Result<()> {
    let source = place.root.join(folder);
    let name = source.file_name().context("a module has no name")?;
    let dir = place.objects.join(name);
    fs::create_dir_all(&dir)?;
    for file in fs::read_dir(&source)?.flatten() {
        step::write_if_new(
            &dir.join(file.file_name()),
            &fs::read_to_string(file.path())?,
        )?;
    }
    let mut make = make(place, tools);
    make.arg(format!("M={}", dir.display())).arg("modules");
    step::run("module", &place.log("module"), &mut make)
}

/// Tests that a kernel which bindgen gets wrong is not built.
pub fn misplaced(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let variant = place.variant("misplaced");
    derive(&variant, tools, place, &["misplaced"])?;

    let log = variant.log("build");
    let mut make = make(&variant, tools);
    let built = step::watch(
        "a kernel to be refused",
        &log,
        make.arg("rust/kernel.o"),
        None,
    )?;
    let named =
        fs::read_to_string(&log)?.contains("bindgen misplaces field mm of struct task_struct");
    let name = "a layout that bindgen gets wrong is refused";
    outcome.report(name, !built && named, &format!("see {}", log.display()));
    Ok(())
}

/// Whether C's inline functions are a part of the Rust code that calls them.
pub fn inline(place: &Place) -> Result<bool> {
    has(place, "CONFIG_RUST_INLINE_HELPERS=y")
}

/// Whether rustc and Clang are built on the same major version of LLVM.
pub fn same_llvm(place: &Place) -> Result<bool> {
    let config = fs::read_to_string(place.objects.join(".config"))?;
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

/// The file that is written when the kernel has been built.
fn stamp(place: &Place) -> PathBuf {
    place.objects.join("built")
}

/// A number that changes with whatever the kernel is built from. A published source does not
/// change, so only our files count; a person's own tree does, so there is none.
fn inputs(place: &Place, tools: &Tools) -> Result<Option<String>> {
    if place.kdir.is_some() {
        return Ok(None);
    }
    let mut files: BTreeSet<PathBuf> = tree::files(place)?.into_values().collect();
    // The list of changes, and the files that it has links to.
    files.extend(tree::walk(&tree::backport(place)?)?);
    files.insert(place.root.join("Kconfig"));
    files.insert(place.objects.join(".config"));

    let mut hash = DefaultHasher::new();
    tools.versions.hash(&mut hash);
    for file in files {
        let meta = fs::metadata(&file).with_context(|| file.display().to_string())?;
        (file, meta.len(), meta.modified()?).hash(&mut hash);
    }
    Ok(Some(format!("{:x}", hash.finish())))
}

/// Builds the kernel and its modules, unless nothing has changed.
pub fn build(place: &Place, tools: &Tools) -> Result<()> {
    let stamp = stamp(place);
    let now = inputs(place, tools)?;
    if now.is_some() && image(place).exists() && fs::read_to_string(&stamp).ok() == now {
        return Ok(());
    }

    let _ = fs::remove_file(&stamp);
    step::run(
        &place.title(),
        &place.log("build"),
        make(place, tools).args(["bzImage", "modules"]),
    )?;
    println!(
        "C's inline functions are {}",
        match inline(place)? {
            true => "a part of the Rust code that calls them",
            false => "called, as Rust's and Clang's LLVM differ or the configuration has it so",
        }
    );
    // A file that was edited meanwhile differs from what was seen before, and is built next time.
    if let Some(now) = now {
        fs::write(stamp, now)?;
    }
    Ok(())
}
