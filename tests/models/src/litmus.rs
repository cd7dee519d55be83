// SPDX-License-Identifier: GPL-2.0

//! Parsing litmus tests in the C dialect of `tools/memory-model`, as far as the tests here use it.

use anyhow::{bail, ensure, Context, Result};
use std::collections::BTreeMap;

/// A value. Addresses of variables are values as well, from [`ADDRESS`] on.
pub type Value = i64;

/// The value that stands for the address of variable 0.
pub const ADDRESS: Value = 1 << 32;

#[derive(Clone, Debug)]
pub enum Expr {
    Number(Value),
    Name(String),
    Not(Box<Expr>),
    Binary(Box<Expr>, String, Box<Expr>),
    Call(String, Vec<Expr>),
}

#[derive(Clone, Debug)]
pub enum Stmt {
    /// The register that is assigned to, if there is one.
    Do(Option<String>, Expr),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
}

#[derive(Debug)]
pub struct Thread {
    pub params: Vec<String>,
    pub body: Vec<Stmt>,
}

#[derive(Debug)]
pub enum Condition {
    Register(usize, String, Value),
    Memory(String, Value),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

#[derive(Debug)]
pub struct Litmus {
    pub variables: Vec<String>,
    pub init: BTreeMap<String, Value>,
    pub threads: Vec<Thread>,
    pub exists: Condition,
}

struct Tokens {
    all: Vec<String>,
    next: usize,
}

/// Removes comments. `(*` begins one only outside of code, where it may be a dereference.
fn without_comments(text: &str, is_code: bool) -> String {
    let kinds: &[(&str, &str)] = match is_code {
        true => &[("/*", "*/"), ("//", "\n")],
        false => &[("/*", "*/"), ("//", "\n"), ("(*", "*)")],
    };
    let mut rest = text;
    let mut out = String::new();
    while let Some(c) = rest.chars().next() {
        let begun = kinds.iter().find(|(begin, _)| rest.starts_with(begin));
        if let Some((_, end)) = begun {
            rest = rest[2..].split_once(end).map_or("", |(_, after)| after);
            out.push(' ');
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

impl Tokens {
    fn new(text: &str) -> Result<Self> {
        const LONG: &[&str] = &["==", "!=", "&&", "||", "/\\", "\\/"];
        let mut all = Vec::new();
        let mut rest = text.trim_start();
        while let Some(c) = rest.chars().next() {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let len = if word(c) {
                rest.find(|c| !word(c)).unwrap_or(rest.len())
            } else if LONG.iter().any(|long| rest.starts_with(long)) {
                2
            } else {
                ensure!(c.is_ascii(), "unexpected {c:?}");
                1
            };
            all.push(rest[..len].to_owned());
            rest = rest[len..].trim_start();
        }
        Ok(Self { all, next: 0 })
    }

    fn peek(&self) -> &str {
        self.all.get(self.next).map_or("", String::as_str)
    }

    fn take(&mut self) -> String {
        let token = self.peek().to_owned();
        self.next += 1;
        token
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        ensure!(self.eat(token), "expected {token:?}, not {:?}", self.peek());
        Ok(())
    }

    fn number(&mut self) -> Result<Value> {
        let token = self.take();
        token.parse().with_context(|| format!("{token:?}"))
    }

    fn expr(&mut self) -> Result<Expr> {
        let left = self.operand()?;
        match self.peek() {
            "==" | "!=" | "&&" | "||" | "+" | "-" => {
                let operator = self.take();
                let right = self.expr()?;
                Ok(Expr::Binary(Box::new(left), operator, Box::new(right)))
            }
            _ => Ok(left),
        }
    }

    fn operand(&mut self) -> Result<Expr> {
        if self.eat("!") {
            return Ok(Expr::Not(Box::new(self.operand()?)));
        }
        if self.eat("(") {
            let inner = self.expr()?;
            self.expect(")")?;
            return Ok(inner);
        }
        // `*x` and `&x` name the variable, or the register with its address.
        while self.eat("*") || self.eat("&") {}
        let token = self.take();
        if let Ok(number) = token.parse() {
            return Ok(Expr::Number(number));
        }
        let begins = |c: char| c.is_alphabetic() || c == '_';
        ensure!(token.starts_with(begins), "unexpected {token:?}");
        if !self.eat("(") {
            return Ok(Expr::Name(token));
        }
        let mut arguments = Vec::new();
        while !self.eat(")") {
            arguments.push(self.expr()?);
            self.eat(",");
        }
        Ok(Expr::Call(token, arguments))
    }

    /// Parses statements up to a closing brace.
    fn block(&mut self) -> Result<Vec<Stmt>> {
        let mut all = Vec::new();
        while !self.eat("}") {
            all.extend(self.statement()?);
        }
        Ok(all)
    }

    fn branch(&mut self) -> Result<Vec<Stmt>> {
        match self.eat("{") {
            true => self.block(),
            false => Ok(self.statement()?.into_iter().collect()),
        }
    }

    fn statement(&mut self) -> Result<Option<Stmt>> {
        if self.eat("if") {
            self.expect("(")?;
            let condition = self.expr()?;
            self.expect(")")?;
            let then = self.branch()?;
            let otherwise = match self.eat("else") {
                true => self.branch()?,
                false => Vec::new(),
            };
            return Ok(Some(Stmt::If(condition, then, otherwise)));
        }
        let declares = self.eat("int");
        while declares && self.eat("*") {}
        let is_set = self.all.get(self.next + 1).is_some_and(|t| t == "=");
        if declares && !is_set {
            self.take();
            self.expect(";")?;
            return Ok(None);
        }
        let target = match is_set {
            true => {
                let name = self.take();
                self.expect("=")?;
                Some(name)
            }
            false => None,
        };
        let value = self.expr()?;
        self.expect(";")?;
        Ok(Some(Stmt::Do(target, value)))
    }

    fn condition(&mut self, variables: &[String]) -> Result<Condition> {
        let mut any = Vec::new();
        loop {
            let mut all = Vec::new();
            loop {
                all.push(self.atom(variables)?);
                if !self.eat("/\\") {
                    break;
                }
            }
            any.push(Condition::And(all));
            if !self.eat("\\/") {
                return Ok(Condition::Or(any));
            }
        }
    }

    fn atom(&mut self, variables: &[String]) -> Result<Condition> {
        if self.eat("~") {
            return Ok(Condition::Not(Box::new(self.atom(variables)?)));
        }
        if self.eat("(") {
            let inner = self.condition(variables)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = self.take();
        if self.eat(":") {
            let register = self.take();
            self.expect("=")?;
            let value = self.value(variables)?;
            return Ok(Condition::Register(name.parse()?, register, value));
        }
        self.expect("=")?;
        ensure!(variables.contains(&name), "no variable {name}");
        Ok(Condition::Memory(name, self.value(variables)?))
    }

    /// Parses a number, or the name of a variable, which stands for its address.
    fn value(&mut self, variables: &[String]) -> Result<Value> {
        while self.eat("&") {}
        match variables.iter().position(|v| v == self.peek()) {
            Some(n) => {
                self.take();
                Ok(ADDRESS + n as Value)
            }
            None => self.number(),
        }
    }
}

impl Litmus {
    pub fn parse(text: &str) -> Result<Self> {
        let (header, rest) = text.split_once('{').context("no initial values")?;
        let (init, rest) = rest.split_once('}').context("no initial values")?;
        let (code, exists) = rest.rsplit_once("exists").context("no `exists`")?;
        let is_named = header.lines().any(|line| line.starts_with("C "));
        ensure!(is_named, "no name");

        let mut tokens = Tokens::new(&without_comments(code, true))?;
        let mut threads = Vec::new();
        let mut variables: Vec<String> = Vec::new();
        while !tokens.peek().is_empty() {
            ensure!(tokens.take() == format!("P{}", threads.len()), "no thread");
            tokens.expect("(")?;
            let mut params = Vec::new();
            let mut last = String::new();
            loop {
                match tokens.take().as_str() {
                    end @ ("," | ")") => {
                        params.push(last.clone());
                        if end == ")" {
                            break;
                        }
                    }
                    "" => bail!("the parameters do not end"),
                    token => last = token.to_owned(),
                }
            }
            for param in &params {
                if !variables.contains(param) {
                    variables.push(param.clone());
                }
            }
            tokens.expect("{")?;
            let body = tokens.block()?;
            threads.push(Thread { params, body });
        }
        let mut values = BTreeMap::new();
        let mut tokens = Tokens::new(&without_comments(init, true))?;
        while !tokens.peek().is_empty() {
            while tokens.eat("int") || tokens.eat("*") {}
            let name = tokens.take();
            tokens.expect("=")?;
            let value = tokens.value(&variables)?;
            ensure!(variables.contains(&name), "no thread uses {name}");
            values.insert(name, value);
            tokens.eat(";");
        }
        let mut tokens = Tokens::new(&without_comments(exists, false))?;
        let exists = tokens.condition(&variables)?;
        ensure!(tokens.peek().is_empty(), "text after the condition");
        Ok(Self {
            variables,
            init: values,
            threads,
            exists,
        })
    }
}
