// SPDX-License-Identifier: GPL-2.0

//! Checking that the source and `models.toml` agree, in both directions.

use crate::table::{Site, Table};
use anyhow::{Context, Result};
use regex::Regex;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The word that begins the names of models in a comment.
const MARKER: &str = "MODEL: ";
/// What orders accesses, or is ordered.
const ORDERINGS: &[&str] = &[
    r"\b(Relaxed|Acquire|Release|Full)\b",
    r"\bsmp_\w+\(",
    r"\b(READ|WRITE)_ONCE\(",
    r"\b_*set_current_state\(",
    r"\bsynchronize_rcu\(",
    r"\b(wq_has_sleeper|waitqueue_active)\(",
    r"\b(atomic|atomic64|atomic_long|refcount)_\w+\(",
    r"\brcu_(dereference|assign_pointer)\w*\(",
];

/// A part of a file up to a line that ends with `;`, `{` or `}`, without comments.
#[derive(Debug, Default, PartialEq)]
struct Statement {
    line: usize,
    text: String,
    /// The names in the comments above it.
    markers: Vec<String>,
}

/// Returns a line without its comment, and the comment. `is_open` says whether a comment of several
/// lines has begun before the line, and is set if one continues behind it.
fn split(line: &str, is_open: &mut bool) -> (String, String) {
    let (mut code, mut comment) = (String::new(), String::new());
    let mut rest = line;
    while !rest.is_empty() {
        if *is_open {
            let (inside, after) = match rest.split_once("*/") {
                Some(parts) => {
                    *is_open = false;
                    parts
                }
                None => (rest, ""),
            };
            comment += inside;
            rest = after;
        } else {
            let begins = |mark: &str| rest.find(mark).unwrap_or(rest.len());
            let (line, block) = (begins("//"), begins("/*"));
            code += &rest[..line.min(block)];
            if line < block {
                comment += &rest[line + 2..];
                break;
            }
            *is_open = block < rest.len();
            rest = rest.get(block + 2..).unwrap_or("");
        }
    }
    (code.trim().to_owned(), comment)
}

/// Returns the statements of a file, without its imports.
fn statements(text: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    let mut is_open = false;
    let mut now = Statement::default();
    for (number, line) in text.lines().enumerate() {
        let (code, comment) = split(line, &mut is_open);
        if let Some((_, names)) = comment.split_once(MARKER) {
            let names = names.trim_end_matches(['.', ' ']).split(", ");
            now.markers.extend(names.map(ToOwned::to_owned));
        }
        if code.is_empty() {
            continue;
        }
        // A directive of C, or an attribute, is not part of what follows.
        if code.starts_with('#') {
            all.push(Statement {
                line: number + 1,
                text: code,
                markers: Vec::new(),
            });
            continue;
        }
        if now.text.is_empty() {
            now.line = number + 1;
        } else {
            now.text.push(' ');
        }
        now.text += &code;
        let is_import = ["use ", "pub use "].iter().any(|u| now.text.starts_with(u));
        let ends: &[char] = if is_import { &[';'] } else { &[';', '{', '}'] };
        if code.ends_with(ends) {
            if !is_import {
                all.push(std::mem::take(&mut now));
            }
            now = Statement::default();
        }
    }
    if !now.text.is_empty() {
        all.push(now);
    }
    all
}

/// Returns the text without what rustfmt may change.
fn squeezed(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    text.replace(",)", ")")
}

/// Compares one file with the table. `found` gets the sites, and `explained` the rows of `none`.
fn compare(
    file: &str,
    text: &str,
    table: &Table,
    found: &mut BTreeSet<(String, String)>,
    explained: &mut BTreeSet<usize>,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let ordering = Regex::new(&ORDERINGS.join("|"))?;
    for statement in statements(text) {
        let place = format!("{file}:{}", statement.line);
        for name in &statement.markers {
            let site = site(table, name);
            let Some(site) = site else {
                wrong.push(format!("{place}: models.toml has no {name}"));
                continue;
            };
            if site.file != file {
                wrong.push(format!("{place}: {name} is a site in {}", site.file));
            }
            if !squeezed(&statement.text).starts_with(&squeezed(&site.code)) {
                let (is, want) = (&statement.text, &site.code);
                wrong.push(format!(
                    "{place}: {name}: `{is}`, and in models.toml `{want}`"
                ));
            }
            let (model, id) = name.split_once('/').unwrap_or_default();
            if !found.insert((model.to_owned(), id.to_owned())) {
                wrong.push(format!("{place}: a second {name}"));
            }
        }
        if !statement.markers.is_empty() || !ordering.is_match(&statement.text) {
            continue;
        }
        let rows = table.none.iter().enumerate();
        let mut rows = rows.filter(|(_, row)| {
            let is_all = row.code == "*";
            row.file == file && (is_all || squeezed(&statement.text).contains(&squeezed(&row.code)))
        });
        match rows.next() {
            Some((number, _)) => {
                explained.insert(number);
            }
            None => wrong.push(format!(
                "{place}: neither a model nor a row of `none` for `{}`",
                statement.text
            )),
        }
    }
    Ok(())
}

fn site<'a>(table: &'a Table, name: &str) -> Option<&'a Site> {
    let (model, id) = name.split_once('/')?;
    let model = table.model.iter().find(|m| m.name == model)?;
    model.site.iter().find(|site| site.id == id)
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs" || e == "c") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the differences between the source and the table.
pub fn check(root: &Path, table: &Table) -> Result<Vec<String>> {
    let mut files = Vec::new();
    walk(&root.join("rust"), &mut files)?;
    files.sort();
    let (mut found, mut explained, mut wrong) = Default::default();
    for path in &files {
        let file = path.strip_prefix(root)?.display().to_string();
        let text = fs::read_to_string(path).with_context(|| file.clone())?;
        compare(&file, &text, table, &mut found, &mut explained, &mut wrong)?;
    }
    for model in &table.model {
        for site in &model.site {
            if !found.contains(&(model.name.clone(), site.id.clone())) {
                let (file, name) = (&site.file, &model.name);
                wrong.push(format!("{file} has no `{MARKER}{name}/{}`", site.id));
            }
        }
    }
    for (number, row) in table.none.iter().enumerate() {
        if !explained.contains(&number) {
            wrong.push(format!("no ordering: none of {}: `{}`", row.file, row.code));
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [[model]]
        name = "begin"
        bad = "The value is not found."
        [[model.site]]
        id = "start"
        file = "a.rs"
        code = "begin.store(true, Release);"
        [[none]]
        file = "a.rs"
        code = "count.load(Relaxed)"
        none = "The value is only printed."
    "#;

    const GOOD: &str = "
        use kernel::sync::atomic::{
            Relaxed,
            Release, //
        };
        /// An example: `x.load(Relaxed)`
        fn f() {
            // The reason.
            // MODEL: begin/start
            begin
                .store(
                    true,
                    Release,
                );
            count.load(Relaxed);
        }";

    fn wrong(text: &str) -> Vec<String> {
        let table = Table::parse(TABLE).unwrap();
        let (mut found, mut explained, mut wrong) = Default::default();
        compare("a.rs", text, &table, &mut found, &mut explained, &mut wrong).unwrap();
        if found.is_empty() || explained.is_empty() {
            wrong.push("incomplete".to_owned());
        }
        wrong
    }

    #[test]
    fn a_source_that_agrees_is_accepted() {
        assert_eq!(wrong(GOOD), [""; 0]);
    }

    #[test]
    fn a_changed_ordering_is_found() {
        let weaker = GOOD.replace("                    Release,", "Relaxed,");
        assert!(wrong(&weaker)[0].contains("begin/start: `begin .store( true, Relaxed, );`"));
    }

    #[test]
    fn a_new_ordering_is_found() {
        let more = GOOD.replace(
            "count.load(Relaxed);",
            "count.load(Relaxed);\nx.load(Acquire);",
        );
        assert!(wrong(&more)[0].contains("neither a model nor"));
        let more = GOOD.replace("count.load(Relaxed);", "count.load(Relaxed);\nsmp_mb();");
        assert!(wrong(&more)[0].contains("neither a model nor"));
    }

    #[test]
    fn a_marker_that_is_lost_or_unknown_is_found() {
        let lost = GOOD.replace("// MODEL: begin/start", "");
        assert!(wrong(&lost)[0].contains("neither a model nor"));
        let unknown = GOOD.replace("begin/start", "begin/stop");
        assert!(wrong(&unknown)[0].contains("models.toml has no begin/stop"));
        let two = format!("{GOOD}\n// MODEL: begin/start\nbegin.store(true, Release);\n");
        assert!(wrong(&two)[0].contains("a second begin/start"));
    }

    #[test]
    fn comments_of_c_are_no_code() {
        let text = "/*\n * smp_mb(); MODEL: a/b, c/d\n */\nx = READ_ONCE(y); /* smp_rmb() */\n";
        let markers = vec!["a/b".to_owned(), "c/d".to_owned()];
        let text_of = "x = READ_ONCE(y);".to_owned();
        let found = statements(text);
        assert_eq!(found[0].markers, markers);
        assert_eq!(found[0].text, text_of);
    }

    #[test]
    fn the_source_agrees_with_the_table() {
        let root = crate::root();
        let table = Table::read(&root).unwrap();
        assert_eq!(check(&root, &table).unwrap(), [""; 0]);
    }
}
