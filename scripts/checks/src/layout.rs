// SPDX-License-Identifier: GPL-2.0

//! Tests that rust/layout.c has all structs of C that our Rust code depends on.
//!
//! The compiler finds the fields. The crate is compiled once more, against bindings in which each
//! field that rust/layout.c does not have is marked as deprecated, so that a warning names each use.
//! Code that is not configured is searched for the names of fields.

use anyhow::{bail, Context, Result};
use front::{build::Build, outcome::Outcome, setup::Tools, step, tree};
use regex::Regex;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Runs the checks. `build` must have been compiled as far as rust/.
pub fn check(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let proven = Proven::read(build)?;
    let sources = sources(build)?;
    let mut missing = unknown_fields(&proven, &sources);
    let bindings = fs::read_to_string(build.objects.join(BINDINGS))?;
    missing.extend(unknown_sizes(&proven, &sources, &bindings));
    missing.extend(used_fields(&proven, &sources, &bindings, build, tools)?);
    for line in &missing {
        println!("         {line}");
    }
    outcome.report(
        "rust/layout.c has each struct and field that Rust code uses",
        missing.is_empty(),
        &format!("{} are missing there", missing.len()),
    );
    Ok(())
}

/// What rust/layout.c includes.
const FIELDS_OF_SERIES: &str = "rust/layout_fields.h";
const BINDINGS: &str = "rust/bindings/bindings_generated.rs";

/// The lines of a Rust file that belong to this repository.
struct Source {
    /// The path in the tree.
    at: PathBuf,
    text: String,
    /// The numbers of our lines, from 1, if not all are ours.
    ours: Option<BTreeSet<usize>>,
}

impl Source {
    /// Returns our lines, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(i, line)| (i + 1, line));
        lines.filter(|(number, _)| self.has(*number))
    }

    fn has(&self, line: usize) -> bool {
        self.ours.as_ref().is_none_or(|ours| ours.contains(&line))
    }
}

/// Returns our files, and the files of the kernel that tree.toml edits.
fn sources(build: &Build) -> Result<Vec<Source>> {
    let is_rust = |at: &Path| at.extension().is_some_and(|e| e == "rs");
    let mut sources = Vec::new();
    for (at, file) in tree::files(build)? {
        if is_rust(&at) {
            let text = fs::read_to_string(file)?;
            sources.push(Source {
                at,
                text,
                ours: None,
            });
        }
    }
    for (at, edited) in tree::edits(build)? {
        if is_rust(&at) {
            let ours = inserted(&edited.before, &edited.after);
            sources.push(Source {
                at,
                text: edited.after,
                ours: Some(ours),
            });
        }
    }
    Ok(sources)
}

/// Returns the numbers of the lines of `after` that `before` does not have.
fn inserted(before: &str, after: &str) -> BTreeSet<usize> {
    let diff = TextDiff::from_lines(before, after);
    let changes = diff.iter_all_changes();
    let inserts = changes.filter(|change| change.tag() == ChangeTag::Insert);
    inserts
        .filter_map(|change| Some(change.new_index()? + 1))
        .collect()
}

/// What rust/layout.c compares.
struct Proven {
    sizes: BTreeSet<String>,
    /// Struct and field. The path to a member of an unnamed struct or union is left out.
    fields: BTreeSet<(String, String)>,
}

impl Proven {
    fn read(build: &Build) -> Result<Self> {
        let mut text = fs::read_to_string(build.root.join("rust/layout.c"))?;
        if let Some(file) = tree::files(build)?.get(Path::new(FIELDS_OF_SERIES)) {
            text += &fs::read_to_string(file)?;
        }
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let entry =
            Regex::new(r"\b(?:SIZE|SIZE_OF|FIELD|FIELD_OF|FIELD_AT)\((\w+)(?:,\s*([\w.]+))?")
                .unwrap();
        let (mut sizes, mut fields) = (BTreeSet::new(), BTreeSet::new());
        let code = text.split("rust_layout(void)").nth(1).unwrap_or_default();
        for found in entry.captures_iter(code) {
            let name = found[1].to_owned();
            match found.get(2) {
                None => sizes.insert(name),
                Some(path) => {
                    let field = path.as_str().rsplit('.').next().unwrap_or_default();
                    fields.insert((name, field.to_owned()))
                }
            };
        }
        Self { sizes, fields }
    }

    /// Returns whether a field of a struct, by its name in the bindings, is compared.
    fn has(&self, name: &str, field: &str) -> bool {
        // The name of an unnamed struct begins with that of the struct around it.
        let outer = name.split("__bindgen_ty_").next().unwrap_or(name);
        self.fields.contains(&(outer.to_owned(), field.to_owned()))
    }
}

/// Returns the fields after a `(*...)`, as in `(*task).pid`, that are not in rust/layout.c for any
/// struct.
fn unknown_fields(proven: &Proven, sources: &[Source]) -> Vec<String> {
    let names: BTreeSet<&str> = proven
        .fields
        .iter()
        .map(|(_, field)| field.as_str())
        .collect();
    // A field of a Rust struct is not a field of C's. If it has the same name as one, the compiler
    // tells them apart, see `used_fields()`.
    let body = Regex::new(r"(?ms)^[a-z() ]*struct \w+[^;{]*\{\n(.*?)^\}").unwrap();
    let field = Regex::new(r"(?m)^ {4}(?:pub(?:\([a-z :]+\))? )?(\w+): ").unwrap();
    let rust: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| body.captures_iter(&source.text))
        .filter_map(|found| Some(found.get(1)?.as_str()))
        .flat_map(|body| field.captures_iter(body))
        .filter_map(|found| Some(found.get(1)?.as_str()))
        .collect();
    let mut missing = Vec::new();
    for source in sources {
        for (number, line) in source.lines() {
            let fields = fields_read(line).into_iter();
            missing.extend(
                fields
                    .filter(|field| !names.contains(field) && !rust.contains(field))
                    .map(|field| format!("field {field}: {}:{number}", source.at.display())),
            );
        }
    }
    missing
}

/// Returns the named fields after each `(*...)` in `line`.
fn fields_read(line: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    for (at, _) in line.match_indices("(*") {
        let mut depth = 0;
        let close = line[at..].find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let Some(path) = close.and_then(|n| line[at + n + 1..].strip_prefix('.')) else {
            continue;
        };
        let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        // A method is not a field.
        let path = match end.map(|end| path.split_at(end)) {
            Some((path, rest)) if rest.starts_with(['(', ':']) => {
                path.rsplit_once('.').map_or("", |(path, _)| path)
            }
            Some((path, _)) => path,
            None => path,
        };
        let names = path.split('.').filter(|name| !name.is_empty());
        fields.extend(names.filter(|name| !name.starts_with("__bindgen_anon")));
    }
    fields
}

/// Returns the structs of C that our code has by value or by reference, so that it depends on their
/// sizes, and that rust/layout.c does not have.
fn unknown_sizes(proven: &Proven, sources: &[Source], bindings: &str) -> Vec<String> {
    let structs = structs(bindings);
    let used =
        Regex::new(r"(\*const |\*mut |cast::<|NonNull<)?(?:\$crate::)?\bbindings::(\w+)").unwrap();
    let mut missing = BTreeMap::new();
    for source in sources {
        for (number, line) in source.lines() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for found in used
                .captures_iter(line)
                .filter(|found| found.get(1).is_none())
            {
                let name = &found[2];
                if structs.contains(name) && !proven.sizes.contains(name) {
                    let place = format!("{}:{number}", source.at.display());
                    missing.entry(name.to_owned()).or_insert(place);
                }
            }
        }
    }
    let lines = missing.into_iter();
    lines
        .map(|(name, place)| format!("size of {name}: {place}"))
        .collect()
}

/// Returns the names of the structs and unions in the bindings, and their other names.
fn structs(bindings: &str) -> BTreeSet<&str> {
    let name = |rest: &'static str| Regex::new(rest).unwrap();
    let definition = name(r"(?m)^pub (?:struct|union) (\w+)");
    let alias = name(r"(?m)^pub type (\w+) = (\w+);");
    let mut names: BTreeSet<&str> = definition
        .captures_iter(bindings)
        .filter_map(|found| Some(found.get(1)?.as_str()))
        .collect();
    for found in alias.captures_iter(bindings) {
        if let (Some(new), Some(old)) = (found.get(1), found.get(2)) {
            if names.contains(old.as_str()) {
                names.insert(new.as_str());
            }
        }
    }
    names
}

/// Returns the bindings with a mark at each field that is not in rust/layout.c.
fn marked(bindings: &str, proven: &Proven) -> String {
    let mut current = None;
    let mut text = String::with_capacity(bindings.len() * 2);
    for line in bindings.lines() {
        let begin = ["pub struct ", "pub union "];
        if let Some(rest) = begin.iter().find_map(|begin| line.strip_prefix(begin)) {
            current = rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
        } else if line.starts_with('}') {
            current = None;
        }
        let field = line
            .strip_prefix("    pub ")
            .and_then(|rest| rest.split_once(':'));
        if let (Some(name), Some((field, _))) = (current, field) {
            if !field.starts_with("__bindgen_anon") && !proven.has(name, field) {
                text += "    #[deprecated]\n";
            }
        }
        text += line;
        text += "\n";
    }
    text
}

/// Returns the uses in our code of fields that rust/layout.c does not have, as the compiler finds them.
fn used_fields(
    proven: &Proven,
    sources: &[Source],
    bindings: &str,
    build: &Build,
    tools: &Tools,
) -> Result<Vec<String>> {
    // The generated files of the crates, with other bindings.
    let shadow = build.objects.join("layout");
    let _ = fs::remove_dir_all(&shadow);
    for dir in ["rust", "rust/bindings", "rust/kernel"] {
        fs::create_dir_all(shadow.join(dir))?;
        // Some kernels have no generated files in rust/kernel/.
        let files = fs::read_dir(build.objects.join(dir)).into_iter().flatten();
        for file in files.flatten() {
            if file.path().extension().is_some_and(|e| e == "rs") {
                tree::link(&file.path(), &shadow.join(dir).join(file.file_name()))?;
            }
        }
    }
    fs::remove_file(shadow.join(BINDINGS))?;
    fs::write(shadow.join(BINDINGS), marked(bindings, proven))?;

    compile("bindings", &shadow, build, tools)?;
    let warnings = compile("kernel", &shadow, build, tools)?;
    let mut missing = BTreeSet::new();
    for warning in warnings.lines().filter(|line| line.starts_with('{')) {
        let warning: Value = serde_json::from_str(warning)?;
        let message = warning["message"].as_str().unwrap_or_default();
        let Some((_, path)) = message.split_once("use of deprecated field `") else {
            continue;
        };
        let spans = warning["spans"].as_array().into_iter().flatten();
        for span in spans.filter(|span| span["is_primary"] == true) {
            let file = span["file_name"].as_str().unwrap_or_default();
            let line = span["line_start"].as_u64().unwrap_or_default().try_into()?;
            let source = sources
                .iter()
                .find(|source| Path::new(file).ends_with(&source.at));
            if source.is_some_and(|source| source.has(line)) {
                // The crate, and perhaps a module, come before the struct.
                let names: Vec<_> = path.trim_end_matches('`').rsplit("::").take(2).collect();
                let field = names.into_iter().rev().collect::<Vec<_>>().join(".");
                missing.insert(format!("field {field}: {file}:{line}"));
            }
        }
    }
    Ok(missing.into_iter().collect())
}

/// Compiles a crate with the command that kbuild used, as far as its metadata. Returns the warnings.
fn compile(name: &str, shadow: &Path, build: &Build, tools: &Tools) -> Result<String> {
    let saved = fs::read_to_string(build.objects.join(format!("rust/.{name}.o.cmd")))?;
    let saved = saved.lines().next().and_then(|line| line.split_once(":= "));
    let saved = saved
        .with_context(|| format!("kbuild has no command for {name}"))?
        .1;
    let mut command = tools.command("env");
    let mut found = false;
    let mut words = saved.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word.starts_with(';') || word == "&&" {
            break;
        }
        if word.starts_with("OBJTREE=") {
            command.arg(format!("OBJTREE={}", shadow.display()));
        } else if word == "clippy-driver" {
            command.arg("rustc");
        } else if word == "--extern" && words.next_if_eq(&"bindings").is_some() {
            let rmeta = shadow.join("libbindings.rmeta");
            command
                .arg("--extern")
                .arg(format!("bindings={}", rmeta.display()));
        } else if !word.starts_with("--emit=") {
            found |= word == "--crate-name";
            command.arg(word.trim_end_matches(';').replace(['\'', '"'], ""));
        }
        if word.ends_with(';') {
            break;
        }
    }
    if !found {
        bail!("kbuild's command for {name} has another form");
    }
    let rmeta = shadow.join(format!("lib{name}.rmeta"));
    command
        .arg(format!("--emit=metadata={}", rmeta.display()))
        .arg("--error-format=json")
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(&build.objects);
    let log = build.log(&format!("layout-{name}"));
    step::run(&format!("layout of {name}"), &log, &mut command)?;
    Ok(fs::read_to_string(log)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: &str = "#define SIZE(type)\nvoid rust_layout(void)\n{\n\tSIZE(a);\n\tFIELD(a, x);\n\
        \tFIELD_AT(a, __bindgen_anon_1.y,\n\t\t y);\n\tFIELD_AT(b, type_, type);\n}\n";
    const BINDINGS: &str = "pub struct a {\n    pub x: c_int,\n    pub z: b,\n    \
        pub __bindgen_anon_1: a__bindgen_ty_1,\n}\npub union a__bindgen_ty_1 {\n    pub y: c_int,\n}\n\
        pub struct b {\n    pub type_: c_int,\n}\npub type c = b;\npub type d = c_int;\n";

    fn source(text: &str) -> [Source; 1] {
        [Source {
            at: "rust/kernel/x.rs".into(),
            text: text.into(),
            ours: None,
        }]
    }

    #[test]
    fn fields_that_are_not_compared_are_marked() {
        let text = marked(BINDINGS, &Proven::parse(C));
        assert_eq!(text.matches("#[deprecated]").count(), 1);
        assert!(text.contains("#[deprecated]\n    pub z: b,"));
        let text = marked(BINDINGS, &Proven::parse(""));
        assert_eq!(text.matches("#[deprecated]").count(), 4);
    }

    #[test]
    fn fields_are_found_by_name_in_code_that_is_not_configured() {
        let proven = Proven::parse(C);
        let read = |text: &str| unknown_fields(&proven, &source(text)).len();
        assert_eq!(read("(*a.get()).x + (*f(b)).z + (*a).x.cast::<T>()"), 1);
        assert_eq!(read("addr_of!((*p).__bindgen_anon_1.y.type_)"), 0);
        assert_eq!(read("(*p).z.w.get()"), 2);
        assert_eq!(
            read("pub(crate) struct S<T> {\n    z: T,\n    pub w: u8,\n}\n(*p).z.w.v.get()"),
            1
        );
    }

    #[test]
    fn structs_that_are_used_by_value_are_found() {
        let proven = Proven::parse(C);
        let used = |text: &str| unknown_sizes(&proven, &source(text), BINDINGS).len();
        assert_eq!(used("MaybeUninit<bindings::a>"), 0);
        assert_eq!(used("MaybeUninit<bindings::b>"), 1);
        assert_eq!(used("Opaque<bindings::c>"), 1);
        assert_eq!(
            used("*const bindings::b, bindings::d, p.cast::<bindings::c>()"),
            0
        );
        assert_eq!(used("*mut $crate::bindings::b"), 0);
        assert_eq!(used("Opaque<$crate::bindings::b>"), 1);
    }

    #[test]
    fn only_inserted_lines_are_ours() {
        let ours = inserted("a\nb\n", "a\nnew\nb\nlast\n");
        assert_eq!(ours.into_iter().collect::<Vec<_>>(), [2, 4]);
    }
}
