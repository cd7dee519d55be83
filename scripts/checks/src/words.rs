// SPDX-License-Identifier: GPL-2.0

//! Checking the language of comments, documentation and messages, by `scripts/words.toml`.

use crate::prose;
use anyhow::{Context, Result};
use front::{outcome::Outcome, tree};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

/// Where prose is searched.
const PATHS: &[&str] = &[
    ".ci",
    "CONTRIBUTING.md",
    "Documentation",
    "Kconfig",
    "Makefile",
    "README.md",
    "backport",
    "configs",
    "lib",
    "manifest.toml",
    "patches.toml",
    "rust",
    "samples",
    "scripts",
    "tests",
    "tools/testing/selftests",
];
/// Where sections `# Context` are checked.
const CONTEXT: &str = "rust/kernel";
const LIST: &str = "scripts/words.toml";

/// `scripts/words.toml`, where each entry is described.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    skip: Vec<PathBuf>,
    word: Vec<Word>,
    context: Vec<Sentence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    #[serde(deserialize_with = "regex")]
    find: Regex,
    #[serde(rename = "use")]
    replacement: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "only the test uses it"))]
    example: String,
    #[serde(default, deserialize_with = "regexes")]
    except: Vec<Regex>,
    #[serde(default)]
    only: Vec<PathBuf>,
}

/// A sentence of the sections `# Context`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sentence {
    sentence: String,
    #[expect(dead_code, reason = "it is for the reader")]
    means: String,
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).build()
}

fn regex<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Regex, D::Error> {
    let text = String::deserialize(from)?;
    compile(&text).map_err(serde::de::Error::custom)
}

fn regexes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Regex>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let all = texts.iter().map(|text| compile(text));
    all.collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}

/// Something to be changed.
struct Finding {
    file: PathBuf,
    line: usize,
    found: String,
    replacement: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(
            f,
            "{file}:{}: {} -> {}",
            self.line, self.found, self.replacement
        )
    }
}

impl List {
    fn read(root: &Path) -> Result<Self> {
        let path = root.join(LIST);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Returns the words of a file that are on the list.
    fn words(&self, file: &Path, text: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let below = |paths: &[PathBuf]| paths.iter().any(|path| file.starts_with(path));
        for paragraph in prose::paragraphs(file, text) {
            let words = self.word.iter();
            for word in words.filter(|w| w.only.is_empty() || below(&w.only)) {
                for hit in word.find.find_iter(&paragraph.text) {
                    let permitted = word.except.iter().any(|except| {
                        let mut matches = except.find_iter(&paragraph.text);
                        matches.any(|m| m.start() < hit.end() && hit.start() < m.end())
                    });
                    if !permitted {
                        found.push(Finding {
                            file: file.to_owned(),
                            line: paragraph.line(hit.start()),
                            found: hit.as_str().to_owned(),
                            replacement: word.replacement.clone(),
                        });
                    }
                }
            }
        }
        found.sort_by_key(|finding| finding.line);
        found
    }

    /// Returns the sentences in sections `# Context` that are not in the vocabulary.
    fn contexts(&self, file: &Path, text: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let documentation = |line: &str| -> Option<String> {
            let line = line.trim_start();
            let rest = line.strip_prefix("///").or(line.strip_prefix("//!"))?;
            Some(rest.trim().to_owned())
        };
        let mut add = |line: usize, what: &str| {
            found.push(Finding {
                file: file.to_owned(),
                line,
                found: format!("# Context: {what}"),
                replacement: format!("sentences of {LIST}"),
            });
        };
        let mut lines = text.lines().enumerate().peekable();
        while let Some((heading, line)) = lines.next() {
            if documentation(line).as_deref() != Some("# Context") {
                continue;
            }
            let mut section = String::new();
            while let Some(line) = lines.peek().and_then(|(_, line)| documentation(line)) {
                if line.starts_with('#') || line.starts_with("```") {
                    break;
                }
                section += &line;
                section.push(' ');
                lines.next();
            }
            let section: Vec<&str> = section.split_whitespace().collect();
            let section = section.join(" ").replace('`', "");
            if section.is_empty() {
                add(heading + 1, "(empty)");
            }
            for sentence in section.split_inclusive(". ") {
                let sentence = sentence.trim();
                if !self.context.iter().any(|known| known.sentence == sentence) {
                    add(heading + 1, sentence);
                }
            }
        }
        found
    }
}

/// Returns the files to check, relative to `root`.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in PATHS {
        let path = root.join(path);
        let all = match path.is_dir() {
            true => tree::walk(&path)?,
            false => vec![path],
        };
        for file in all {
            let at = file.strip_prefix(root)?.to_owned();
            let generated = at
                .iter()
                .any(|part| part == "target" || part == "Cargo.lock");
            if !generated {
                files.push(at);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Checks all files. Prints what is to be changed.
pub fn check(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let list = List::read(root)?;
    // `ONLY=` selects files by a part of their path.
    let only = env::var("ONLY").unwrap_or_default();
    let (mut words, mut contexts) = (Vec::new(), Vec::new());
    let files = files(root)?;
    for file in files.iter().filter(|f| f.to_string_lossy().contains(&only)) {
        if list.skip.contains(file) {
            continue;
        }
        // A file that is not text has no prose.
        let Ok(text) = fs::read_to_string(root.join(file)) else {
            continue;
        };
        words.extend(list.words(file, &text));
        if file.starts_with(CONTEXT) {
            contexts.extend(list.contexts(file, &text));
        }
    }
    for (name, findings) in [
        ("words of scripts/words.toml", words),
        ("sections # Context", contexts),
    ] {
        for finding in &findings {
            outcome.print_line(&finding.to_string());
        }
        outcome.report(
            name,
            findings.is_empty(),
            &format!("{} to be changed", findings.len()),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        List::read(manifest.ancestors().nth(2).unwrap()).unwrap()
    }

    fn words(file: &str, text: &str) -> Vec<String> {
        let found = list().words(Path::new(file), text);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_word_is_found_in_its_example() {
        for word in list().word {
            let top = word
                .only
                .first()
                .map_or(Path::new("rust"), PathBuf::as_path);
            let file = match top.extension() {
                Some(_) => top.to_owned(),
                None => top.join("a.rs"),
            };
            let only = List {
                skip: Vec::new(),
                word: vec![word],
                context: Vec::new(),
            };
            let text = format!("// {}\n", only.word[0].example);
            assert_eq!(only.words(&file, &text).len(), 1, "{text}");
        }
    }

    /// A comment, a message, and words on two lines.
    #[test]
    fn a_bad_comment_is_found() {
        assert_eq!(
            words("rust/kernel/a.rs", "\n/// Maps an area.\nfn f() {}\n"),
            ["rust/kernel/a.rs:2: area -> VMA"]
        );
        assert_eq!(
            words("scripts/a.rs", "const A: &str = \"no area here\";\n"),
            ["scripts/a.rs:1: area -> VMA"]
        );
        assert_eq!(
            words("a.rs", "// x\n// A thread of\n// the kernel.\n"),
            ["a.rs:2: thread of the kernel -> kthread"]
        );
    }

    #[test]
    fn code_and_exceptions_are_permitted() {
        let good = [
            "// The `area` of a vm_area_struct.",
            "fn area() { let area = \"area\"; }",
            "// A stack frame.",
            "// The count of pages, a number of pages.",
        ];
        for text in good {
            assert!(words("rust/a.rs", text).is_empty(), "{text}");
        }
        assert_eq!(words("rust/a.rs", "// A page frame.").len(), 1);
        assert_eq!(words("rust/a.rs", "// A program.").len(), 1);
        assert!(words("tests/a.rs", "// A program.").is_empty());
    }

    #[test]
    fn context_has_a_vocabulary() {
        let found = |text: &str| {
            let found = list().contexts(Path::new("a.rs"), text);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let good = "/// # Context\n///\n/// Process context; may sleep. The caller must not hold\n\
                    /// the mmap lock.\n///\n/// # Examples\n";
        assert!(found(good).is_empty());
        assert_eq!(
            found("x\n/// # Context\n///\n/// Process context. Any context.\nfn f() {}\n"),
            ["a.rs:2: # Context: Any context. -> sentences of scripts/words.toml"]
        );
        assert_eq!(found("//! # Context\n\nfn f() {}\n").len(), 1);
    }
}
