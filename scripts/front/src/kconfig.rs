// SPDX-License-Identifier: GPL-2.0

//! The dependencies of a Kconfig symbol, evaluated for a `.config` and the tools of this machine.

use anyhow::{bail, Context, Result};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The files in which symbols are looked up, in addition to that of the architecture.
const FILES: &[&str] = &[
    "init/Kconfig",
    "arch/Kconfig",
    "kernel/module/Kconfig",
    "lib/Kconfig.debug",
    "lib/Kconfig.kasan",
    "security/Kconfig.hardening",
];

/// An expression after `depends on`, `def_bool` or `if`.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Symbol(String),
    /// A number or a string.
    Constant(String),
    /// `$(...)`, which only kconfig can evaluate.
    Macro(String),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(String, Box<Expr>, Box<Expr>),
}

impl Expr {
    /// Parses an expression.
    pub fn parse(text: &str) -> Result<Self> {
        let mut tokens = tokens(text)?;
        tokens.reverse();
        let expr = Self::or(&mut tokens)?;
        if !tokens.is_empty() {
            bail!("`{text}` has another form");
        }
        Ok(expr)
    }

    fn or(tokens: &mut Vec<String>) -> Result<Self> {
        let mut left = Self::and(tokens)?;
        while eat(tokens, &["||"]).is_some() {
            left = Self::Or(left.into(), Self::and(tokens)?.into());
        }
        Ok(left)
    }

    fn and(tokens: &mut Vec<String>) -> Result<Self> {
        let mut left = Self::compare(tokens)?;
        while eat(tokens, &["&&"]).is_some() {
            left = Self::And(left.into(), Self::compare(tokens)?.into());
        }
        Ok(left)
    }

    fn compare(tokens: &mut Vec<String>) -> Result<Self> {
        let left = Self::atom(tokens)?;
        let operators = ["=", "!=", "<", "<=", ">", ">="];
        match eat(tokens, &operators) {
            None => Ok(left),
            Some(op) => Ok(Self::Compare(op, left.into(), Self::atom(tokens)?.into())),
        }
    }

    fn atom(tokens: &mut Vec<String>) -> Result<Self> {
        let token = tokens.pop().context("the expression ends too early")?;
        if token == "!" {
            return Ok(Self::Not(Self::atom(tokens)?.into()));
        }
        if token == "(" {
            let inner = Self::or(tokens)?;
            eat(tokens, &[")"]).context("a bracket is not closed")?;
            return Ok(inner);
        }
        let constant = token.starts_with(['"', '\'']) || token.parse::<u64>().is_ok();
        Ok(match token.as_str() {
            "y" | "n" | "m" => Self::Constant(token),
            _ if token.starts_with("$(") => Self::Macro(token),
            _ if constant => Self::Constant(token.trim_matches(['"', '\'']).to_owned()),
            _ => Self::Symbol(token),
        })
    }
}

/// Takes the next token, which is the last one, if it is one of these.
fn eat(tokens: &mut Vec<String>, these: &[&str]) -> Option<String> {
    let next = tokens.last()?;
    if these.contains(&next.as_str()) {
        tokens.pop()
    } else {
        None
    }
}

/// Splits an expression.
fn tokens(text: &str) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let pairs = ["&&", "||", "!=", "<=", ">="];
        let length = if rest.starts_with("$(") {
            let mut depth = 0;
            let end = rest.find(|c| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0 && c == ')'
            });
            end.context("a macro is not closed")? + 1
        } else if pairs.iter().any(|pair| rest.starts_with(pair)) {
            2
        } else if "!=<>()".contains(first) {
            1
        } else if first == '"' || first == '\'' {
            rest[1..].find(first).context("a string is not closed")? + 2
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            end.unwrap_or(rest.len())
        };
        if length == 0 {
            bail!("`{text}` has another form");
        }
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// What a Kconfig file says of a symbol.
#[derive(Clone, Default)]
struct Symbol {
    depends: Vec<Expr>,
    /// The value without a prompt, and its condition.
    default: Vec<(Expr, Option<Expr>)>,
    prompt: bool,
}

/// One dependency of a symbol.
pub struct Dependency {
    pub text: String,
    /// `None`: only kconfig can tell.
    pub holds: Option<bool>,
    /// The values of the symbols, if it does not hold.
    pub because: String,
    /// What makes it hold.
    pub remedy: String,
}

/// The symbols of a kernel tree, with the values of a `.config`.
pub struct Kconfig {
    symbols: BTreeMap<String, Symbol>,
    /// The conditions under which others select a symbol.
    selects: BTreeMap<String, Vec<Option<Expr>>>,
    config: BTreeMap<String, String>,
    /// Values that this machine's tools have, whatever the `.config` says.
    facts: BTreeMap<String, String>,
}

impl Kconfig {
    /// Reads a tree and the text of a `.config`.
    ///
    /// # Errors
    ///
    /// - The text is a fragment or a defconfig, in which symbols without a prompt are missing.
    pub fn read(tree: &Path, config: &str, facts: BTreeMap<String, String>) -> Result<Self> {
        let config: BTreeMap<String, String> = config
            .lines()
            .filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        if !config.contains_key("CC_VERSION_TEXT") {
            bail!("the configuration is not complete; run `make olddefconfig` there first");
        }
        let mut all = Self {
            symbols: BTreeMap::new(),
            selects: BTreeMap::new(),
            config,
            facts,
        };
        let mut files: Vec<PathBuf> = FILES.iter().map(|file| tree.join(file)).collect();
        files.extend(all.architecture(tree).map(|dir| dir.join("Kconfig")));
        for file in files {
            // Not every series has each file.
            if let Ok(text) = fs::read_to_string(&file) {
                all.parse(&text);
            }
        }
        if !all.symbols.contains_key("RUST") {
            bail!("{}: this kernel has no CONFIG_RUST", tree.display());
        }
        Ok(all)
    }

    /// Returns the directory of the architecture that the `.config` is for.
    fn architecture(&self, tree: &Path) -> Option<PathBuf> {
        let all = fs::read_dir(tree.join("arch")).ok()?.flatten();
        all.map(|entry| entry.path()).find(|dir| {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            match name.as_ref() {
                "um" => self.config.contains_key("UML"),
                name => self.config.contains_key(&name.to_uppercase()),
            }
        })
    }

    fn parse(&mut self, text: &str) {
        let text = text.replace("\\\n", " ");
        let mut current: Option<String> = None;
        for line in text.lines() {
            if line.starts_with(|c: char| !c.is_whitespace() && c != '#') {
                let mut words = line.split_whitespace();
                let keyword = words.next().unwrap_or_default();
                let is_symbol = keyword == "config" || keyword == "menuconfig";
                current = words.next().filter(|_| is_symbol).map(str::to_owned);
                continue;
            }
            let Some(name) = &current else { continue };
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line == "help" {
                current = None;
                continue;
            }
            let Some((keyword, rest)) = line.split_once(char::is_whitespace) else {
                continue;
            };
            let rest = rest.trim();
            let (value, condition) = match rest.split_once(" if ") {
                Some((value, condition)) => (value.trim(), Expr::parse(condition).ok()),
                None => match rest.split_once("\tif ") {
                    Some((value, condition)) => (value.trim(), Expr::parse(condition).ok()),
                    None => (rest, None),
                },
            };
            if keyword == "select" {
                let all = self.selects.entry(value.to_owned()).or_default();
                all.push(condition);
                continue;
            }
            let symbol = self.symbols.entry(name.clone()).or_default();
            match keyword {
                "depends" => {
                    let expr = rest.strip_prefix("on ").map(Expr::parse);
                    symbol.depends.extend(expr.and_then(Result::ok));
                }
                "def_bool" | "default" => {
                    let expr = Expr::parse(value).ok();
                    symbol.default.extend(expr.map(|expr| (expr, condition)));
                }
                "bool" | "tristate" | "prompt" | "int" | "string" => symbol.prompt = true,
                _ => {}
            }
        }
    }

    /// Returns the dependencies of a symbol.
    pub fn dependencies(&self, name: &str) -> Vec<Dependency> {
        let symbol = self.symbols.get(name).cloned().unwrap_or_default();
        let all = symbol.depends.iter();
        all.map(|expr| {
            let holds = self.truth(expr, 0);
            let failed = holds != Some(true);
            Dependency {
                text: show(expr),
                holds,
                because: if failed {
                    self.values(expr)
                } else {
                    String::new()
                },
                remedy: if failed {
                    self.remedy(expr, true, 0)
                } else {
                    String::new()
                },
            }
        })
        .collect()
    }

    /// Returns whether the `.config` has the symbol on.
    pub fn is_on(&self, name: &str) -> bool {
        self.config.get(name).is_some_and(|v| v == "y" || v == "m")
    }

    /// Returns the value of an expression that is a symbol or a constant.
    fn value(&self, expr: &Expr, depth: usize) -> Option<String> {
        match expr {
            Expr::Constant(text) => Some(text.clone()),
            Expr::Symbol(name) => self.symbol(name, depth),
            _ => None,
        }
    }

    fn symbol(&self, name: &str, depth: usize) -> Option<String> {
        if let Some(fact) = self.facts.get(name) {
            return Some(fact.clone());
        }
        let text = |truth: bool| if truth { "y" } else { "n" }.to_owned();
        let stored = || {
            self.config
                .get(name)
                .cloned()
                .unwrap_or_else(|| text(false))
        };
        // The `.config` may be of a machine with other tools.
        let rule = self.rule(name).filter(|rule| self.has_fact(rule, depth));
        match rule.and_then(|rule| self.truth(&rule, depth + 1)) {
            Some(truth) => Some(text(truth)),
            None => Some(stored()),
        }
    }

    /// Returns the expression that is the value of a symbol without a prompt.
    fn rule(&self, name: &str) -> Option<Expr> {
        let and = |a: Expr, b: &Expr| Expr::And(a.into(), b.clone().into());
        let or = |a: Expr, b: Expr| Expr::Or(a.into(), b.into());
        let on = || Expr::Constant("y".to_owned());
        let selects = self.selects.get(name).into_iter().flatten();
        let mut ways = selects.map(|condition| condition.clone().unwrap_or_else(on));
        let selected = ways.next().map(|first| ways.fold(first, or));
        let symbol = self.symbols.get(name).cloned().unwrap_or_default();
        if symbol.prompt {
            return None;
        }
        let defaults = symbol.default.iter().map(|(value, condition)| {
            let value = value.clone();
            condition.iter().fold(value, and)
        });
        let default = defaults.reduce(or);
        let default = default.map(|default| symbol.depends.iter().fold(default, and));
        selected.into_iter().chain(default).reduce(or)
    }

    /// Returns whether an expression depends on this machine's tools.
    fn has_fact(&self, expr: &Expr, depth: usize) -> bool {
        match expr {
            Expr::Constant(_) | Expr::Macro(_) => false,
            Expr::Symbol(name) => {
                let rule = || self.rule(name).filter(|_| depth < 8);
                self.facts.contains_key(name)
                    || rule().is_some_and(|rule| self.has_fact(&rule, depth + 1))
            }
            Expr::Not(a) => self.has_fact(a, depth),
            Expr::And(a, b) | Expr::Or(a, b) | Expr::Compare(_, a, b) => {
                self.has_fact(a, depth) || self.has_fact(b, depth)
            }
        }
    }

    /// Evaluates an expression; `None`: only kconfig can.
    fn truth(&self, expr: &Expr, depth: usize) -> Option<bool> {
        match expr {
            Expr::Constant(text) => Some(text == "y" || text == "m"),
            Expr::Macro(_) => None,
            Expr::Symbol(name) => self.symbol(name, depth).map(|v| v == "y" || v == "m"),
            Expr::Not(a) => self.truth(a, depth).map(|a| !a),
            Expr::And(a, b) => match (self.truth(a, depth), self.truth(b, depth)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Expr::Or(a, b) => match (self.truth(a, depth), self.truth(b, depth)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Expr::Compare(op, a, b) => {
                let (a, b) = (self.value(a, depth)?, self.value(b, depth)?);
                let order = match (a.parse::<u64>(), b.parse::<u64>()) {
                    (Ok(a), Ok(b)) => a.cmp(&b),
                    _ => a.cmp(&b),
                };
                Some(match op.as_str() {
                    "=" => order.is_eq(),
                    "!=" => order.is_ne(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
        }
    }

    /// Returns the values of the symbols in an expression.
    fn values(&self, expr: &Expr) -> String {
        let mut names = Vec::new();
        names_of(expr, &mut names);
        names.dedup();
        let values = names.iter().map(|name| {
            let value = self.symbol(name, 0).unwrap_or_default();
            format!("{name}={value}")
        });
        values.collect::<Vec<_>>().join(", ")
    }

    /// Returns what gives an expression the value `want`, which it does not have.
    fn remedy(&self, expr: &Expr, want: bool, depth: usize) -> String {
        match expr {
            Expr::Constant(_) => String::new(),
            Expr::Macro(text) => format!("a compiler with {text}"),
            Expr::Not(a) => self.remedy(a, !want, depth),
            Expr::And(a, b) | Expr::Or(a, b) => {
                let all = matches!(expr, Expr::And(..)) == want;
                let parts = [a, b].into_iter().filter(|part| {
                    // Of alternatives, each one; of conditions, those that do not hold.
                    !all || self.truth(part, depth) != Some(want)
                });
                let parts = parts.map(|part| self.remedy(part, want, depth));
                let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
                parts.join(if all { " and " } else { ", or " })
            }
            Expr::Compare(op, a, b) => match (a.as_ref(), b.as_ref()) {
                (Expr::Symbol(tool), Expr::Constant(number)) => {
                    of_tool(tool, number).unwrap_or_else(|| format!("{tool} {op} {number}"))
                }
                _ => show(expr),
            },
            Expr::Symbol(name) => match (name.as_str(), want) {
                ("RANDSTRUCT" | "GCC_PLUGIN_RANDSTRUCT", false) => "RANDSTRUCT_NONE=y".to_owned(),
                ("RUST_IS_AVAILABLE", _) => "the tools above".to_owned(),
                ("CC_IS_CLANG", true) => "clang (LLVM=1)".to_owned(),
                (_, true) => match self.rule(name).filter(|_| depth < 4) {
                    Some(rule) => self.remedy(&rule, true, depth + 1),
                    None => format!("{name}=y"),
                },
                (_, false) => format!("{name}=n"),
            },
        }
    }
}

/// Returns the version of a tool that a number in Kconfig is.
fn of_tool(symbol: &str, number: &str) -> Option<String> {
    let number: u32 = number.parse().ok()?;
    let llvm = |n: u32| format!("{}.{}.{}", n / 10_000, n / 100 % 100, n % 100);
    Some(match symbol {
        "PAHOLE_VERSION" => format!("pahole {}.{} or newer", number / 100, number % 100),
        "RUSTC_VERSION" => {
            let (major, minor, patch) = (number / 100_000, number / 100 % 1000, number % 100);
            format!("rustc {major}.{minor}.{patch} or newer")
        }
        "RUSTC_LLVM_VERSION" => format!("a rustc with LLVM {} or newer", llvm(number)),
        "CLANG_VERSION" => format!("clang {} or newer", llvm(number)),
        _ => return None,
    })
}

fn names_of(expr: &Expr, names: &mut Vec<String>) {
    match expr {
        Expr::Symbol(name) => names.push(name.clone()),
        Expr::Constant(_) | Expr::Macro(_) => {}
        Expr::Not(a) => names_of(a, names),
        Expr::And(a, b) | Expr::Or(a, b) | Expr::Compare(_, a, b) => {
            names_of(a, names);
            names_of(b, names);
        }
    }
}

/// Returns the text of an expression.
fn show(expr: &Expr) -> String {
    let inner = |expr: &Expr| match expr {
        Expr::And(..) | Expr::Or(..) => format!("({})", show(expr)),
        _ => show(expr),
    };
    match expr {
        Expr::Symbol(text) | Expr::Constant(text) | Expr::Macro(text) => text.clone(),
        Expr::Not(a) => format!("!{}", inner(a)),
        Expr::And(a, b) => format!("{} && {}", inner(a), inner(b)),
        Expr::Or(a, b) => format!("{} || {}", inner(a), inner(b)),
        Expr::Compare(op, a, b) => format!("{} {op} {}", inner(a), inner(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = r#"
config RUST_IS_AVAILABLE
	def_bool $(success,scripts/rust_is_available.sh)

config RUST
	bool "Rust support"
	depends on HAVE_RUST
	depends on RUST_IS_AVAILABLE
	depends on !MODVERSIONS || GENDWARFKSYMS
	depends on !DEBUG_INFO_BTF || (HAS_LANG_EXCLUDE && !LTO)
	depends on !CALL_PADDING || RUSTC_VERSION >= 108100
	depends on !CFI || HAVE_CFI_RUST
	depends on !(RETHUNK && \
		KASAN)
	help
	  depends on nothing

config HAS_LANG_EXCLUDE
	def_bool PAHOLE_VERSION >= 124

config HAVE_CFI_RUST
	def_bool y
	depends on RUSTC_VERSION >= 107900
	depends on ARM64 || X86_64

config GENDWARFKSYMS
	bool "gendwarfksyms"

config CALL_PADDING
	def_bool n
"#;

    const X86: &str = "config X86\n\tdef_bool y\n\tselect HAVE_RUST\t\tif X86_64\n";

    /// Returns the dependencies that do not hold, with the reason and what to do.
    fn failed(name: &str, config: &str, facts: &[(&str, &str)]) -> Vec<[String; 3]> {
        let tree = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        for (file, text) in [("init/Kconfig", INIT), ("arch/x86/Kconfig", X86)] {
            fs::create_dir_all(tree.join(file).parent().unwrap()).unwrap();
            fs::write(tree.join(file), text).unwrap();
        }
        let facts = facts.iter().map(|(a, b)| (a.to_string(), b.to_string()));
        let config = format!("CONFIG_CC_VERSION_TEXT=\"\"\nCONFIG_X86=y\n{config}");
        let read = Kconfig::read(&tree, &config, facts.collect()).unwrap();
        fs::remove_dir_all(tree).unwrap();
        let all = read.dependencies("RUST").into_iter();
        assert!(!read.is_on("RUST"));
        all.filter(|one| one.holds != Some(true))
            .map(|one| [one.text, one.because, one.remedy])
            .collect()
    }

    const TOOLS: &[(&str, &str)] = &[
        ("RUST_IS_AVAILABLE", "y"),
        ("RUSTC_VERSION", "108500"),
        ("PAHOLE_VERSION", "123"),
    ];

    #[test]
    fn dependencies_that_hold_are_recognized() {
        let config = "CONFIG_X86_64=y\nCONFIG_HAVE_RUST=y\nCONFIG_CALL_PADDING=y\nCONFIG_CFI=y\n";
        assert_eq!(failed("holds", config, TOOLS), [[""; 3]; 0]);
    }

    #[test]
    fn dependencies_that_fail_have_a_reason_and_a_remedy() {
        let on = |text: &str| format!("CONFIG_X86_64=y\nCONFIG_HAVE_RUST=y\n{text}");
        assert_eq!(
            failed("modversions", &on("CONFIG_MODVERSIONS=y\n"), TOOLS),
            [[
                "!MODVERSIONS || GENDWARFKSYMS",
                "MODVERSIONS=y, GENDWARFKSYMS=n",
                "MODVERSIONS=n, or GENDWARFKSYMS=y"
            ]]
        );
        assert_eq!(
            failed("btf", &on("CONFIG_DEBUG_INFO_BTF=y\nCONFIG_LTO=y\n"), TOOLS),
            [[
                "!DEBUG_INFO_BTF || (HAS_LANG_EXCLUDE && !LTO)",
                "DEBUG_INFO_BTF=y, HAS_LANG_EXCLUDE=n, LTO=y",
                "DEBUG_INFO_BTF=n, or pahole 1.24 or newer and LTO=n"
            ]]
        );
        assert_eq!(
            failed("kasan", &on("CONFIG_RETHUNK=y\nCONFIG_KASAN=y\n"), TOOLS),
            [[
                "!(RETHUNK && KASAN)",
                "RETHUNK=y, KASAN=y",
                "RETHUNK=n, or KASAN=n"
            ]]
        );
        let old = &[("RUST_IS_AVAILABLE", "n"), ("RUSTC_VERSION", "107800")];
        let text = on("CONFIG_CFI=y\nCONFIG_HAVE_CFI_RUST=y\nCONFIG_CALL_PADDING=y\n");
        let all = failed("old", &text, old);
        assert_eq!(all.len(), 3);
        assert_eq!(all[1][2], "CALL_PADDING=n, or rustc 1.81.0 or newer");
        assert_eq!(all[2][2], "CFI=n, or rustc 1.79.0 or newer");
        assert_eq!(
            failed("i386", "", TOOLS),
            [["HAVE_RUST", "HAVE_RUST=n", "X86_64=y"]]
        );
    }

    #[test]
    fn expressions_are_parsed() {
        let show = |text| show(&Expr::parse(text).unwrap());
        assert_eq!(show("!A||B && C>=12"), "!A || (B && C >= 12)");
        assert_eq!(
            show("$(cc-option,-f(x)) && \"a b\" = D"),
            "$(cc-option,-f(x)) && a b = D"
        );
        assert!(Expr::parse("(A").is_err());
        assert!(Expr::parse("A B").is_err());
    }
}
