// SPDX-License-Identifier: GPL-2.0

//! Reading the results of a guest: the comparison with /proc, and KUnit.

use crate::{
    outcome::{self, Outcome},
    step, tree, Build,
};
use anyhow::{bail, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// The number of documentation examples of each file.
pub type Examples = BTreeMap<String, usize>;

/// One value, as reported by the crate and by /proc.
pub struct Fact {
    cells: [String; 4],
}

impl Fact {
    /// Returns whether both values are equal.
    pub fn agrees(&self) -> bool {
        self.cells[2] == self.cells[3]
    }
}

/// Returns the values that the selftests compared.
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

/// Prints the values as a table.
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

/// Prints the summaries of the guest's programs.
pub fn remarks(results: &str) {
    let remarks = results
        .lines()
        .filter_map(|line| line.strip_prefix("# did\t"));
    remarks.for_each(|line| println!("{}", line.replace('\t', "  ")));
}

/// Adds KUnit's results in the console log of a guest, which `kunit.py parse` must accept, too.
/// Prints the examples of this repository's files, and returns the others.
pub fn kunit(build: &Build, console: &str, outcome: &mut Outcome) -> Result<Examples> {
    let parsed = step::output(
        Command::new("python3")
            .arg("tools/testing/kunit/kunit.py")
            .arg("parse")
            .arg(build.objects.join("boot/console.log"))
            .current_dir(&build.tree),
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

    let ours: BTreeSet<String> = tree::files(build)?
        .into_keys()
        .map(|p| p.display().to_string())
        .collect();
    let (mut location, mut mine, mut others) = (String::new(), 0, Examples::new());
    for line in console.lines() {
        // A line may begin with a timestamp.
        let line = line.split_once("] ").map_or(line, |(_, rest)| rest).trim();
        if let Some((_, at)) = line.split_once(".location: ") {
            location = at.to_owned();
        } else if let Some((passed, name)) = outcome::result(line) {
            if !name.starts_with("rust_doctest_kernel_") {
                continue;
            }
            let file = location.rsplit_once(':').map_or("", |(file, _)| file);
            if ours.contains(file) {
                mine += 1;
                if passed {
                    outcome.print_line(&format!("ok     example: {location}"));
                }
            } else {
                *others.entry(file.to_owned()).or_default() += 1;
            }
            outcome.check(
                &format!("example: {location}"),
                passed,
                "see the console log",
            );
        }
    }
    let theirs: usize = others.values().sum();
    outcome.print_line(&format!(
        "{mine} examples of this repository, {theirs} of the kernel"
    ));
    if mine + theirs == 0 {
        bail!("no example ran: is CONFIG_RUST_KERNEL_DOCTESTS=y?");
    }
    Ok(others)
}

/// Tests that all of mainline's examples also run with the files of this repository, except those in
/// files that this repository replaces.
pub fn examples(
    had: &Examples,
    have: &Examples,
    build: &Build,
    outcome: &mut Outcome,
) -> Result<()> {
    let ours = tree::files(build)?;
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
