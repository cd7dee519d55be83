// SPDX-License-Identifier: GPL-2.0

//! Counting what drivers call in C, and which safe function of the crate does the same.

use crate::attacks;
use anyhow::{ensure, Context, Result};
use front::{build::Build, outcome::Outcome, tree};
use regex::Regex;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

/// The series whose drivers are counted by `make lint`.
pub const SERIES: &str = "7.3";

const TABLE: &str = "tests/coverage.toml";
const PAGE: &str = "Documentation/rust/task-mm/coverage.rst";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    floor: Floor,
    group: Vec<Group>,
}

/// The shares in percent below which the check fails.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    core: usize,
    all: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    core: bool,
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    functions: Vec<String>,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    writes: Vec<String>,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    rust: Vec<String>,
    #[serde(default)]
    partly: bool,
    why: Option<String>,
    how: Option<String>,
}

impl Row {
    fn is_covered(&self) -> bool {
        !self.rust.is_empty() && !self.partly
    }

    /// Returns what is counted.
    fn all(&self) -> impl Iterator<Item = Counted> + '_ {
        let of = |kind: fn(String) -> Counted, names: &[String]| -> Vec<Counted> {
            names.iter().cloned().map(kind).collect()
        };
        let functions = of(Counted::Function, &self.functions);
        let fields = of(Counted::Field, &self.fields);
        let writes = of(Counted::Write, &self.writes);
        let members = of(Counted::Member, &self.members);
        [functions, fields, writes, members].into_iter().flatten()
    }
}

/// A function, a field or a member, by its name in the table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Function(String),
    Field(String),
    Write(String),
    Member(String),
}

impl Counted {
    /// Returns how C code names it.
    fn title(&self) -> String {
        match self {
            Self::Function(name) => format!("``{name}()``"),
            Self::Field(name) => format!("``{}``", name.replace('.', "->")),
            Self::Write(name) => format!("``{} =``", name.replace('.', "->")),
            Self::Member(name) => format!("``{name}``, in tables"),
        }
    }
}

impl Table {
    fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(TABLE)).context(TABLE)?;
        let table: Self = toml::from_str(&text).context(TABLE)?;
        let mut seen = BTreeSet::new();
        for row in table.rows() {
            for one in row.all() {
                let title = one.title();
                ensure!(seen.insert(one), "{TABLE}: {title} is there twice");
            }
            let explained = row.is_covered() != row.why.is_some();
            ensure!(explained, "{TABLE}: a row has no `rust`, or no `why`");
            let covered = row.how.is_none() || row.is_covered();
            ensure!(covered, "{TABLE}: a row with `how` is not covered");
        }
        Ok(table)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.group.iter().flat_map(|group| &group.row)
    }
}

/// How often each is used in drivers/.
struct Counts(BTreeMap<Counted, usize>);

impl Counts {
    /// Counts in the C files below `folder`.
    fn of(table: &Table, folder: &Path) -> Result<Self> {
        let all: Vec<Counted> = table.rows().flat_map(Row::all).collect();
        let search = Search::new(&all);
        let mut counts = BTreeMap::new();
        for file in tree::walk(folder)? {
            if file
                .extension()
                .is_none_or(|name| name != "c" && name != "h")
            {
                continue;
            }
            let text = fs::read(&file).with_context(|| file.display().to_string())?;
            search.count(&code(&String::from_utf8_lossy(&text)), &mut counts);
        }
        Ok(Self(counts))
    }

    fn get(&self, one: &Counted) -> usize {
        self.0.get(one).copied().unwrap_or(0)
    }

    /// Returns the number of uses of a row.
    fn of_row(&self, row: &Row) -> usize {
        row.all().map(|one| self.get(&one)).sum()
    }

    /// Returns how many uses the groups have, and how many of them are covered.
    fn share<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> (usize, usize) {
        let (mut all, mut covered) = (0, 0);
        for row in groups.flat_map(|group| &group.row) {
            let count = self.of_row(row);
            all += count;
            covered += if row.is_covered() { count } else { 0 };
        }
        (all, covered)
    }
}

/// What is searched for.
struct Search<'a> {
    functions: BTreeSet<&'a str>,
    /// By struct: the declaration of a pointer to it, and the names of its fields.
    structs: BTreeMap<&'a str, (Regex, BTreeSet<&'a str>)>,
    /// By struct: the begin of an initializer.
    tables: BTreeMap<&'a str, Regex>,
    member: Regex,
}

impl<'a> Search<'a> {
    fn new(all: &'a [Counted]) -> Self {
        let mut search = Self {
            functions: BTreeSet::new(),
            structs: BTreeMap::new(),
            tables: BTreeMap::new(),
            member: expression(r"\.(\w+)\s*="),
        };
        for one in all {
            match one {
                Counted::Function(name) => {
                    search.functions.insert(name);
                }
                Counted::Field(name) | Counted::Write(name) => {
                    let (of, field) = name.split_once('.').unwrap_or((name, ""));
                    let declared = format!(r"\bstruct {of}\s*\*\s*(?:const\s+)?(\w+)");
                    let entry = search.structs.entry(of);
                    let entry = entry.or_insert_with(|| (expression(&declared), BTreeSet::new()));
                    entry.1.insert(field);
                }
                Counted::Member(name) => {
                    let (of, _) = name.split_once('.').unwrap_or((name, ""));
                    let begin = format!(r"\bstruct {of}\s+\w+(?:\[\w*\])?\s*=\s*\{{");
                    search.tables.insert(of, expression(&begin));
                }
            }
        }
        search
    }

    /// Adds the uses in the code of a file.
    fn count(&self, code: &str, counts: &mut BTreeMap<Counted, usize>) {
        let mut add = |one| *counts.entry(one).or_default() += 1;
        // A line that begins with a name is a definition or a declaration.
        let is_inner = |line: &&str| line.starts_with([' ', '\t']);
        for line in code.lines().filter(is_inner) {
            for (at, _) in line.match_indices('(') {
                let before = line[..at].trim_end();
                let name = last_word(before);
                let is_member = before[..before.len() - name.len()].ends_with(['.', '>']);
                if !is_member && self.functions.contains(name) {
                    add(Counted::Function(name.to_owned()));
                }
            }
        }

        let has = |of: &str| code.contains(&format!("struct {of}"));
        let mut variables: BTreeMap<&str, &str> = BTreeMap::new();
        for (of, (declared, _)) in self.structs.iter().filter(|(of, _)| has(of)) {
            for found in declared.captures_iter(code) {
                let name = found.get(1).map_or("", |name| name.as_str());
                variables.insert(name, of);
            }
        }
        if self.structs.contains_key("task_struct") {
            variables.insert("current", "task_struct");
        }
        for (at, arrow) in code.match_indices("->") {
            let Some(of) = variables.get(last_word(&code[..at])) else {
                continue;
            };
            let rest = &code[at + arrow.len()..];
            let field = first_word(rest);
            if self.structs[of].1.contains(field) {
                let name = format!("{of}.{field}");
                add(match is_written(rest[field.len()..].trim_start()) {
                    true => Counted::Write(name),
                    false => Counted::Field(name),
                });
            }
        }

        for (of, begin) in self.tables.iter().filter(|(of, _)| has(of)) {
            for found in begin.find_iter(code) {
                let table = inner(&code[found.end()..]);
                for member in self.member.captures_iter(table) {
                    add(Counted::Member(format!("{of}.{}", &member[1])));
                }
            }
        }
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Returns the word at the end of `text`.
fn last_word(text: &str) -> &str {
    let other = text.rfind(|c| !is_of_word(c));
    let begin = other.map_or(0, |at| {
        at + text[at..].chars().next().map_or(1, char::len_utf8)
    });
    &text[begin..]
}

/// Returns the word at the begin of `text`.
fn first_word(text: &str) -> &str {
    &text[..text.find(|c| !is_of_word(c)).unwrap_or(text.len())]
}

/// Returns whether what follows a field writes it.
fn is_written(rest: &str) -> bool {
    let mut changes = ["+=", "-=", "|=", "&=", "^=", "++", "--"].into_iter();
    let assigns = rest.starts_with('=') && !rest.starts_with("==");
    assigns || changes.any(|with| rest.starts_with(with))
}

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("an expression of this file is wrong")
}

/// Returns what precedes the brace that closes a block, of which `text` is the rest.
fn inner(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// Overwrites the comments and literals of C code with spaces.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest {
            [b'/', b'/', ..] => rest.iter().position(|c| *c == b'\n'),
            [b'/', b'*', ..] => rest
                .windows(2)
                .skip(2)
                .position(|c| c == b"*/")
                .map(|n| n + 4),
            [quote @ (b'"' | b'\''), ..] => Some(literal(rest, *quote)),
            _ => {
                at += 1;
                continue;
            }
        };
        let end = at + length.unwrap_or(rest.len()).min(rest.len());
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// Returns the length of a literal that begins with `quote`. It ends with the line at the latest.
fn literal(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'\n' => return at,
            c if c == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

fn percent((all, covered): (usize, usize)) -> usize {
    covered * 100 / all.max(1)
}

/// Counts, and writes the page.
pub fn write(build: &Build) -> Result<()> {
    let table = Table::read(&build.root)?;
    let source = tree::base(build)?;
    let counts = Counts::of(&table, &source.join("drivers"))?;
    let version = crate::patches::version(&source)?;
    fs::write(build.root.join(PAGE), page(&table, &counts, &version))?;
    let core = counts.share(table.group.iter().filter(|group| group.core));
    let all = counts.share(table.group.iter());
    println!("Linux {version}, drivers/:");
    for (what, share) in [("core", core), ("all", all)] {
        let percent = percent(share);
        println!("{what:5} {} of {} uses, {percent} %", share.1, share.0);
    }
    println!("{PAGE} has been written");
    Ok(())
}

/// Tests that the crate has each function of the table, that the page has each row, and the shares.
pub fn check(build: &Build, outcome: &mut Outcome) -> Result<()> {
    let table = Table::read(&build.root)?;
    let has = attacks::of_crate(build)?;
    let named = table.rows().flat_map(|row| &row.rust);
    let missing: BTreeSet<&str> = named
        .map(String::as_str)
        .filter(|name| !has.contains(*name))
        .collect();
    outcome.report(
        "the crate has each function of tests/coverage.toml",
        missing.is_empty(),
        &missing.into_iter().collect::<Vec<_>>().join(", "),
    );

    let page = fs::read_to_string(build.root.join(PAGE)).context(PAGE)?;
    let all = table.rows().flat_map(Row::all);
    let absent: Vec<_> = all
        .map(|one| one.title())
        .filter(|title| !page.contains(title))
        .collect();
    outcome.report(
        "coverage.rst has each row of tests/coverage.toml",
        absent.is_empty(),
        &format!("run make coverage: {}", absent.join(", ")),
    );

    let counts = Counts::of(&table, &tree::base(build)?.join("drivers"))?;
    let core = percent(counts.share(table.group.iter().filter(|group| group.core)));
    let all = percent(counts.share(table.group.iter()));
    outcome.report(
        "the crate covers as many calls of drivers as before",
        core >= table.floor.core && all >= table.floor.all,
        &format!("core {core} %, all {all} %"),
    );
    Ok(())
}

/// Returns the page.
fn page(table: &Table, counts: &Counts, version: &str) -> String {
    let core = counts.share(table.group.iter().filter(|group| group.core));
    let all = counts.share(table.group.iter());
    let mut text = format!(
        "\
.. SPDX-License-Identifier: GPL-2.0

========
Coverage
========

``make coverage KERNEL=7.3`` wrote this page from ``tests/coverage.toml`` and ``drivers/`` of Linux
{version}. It says what drivers use in C, how often, and which safe function of the crate does the
same. ``make lint`` fails if the crate does not have such a function.

A use is a call, an access to a field, or a member of an initialized table. Comments and literals
are not counted, nor are lines that begin with a name. A field is counted if the variable is
declared in the same file as a pointer to the struct. \"partly\" is not counted as covered.

- Core, which is about tasks, address spaces and PID namespaces: {} of {} uses, {} %.
- With what is beside them: {} of {} uses, {} %.
",
        core.1,
        core.0,
        percent(core),
        all.1,
        all.0,
        percent(all)
    );
    for group in &table.group {
        let share = counts.share(std::iter::once(group));
        let title = &group.name;
        let kind = if group.core {
            "Core"
        } else {
            "Beside the core"
        };
        let _ = write!(
            text,
            "\n{title}\n{}\n\n{kind}. {} of {} uses, {} %.\n\n\
             .. list-table::\n   :header-rows: 1\n   :widths: 36 8 56\n\n   \
             * - C\n     - Uses\n     - Rust\n",
            "=".repeat(title.chars().count()),
            share.1,
            share.0,
            percent(share)
        );
        for row in &group.row {
            let items: Vec<_> = row
                .rust
                .iter()
                .map(|item| format!("``{item}()``"))
                .collect();
            let items = items.join(", ");
            let why = row.why.as_deref().unwrap_or_default();
            let how = row.how.as_ref().map(|how| format!(". {how}"));
            let answer = match (row.partly, items.is_empty()) {
                (_, true) => format!("None. {why}"),
                (true, false) => format!("Partly: {items}. {why}"),
                (false, false) => items + &how.unwrap_or_default(),
            };
            for one in row.all() {
                let (title, count) = (one.title(), counts.get(&one));
                let _ = write!(text, "   * - {title}\n     - {count}\n     - {answer}\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, one: Counted) -> usize {
        let mut counts = BTreeMap::new();
        Search::new(std::slice::from_ref(&one)).count(&code(text), &mut counts);
        counts.get(&one).copied().unwrap_or(0)
    }

    #[test]
    fn calls_are_counted() {
        let text = "int f(void)\n{\n\tf(1); /* f(2) */ x.f(3); y->f(4); g(\"f(5)\"); f (6);\n}\n";
        assert_eq!(count(text, Counted::Function("f".into())), 2);
    }

    #[test]
    fn reads_and_writes_of_fields_are_counted() {
        let text =
            "void f(struct s *a, struct t *b)\n{\n\ta->x = b->x; if (a->x == 1) a->x |= 2;\n}";
        assert_eq!(count(text, Counted::Field("s.x".into())), 1);
        assert_eq!(count(text, Counted::Write("s.x".into())), 2);
        let text = "\tcurrent->pid;";
        assert_eq!(count(text, Counted::Field("task_struct.pid".into())), 1);
    }

    #[test]
    fn members_of_tables_are_counted() {
        let text = "static const struct s a = {\n\t.x = f,\n\t.y = { .z = 1 },\n};\n.x = 2";
        assert_eq!(count(text, Counted::Member("s.x".into())), 1);
        assert_eq!(count(text, Counted::Member("s.z".into())), 1);
    }

    #[test]
    fn the_table_is_valid() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        assert!(Table::read(root).is_ok());
    }
}
