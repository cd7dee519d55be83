// SPDX-License-Identifier: GPL-2.0

//! Litmus tests: their links to `models.toml`, and the same tests with one ordering weakened.
//!
//! The first comment of a test has lines such as `Site start: smp_store_release(begin, 1)`, which
//! names a site of the model, or `Kernel: smp_mb() in P1` for an ordering of the kernel's C code.
//! If several threads have the text, ` in P1` says which one is meant, and ` in P1, 2` that it is
//! the second one there.

use crate::table::{Model, Strength, Table};
use anyhow::{bail, ensure, Context, Result};
use std::{fs, path::Path};

/// A litmus test.
pub struct Test {
    pub model: String,
    pub text: String,
    pub weaker: Vec<Weaker>,
}

/// A litmus test with one ordering weakened.
pub struct Weaker {
    pub name: String,
    pub text: String,
    /// Why the bad outcome need not be reachable.
    pub enough: Option<String>,
}

/// A call in a test.
struct Call<'a> {
    text: &'a str,
    thread: Option<usize>,
    /// Which one of several in the thread it is, from 1 on.
    number: Option<usize>,
}

/// Returns `text` with one call weakened. A `cmpxchg()` becomes a load and a store.
fn weaken(text: &str, call: &Call<'_>) -> Result<String> {
    let begin = match call.thread {
        Some(number) => text.find(&format!("\nP{number}(")),
        None => text.find('{'),
    };
    let begin = begin.with_context(|| format!("no place for {}", call.text))?;
    let end = text[begin + 1..].find("\n}\n");
    let end = end.filter(|_| call.thread.is_some());
    let end = end.map_or(text.len(), |len| begin + 1 + len);
    let (before, part, after) = (&text[..begin], &text[begin..end], &text[end..]);
    let places: Vec<usize> = part.match_indices(call.text).map(|(at, _)| at).collect();
    let number = call.number.unwrap_or(1);
    let is_clear = call.number.is_some() || places.len() == 1;
    ensure!(is_clear, "{} is there {} times", call.text, places.len());
    let at = *places.get(number - 1).context("there are not so many")?;
    let replace = |weaker: &str, len: usize| {
        let (left, right) = (&part[..at], &part[at + len..]);
        format!("{before}{left}{weaker}{right}{after}")
    };

    let len = call.text.len();
    let (name, arguments) = call.text.split_once('(').context("no call")?;
    let arguments = arguments.trim_end_matches(')');
    Ok(match name {
        "smp_store_release" => replace(&format!("WRITE_ONCE(*{arguments})"), len),
        "smp_load_acquire" => replace(&format!("READ_ONCE(*{arguments})"), len),
        "rcu_assign_pointer" => replace(&format!("WRITE_ONCE({arguments})"), len),
        "xchg" | "atomic_fetch_add" => replace(&format!("{name}_relaxed({arguments})"), len),
        "cmpxchg" => {
            let parts: Vec<&str> = arguments.split(", ").collect();
            let [at, from, to] = parts[..] else {
                bail!("{}", call.text);
            };
            let weaker =
                format!("READ_ONCE(*{at}); if (r0 == {from}) {{ WRITE_ONCE(*{at}, {to}); }}");
            replace(&weaker, len + 1)
        }
        "spin_lock" | "rcu_read_lock" => {
            let unlock = call.text.replace("lock(", "unlock(") + ";";
            ensure!(part.contains(&unlock), "no {unlock}");
            let part = part.replace(&format!("{};", call.text), "");
            format!("{before}{}{after}", part.replace(&unlock, ""))
        }
        _ if name.starts_with("smp_") || name == "synchronize_rcu" => replace("", len + 1),
        _ => bail!("{name}() cannot be weakened"),
    })
}

/// Parses a call, with its place.
fn call(text: &str) -> Result<Call<'_>> {
    let (text, place) = text.split_once(" in P").unwrap_or((text, ""));
    let (thread, number) = place.split_once(", ").unwrap_or((place, ""));
    let parse = |text: &str| match text {
        "" => Ok(None),
        _ => text.parse().map(Some),
    };
    Ok(Call {
        text,
        thread: parse(thread)?,
        number: parse(number)?,
    })
}

/// Compares a test with its model, and returns it with the weaker ones.
fn read(model: &Model, text: &str) -> Result<Test> {
    let (header, _) = text.split_once('{').context("no initial values")?;
    let mut weaker = Vec::new();
    let mut named = Vec::new();
    for line in header
        .lines()
        .map(|line| line.trim_start_matches([' ', '*']))
    {
        if let Some(call) = line.strip_prefix("Kernel: ") {
            let call = self::call(call)?;
            weaker.push(Weaker {
                name: format!("the kernel's {}", call.text),
                text: weaken(text, &call)?,
                enough: None,
            });
        } else if let Some((id, call)) = line.strip_prefix("Site ").and_then(|l| l.split_once(": "))
        {
            let site = model.site.iter().find(|site| site.id == id);
            let site = site.with_context(|| format!("models.toml has no site {id}"))?;
            let call = self::call(call)?;
            let mut functions = site.strength().functions().iter();
            ensure!(
                functions.any(|function| call.text.starts_with(function)),
                "{id}: {} is not what `{}` does",
                call.text,
                site.code
            );
            let is_there = text.matches(call.text).count() > 1;
            ensure!(is_there, "{id}: no {}", call.text);
            named.push(id);
            if !site.strength().is_nothing() {
                weaker.push(Weaker {
                    name: id.to_owned(),
                    text: weaken(text, &call)?,
                    enough: site.enough.clone(),
                });
            }
        }
    }
    for site in &model.site {
        let strength = site.strength();
        let needed = !strength.is_nothing() && strength != Strength::Step;
        ensure!(
            !needed || named.contains(&&*site.id),
            "no line `Site {}: `",
            site.id
        );
    }
    Ok(Test {
        model: model.name.clone(),
        text: text.to_owned(),
        weaker,
    })
}

/// Returns the litmus tests of all models. A model whose sites are only steps may have none.
pub fn all(root: &Path, table: &Table) -> Result<Vec<Test>> {
    let mut all = Vec::new();
    let folder = root.join("tests/models/litmus");
    for model in &table.model {
        let path = folder.join(format!("{}.litmus", model.name));
        if path.exists() {
            let text = fs::read_to_string(&path)?;
            let test = read(model, &text);
            all.push(test.with_context(|| path.display().to_string())?);
        } else {
            let orders = model.site.iter().any(|site| {
                let strength = site.strength();
                !strength.is_nothing() && strength != Strength::Step
            });
            ensure!(!orders, "{} has no litmus test", model.name);
        }
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        table.model(&name)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "C begin\n\n(*\n * Site start: smp_store_release(begin, 1)\n *)\n\n{}\n\n\
        P0(int *begin)\n{\n\tsmp_store_release(begin, 1);\n\tsmp_mb();\n}\n\n\
        P1(int *begin, spinlock_t *l)\n{\n\tspin_lock(l);\n\tsmp_mb();\n\tspin_unlock(l);\n}\n\n\
        exists (begin=0)\n";

    fn model(code: &str) -> Model {
        let text = format!(
            "none = []\n[[model]]\nname = \"begin\"\nbad = \"x\"\n[[model.site]]\nid = \"start\"\n\
             file = \"a.rs\"\ncode = \"{code}\"\n"
        );
        Table::parse(&text).unwrap().model.remove(0)
    }

    #[test]
    fn calls_are_weakened() {
        let of = |text| weaken(TEXT, &call(text).unwrap());
        let text = of("smp_store_release(begin, 1) in P0").unwrap();
        assert!(text.contains("\tWRITE_ONCE(*begin, 1);"));
        let text = of("smp_mb() in P1").unwrap();
        assert_eq!(text.matches("smp_mb();").count(), 1);
        assert!(!of("spin_lock(l) in P1").unwrap().contains("spin_"));
        assert!(of("smp_mb()").is_err());
        assert!(of("smp_mb() in P1, 2").is_err());
    }

    #[test]
    fn a_test_that_has_another_ordering_than_the_source_is_found() {
        let test = |code| read(&model(code), TEXT).map(|test| test.weaker.len());
        assert_eq!(test("begin.store(true, Release);").unwrap(), 1);
        let err = test("begin.store(true, Relaxed);").unwrap_err();
        assert!(err.to_string().contains("is not what"), "{err}");
    }

    #[test]
    fn a_test_that_lacks_a_site_is_found() {
        let text = TEXT.replace(" * Site", " * Sites");
        assert!(read(&model("begin.store(true, Release);"), &text).is_err());
    }
}
