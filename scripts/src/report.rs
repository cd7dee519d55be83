// SPDX-License-Identifier: GPL-2.0

//! Reading KTAP, counting it, and showing it to a person.

use crate::{boot::Guest, step, tree, Place};
use anyhow::{bail, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// What passed and what failed.
#[derive(Default)]
pub struct Outcome {
    passed: usize,
    failed: usize,
    /// Nothing is said of single tests.
    quiet: bool,
    failure: Option<String>,
}

impl Outcome {
    /// An outcome that prints nothing.
    pub fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            println!("{line}");
        }
    }

    fn count(&mut self, name: &str, well: bool) {
        if well {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failure.get_or_insert_with(|| name.to_owned());
        }
    }

    /// The first test that failed.
    pub fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    /// Counts one test; says so if it failed.
    pub fn check(&mut self, name: &str, well: bool, why: &str) {
        self.count(name, well);
        if !well {
            self.say(&format!("FAILED {name}: {why}"));
        }
    }

    /// The same, and says so in both cases.
    pub fn report(&mut self, name: &str, well: bool, why: &str) {
        if well {
            self.say(&format!("ok     {name}"));
        }
        self.check(name, well, why);
    }

    /// Counts the tests of `programs` in what a guest said.
    pub fn programs(&mut self, programs: &[String], results: &str) {
        for program in programs {
            let said = results
                .split("# program ")
                .find_map(|part| part.strip_prefix(program.as_str())?.strip_prefix('\n'));
            self.ktap(program, said.unwrap_or_default());
        }
    }

    /// Counts the tests in `text`, and shows each with what it said if it failed.
    pub fn ktap(&mut self, suite: &str, text: &str) {
        let mut said = Vec::new();
        let mut plan = None;
        let mut count = 0;
        for line in text.lines() {
            if let Some(n) = line.strip_prefix("1..") {
                plan = n.parse().ok();
            } else if let Some((well, name)) = result(line) {
                count += 1;
                let name = format!("{suite}: {name}");
                let verdict = if well { "ok    " } else { "FAILED" };
                self.say(&format!("{verdict} {name}"));
                self.count(&name, well);
                if !well {
                    said.iter()
                        .for_each(|line| self.say(&format!("         {line}")));
                }
                said.clear();
            } else if line.starts_with('#') && !DATA.iter().any(|head| line.starts_with(head)) {
                said.push(line);
            }
        }
        let died = text.lines().find(|l| l.starts_with("# died: "));
        self.check(
            &format!("{suite}: did not die"),
            died.is_none(),
            died.unwrap_or_default(),
        );
        self.check(
            &format!("{suite}: all tests ran"),
            plan == Some(count) && count > 0,
            &format!("{count} results for a plan of {plan:?}"),
        );
    }

    /// Whether nothing failed, and something passed.
    pub fn well(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Prints the last line.
    pub fn print(&self) {
        println!("{} passed, {} failed", self.passed, self.failed);
    }
}

/// How lines begin that are no remark on the next result.
const DATA: &[&str] = &["# fact\t", "# did\t"];

/// Reads `ok 1 name` or `not ok 2 name`. What was skipped is not well: all that a test needs is
/// there.
fn result(line: &str) -> Option<(bool, &str)> {
    let (well, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, name) = rest.split_once(' ')?;
    number.parse::<usize>().ok()?;
    let name = name.trim_start_matches("- ");
    Some((well && !name.contains("# SKIP"), name))
}

/// How many examples a file has.
pub type Examples = BTreeMap<String, usize>;

/// One fact, as the crate and as /proc has it.
pub struct Fact {
    cells: [String; 4],
}

impl Fact {
    pub fn agrees(&self) -> bool {
        self.cells[2] == self.cells[3]
    }
}

/// The facts that the selftests compared.
pub fn facts(results: &str) -> Vec<Fact> {
    results
        .lines()
        .filter_map(|line| line.strip_prefix("# fact\t"))
        .filter_map(|line| {
            let cells: Vec<String> = line.split('\t').map(ToOwned::to_owned).collect();
            Some(Fact {
                cells: cells.try_into().ok()?,
            })
        })
        .collect()
}

/// Prints facts as a table.
pub fn table(facts: &[Fact]) {
    let head = ["scenario", "fact", "crate", "/proc"];
    let width = |i: usize| {
        let cells = facts.iter().map(|f| f.cells[i].len());
        cells.chain([head[i].len()]).max().unwrap_or(0)
    };
    let width = [width(0), width(1), width(2), width(3)];
    let row = |cells: [&str; 4], agree: &str| {
        let cells: Vec<_> = cells
            .iter()
            .zip(width)
            .map(|(c, w)| format!("{c:w$}"))
            .collect();
        println!("{}  {agree}", cells.join("  "));
    };
    row(head, "agree");
    for fact in facts {
        let cells = [0, 1, 2, 3].map(|i| fact.cells[i].as_str());
        row(cells, if fact.agrees() { "yes" } else { "NO" });
    }
}

/// Prints what the guest's programs have to say of what they did.
pub fn remarks(results: &str) {
    let remarks = results
        .lines()
        .filter_map(|line| line.strip_prefix("# did\t"));
    remarks.for_each(|line| println!("{}", line.replace('\t', "  ")));
}

/// Counts KUnit's results, by the kernel's own parser, and lists the examples of our modules.
/// Returns how many each of the kernel's own files has.
pub fn kunit(place: &Place, guest: &Guest, outcome: &mut Outcome) -> Result<Examples> {
    let parsed = step::ask(
        Command::new("python3")
            .arg("tools/testing/kunit/kunit.py")
            .arg("parse")
            .arg(place.objects.join("boot/console.log"))
            .current_dir(&place.tree),
    );
    let verdict = match &parsed {
        Ok(text) => text.clone(),
        Err(err) => err.to_string(),
    };
    let verdict = verdict
        .lines()
        .rev()
        .find(|l| l.contains("Testing complete"));
    outcome.check(
        "kunit.py parse",
        parsed.is_ok(),
        verdict.unwrap_or("no verdict"),
    );

    let ours: BTreeSet<String> = tree::files(place)?
        .into_keys()
        .map(|p| p.display().to_string())
        .collect();
    let (mut location, mut mine, mut others) = (String::new(), 0, Examples::new());
    for line in guest.console.lines() {
        // A line of the log may begin with the time.
        let line = line.split_once("] ").map_or(line, |(_, rest)| rest).trim();
        if let Some((_, place)) = line.split_once(".location: ") {
            location = place.to_owned();
        } else if let Some((well, name)) = result(line) {
            if !name.starts_with("rust_doctest_kernel_") {
                continue;
            }
            let file = location.rsplit_once(':').map_or("", |(file, _)| file);
            if ours.contains(file) {
                mine += 1;
                if well {
                    outcome.say(&format!("ok     example: {location}"));
                }
            } else {
                *others.entry(file.to_owned()).or_default() += 1;
            }
            outcome.check(&format!("example: {location}"), well, "see the console log");
        }
    }
    let theirs: usize = others.values().sum();
    outcome.say(&format!(
        "{mine} examples of this project, {theirs} of the kernel"
    ));
    if mine + theirs == 0 {
        bail!("no example ran: is CONFIG_RUST_KERNEL_DOCTESTS=y?");
    }
    Ok(others)
}

/// Tests that mainline's examples are run with our files too, but for those in files that ours
/// stand in the place of.
pub fn examples(
    had: &Examples,
    have: &Examples,
    place: &Place,
    outcome: &mut Outcome,
) -> Result<()> {
    let ours = tree::files(place)?;
    let mut expected = 0;
    let mut missing = Vec::new();
    for (file, count) in had {
        if !ours.contains_key(Path::new(file)) {
            expected += count;
            if have.get(file) != Some(count) {
                missing.push(file.as_str());
            }
        }
    }
    outcome.report(
        &format!("mainline's {expected} other examples run with our files"),
        missing.is_empty() && expected > 0,
        &format!("not all of {}", missing.join(", ")),
    );
    Ok(())
}
