// SPDX-License-Identifier: GPL-2.0

//! Finding the prose in source files: comments, documentation and messages, without code.

use std::path::Path;

/// A paragraph of a comment or document, as one line, or one string literal. Code is overwritten with
/// backticks.
pub struct Paragraph {
    pub text: String,
    /// The offset in `text` at which each line of the file begins, and the number of that line.
    lines: Vec<(usize, usize)>,
}

impl Paragraph {
    /// Returns the number of the line at `offset` in `text`.
    pub fn line(&self, offset: usize) -> usize {
        let index = self.lines.partition_point(|(start, _)| *start <= offset);
        self.lines[index.saturating_sub(1)].1
    }
}

/// Joins lines to paragraphs.
#[derive(Default)]
struct Joiner {
    done: Vec<Paragraph>,
    text: String,
    lines: Vec<(usize, usize)>,
}

impl Joiner {
    fn add(&mut self, number: usize, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            return self.end();
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.lines.push((self.text.len(), number));
        self.text += &words.join(" ");
    }

    /// Ends the paragraph.
    fn end(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            let text = without_code(&text);
            self.done.push(Paragraph { text, lines });
        }
    }

    fn finish(mut self) -> Vec<Paragraph> {
        self.end();
        self.done
    }
}

/// Overwrites code in backticks, and the targets of links, with backticks.
fn without_code(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut overwrite = |from: usize, to: usize| bytes[from..to].fill(b'`');
    let mut at = 0;
    while let Some(begin) = text[at..].find('`').map(|n| at + n) {
        let rest = &text[begin..];
        let ticks = rest.len() - rest.trim_start_matches('`').len();
        let open = begin + ticks;
        let close = text[open..].find(&"`".repeat(ticks)).map(|n| open + n);
        let Some(close) = close else {
            break;
        };
        overwrite(begin, close + ticks);
        at = close + ticks;
    }
    for begin in ["](", "https://", "http://"] {
        for (from, _) in text.match_indices(begin) {
            let end = text[from..].find([' ', ')']);
            overwrite(from, end.map_or(text.len(), |n| from + n));
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Returns the prose of a file, by its name.
pub fn paragraphs(path: &Path, text: &str) -> Vec<Paragraph> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    match &*ending {
        "rs" => source(text, 1, Language::Rust),
        "c" | "h" => source(text, 1, Language::C),
        "md" => markdown(text),
        "rst" => rst(text),
        "dot" => dot(text),
        "toml" => toml(text),
        _ if name.starts_with("Kconfig") => kconfig(text),
        _ => shell(text),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Language {
    Rust,
    C,
}

/// A comment, or a part of one on one line.
struct Comment<'a> {
    line: usize,
    marker: &'a str,
    text: &'a str,
}

/// Returns the comments and the string literals of Rust or C code that begins at line `first`.
fn source(text: &str, first: usize, language: Language) -> Vec<Paragraph> {
    let (comments, strings) = lex(text, first, language);
    let mut joiner = Joiner::default();
    let mut fenced = false;
    let mut previous: Option<(usize, &str)> = None;
    for comment in comments {
        if previous.is_none_or(|(line, marker)| {
            marker != comment.marker || (comment.line != line && comment.line != line + 1)
        }) {
            joiner.end();
            fenced = false;
        }
        previous = Some((comment.line, comment.marker));
        let line = comment.text.trim();
        if line.starts_with("```") {
            joiner.end();
            fenced = !fenced;
        } else if fenced || line.starts_with('~') || line.starts_with('@') || is_definition(line) {
            // Code, the annotations of tests/ui/, and the targets of links.
            joiner.end();
        } else {
            if line.starts_with('#') || line.starts_with("- ") {
                joiner.end();
            }
            joiner.add(comment.line, line);
            if line.starts_with("# ") {
                joiner.end();
            }
        }
    }
    joiner.end();
    for (line, text) in strings {
        if is_message(&text) {
            for (i, part) in text.lines().enumerate() {
                joiner.add(line + i, part);
            }
            joiner.end();
        }
    }
    joiner.finish()
}

/// Returns whether the line is the definition of a link's target.
fn is_definition(line: &str) -> bool {
    line.starts_with('[') && line.contains("]: ")
}

/// Returns whether a string literal has two words that are separated by a space.
fn is_message(text: &str) -> bool {
    text.split_whitespace()
        .filter(|word| {
            word.len() > 1
                && word
                    .chars()
                    .all(|c| c.is_alphabetic() || ",.:;'".contains(c))
        })
        .count()
        > 1
}

/// Splits source code. Returns the lines of its comments, and its string literals with the line on which
/// each begins.
fn lex(text: &str, first: usize, language: Language) -> (Vec<Comment<'_>>, Vec<(usize, String)>) {
    let (mut comments, mut strings) = (Vec::new(), Vec::new());
    let (mut at, mut line) = (0, first);
    while at < text.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            let marker = ["///", "//!", "//"].into_iter();
            let marker = marker
                .into_iter()
                .find(|m| rest.starts_with(m))
                .unwrap_or("//");
            comments.push(Comment {
                line,
                marker,
                text: &rest[marker.len()..end],
            });
            end
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |n| n + 2);
            let inner = rest[..end].trim_start_matches("/*").trim_end_matches("*/");
            for (i, part) in inner.lines().enumerate() {
                let part = part.trim().trim_start_matches('*');
                comments.push(Comment {
                    line: line + i,
                    marker: "/*",
                    text: part,
                });
            }
            end
        } else if let Some(quotes) = raw_quotes(rest, language, text[..at].chars().next_back()) {
            let close = format!("\"{}", "#".repeat(quotes.hashes));
            let inner = &rest[quotes.length..];
            let end = inner.find(&close).unwrap_or(inner.len());
            strings.push((line, inner[..end].to_owned()));
            (quotes.length + end + close.len()).min(rest.len())
        } else if rest.starts_with('"') {
            let (value, length) = string(rest);
            strings.push((line, value));
            length
        } else if rest.starts_with('\'') {
            character(rest, language)
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    (comments, strings)
}

/// The beginning of a raw string literal.
struct RawQuotes {
    hashes: usize,
    length: usize,
}

/// Recognizes `r"`, `r#"` and so on.
fn raw_quotes(rest: &str, language: Language, before: Option<char>) -> Option<RawQuotes> {
    let inside_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if language == Language::C || (inside_word && !matches!(before, Some('b' | 'c'))) {
        return None;
    }
    let quotes = rest.strip_prefix('r')?;
    let hashes = quotes.len() - quotes.trim_start_matches('#').len();
    quotes[hashes..].starts_with('"').then_some(RawQuotes {
        hashes,
        length: hashes + 2,
    })
}

/// Returns the value of the string literal at the beginning of `rest`, and the literal's length. Escape
/// sequences and placeholders become spaces; line breaks stay.
fn string(rest: &str) -> (String, usize) {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    let mut depth = 0_usize;
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, i + 1),
            '\\' => match chars.next() {
                Some((_, '\n')) => value.push('\n'),
                Some((_, '\'' | '"')) if depth == 0 => value.push('\''),
                _ => value.push(' '),
            },
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                value.push('`');
            }
            '\n' => value.push('\n'),
            _ if depth > 0 => {}
            c => value.push(c),
        }
    }
    (value, rest.len())
}

/// Returns the length of the character literal at the beginning of `rest`, or of the quote of a lifetime.
fn character(rest: &str, language: Language) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            chars.next();
            rest[2..]
                .char_indices()
                .skip(1)
                .find(|(_, c)| *c == '\'')
                .map_or(2, |(i, _)| i + 3)
        }
        Some(_) => match chars.next() {
            Some((i, '\'')) => i + 1,
            _ if language == Language::C => 1,
            _ => 1,
        },
        None => 1,
    }
}

/// Returns the prose of a Markdown document.
fn markdown(text: &str) -> Vec<Paragraph> {
    let mut joiner = Joiner::default();
    let mut fenced = false;
    let mut blank = true;
    for (i, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            joiner.end();
        } else if fenced || (blank && line.starts_with("    ")) {
            joiner.end();
        } else {
            if line.starts_with(['#', '|', '-', '*']) {
                joiner.end();
            }
            joiner.add(i + 1, line);
            blank = line.trim().is_empty();
        }
    }
    joiner.finish()
}

/// Returns the prose of a reStructuredText document.
fn rst(text: &str) -> Vec<Paragraph> {
    let mut joiner = Joiner::default();
    // The indentation of the paragraph that a literal block follows.
    let mut literal: Option<usize> = None;
    for (i, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() {
            joiner.end();
            continue;
        }
        if literal.is_some_and(|outer| indent > outer) {
            continue;
        }
        literal = None;
        let is_code = [".. code-block::", ".. code::", ".. kernel-doc::"];
        if is_code
            .iter()
            .any(|code| line.trim_start().starts_with(code))
        {
            literal = Some(indent);
            continue;
        }
        joiner.add(i + 1, line);
        // A directive, such as a table, has text.
        if line.trim_end().ends_with("::") && !line.trim_start().starts_with(".. ") {
            literal = Some(indent);
        }
    }
    joiner.finish()
}

/// Returns the comments and the labels of a graph. A label is a string, or like HTML.
fn dot(text: &str) -> Vec<Paragraph> {
    let mut joiner = Joiner::default();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        let text = match line.strip_prefix("//") {
            Some(comment) => comment.to_owned(),
            None => {
                joiner.end();
                label(line)
            }
        };
        joiner.add(i + 1, &text);
    }
    joiner.finish()
}

/// Returns the label in a line of a graph, without tags and attributes.
fn label(line: &str) -> String {
    let text = line.split_once("label=").map_or(line, |(_, label)| label);
    // Only a label has tags, or begins with a quotation mark.
    if !text.contains("<b>") && !text.contains("<br") && !text.starts_with('"') {
        return String::new();
    }
    let mut out = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                out.push(' ');
            }
            '"' | '[' | ']' | ';' if !in_tag => out.push(' '),
            c if !in_tag => out.push(c),
            _ => {}
        }
    }
    out.replace("\\n", " ")
        .replace("&lt ", "<")
        .replace("&gt ", ">")
}

/// Returns the comments of a TOML file, the values of some keys, and the prose in multi-line strings,
/// which contain code.
fn toml(text: &str) -> Vec<Paragraph> {
    const KEYS: &[&str] = &[
        "name",
        "why",
        "what",
        "op",
        "description",
        "means",
        "sentence",
        "message",
        "new.message",
        "cover",
    ];
    let mut joiner = Joiner::default();
    let mut inner = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((i, line)) = lines.next() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            joiner.add(i + 1, comment);
            continue;
        }
        joiner.end();
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if let Some(quotes) = ["\"\"\"", "'''"].into_iter().find(|q| value.starts_with(q)) {
            let mut block = value[3..].to_owned() + "\n";
            if value[3..].contains(quotes) {
                continue;
            }
            for (_, line) in lines.by_ref() {
                if let Some((last, _)) = line.split_once(quotes) {
                    block += last;
                    break;
                }
                block += line;
                block.push('\n');
            }
            if KEYS.contains(&key) {
                for (n, line) in block.lines().enumerate() {
                    joiner.add(i + 1 + n, line);
                }
                joiner.end();
            } else {
                inner.extend(source(&block, i + 1, Language::Rust));
            }
        } else if KEYS.contains(&key) {
            joiner.add(i + 1, value.trim_matches(['"', '\'']));
            joiner.end();
        }
    }
    let mut all = joiner.finish();
    all.extend(inner);
    all
}

/// Returns the comments, prompts and help texts of a Kconfig file.
fn kconfig(text: &str) -> Vec<Paragraph> {
    const KEYWORDS: &[&str] = &[
        "config", "depends", "select", "default", "source", "if", "endif", "def_bool", "menu",
        "endmenu", "help",
    ];
    let mut joiner = Joiner::default();
    for (i, line) in text.lines().enumerate() {
        let first = line.split_whitespace().next().unwrap_or_default();
        // A help text is indented by a tab and two spaces.
        if KEYWORDS.contains(&first) && !line.starts_with("\t  ") {
            joiner.end();
        } else {
            joiner.add(i + 1, line.trim().trim_start_matches('#'));
        }
    }
    joiner.finish()
}

/// Returns the comments of a file in which they begin with `#`.
fn shell(text: &str) -> Vec<Paragraph> {
    let mut joiner = Joiner::default();
    for (i, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix('#') {
            // A symbol that is not set, in a fragment of the configuration.
            Some(comment) if !comment.starts_with(" CONFIG_") => joiner.add(i + 1, comment),
            _ => joiner.end(),
        }
    }
    joiner.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(name: &str, text: &str) -> Vec<String> {
        let all = paragraphs(Path::new(name), text);
        all.into_iter().map(|p| p.text).collect()
    }

    #[test]
    fn comments_and_messages_of_rust_are_prose() {
        let text = r##"
//! The first
//! paragraph.
//!
//! ```
//! // code
//! ```
/// Has `code` in it, [a link](https://area).
fn f<'a>(c: char) { if c == '"' || c == '\'' { return; } } // A comment.
const A: &str = "a message {area} here"; //~ ERROR: area
const B: &str = r#"raw "message" text"#;
const C: &str = "area";
/* A block
 * comment. */
"##;
        assert_eq!(
            prose("a.rs", text),
            [
                "The first paragraph.",
                "Has `````` in it, [a link``````````````).",
                "A comment.",
                "A block comment.",
                "a message ` here",
                "raw \"message\" text",
            ]
        );
    }

    #[test]
    fn the_line_of_a_word_is_known() {
        let all = paragraphs(Path::new("a.rs"), "\n// one\n// two\n");
        assert_eq!(all[0].text, "one two");
        assert_eq!((all[0].line(0), all[0].line(4)), (2, 3));
        let all = paragraphs(Path::new("a.rs"), "f(\"one two \\\n   three\");\n// x\n");
        assert_eq!((all[0].text.as_str(), all[0].line(0)), ("x", 3));
        assert_eq!(all[1].text, "one two three");
        assert_eq!(all[1].line(8), 2);
    }

    #[test]
    fn code_in_documents_is_no_prose() {
        assert_eq!(
            prose("a.md", "# T\n\ntext `x`\n\n    code\n\n```\ncode\n```\n"),
            ["# T", "text ```"]
        );
        assert_eq!(
            prose("a.rst", "text ``x``::\n\n  code\n\n  code\n\nmore\n"),
            ["text `````::", "more"]
        );
    }

    #[test]
    fn labels_of_a_graph_are_prose() {
        let text = "// a\n// comment\ndigraph x {\n\tnode [shape=box, color=\"#dce6f2\"];\n\
                    \ta [label=<<b>one</b><br/>two>];\n\ta -> b [label=\"the\\narea\"];\n}\n";
        assert_eq!(prose("a.dot", text), ["a comment", "one two", "the area"]);
    }

    #[test]
    fn other_files_have_prose() {
        assert_eq!(
            prose(
                "a.toml",
                "# one\nname = \"two\"\nfind = \"x\"\nlines = '''\n// three\nx\n'''\n"
            ),
            ["one", "two", "three"]
        );
        assert_eq!(
            prose(
                "Kconfig",
                "config X\n\tbool \"one\"\n\thelp\n\t  two\n\t  if three\n"
            ),
            ["bool \"one\"", "two if three"]
        );
        assert_eq!(prose("Makefile", "# one\n# two\nx := y\n"), ["one two"]);
    }
}
