// SPDX-License-Identifier: GPL-2.0

//! Explores models of the handshakes that the crate does without a lock, and prints KTAP.
//!
//! `models.toml` ties each ordering of a model to a line of the source. loom explores the models in
//! `src/models/` under the memory model of C11. The litmus tests are explored under that of the
//! kernel. Each is explored as the source is, where the bad outcome must not be reachable, and with
//! each ordering weakened, where it must be.

mod explore;
mod kernel;
mod link;
mod litmus;
mod lkmm;
mod models;
mod table;
mod weaken;

use anyhow::{ensure, Context, Result};
use explore::Sites;
use litmus::Litmus;
use std::{
    collections::{BTreeSet, VecDeque},
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{mpsc, Mutex},
    thread,
};
use table::{Model, Table};

/// Returns the root of the repository.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// The result of one test: its name with what was measured, and why it failed.
struct Outcome {
    name: String,
    wrong: Option<String>,
}

type Job<'a> = Box<dyn FnOnce() -> Outcome + Send + 'a>;

/// Explores a model with loom.
fn with_loom<'a>(model: &'a Model, run: models::Model) -> Vec<Job<'a>> {
    let (name, function) = run;
    let mut jobs: Vec<Job> = vec![Box::new(move || {
        let found = explore::explore(function, Sites::new(model, None));
        let all: BTreeSet<String> = model.site.iter().map(|site| site.id.clone()).collect();
        let unused: Vec<_> = all.difference(&found.used).collect();
        let wrong = match found.bad {
            Some(bad) => Some(bad),
            None if !unused.is_empty() => Some(format!("the model does not use {unused:?}")),
            None => None,
        };
        Outcome {
            name: format!("loom: {name}: {} executions", found.executions),
            wrong,
        }
    })];
    for site in &model.site {
        if site.strength().is_nothing() {
            continue;
        }
        jobs.push(Box::new(move || {
            let sites = Sites::new(model, Some(&site.id));
            let found = explore::explore(function, sites);
            let executions = found.executions;
            let (what, wrong) = match (found.bad, &site.enough) {
                (None, Some(_)) => (format!("not needed in {executions} executions"), None),
                (None, None) => (String::new(), Some("no bad outcome".to_owned())),
                (Some(bad), Some(_)) => (String::new(), Some(format!("is needed: {bad}"))),
                (Some(bad), None) if explore::is_outcome(&bad) => {
                    let bad = bad.lines().next().unwrap_or_default();
                    (format!("{bad}, in execution {executions}"), None)
                }
                (Some(other), None) => (String::new(), Some(other)),
            };
            let id = &site.id;
            Outcome {
                name: format!("loom: {name} without {id}: {what}"),
                wrong,
            }
        }));
    }
    jobs
}

/// Explores a litmus test. Returns how many executions there are, and how many are bad.
fn litmus(text: &str) -> Result<lkmm::Explored> {
    lkmm::explore(&Litmus::parse(text)?)
}

/// Explores the litmus test of a model.
fn with_litmus(test: &weaken::Test) -> Vec<Job<'_>> {
    let name = &test.model;
    let mut jobs: Vec<Job> = vec![Box::new(move || {
        let (what, wrong) = match litmus(&test.text) {
            Ok(found) if found.bad == 0 && found.executions > 0 => {
                (format!("{} executions", found.executions), None)
            }
            Ok(found) => (String::new(), Some(format!("{found:?}"))),
            Err(err) => (String::new(), Some(format!("{err:#}"))),
        };
        Outcome {
            name: format!("litmus: {name}: {what}"),
            wrong,
        }
    })];
    for weaker in &test.weaker {
        jobs.push(Box::new(move || {
            let (what, wrong) = match (litmus(&weaker.text), &weaker.enough) {
                (Err(err), _) => (String::new(), Some(format!("{err:#}"))),
                (Ok(found), enough) => {
                    let what = format!("{} of {} are bad", found.bad, found.executions);
                    let is_wrong = (found.bad == 0) != enough.is_some();
                    (what.clone(), is_wrong.then_some(what))
                }
            };
            Outcome {
                name: format!("litmus: {name} without {}: {what}", weaker.name),
                wrong,
            }
        }));
    }
    jobs
}

/// How many of the kernel's litmus tests use plain accesses, SRCU or `spin_is_locked()`.
const LEFT_OUT: usize = 5;

/// Explores the kernel's own litmus tests, whose comments have the result. Those that use what is
/// not supported are left out.
fn of_the_kernel(folder: &Path) -> Result<Outcome> {
    let (mut same, mut left_out, mut wrong) = (0, 0, Vec::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "litmus") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let is_never = text.contains("Result: Never");
        match litmus(&text) {
            Ok(found) if (found.bad == 0) == is_never => same += 1,
            Ok(_) => wrong.push(path.display().to_string()),
            Err(_) => left_out += 1,
        }
    }
    Ok(Outcome {
        name: format!("the kernel's litmus tests: {same} as they say, {left_out} not supported"),
        wrong: (!wrong.is_empty() || left_out > LEFT_OUT)
            .then(|| format!("{wrong:?}, {left_out} not supported")),
    })
}

/// Runs all tests, as many at a time as there are CPUs. Returns whether all passed.
fn run() -> Result<bool> {
    let only = env::var("ONLY").unwrap_or_default();
    let root = root();
    let table = Table::read(&root)?;
    let tests = weaken::all(&root, &table)?;
    let mut jobs: VecDeque<Job> = VecDeque::new();
    jobs.push_back(Box::new(|| {
        let wrong = link::check(&root, &table).unwrap_or_else(|err| vec![format!("{err:#}")]);
        Outcome {
            name: "the source agrees with models.toml".to_owned(),
            wrong: (!wrong.is_empty()).then(|| wrong.join("\n# ")),
        }
    }));
    for model in models::ALL.iter().filter(|model| model.0.contains(&only)) {
        jobs.extend(with_loom(table.model(model.0)?, *model));
    }
    for test in tests.iter().filter(|test| test.model.contains(&only)) {
        jobs.extend(with_litmus(test));
    }
    ensure!(
        only.is_empty() || jobs.len() > 1,
        "ONLY={only}: no model has such a name"
    );
    if let Some(tree) = env::args_os().nth(1) {
        jobs.push_back(Box::new(move || {
            let folder = Path::new(&tree).join("tools/memory-model/litmus-tests");
            of_the_kernel(&folder).unwrap_or_else(|err| Outcome {
                name: "the kernel's litmus tests".to_owned(),
                wrong: Some(format!("{err:#}")),
            })
        }));
    }

    println!("KTAP version 1\n1..{}", jobs.len());
    let workers = thread::available_parallelism()?.get();
    let queue = Mutex::new(jobs);
    let next = || queue.lock().ok()?.pop_front();
    let (sender, receiver) = mpsc::channel();
    let mut passed = true;
    thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some(job) = next() {
                    if sender.send(job()).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (number, outcome) in receiver.iter().enumerate() {
            let number = number + 1;
            match outcome.wrong {
                None => println!("ok {number} {}", outcome.name),
                Some(why) => {
                    passed = false;
                    println!("# {why}\nnot ok {number} {}", outcome.name);
                }
            }
        }
    });
    Ok(passed)
}

fn main() -> ExitCode {
    match run().context("models") {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            println!("# {err:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_outcome_needs_a_weakened_ordering() {
        let root = root();
        let table = Table::read(&root).unwrap();
        let tests = weaken::all(&root, &table).unwrap();
        let mut jobs = Vec::new();
        for model in models::ALL {
            jobs.extend(with_loom(table.model(model.0).unwrap(), *model));
        }
        jobs.extend(tests.iter().flat_map(with_litmus));
        for job in jobs {
            let outcome = job();
            assert_eq!(outcome.wrong, None, "{}", outcome.name);
        }
    }

    #[test]
    fn each_model_of_the_table_is_explored_and_can_fail() {
        let root = root();
        let table = Table::read(&root).unwrap();
        let tests = weaken::all(&root, &table).unwrap();
        for model in &table.model {
            let has_loom = models::ALL.iter().any(|m| m.0 == model.name);
            let litmus = tests.iter().filter(|test| test.model == model.name);
            let mut weaker = litmus.clone().flat_map(|test| &test.weaker);
            assert!(has_loom || litmus.count() > 0, "{}", model.name);

            let needed = |site: &table::Site| {
                !site.strength().is_nothing() && site.enough.is_none() && has_loom
            };
            let can_fail = model.site.iter().any(needed);
            let can_fail = can_fail || weaker.any(|weaker| weaker.enough.is_none());
            assert!(can_fail, "nothing makes {} fail", model.name);
        }
    }

    /// Classic tests, whose results are known.
    #[test]
    fn the_kernels_memory_model_is_followed() {
        let two = |first: &str, second: &str, exists: &str| {
            let threads = format!(
                "P0(int *x, int *y)\n{{\n{first}\n}}\nP1(int *x, int *y)\n{{\n{second}\n}}\n"
            );
            litmus(&format!("C t\n\n{{}}\n\n{threads}exists ({exists})\n")).unwrap()
        };
        let (store, load) = ("WRITE_ONCE(*x, 1); ", "r0 = READ_ONCE(*y);");
        let (other, back) = ("WRITE_ONCE(*y, 1); ", "r0 = READ_ONCE(*x);");
        let buffering = |fence: &str| {
            let first = format!("{store}{fence}{load}");
            let second = format!("{other}{fence}{back}");
            two(&first, &second, "0:r0=0 /\\ 1:r0=0").bad
        };
        assert_eq!((buffering(""), buffering("smp_mb();")), (1, 0));
        assert_eq!(buffering("smp_wmb();"), 1);
        // A load is not reordered with a store that depends on it.
        let first = "r0 = READ_ONCE(*x); if (r0) { WRITE_ONCE(*y, 1); }";
        let second = "r0 = READ_ONCE(*y); if (r0) { WRITE_ONCE(*x, 1); }";
        assert_eq!(two(first, second, "0:r0=1 /\\ 1:r0=1").bad, 0);
        let first = "r0 = READ_ONCE(*x); WRITE_ONCE(*y, 1);";
        let second = "r0 = READ_ONCE(*y); WRITE_ONCE(*x, 1);";
        assert_eq!(two(first, second, "0:r0=1 /\\ 1:r0=1").bad, 1);
    }

    #[test]
    fn what_is_not_supported_is_an_error() {
        let of = |body: &str| {
            litmus(&format!(
                "C t\n\n{{}}\n\nP0(int *x)\n{{\n{body}\n}}\nexists (x=0)\n"
            ))
        };
        assert!(of("*x = 1;").is_err());
        assert!(of("spin_is_locked(x);").is_err());
        assert!(of("WRITE_ONCE(*x, 1);").is_ok());
    }
}
