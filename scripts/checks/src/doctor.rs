// SPDX-License-Identifier: GPL-2.0

//! What this machine and a kernel tree have, and what is missing. Nothing is installed or built.

use anyhow::{bail, Context, Result};
use front::{
    arch::Arch,
    build,
    kconfig::Kconfig,
    manifest::Manifest,
    outcome::Outcome,
    setup, step,
    versions::{self, Needs, Version},
    Build,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Prints what is found. Returns whether everything suffices for the kernel that is asked for.
pub fn all() -> Result<bool> {
    let asked = Asked::read()?;
    let tools = Found::search(&asked.cache);
    let json = variable("JSON").is_some();
    let mut report = Report {
        tools: tools.rows(&asked),
        config: None,
        series: asked.needs.iter().map(|n| n.series.clone()).collect(),
    };
    if !json {
        report.print_tools();
        if let Some(line) = setup::refused_bindgen() {
            println!("{line}");
        }
    }
    report.config = asked.config(&tools)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if let (None, Some(kdir)) = (&report.config, variable("KDIR")) {
        println!(
            "{kdir} has no .config: pass one with CONFIG= to see whether CONFIG_RUST can be on"
        );
    } else {
        report.print_config();
    }
    let of = asked.needs.iter().position(|n| n.series == asked.series);
    let suffices = report.tools.iter().all(|tool| tool.suffices(of));
    let on = report.config.as_ref().is_none_or(Config::is_possible);
    Ok(suffices && on)
}

/// Adds a test that the versions in manifest.toml are those of the kernel's source.
pub fn check(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let listed = build.manifest.needs.iter();
    let listed = listed.filter(|needs| needs.series == build.series);
    for listed in listed {
        let own = Needs::of_tree(&build.tree, &build.series)?;
        let differ = ["rustc", "bindgen", "llvm"].map(|tool| (tool, own.of(tool)));
        let differ = differ.iter().find(|(tool, own)| listed.of(tool) != *own);
        outcome.report(
            "manifest.toml has the versions that the kernel needs",
            differ.is_none(),
            &format!("{} is another version there", differ.map_or("", |d| d.0)),
        );
    }
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the command is asked about.
struct Asked {
    cache: PathBuf,
    arch: &'static Arch,
    /// The series whose needs decide about the exit status.
    series: String,
    /// The kernel tree: `KDIR`, or one that was downloaded.
    tree: Option<PathBuf>,
    /// The `.config` and its text.
    config: Option<(PathBuf, String)>,
    needs: Vec<Needs>,
}

impl Asked {
    fn read() -> Result<Self> {
        let root = env::current_dir()?;
        let cache = build::cache()?;
        let kdir = variable("KDIR").map(PathBuf::from);
        let config = match (variable("CONFIG"), &kdir) {
            (Some(file), _) => Some(PathBuf::from(file)),
            (None, Some(kdir)) => Some(kdir.join(".config")).filter(|file| file.exists()),
            _ => None,
        };
        let config = match config {
            Some(file) => {
                let text = fs::read_to_string(&file)
                    .with_context(|| format!("{}: no configuration", file.display()))?;
                Some((file, text))
            }
            None => None,
        };
        let series = match (&kdir, variable("KERNEL"), &config) {
            (Some(kdir), ..) => build::series_of(kdir)?,
            (None, Some(kernel), _) => kernel,
            (None, None, Some((_, text))) => series_of_config(text).unwrap_or("6.12").to_owned(),
            _ => "6.12".to_owned(),
        };
        let tree = kdir.unwrap_or_else(|| cache.join(format!("linux-{series}")));
        let tree = Some(tree).filter(|tree| tree.join("scripts/rust_is_available.sh").exists());

        let mut needs = Manifest::read(&root)?.needs;
        if let Some(tree) = tree.as_ref().filter(|_| variable("KDIR").is_some()) {
            needs.retain(|needs| needs.series != series);
            needs.push(Needs::of_tree(tree, &series)?);
        }
        if needs.iter().all(|needs| needs.series != series) {
            let known: Vec<_> = needs.iter().map(|needs| needs.series.as_str()).collect();
            bail!(
                "Linux {series}: not known; pass its tree with KDIR=, or one of KERNEL={}",
                known.join(", ")
            );
        }
        Ok(Self {
            cache,
            arch: Arch::find(variable("ARCH").as_deref())?,
            series,
            tree,
            config,
            needs,
        })
    }

    /// Evaluates the dependencies of CONFIG_RUST, if there is a configuration.
    fn config(&self, tools: &Found) -> Result<Option<Config>> {
        let Some((file, text)) = &self.config else {
            return Ok(None);
        };
        let name = file.display();
        let tree = self.tree.as_ref().with_context(|| {
            format!(
                "{name} is of Linux {}: pass its tree with KDIR=",
                self.series
            )
        })?;
        let (available, message) = tools.available(tree)?;
        let number = |version: Option<u32>| version.unwrap_or(0).to_string();
        let mut facts: BTreeMap<String, String> = [
            (
                "RUST_IS_AVAILABLE",
                if available { "y" } else { "n" }.to_owned(),
            ),
            (
                "RUSTC_VERSION",
                number(tools.version("rustc").map(Version::canonical)),
            ),
            (
                "RUSTC_LLVM_VERSION",
                number(tools.llvm_of_rustc().map(Version::of_llvm)),
            ),
            (
                "PAHOLE_VERSION",
                number(tools.version("pahole").map(Version::of_pahole)),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        // The kernel is built by clang.
        if let Some(clang) = tools.version("clang") {
            let set = [
                ("CC_IS_CLANG", "y"),
                ("CC_IS_GCC", "n"),
                ("GCC_PLUGINS", "n"),
            ];
            facts.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
            facts.insert("CLANG_VERSION".to_owned(), clang.of_llvm().to_string());
        }
        let kconfig = Kconfig::read(tree, text, facts).with_context(|| name.to_string())?;
        let rows = kconfig.dependencies("RUST").into_iter().map(|one| {
            let because = match one.text.as_str() {
                "RUST_IS_AVAILABLE" => message.clone(),
                _ => one.because,
            };
            Condition {
                depends_on: one.text,
                holds: one.holds,
                because,
                what_to_do: one.remedy,
            }
        });
        Ok(Some(Config {
            file: name.to_string(),
            series: self.series.clone(),
            on: kconfig.is_on("RUST"),
            conditions: rows.collect(),
        }))
    }
}

/// Returns the series in the head of a `.config`.
fn series_of_config(text: &str) -> Option<&str> {
    let version = text
        .lines()
        .take(5)
        .find_map(|line| line.split_once(" Kernel Configuration"))?;
    let version = version.0.split_whitespace().last()?;
    let mut dots = version.match_indices('.');
    let end = dots.nth(1).map_or(version.len(), |(at, _)| at);
    Some(&version[..end])
}

/// The programs, and whether a command of this repository needs each: otherwise, for what it is.
const PROGRAMS: &[(&str, Option<&str>)] = &[
    ("rustc", None),
    ("bindgen", None),
    ("clang", None),
    ("ld.lld", None),
    ("qemu-system-x86_64", Some("only for ARCH=x86_64")),
    ("qemu-system-aarch64", Some("only for ARCH=arm64")),
    ("rustfmt", Some("only for lint and test")),
    ("clippy-driver", Some("only for lint and test")),
    (
        "pahole",
        Some("only for CONFIG_DEBUG_INFO_BTF, then 1.24 or newer"),
    ),
];

/// The tools of this machine.
struct Found {
    path: String,
    programs: BTreeMap<&'static str, (PathBuf, Option<Version>)>,
    core: Option<PathBuf>,
    libclang: Option<Version>,
}

impl Found {
    fn search(cache: &Path) -> Self {
        let path = setup::search_path(cache);
        let mut programs = BTreeMap::new();
        for (name, _) in PROGRAMS {
            if let Some(file) = versions::which(name, &path) {
                let version = versions::of(&file);
                programs.insert(*name, (file, version));
            }
        }
        let rustc = programs.get("rustc").and_then(|(_, version)| *version);
        let core = rustc.and_then(|version| {
            let found = setup::library_found(cache, &version.to_string());
            found.ok().flatten()
        });
        let mut found = Self {
            path,
            programs,
            core,
            libclang: None,
        };
        found.libclang = found.libclang_of_bindgen();
        found
    }

    fn version(&self, name: &str) -> Option<Version> {
        self.programs.get(name).and_then(|(_, version)| *version)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("PATH", &self.path)
            .env("LIBCLANG_PATH", setup::llvm().join("lib"))
            .env("LC_ALL", "C");
        command
    }

    /// Returns the version of the libclang that bindgen loads: bindgen prints it as a warning.
    fn libclang_of_bindgen(&self) -> Option<Version> {
        let (bindgen, _) = self.programs.get("bindgen")?;
        let header = env::temp_dir().join(format!("doctor-{}.h", std::process::id()));
        fs::write(
            &header,
            "#pragma message(\"clang version \" __clang_version__)\n",
        )
        .ok()?;
        let out = self.command(bindgen).arg(&header).output();
        let _ = fs::remove_file(header);
        let text = String::from_utf8(out.ok()?.stderr).ok()?;
        Version::find(text.split_once("clang version ")?.1)
    }

    /// Returns the version of the LLVM in rustc.
    fn llvm_of_rustc(&self) -> Option<Version> {
        let (rustc, _) = self.programs.get("rustc")?;
        let text = step::output(self.command(rustc).arg("-vV")).ok()?;
        Version::find(text.split_once("LLVM version:")?.1)
    }

    /// Asks the kernel's own script whether Rust is available. Returns its message, too.
    fn available(&self, tree: &Path) -> Result<(bool, String)> {
        let mut script = self.command("sh");
        script
            .arg("scripts/rust_is_available.sh")
            .current_dir(tree)
            .env("srctree", ".")
            .env("RUSTC", "rustc")
            .env("BINDGEN", "bindgen")
            .env("CC", "clang");
        if let Some(core) = &self.core {
            script.env("RUST_LIB_SRC", core);
        }
        let out = script.output().context("sh")?;
        let text = String::from_utf8_lossy(&out.stderr);
        let lines = text.lines().map(|line| line.trim_start_matches('*').trim());
        let message: Vec<_> = lines
            .skip_while(|line| line.is_empty())
            .take_while(|line| !line.starts_with("Please see"))
            .filter(|line| !line.is_empty())
            .collect();
        Ok((out.status.success(), message.join(" ")))
    }

    fn rows(&self, asked: &Asked) -> Vec<Tool> {
        let mut rows = Vec::new();
        for (name, only) in PROGRAMS {
            let mut qemu = asked.arch.qemu.iter();
            let boots = qemu.any(|qemu| qemu.program == *name);
            let only = only.filter(|_| !boots);
            let found = self.programs.get(name);
            let version = found.and_then(|(_, version)| *version);
            let lowest = match *name {
                "clang" | "ld.lld" => "llvm",
                name => name,
            };
            let bad = version.and_then(|version| versions::known_bad(name, version));
            let mut tool = Tool {
                needs: asked
                    .needs
                    .iter()
                    .map(|n| Need::of(n, lowest, version))
                    .collect(),
                required: only.is_none(),
                found: found.is_some() && bad.is_none(),
                what_to_do: String::new(),
                ..Tool::new(name, version, found.map(|(file, _)| file.as_path()))
            };
            let of = asked.needs.iter().position(|n| n.series == asked.series);
            tool.what_to_do = match (bad, only) {
                (Some(why), _) => format!("refused: {why}"),
                _ if tool.is_good(of) => String::new(),
                (_, Some(only)) => only.to_owned(),
                _ => remedy(name, asked.arch),
            };
            rows.push(tool);
            match *name {
                "rustc" => rows.push(Tool {
                    what_to_do: match self.core {
                        Some(_) => String::new(),
                        None => "rustup component add rust-src, or apt-get install rust-src for Debian's rustc; or the set-up downloads it".into(),
                    },
                    ..Tool::new("source of core", version, self.core.as_deref())
                }),
                "bindgen" => rows.push(Tool {
                    needs: asked
                        .needs
                        .iter()
                        .map(|n| Need::of(n, "llvm", self.libclang))
                        .collect(),
                    found: self.libclang.is_some(),
                    what_to_do: match self.libclang {
                        Some(_) => String::new(),
                        None => remedy("libclang", asked.arch),
                    },
                    ..Tool::new("libclang of bindgen", self.libclang, None)
                }),
                _ => {}
            }
        }
        let missing = setup::missing_packages(asked.arch);
        let packages = Tool::new("Debian packages", None, None);
        rows.push(Tool {
            found: missing.is_empty(),
            path: match missing.is_empty() {
                true => "all are installed".to_owned(),
                false => format!("{} are missing", missing.len()),
            },
            what_to_do: match missing.is_empty() {
                true => String::new(),
                false => format!("as root: apt-get install {}", missing.join(" ")),
            },
            ..packages
        });
        rows
    }
}

/// Returns what to do about a tool that is missing or too old.
fn remedy(name: &str, arch: &Arch) -> String {
    let llvm = setup::llvm_version();
    let packages = match name {
        "rustc" => return "install a newer Rust".to_owned(),
        "bindgen" => return "the set-up installs 0.73.2 in the cache".to_owned(),
        "clang" | "ld.lld" => format!("clang-{llvm} lld-{llvm}"),
        "libclang" => format!("libclang-{llvm}-dev"),
        _ => {
            let mut packages = arch.packages.iter();
            let of = packages.find(|(_, file)| file.ends_with(name));
            of.map_or(String::new(), |(package, _)| (*package).to_owned())
        }
    };
    format!("the set-up installs it; or apt-get install {packages}")
}

/// What a series needs of a tool.
#[derive(Serialize)]
struct Need {
    lowest: Option<String>,
    suffices: bool,
}

impl Need {
    fn of(needs: &Needs, tool: &str, found: Option<Version>) -> Self {
        let lowest = needs.of(tool);
        Self {
            suffices: lowest.is_none_or(|lowest| found.is_some_and(|found| found >= lowest)),
            lowest: lowest.map(|lowest| lowest.to_string()),
        }
    }
}

/// A row of the table.
#[derive(Serialize)]
struct Tool {
    tool: String,
    version: Option<String>,
    path: String,
    /// One for each series.
    needs: Vec<Need>,
    required: bool,
    found: bool,
    what_to_do: String,
}

impl Tool {
    fn new(name: &str, version: Option<Version>, path: Option<&Path>) -> Self {
        Self {
            tool: name.to_owned(),
            version: version.map(|version| version.to_string()),
            path: path.map_or(String::new(), |path| path.display().to_string()),
            needs: Vec::new(),
            required: true,
            found: path.is_some(),
            what_to_do: String::new(),
        }
    }

    /// Returns whether the tool is there, and new enough for the series with this number.
    fn is_good(&self, series: Option<usize>) -> bool {
        let need = series.and_then(|series| self.needs.get(series));
        self.found && need.is_none_or(|need| need.suffices)
    }

    fn suffices(&self, series: Option<usize>) -> bool {
        !self.required || self.is_good(series)
    }
}

/// One dependency of CONFIG_RUST.
#[derive(Serialize)]
struct Condition {
    depends_on: String,
    /// `None`: only kconfig can tell.
    holds: Option<bool>,
    because: String,
    what_to_do: String,
}

/// What is known about CONFIG_RUST in a configuration.
#[derive(Serialize)]
struct Config {
    file: String,
    series: String,
    on: bool,
    conditions: Vec<Condition>,
}

impl Config {
    /// Returns whether CONFIG_RUST is on, and can be on with the tools of this machine.
    fn is_possible(&self) -> bool {
        self.on && self.conditions.iter().all(|one| one.holds != Some(false))
    }
}

#[derive(Serialize)]
struct Report {
    series: Vec<String>,
    tools: Vec<Tool>,
    config: Option<Config>,
}

impl Report {
    fn print_tools(&self) {
        let mut rows = vec![vec!["tool".to_owned(), "version".to_owned()]];
        rows[0].extend(self.series.iter().cloned());
        rows[0].extend(["path", "what to do"].map(str::to_owned));
        for tool in &self.tools {
            let version = tool.version.clone();
            let missing = if tool.found { "" } else { "not found" };
            let mut row = vec![
                tool.tool.clone(),
                version.unwrap_or_else(|| missing.to_owned()),
            ];
            for i in 0..self.series.len() {
                row.push(match tool.needs.get(i) {
                    Some(Need {
                        lowest: Some(lowest),
                        suffices,
                    }) => {
                        format!("{lowest} {}", if *suffices { "yes" } else { "NO" })
                    }
                    _ => String::new(),
                });
            }
            row.extend([tool.path.clone(), tool.what_to_do.clone()]);
            rows.push(row);
        }
        table(&rows);
    }

    fn print_config(&self) {
        let Some(config) = &self.config else {
            return;
        };
        let state = if config.on { "on" } else { "off" };
        println!(
            "\nCONFIG_RUST is {state} in {}, Linux {}",
            config.file, config.series
        );
        let head = ["depends on", "holds", "because", "what to do"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for one in &config.conditions {
            let holds = one
                .holds
                .map_or("?", |holds| if holds { "yes" } else { "NO" });
            rows.push(vec![
                one.depends_on.clone(),
                holds.to_owned(),
                one.because.clone(),
                one.what_to_do.clone(),
            ]);
        }
        table(&rows);
        if !config.on && config.conditions.iter().all(|one| one.holds != Some(false)) {
            println!("Nothing prevents it: set CONFIG_RUST=y and run make olddefconfig");
        }
    }
}

/// Prints a table whose first row is the head.
pub fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| {
        rows.iter()
            .filter_map(|row| row.get(i))
            .map(String::len)
            .max()
    };
    let widths: Vec<_> = (0..columns).map(|i| width(i).unwrap_or(0)).collect();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &w)| format!("{cell:w$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_configuration_is_found() {
        let head = |version| {
            format!("#\n# Automatically generated\n# Linux/x86 {version} Kernel Configuration\n")
        };
        assert_eq!(series_of_config(&head("6.12.117")), Some("6.12"));
        assert_eq!(series_of_config(&head("7.3.0-rc1")), Some("7.3"));
        assert_eq!(series_of_config("CONFIG_RUST=y\n"), None);
    }

    #[test]
    fn a_tool_that_is_missing_old_or_bad_does_not_suffice() {
        let needs = Needs {
            series: "6.12".into(),
            rustc: "1.78.0".into(),
            bindgen: "0.65.1".into(),
            llvm: "13.0.1".into(),
        };
        let tool = |text: &str| {
            let version = Version::find(text);
            let path = version.map(|_| Path::new("/usr/bin/bindgen"));
            Tool {
                needs: vec![Need::of(&needs, "bindgen", version)],
                ..Tool::new("bindgen", version, path)
            }
        };
        assert!(tool("0.65.1").suffices(Some(0)));
        assert!(!tool("0.64.0").suffices(Some(0)));
        assert!(!tool("").suffices(Some(0)));
        let optional = Tool {
            required: false,
            ..tool("")
        };
        assert!(optional.suffices(Some(0)));
    }
}
