// SPDX-License-Identifier: GPL-2.0

//! Compiles the cases below `tests/ui/` as the kernel compiles a module, and prints KTAP.
//!
//! Each case is a file with two revisions. `good` compiles. `bad` differs from it in the lines under
//! `#[cfg(bad)]` only, and must fail with the errors that are noted at its lines, and no others.

use anyhow::{bail, ensure, Context, Result};
use std::{
    collections::BTreeSet,
    env,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
};
use ui_test::{
    custom_flags::rustfix::RustfixMode,
    diagnostics::{rustc::rustc_diagnostics_extractor, Diagnostics},
    ignore_output_conflict, run_tests_generic,
    status_emitter::{RevisionStyle, StatusEmitter, Summary, TestStatus},
    test_result::TestResult,
    CommandBuilder, Config, TestOk,
};

/// A module of the kernel, whose flags are those of the cases.
const MODEL: &str = "samples/rust/.rust_task_info.o.cmd";
/// The files whose public types need a case each.
const SOURCES: &[&str] = &["task.rs", "mm.rs", "mm", "pid_namespace.rs"];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            println!("# {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the root of the project, the folder of the kernel's objects, and words that the paths of
/// the wanted cases have.
fn run() -> Result<bool> {
    let mut args = env::args_os().skip(1);
    let mut folder = || {
        args.next()
            .map(PathBuf::from)
            .context("two folders, please")
    };
    let (root, objects) = (folder()?, folder()?);
    let filter = args.map(|word| word.to_string_lossy().into_owned());

    let cases = root.join("tests/ui");
    let mut config = Config::rustc(&cases);
    config.program = program(&objects)?;
    config.out_dir = objects.join("ui");
    config.filter_files = filter.collect();
    // The messages that matter are noted in the cases; rustc may change the rest.
    config.output_conflict_handling = ignore_output_conflict;
    config.diagnostic_extractor = coded_diagnostics;

    config
        .comment_defaults
        .base()
        .set_custom("rustfix", RustfixMode::Disabled);

    println!("KTAP version 1");
    let count = Arc::new(AtomicUsize::new(0));
    let ktap = Ktap {
        cases: cases.clone(),
        count: count.clone(),
    };
    let whole = config.filter_files.is_empty();
    let well = run_tests_generic(
        vec![config],
        |path, config| {
            ui_test::default_file_filter(path, config)
                .filter(|_| path.extension().is_some_and(|e| e == "rs"))
        },
        |_, _| {},
        ktap,
    )
    .is_ok();

    let mut well = well;
    if whole {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let missing = missing(&root)?;
        let word = if missing.is_empty() { "ok" } else { "not ok" };
        if !missing.is_empty() {
            println!("# no case for {}", missing.join(", "));
            well = false;
        }
        println!("{word} {number} each public type has a case");
    }
    println!("1..{}", count.load(Ordering::Relaxed));
    Ok(well)
}

/// The compiler with the kernel's flags for a module, in a form that does not depend on where it is
/// called.
fn program(objects: &Path) -> Result<CommandBuilder> {
    let model = objects.join(MODEL);
    let text = fs::read_to_string(&model)
        .with_context(|| format!("{}: build the kernel first", model.display()))?;
    let command = text
        .lines()
        .next()
        .and_then(|line| line.split_once(":= ")?.1.split(" ;").next())
        .context("the kernel's command is not understood")?;

    let mut program = CommandBuilder::rustc();
    program.args.clear();
    program
        .envs
        .push(("RUSTC_BOOTSTRAP".into(), Some("1".into())));
    let mut words = words(command).into_iter();
    for word in words.by_ref() {
        match word.split_once('=') {
            Some((name, value)) if !word.starts_with('-') => {
                program.envs.push((name.into(), Some(value.into())));
            }
            _ => {
                ensure!(word.ends_with("rustc"), "{word} is not rustc");
                program.program = word.into();
                break;
            }
        }
    }
    // Where the output goes, and what is compiled, is another for each case; the edition comes from
    // the runner.
    let elsewhere = ["--emit=", "--edition="];
    while let Some(word) = words.next() {
        if word == "--out-dir" {
            words.next();
        } else if !word.ends_with(".rs") && !elsewhere.iter().any(|w| word.starts_with(w)) {
            let absolute = format!("{}/", objects.display());
            program.args.push(word.replacen("./", &absolute, 1).into());
        }
    }
    program.args.push("--emit=metadata".into());
    program.args.push("--error-format=json".into());
    program.out_dir_flag = Some("--out-dir".into());
    Ok(program)
}

/// Splits a command as the shell does, as far as kbuild makes use of it.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("there is one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Puts the code of an error before its message, so that a case can note both.
///
/// Where an auto trait is missing, rustc has an error for each field that is to blame. Which ones
/// those are is the kernel's affair, so there is one for all.
fn coded_diagnostics(path: &Path, stderr: &[u8]) -> Diagnostics {
    let mut all = rustc_diagnostics_extractor(path, stderr);
    for line in &mut all.messages {
        for message in line.iter_mut() {
            let Some(code) = &message.code else {
                continue;
            };
            let text = match message.message.split_once("` cannot be ") {
                Some((_, rest)) if code == "E0277" => format!("cannot be {rest}"),
                _ => message.message.clone(),
            };
            message.message = format!("{code}: {text}");
        }
        let mut seen = BTreeSet::new();
        line.retain(|m| m.code.as_deref() != Some("E0277") || seen.insert(m.message.clone()));
    }
    all
}

/// The public types that have no folder of cases.
fn missing(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for source in SOURCES {
        let path = root.join("rust/kernel").join(source);
        if path.is_dir() {
            files.extend(fs::read_dir(path)?.flatten().map(|entry| entry.path()));
        } else {
            files.push(path);
        }
    }
    let mut missing = Vec::new();
    let mut types = 0;
    for file in files {
        for line in fs::read_to_string(&file)?.lines() {
            let kinds = [
                "pub struct ",
                "pub enum ",
                "pub union ",
                "pub trait ",
                "pub unsafe trait ",
            ];
            let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else {
                continue;
            };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            types += 1;
            let folder = root.join("tests/ui").join(snake(&name));
            if !fs::read_dir(folder).is_ok_and(|mut cases| cases.next().is_some()) {
                missing.push(name);
            }
        }
    }
    if types == 0 {
        bail!("no public type was found");
    }
    Ok(missing)
}

/// `VmaRef` as `vma_ref`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// Prints a line for each revision of each case.
struct Ktap {
    cases: PathBuf,
    count: Arc<AtomicUsize>,
}

impl StatusEmitter for Ktap {
    fn register_test(&self, path: PathBuf) -> Box<dyn TestStatus> {
        let name = path.strip_prefix(&self.cases).unwrap_or(&path);
        Box::new(Case {
            name: name.with_extension("").display().to_string(),
            path,
            revision: String::new(),
            count: self.count.clone(),
        })
    }

    fn finalize(&self, _: usize, _: usize, _: usize, _: usize, _: bool) -> Box<dyn Summary> {
        Box::new(())
    }
}

#[derive(Clone)]
struct Case {
    name: String,
    path: PathBuf,
    revision: String,
    count: Arc<AtomicUsize>,
}

impl TestStatus for Case {
    fn for_revision(&self, revision: &str, _: RevisionStyle) -> Box<dyn TestStatus> {
        Box::new(Self {
            revision: revision.to_owned(),
            ..self.clone()
        })
    }

    fn for_path(&self, path: &Path) -> Box<dyn TestStatus> {
        Box::new(Self {
            path: path.to_owned(),
            ..self.clone()
        })
    }

    fn failed_test<'a>(&'a self, _: &'a str, _: &'a [u8], _: &'a [u8]) -> Box<dyn Debug + 'a> {
        Box::new(())
    }

    fn done(&self, result: &TestResult, _aborted: bool) {
        let failure = match result {
            // The end of a file whose revisions have each been said.
            Ok(_) if self.revision.is_empty() => return,
            Ok(TestOk::Ok) => None,
            Ok(TestOk::Ignored) => Some("it was ignored".to_owned()),
            Err(err) => Some(format!(
                "{:?}\n{}",
                err.errors,
                String::from_utf8_lossy(&err.stderr)
            )),
        };
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        for line in failure.iter().flat_map(|text| text.lines()) {
            println!("# {line}");
        }
        let word = if failure.is_none() { "ok" } else { "not ok" };
        let what = match self.revision.as_str() {
            "good" => "compiles",
            "bad" => "is refused",
            other => other,
        };
        println!("{word} {number} {} {what}", self.name);
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn revision(&self) -> &str {
        &self.revision
    }
}
