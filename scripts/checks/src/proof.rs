// SPDX-License-Identifier: GPL-2.0

//! Compares bindgen's layout of structs with that of the C compiler, for any tree and configuration.
//!
//! Neither the crate nor the kernel is built: only the bindings, the core library, and a C file.
//!
//! - The structs and fields of rust/layout.c, as the kernel's C compiler lays them out.
//! - All structs of the bindings, as the libclang of bindgen lays them out.

use anyhow::{bail, Context, Result};
use front::{
    build, kernel, mirror, series,
    setup::{self, Tools},
    step, tree, Build,
};
use regex::Regex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    path::PathBuf,
    thread::{self, available_parallelism},
};

/// The file with the fields of C, in the mirror.
const C_FILE: &str = "rust/layout_proof.c";
const BINDINGS: &str = "rust/bindings/bindings_generated.rs";
/// The fields that not all series have.
const FIELDS: &str = "rust/layout_fields.h";
const HELPER: &str = "rust/bindings/bindings_helper.h";

/// Returns whether a tree or a configuration of the person's own is named.
pub fn is_asked() -> bool {
    variable("KDIR").or(variable("CONFIG")).is_some()
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Proves the layouts, and prints them. Returns whether none was refused.
pub fn all() -> Result<bool> {
    let begin = std::time::Instant::now();
    let proof = Proof::new()?;
    proof.configure()?;
    let listed = proof.list()?;
    proof.make("scripts", "layout-prepare", &[])?;
    let (core, layouts) = thread::scope(|scope| {
        let core = scope.spawn(|| proof.core());
        let layouts = proof.layouts(&listed);
        (core.join().expect("the thread does not panic"), layouts)
    });
    core?;
    let Layouts {
        mut checks,
        absent,
        of_libclang,
    } = layouts?;
    let of_list = checks.len();
    checks.extend(of_libclang);
    let wrong = proof.compare(&checks)?;

    let (listed, others) = checks.split_at(of_list);
    print(listed, &wrong);
    if !absent.is_empty() {
        println!("not in this kernel: {}", absent.join(", "));
    }
    for (i, other) in others.iter().enumerate() {
        if let Some(rust) = wrong.get(&(of_list + i)) {
            println!(
                "REFUSED {}: {} in C, {rust} in Rust",
                other.name(),
                other.value
            );
        }
    }
    let refused = |range: std::ops::Range<usize>| wrong.range(range).count();
    let in_list = refused(0..of_list);
    let in_others = refused(of_list..checks.len());
    println!(
        "{} sizes and fields of rust/layout.c proven, {in_list} refused",
        of_list - in_list
    );
    let types: BTreeSet<&str> = others.iter().map(|check| check.of.as_str()).collect();
    println!(
        "{} sizes, alignments and fields of all {} structs proven, {in_others} refused",
        others.len() - in_others,
        types.len()
    );
    println!("{:.0} s", begin.elapsed().as_secs_f32());
    Ok(wrong.is_empty() && of_list > 0)
}

/// A size, an alignment or an offset that is compared.
struct Check {
    /// The struct, by its name in the bindings.
    of: String,
    /// `None` for a size or an alignment.
    field: Option<String>,
    /// The Rust expression.
    rust: String,
    /// The value in C.
    value: u64,
}

impl Check {
    fn name(&self) -> String {
        match &self.field {
            Some(field) => format!("{}.{field}", self.of),
            None => self.of.clone(),
        }
    }
}

/// An entry of rust/layout.c.
struct Listed {
    /// The type in C.
    c: String,
    name: String,
    member: Option<String>,
}

/// Parses the entries of rust/layout.c.
fn parse(code: &str) -> Vec<Listed> {
    let entry = Regex::new(
        r"\b(SIZE|SIZE_OF|FIELD|FIELD_OF|FIELD_AT)\((\w+)(?:,\s*([\w.]+))?(?:,\s*([\w.]+))?\)",
    )
    .unwrap();
    let code = code.split("rust_layout(void)").nth(1).unwrap_or_default();
    let all = entry.captures_iter(code).map(|found| {
        let name = found[2].to_owned();
        let c = match found[1].ends_with("_OF") {
            true => name.clone(),
            false => format!("struct {name}"),
        };
        let member = found.get(4).or(found.get(3));
        let member = member.map(|member| member.as_str().to_owned());
        Listed { c, name, member }
    });
    all.collect()
}

/// The structs of the bindings: their fields, with the names of the types.
struct Structs(BTreeMap<String, Vec<(String, String)>>);

impl Structs {
    fn read(bindings: &str) -> Self {
        let mut all: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let mut aliases = Vec::new();
        let mut current = None;
        let word = |text: &str| {
            let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
            text[..end.unwrap_or(text.len())].to_owned()
        };
        for line in bindings.lines() {
            let mut begins = ["pub struct ", "pub union "].into_iter();
            if let Some(rest) = begins.find_map(|begin| line.strip_prefix(begin)) {
                current = Some(word(rest));
                all.entry(word(rest)).or_default();
            } else if line.starts_with('}') {
                current = None;
            } else if let Some(rest) = line.strip_prefix("pub type ") {
                if let Some((new, old)) = rest.split_once(" = ") {
                    aliases.push((word(new), word(old)));
                }
            }
            if let (Some(name), "    _unused: [u8; 0],") = (&current, line) {
                let fields = all.entry(name.clone()).or_default();
                fields.push(("_unused".to_owned(), String::new()));
            }
            let field = line
                .strip_prefix("    pub ")
                // A long type is on the next line.
                .and_then(|l| l.split_once(':'));
            if let (Some(name), Some((field, of))) = (&current, field) {
                let fields = all.entry(name.clone()).or_default();
                // The type may be in `ManuallyDrop<...>`.
                let mut names = of.split(|c: char| !c.is_alphanumeric() && c != '_');
                let name = names.rfind(|name| !name.is_empty()).unwrap_or_default();
                fields.push((field.to_owned(), name.to_owned()));
            }
        }
        for (new, old) in aliases {
            if let Some(fields) = all.get(&old).cloned() {
                all.entry(new).or_insert(fields);
            }
        }
        Self(all)
    }

    /// Returns the path of a member in Rust, which may be in an unnamed struct or union.
    fn path(&self, name: &str, member: &str) -> Option<String> {
        let fields = self.0.get(name)?;
        let is = |field: &str| field == member || field.strip_suffix('_') == Some(member);
        if let Some((field, _)) = fields.iter().find(|(field, _)| is(field)) {
            return Some(field.clone());
        }
        let mut unnamed = fields
            .iter()
            .filter(|(field, _)| field.starts_with("__bindgen_anon"));
        unnamed.find_map(|(field, of)| Some(format!("{field}.{}", self.path(of, member)?)))
    }

    /// Returns whether the bindings have more than the name of the struct.
    fn is_complete(&self, name: &str) -> bool {
        let unused = |fields: &Vec<(String, String)>| fields.iter().any(|(f, _)| f == "_unused");
        self.0.get(name).is_some_and(|fields| !unused(fields))
    }
}

/// What C says.
struct Layouts {
    /// Of rust/layout.c, by the C compiler.
    checks: Vec<Check>,
    /// The entries of rust/layout.c that this kernel does not have.
    absent: Vec<String>,
    /// Of all structs, by libclang.
    of_libclang: Vec<Check>,
}

/// The directories and tools of a proof.
struct Proof {
    build: Build,
    tools: Tools,
    base: PathBuf,
    /// The text of the configuration.
    config: String,
    gcc: bool,
    _lock: step::Lock,
}

impl Proof {
    fn new() -> Result<Self> {
        let kdir = variable("KDIR").map(PathBuf::from);
        // `KDIR` may be of any series, as only the list of fields depends on it.
        let mut build = Build::find_in(variable("KERNEL"), None)?;
        let lock = step::lock(&build.out)?;
        let base = match kdir {
            Some(kdir) => {
                build.series = build::series_of(&kdir)?;
                build.like = series::like(&build.root, &build.series)?;
                kdir.canonicalize()?
            }
            None => build.cache.join(format!("linux-{}", build.series)),
        };
        if variable("KDIR").is_some() {
            build.kdir = Some(base.clone());
        }
        let config = variable("CONFIG").map_or_else(|| base.join(".config"), PathBuf::from);
        let config = fs::read_to_string(&config).with_context(|| {
            format!(
                "{}: no configuration; pass one with CONFIG=",
                config.display()
            )
        })?;
        let tools = setup::ensure(&build)?;
        let name = format!("layout-{}", build.series);
        build.tree = build.out.join(&name).join("linux");
        build.objects = build.out.join(&name).join("objects");
        if !base.join(HELPER).exists() {
            bail!("{}: this kernel has no Rust", base.display());
        }
        Ok(Self {
            _lock: lock,
            gcc: config.lines().any(|line| line == "CONFIG_CC_IS_GCC=y"),
            build,
            tools,
            base,
            config,
        })
    }

    /// Runs the kernel's make in the mirror.
    fn make(&self, title: &str, goal: &str, variables: &[&str]) -> Result<()> {
        let mut make = self.tools.command("make");
        let jobs = available_parallelism().map_or(2, |n| n.get()) + 1;
        make.arg("-C")
            .arg(&self.build.tree)
            .arg(format!("-j{jobs}"))
            .arg(format!("O={}", self.build.objects.display()))
            .arg(format!("RUST_LIB_SRC={}", self.tools.library.display()));
        if !self.gcc {
            make.arg("LLVM=1");
        }
        if let Some(arch) = &self.build.arch {
            make.arg(format!("ARCH={arch}"));
        }
        step::run(title, &self.build.log(goal), make.args(variables).arg(goal))
    }

    /// Creates the mirror, with a configuration that has Rust.
    fn configure(&self) -> Result<()> {
        let read = |at: &str| {
            fs::read_to_string(self.base.join(at))
                .with_context(|| self.base.join(at).display().to_string())
        };
        let mut texts = BTreeMap::new();
        texts.insert("Makefile".into(), read("Makefile")? + GOALS);
        let list = fs::read_to_string(self.build.root.join("rust/layout.c"))?;
        texts.insert(HELPER.into(), read(HELPER)? + &includes(&list));
        texts.insert(C_FILE.into(), String::new());
        mirror::create(&self.base, &self.build.tree, &texts)?;

        // The files of another tree may be older than the objects of the last one.
        let _ = fs::remove_dir_all(&self.build.objects);
        fs::create_dir_all(&self.build.objects)?;
        let file = self.build.objects.join(".config");
        let rust = "CONFIG_RUST=y\n";
        fs::write(&file, self.config.clone() + rust)?;
        self.make("configuration", "olddefconfig", &[])?;
        let now = fs::read_to_string(&file)?;
        if !now.contains("\nCONFIG_RUST=y\n") {
            bail!("CONFIG_RUST cannot be on in this configuration: `make doctor` with the same KDIR= \
                   and CONFIG= says why");
        }
        let differ = differences(&self.config, &now);
        if !differ.is_empty() {
            println!("other than in the configuration: {}", differ.join(" "));
        }
        Ok(())
    }

    /// Returns the entries of rust/layout.c and of the file of the series.
    fn list(&self) -> Result<Vec<Listed>> {
        let mut text = fs::read_to_string(self.build.root.join("rust/layout.c"))?;
        let more = tree::backports(&self.build).into_iter();
        if let Some(more) = more.map(|dir| dir.join(FIELDS)).find(|file| file.exists()) {
            text += &fs::read_to_string(more)?;
        }
        let listed = parse(&text);
        if listed.is_empty() {
            bail!("rust/layout.c has no entry");
        }
        Ok(listed)
    }

    /// Generates the metadata of core.
    fn core(&self) -> Result<()> {
        self.make("core", "layout-core", kernel::WITHOUT_CODE)
    }

    /// Generates the bindings as kbuild does, and gets the values of C and of libclang.
    fn layouts(&self, listed: &[Listed]) -> Result<Layouts> {
        self.make("bindings", "layout-bindings", &[])?;
        let structs = Structs::read(&fs::read_to_string(self.build.objects.join(BINDINGS))?);
        let (of_c, of_libclang) = thread::scope(|scope| {
            let of_libclang = scope.spawn(|| self.layout_of_libclang());
            let of_c = self.layout_of_c(listed, &structs);
            (of_c, of_libclang.join().expect("the thread does not panic"))
        });
        let (checks, absent) = of_c?;
        Ok(Layouts {
            checks,
            absent,
            of_libclang: of_libclang?,
        })
    }

    /// Asks the C compiler for the values. Returns also the entries that this kernel does not have.
    fn layout_of_c(
        &self,
        listed: &[Listed],
        structs: &Structs,
    ) -> Result<(Vec<Check>, Vec<String>)> {
        let list = fs::read_to_string(self.build.root.join("rust/layout.c"))?;
        let mut code = format!(
            "#define COMPILE_OFFSETS\n{}\nvoid layout_proof(void);\n",
            includes(&list)
        );
        code += "void layout_proof(void)\n{\n";
        let (mut checks, mut absent) = (Vec::new(), Vec::new());
        for one in listed {
            let name = &one.name;
            let (c, rust) = match &one.member {
                None => (
                    format!("sizeof({})", one.c),
                    format!("::core::mem::size_of::<{name}>()"),
                ),
                Some(member) => match structs.path(name, member) {
                    Some(path) => (
                        format!("offsetof({}, {member})", one.c),
                        format!("::core::mem::offset_of!({name}, {path})"),
                    ),
                    None => (String::new(), String::new()),
                },
            };
            if c.is_empty() || !structs.is_complete(name) {
                absent.push(match &one.member {
                    Some(member) => format!("{name}.{member}"),
                    None => name.clone(),
                });
                continue;
            }
            let number = checks.len();
            writeln!(
                code,
                "\tasm volatile(\"\\n.ascii \\\"->layout {number} %c0\\\"\" : : \"i\"({c}));"
            )?;
            checks.push(Check {
                of: name.clone(),
                field: one.member.clone(),
                rust,
                value: 0,
            });
        }
        code += "}\n";
        fs::write(self.build.tree.join(C_FILE), code)?;
        self.make("layout of C", "layout-c", &[])?;
        let assembly = self.build.objects.join(C_FILE).with_extension("s");
        let assembly = fs::read_to_string(assembly)?;
        let value = Regex::new(r"->layout (\d+) [$#]?(\d+)").unwrap();
        let mut count = 0;
        for found in value.captures_iter(&assembly) {
            checks[found[1].parse::<usize>()?].value = found[2].parse()?;
            count += 1;
        }
        if count != checks.len() {
            bail!("the C compiler printed {count} values of {}", checks.len());
        }
        Ok((checks, absent))
    }

    /// Runs bindgen with kbuild's command once more, to get the values of its libclang.
    fn layout_of_libclang(&self) -> Result<Vec<Check>> {
        let (folder, file) = BINDINGS.rsplit_once('/').context("no directory")?;
        let saved = self.build.objects.join(folder).join(format!(".{file}.cmd"));
        let saved = fs::read_to_string(saved)?;
        let command = saved.lines().next().and_then(|line| line.split_once(":= "));
        let command = command.context("kbuild has no command for the bindings")?.1;
        let command = command.split(" ; sed").next().unwrap_or_default();
        let target = Regex::new("--rust-target [0-9.]+").unwrap();
        // The tests of newer targets are expressions, not functions.
        let command = target.replace(command, "--rust-target 1.77");
        let command = command
            .replace("--no-layout-tests", "")
            .replace("$(pound)", "#")
            .replace("$$", "$")
            .replace(
                &format!("-o {BINDINGS}"),
                "-o rust/bindings/layout_tests.rs",
            );
        let mut bindgen = self.tools.command("sh");
        bindgen
            .arg("-c")
            .arg(command)
            .current_dir(&self.build.objects);
        step::run(
            "layout of libclang",
            &self.build.log("layout-bindgen"),
            &mut bindgen,
        )?;
        let tests = self.build.objects.join("rust/bindings/layout_tests.rs");
        Ok(tests_of_bindgen(&fs::read_to_string(tests)?))
    }

    /// Compiles the comparisons. Returns the numbers of those that fail, with the values in Rust.
    fn compare(&self, checks: &[Check]) -> Result<BTreeMap<usize, String>> {
        let bindings = fs::read_to_string(self.build.objects.join(BINDINGS))?;
        let mut code = rust_file(&bindings);
        let first = code.lines().count() + 1;
        for check in checks {
            writeln!(
                code,
                "const _: [(); {}] = [(); {}];",
                check.value, check.rust
            )?;
        }
        let file = self.build.objects.join("rust/layout_proof.rs");
        fs::write(&file, code)?;

        let log = self.build.log("layout-compare");
        let mut rustc = self.tools.command("rustc");
        rustc
            .args(self.flags()?)
            .args([
                "--edition=2021",
                "--crate-name=layout_proof",
                "--crate-type=rlib",
                // Code of bindgen's; only the layouts matter.
                "-Aunsafe_op_in_unsafe_fn",
            ])
            .args([
                "--error-format=json",
                "--emit=metadata=rust/liblayout_proof.rmeta",
            ])
            .arg(&file)
            .env("RUSTC_BOOTSTRAP", "1")
            .current_dir(&self.build.objects);
        step::watch("comparison", &log, &mut rustc, None)?;
        let text = fs::read_to_string(&log)?;
        let sizes = Regex::new(r"size of (\d+), found one with a size of (\d+)").unwrap();
        let mut wrong = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let Ok(message) = serde_json::from_str::<Value>(line) else {
                bail!("rustc failed: {line}; see {}", log.display());
            };
            let what = message["message"].as_str().unwrap_or_default();
            if message["level"] != "error" || what.starts_with("aborting") {
                continue;
            }
            let mut spans = message["spans"].as_array().into_iter().flatten();
            let span = spans.find(|span| span["is_primary"] == true);
            let span =
                span.with_context(|| format!("rustc failed: {what}; see {}", log.display()))?;
            let line = span["line_start"].as_u64().unwrap_or_default().try_into()?;
            let label = span["label"].as_str().unwrap_or_default();
            let Some(found) = sizes.captures(label).or_else(|| sizes.captures(what)) else {
                bail!("rustc failed: {what}; see {}", log.display());
            };
            let number = usize::checked_sub(line, first).filter(|n| *n < checks.len());
            wrong.insert(number.context("an error has no line")?, found[2].to_owned());
        }
        Ok(wrong)
    }

    /// Returns the flags with which kbuild compiles core.
    fn flags(&self) -> Result<Vec<String>> {
        let saved = fs::read_to_string(self.build.objects.join("rust/.core.o.cmd"))?;
        let command = saved.lines().next().and_then(|line| line.split_once(":= "));
        let command = command.context("kbuild has no command for core")?.1;
        let mut words = command.split_whitespace();
        let mut flags = Vec::new();
        while let Some(word) = words.next() {
            if ["--cfg", "--crate-type", "--crate-name", "--extern"].contains(&word) {
                words.next();
            } else if word.starts_with(';') {
                break;
            } else if word.starts_with(['-', '@'])
                && !word.starts_with("--emit=")
                && !word.starts_with("--edition=")
            {
                flags.push(word.replace(['\'', '"'], ""));
            }
        }
        Ok(flags)
    }
}

/// The goals that are added to the kernel's Makefile: no part of the kernel crate is built.
const GOALS: &str = "
ifeq ($(need-sub-make),)
PHONY += layout-prepare layout-core layout-bindings layout-c
layout-prepare: prepare0
layout-core:
	$(Q)$(MAKE) $(build)=rust rust/core.o rust/compiler_builtins.o
layout-bindings:
	$(Q)$(MAKE) $(build)=rust rust/bindings/bindings_generated.rs
layout-c:
	$(Q)$(MAKE) $(build)=rust rust/layout_proof.s
endif
";

/// Returns the includes of rust/layout.c.
fn includes(list: &str) -> String {
    let lines = list.lines().filter(|line| line.starts_with("#include <"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Returns the options whose values differ, other than the versions of tools and what needs Rust.
fn differences(given: &str, now: &str) -> Vec<String> {
    let read = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("CONFIG_"));
        lines
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let (given, now) = (read(given), read(now));
    let of_tools = |name: &str| {
        let tools = [
            "AS_", "CC_", "CLANG_", "GCC_", "LD_", "LLD_", "RUST", "BINDGEN_", "PAHOLE_",
        ];
        tools.iter().any(|tool| name.starts_with(tool)) || name.contains("RUST")
    };
    let mut differ = Vec::new();
    for (name, value) in &given {
        if now.get(name) != Some(value) && !of_tools(name) {
            let value = now.get(name).map_or("n", String::as_str);
            differ.push(format!("{name}={value}"));
        }
    }
    differ
}

/// Parses the tests that bindgen generates.
fn tests_of_bindgen(text: &str) -> Vec<Check> {
    let test = Regex::new(
        r#"(?s)\["(Size of|Alignment of|Offset of field:) [^"]*"\]\s*\[\s*(::(?:core|std)::mem::(?:size_of|align_of|offset_of!)\W+(\w+)(?:[^,;]*?,\s*([\w.]+))?[^;]*?)\s*-\s*(\d+)usize,?\s*\]"#,
    )
    .unwrap();
    let all = test.captures_iter(text).filter_map(|found| {
        Some(Check {
            of: found[3].to_owned(),
            field: match &found[1] {
                "Offset of field:" => Some(found.get(4)?.as_str().to_owned()),
                "Alignment of" => Some("alignment".to_owned()),
                _ => None,
            },
            rust: found[2].split_whitespace().collect::<Vec<_>>().join(" "),
            value: found[5].parse().ok()?,
        })
    });
    all.collect()
}

/// Returns the bindings as a crate of their own. What other crates derive does not change a layout.
fn rust_file(bindings: &str) -> String {
    let mut head = String::from("#![no_std]\n#![allow(warnings)]\n#![feature(offset_of_nested)]\n");
    if bindings.contains("cfi_encoding") {
        head += "#![feature(cfi_encoding)]\n";
    }
    head += "mod ffi {\n    pub use core::ffi::*;\n}\n";
    for (name, of) in [("size", "usize"), ("ssize", "isize"), ("ptrdiff", "isize")] {
        let _ = writeln!(head, "type __kernel_{name}_t = {of};");
    }
    // The attributes of a generated file are not at the beginning any more.
    let body = bindings.lines().filter(|line| !line.starts_with("#!["));
    let derived = Regex::new(r",\s*MaybeZeroable\b|\bMaybeZeroable\s*,?").unwrap();
    let body: Vec<_> = body.collect();
    head + &derived.replace_all(&body.join("\n"), "") + "\n"
}

/// Prints the structs of rust/layout.c, each with its fields that are refused.
fn print(checks: &[Check], wrong: &BTreeMap<usize, String>) {
    let head = ["struct", "field", "C", "Rust", "result"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut names: Vec<&str> = Vec::new();
    for check in checks {
        if !names.contains(&check.of.as_str()) {
            names.push(&check.of);
        }
    }
    for name in names {
        let of = |(_, check): &(usize, &Check)| check.of == name;
        let all: Vec<_> = checks.iter().enumerate().filter(of).collect();
        let fields = all
            .iter()
            .filter(|(_, check)| check.field.is_some())
            .count();
        let size = all.iter().find(|(_, check)| check.field.is_none());
        let bad = all.iter().filter(|(i, _)| wrong.contains_key(i));
        let text = |found: Option<String>| found.unwrap_or_default();
        if bad.clone().count() == 0 {
            let value = size.map(|(_, check)| check.value.to_string());
            rows.push(vec![
                name.to_owned(),
                format!("{fields} fields"),
                text(value.clone()),
                text(value),
                "proven".to_owned(),
            ]);
        }
        for (i, check) in bad {
            let field = check.field.clone().unwrap_or_else(|| "(size)".to_owned());
            rows.push(vec![
                name.to_owned(),
                field,
                check.value.to_string(),
                text(wrong.get(i).cloned()),
                "REFUSED".to_owned(),
            ]);
        }
    }
    crate::doctor::table(&rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDINGS: &str = "pub struct a {\n    pub x: b,\n    pub z:\n        long,\n    pub __bindgen_anon_1: a__bindgen_ty_1,\n}\n\
        pub union a__bindgen_ty_1 {\n    pub y: ffi::c_int,\n}\npub struct b {\n    pub type_: c,\n}\n\
        pub struct c {\n    _unused: [u8; 0],\n}\npub type d = b;\n";

    #[test]
    fn entries_and_their_paths_are_found() {
        let list = parse(
            "#define SIZE(x)\nrust_layout(void)\nSIZE(a);\nFIELD_AT(a, __bindgen_anon_9.y,\n\t y);\n\
             FIELD_OF(d, type);\nFIELD(a, gone);\nFIELD(a, z);\n",
        );
        let names: Vec<_> = list.iter().map(|one| one.c.as_str()).collect();
        assert_eq!(names, ["struct a", "struct a", "d", "struct a", "struct a"]);
        let structs = Structs::read(BINDINGS);
        let path = |i: usize| {
            let one: &Listed = &list[i];
            structs.path(&one.name, one.member.as_deref().unwrap())
        };
        assert_eq!(path(1).as_deref(), Some("__bindgen_anon_1.y"));
        assert_eq!(path(2).as_deref(), Some("type_"));
        assert_eq!(path(3), None);
        assert_eq!(path(4).as_deref(), Some("z"));
        assert!(structs.is_complete("b") && !structs.is_complete("c"));
        assert!(!structs.is_complete("e"));
    }

    #[test]
    fn the_tests_of_bindgen_are_parsed() {
        let tests = tests_of_bindgen(
            "const _: () = {\n    [\"Size of a\"][::core::mem::size_of::<a>() - 16usize];\n    \
             [\"Alignment of a\"][::core::mem::align_of::<a>() - 8usize];\n    \
             [\"Offset of field: a::x\"]\n        [::core::mem::offset_of!(a, x) - 4usize];\n};\n",
        );
        let of = |i: usize| (tests[i].name(), tests[i].rust.as_str(), tests[i].value);
        assert_eq!(of(0), ("a".into(), "::core::mem::size_of::<a>()", 16));
        assert_eq!(
            of(1),
            ("a.alignment".into(), "::core::mem::align_of::<a>()", 8)
        );
        assert_eq!(of(2), ("a.x".into(), "::core::mem::offset_of!(a, x)", 4));
        assert_eq!(tests.len(), 3);
    }

    #[test]
    fn the_bindings_do_not_derive_from_other_crates() {
        let text =
            rust_file("#![allow(x)]\n#[derive(Copy, MaybeZeroable)]\n#[derive(MaybeZeroable)]\n");
        assert!(text.ends_with("#[derive(Copy)]\n#[derive()]\n"), "{text}");
    }

    #[test]
    fn options_that_were_changed_are_named() {
        let given = "CONFIG_A=y\nCONFIG_B=m\nCONFIG_CC_VERSION_TEXT=\"a\"\n";
        let now = "CONFIG_A=y\nCONFIG_CC_VERSION_TEXT=\"b\"\nCONFIG_RUST=y\n";
        assert_eq!(differences(given, now), ["B=n"]);
    }
}
