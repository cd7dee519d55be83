// SPDX-License-Identifier: GPL-2.0

//! Counting what drivers call in C, and which safe function of the crate does the same.

use crate::attacks;
use anyhow::{ensure, Context, Result};
use front::{build::Build, outcome::Outcome, tree};
use regex::Regex;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
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
    core_estimate: usize,
    all_estimate: usize,
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
    #[serde(default)]
    covered: Vec<String>,
    #[serde(default)]
    not_covered: Vec<String>,
    why: Option<String>,
    how: Option<String>,
}

impl Row {
    fn is_covered(&self) -> bool {
        !self.rust.is_empty() && !self.partly
    }

    /// Returns how many of `count` uses are covered, if the uses that were read are like the others.
    fn estimate(&self, count: usize) -> usize {
        let read = self.covered.len() + self.not_covered.len();
        match (self.is_covered(), read) {
            (true, _) => count,
            (false, 0) => 0,
            (false, read) => count * self.covered.len() / read,
        }
    }

    /// Returns the uses that were read.
    fn read(&self) -> impl Iterator<Item = &str> {
        let all = self.covered.iter().chain(&self.not_covered);
        all.map(String::as_str)
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
    fn name(&self) -> &str {
        match self {
            Self::Function(name) | Self::Field(name) | Self::Write(name) | Self::Member(name) => {
                name
            }
        }
    }

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
            let read = row.read().next().is_some();
            ensure!(
                !read || row.partly,
                "{TABLE}: a row with uses is not `partly`"
            );
            for site in &row.not_covered {
                let has_reason = site.split(": ").count() > 2;
                ensure!(has_reason, "{TABLE}: {site}: no reason");
            }
        }
        Ok(table)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.group.iter().flat_map(|group| &group.row)
    }
}

/// A place where one is used.
struct Use {
    /// The path in the source.
    file: PathBuf,
    /// From 1.
    line: usize,
    /// The function that contains it.
    function: String,
}

/// Where each is used in drivers/.
struct Counts(BTreeMap<Counted, Vec<Use>>);

#[derive(Clone, Copy, Default)]
struct Share {
    /// All uses.
    all: usize,
    /// Those of rows that are covered.
    covered: usize,
    /// `covered`, and of each row of which uses were read, the share of those that are covered.
    estimate: usize,
}

impl Share {
    fn percent(self) -> usize {
        self.covered * 100 / self.all.max(1)
    }

    fn percent_of_estimate(self) -> usize {
        self.estimate * 100 / self.all.max(1)
    }
}

impl Counts {
    /// Counts in the C files in drivers/ of `source`.
    fn of(table: &Table, source: &Path) -> Result<Self> {
        let all: Vec<Counted> = table.rows().flat_map(Row::all).collect();
        let search = Search::new(&all);
        let mut counts: BTreeMap<Counted, Vec<Use>> = BTreeMap::new();
        let mut files = tree::walk(&source.join("drivers"))?;
        files.sort();
        for file in files {
            if file
                .extension()
                .is_none_or(|name| name != "c" && name != "h")
            {
                continue;
            }
            let text = fs::read(&file).with_context(|| file.display().to_string())?;
            let code = code(&String::from_utf8_lossy(&text));
            let at = file.strip_prefix(source)?;
            for (one, line) in search.uses(&code) {
                counts.entry(one).or_default().push(Use {
                    file: at.to_owned(),
                    line,
                    function: function_at(&code, line).to_owned(),
                });
            }
        }
        Ok(Self(counts))
    }

    fn get(&self, one: &Counted) -> usize {
        self.0.get(one).map_or(0, Vec::len)
    }

    /// Returns those of the uses of a row that were read and that are not there.
    fn absent<'a>(&self, row: &'a Row) -> Vec<&'a str> {
        let uses: BTreeSet<(&Path, &str)> = row
            .all()
            .filter_map(|one| self.0.get(&one))
            .flatten()
            .map(|at| (at.file.as_path(), at.function.as_str()))
            .collect();
        let is_there = |site: &&str| {
            let mut parts = site.split(": ");
            let file = Path::new(parts.next().unwrap_or_default());
            uses.contains(&(file, parts.next().unwrap_or_default()))
        };
        row.read().filter(|site| !is_there(site)).collect()
    }

    /// Returns the number of uses of a row.
    fn of_row(&self, row: &Row) -> usize {
        row.all().map(|one| self.get(&one)).sum()
    }

    fn share<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> Share {
        let mut share = Share::default();
        for row in groups.flat_map(|group| &group.row) {
            let count = self.of_row(row);
            share.all += count;
            share.covered += if row.is_covered() { count } else { 0 };
            share.estimate += row.estimate(count);
        }
        share
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

    /// Returns the uses in the code of a file, with their lines.
    fn uses(&self, code: &str) -> Vec<(Counted, usize)> {
        let mut uses = Vec::new();
        let line_of = |at: usize| code[..at].matches('\n').count() + 1;
        // A line that begins with a name is a definition or a declaration.
        let is_inner = |(_, line): &(usize, &str)| line.starts_with([' ', '\t']);
        for (number, line) in code.lines().enumerate().filter(is_inner) {
            for (at, _) in line.match_indices('(') {
                let before = line[..at].trim_end();
                let name = last_word(before);
                let is_member = before[..before.len() - name.len()].ends_with(['.', '>']);
                if !is_member && self.functions.contains(name) {
                    uses.push((Counted::Function(name.to_owned()), number + 1));
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
                let one = match is_written(rest[field.len()..].trim_start()) {
                    true => Counted::Write(name),
                    false => Counted::Field(name),
                };
                uses.push((one, line_of(at)));
            }
        }

        for (of, begin) in self.tables.iter().filter(|(of, _)| has(of)) {
            for found in begin.find_iter(code) {
                let table = inner(&code[found.end()..]);
                let line = line_of(found.start());
                for member in self.member.captures_iter(table) {
                    uses.push((Counted::Member(format!("{of}.{}", &member[1])), line));
                }
            }
        }
        uses
    }
}

/// Returns the name of the function, or of the variable, that contains a line.
fn function_at(code: &str, line: usize) -> &str {
    let lines: Vec<&str> = code.lines().take(line).collect();
    let mut begins = lines.into_iter().rev();
    let is_begin = |line: &&str| {
        line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && line.contains(['(', '='])
            && !line.ends_with(':')
    };
    let begin = begins.find(is_begin).unwrap_or_default();
    let end = begin.find(['(', '=', '[']).unwrap_or(begin.len());
    last_word(begin[..end].trim_end())
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

/// How many uses of a row `SITES=` prints at most.
const SAMPLE: usize = 24;

/// Prints uses of what `name` is, or of what is in the same row, at equal distances.
fn sample(table: &Table, counts: &Counts, name: &str) -> Result<()> {
    let is = |one: &Counted| one.name() == name;
    let row = table.rows().find(|row| row.all().any(|one| is(&one)));
    let row = row.with_context(|| format!("{TABLE} does not have {name}"))?;
    let uses: Vec<&Use> = row
        .all()
        .filter_map(|one| counts.0.get(&one))
        .flatten()
        .collect();
    let count = uses.len().min(SAMPLE);
    for i in 0..count {
        let at = uses[i * uses.len() / count];
        println!("{}: {}: line {}", at.file.display(), at.function, at.line);
    }
    Ok(())
}

/// Counts, and writes the page. With `SITES`, prints uses that can be read for the table.
pub fn write(build: &Build) -> Result<()> {
    let table = Table::read(&build.root)?;
    let source = tree::base(build)?;
    let counts = Counts::of(&table, &source)?;
    if let Some(name) = env::var("SITES").ok().filter(|name| !name.is_empty()) {
        return sample(&table, &counts, &name);
    }
    let version = crate::patches::version(&source)?;
    fs::write(build.root.join(PAGE), page(&table, &counts, &version))?;
    let core = counts.share(table.group.iter().filter(|group| group.core));
    let all = counts.share(table.group.iter());
    println!("Linux {version}, drivers/:");
    for (what, share) in [("core", core), ("all", all)] {
        println!(
            "{what:5} {} of {} uses, {} %; {} % with those that are partly covered",
            share.covered,
            share.all,
            share.percent(),
            share.percent_of_estimate()
        );
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

    let counts = Counts::of(&table, &tree::base(build)?)?;
    let absent: Vec<_> = table.rows().flat_map(|row| counts.absent(row)).collect();
    outcome.report(
        "drivers/ has each use that was read for tests/coverage.toml",
        absent.is_empty(),
        &absent.join(", "),
    );

    let core = counts.share(table.group.iter().filter(|group| group.core));
    let all = counts.share(table.group.iter());
    let is = [
        core.percent(),
        all.percent(),
        core.percent_of_estimate(),
        all.percent_of_estimate(),
    ];
    let Floor {
        core,
        all,
        core_estimate,
        all_estimate,
    } = table.floor;
    let must = [core, all, core_estimate, all_estimate];
    outcome.report(
        "the crate covers as many calls of drivers as before",
        is.iter().zip(must).all(|(is, must)| *is >= must),
        &format!("{is:?} %, must be {must:?} %"),
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
declared in the same file as a pointer to the struct.

- Core, which is about tasks, address spaces and PID namespaces: {} of {} uses, {} %.
- With what is beside them: {} of {} uses, {} %.

\"Partly\" is not counted as covered. Of some of these rows, uses at equal distances were read, to
see whether the Rust function does the same there. ``tests/coverage.toml`` lists them. If the other
uses of these rows are like those that were read, the crate covers {} % of the core, and {} % of
all. Other partly covered rows count as nothing here, either.
",
        core.covered,
        core.all,
        core.percent(),
        all.covered,
        all.all,
        all.percent(),
        core.percent_of_estimate(),
        all.percent_of_estimate()
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
            share.covered,
            share.all,
            share.percent()
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
                (true, false) => {
                    let covered = row.covered.len();
                    let read = match covered + row.not_covered.len() {
                        0 => String::new(),
                        read => format!(", in {covered} of {read} uses that were read"),
                    };
                    format!("Partly: {items}{read}. {why}")
                }
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
        let uses = Search::new(std::slice::from_ref(&one)).uses(&code(text));
        uses.iter().filter(|(found, _)| *found == one).count()
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
    fn the_function_of_a_use_is_found() {
        let text = "static int\nf(int a)\n{\n\tx(1);\nout:\n\tx(2);\n}\nconst struct s t = {\n\t.y = 1,\n};\n";
        assert_eq!(function_at(text, 4), "f");
        assert_eq!(function_at(text, 6), "f");
        assert_eq!(function_at(text, 9), "t");
    }

    #[test]
    fn the_table_is_valid() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        assert!(Table::read(root).is_ok());
    }
}
