// SPDX-License-Identifier: GPL-2.0

//! Compiles the cases in `tests/ui/` with the kernel's flags for a module, and prints KTAP.
//!
//! Each case is a file with two revisions. `good` must compile. `bad` also has the lines under
//! `#[cfg(bad)]`, and must fail with exactly the errors that are annotated at its lines.

use anyhow::{ensure, Context, Result};
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

/// The arguments are the root of the repository, the kernel's object directory, an object of a
/// module in it, and optionally parts of the paths of the cases to compile.
fn run() -> Result<bool> {
    let mut args = env::args_os().skip(1);
    let mut path = || {
        let next = args.next().map(PathBuf::from);
        next.context("usage: ui ROOT OBJECTS MODULE [CASE...]")
    };
    let (root, objects, model) = (path()?, path()?, path()?);
    let filter = args.map(|word| word.to_string_lossy().into_owned());

    let cases = root.join("tests/ui");
    let mut config = Config::rustc(&cases);
    config.program = program(&objects, &model)?;
    config.out_dir = objects.join("ui");
    config.filter_files = filter.collect();
    // The cases annotate the relevant messages; rustc may change the others.
    config.output_conflict_handling = ignore_output_conflict;
    config.diagnostic_extractor = coded_diagnostics;

    config
        .comment_defaults
        .base()
        .set_custom("rustfix", RustfixMode::Disabled);

    let release = objects.join("include/config/kernel.release");
    let release = fs::read_to_string(&release)
        .with_context(|| format!("{}: build the kernel first", release.display()))?;

    println!("KTAP version 1");
    let count = Arc::new(AtomicUsize::new(0));
    let ktap = Ktap {
        cases: cases.clone(),
        count: count.clone(),
    };
    let passed = run_tests_generic(
        vec![config],
        |path, config| {
            ui_test::default_file_filter(path, config)
                .filter(|_| path.extension().is_some_and(|e| e == "rs"))
                .filter(|_| is_for(path, &release))
        },
        |_, _| {},
        ktap,
    )
    .is_ok();

    println!("1..{}", count.load(Ordering::Relaxed));
    Ok(passed)
}

/// Returns whether a case is for this kernel. A case of a later API has a line "// Linux X.Y and
/// later".
fn is_for(case: &Path, release: &str) -> bool {
    let text = fs::read_to_string(case).unwrap_or_default();
    let mut lines = text.lines();
    let since = lines.find_map(|l| l.strip_prefix("// Linux ")?.strip_suffix(" and later"));
    since.is_none_or(|since| version(release) >= version(since))
}

/// Returns the first two numbers of a release.
fn version(release: &str) -> Vec<u32> {
    let numbers = release.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|n| n.parse().ok()).take(2).collect()
}

/// Returns the command that compiled `model`, without its input and output, and with absolute
/// paths.
fn program(objects: &Path, model: &Path) -> Result<CommandBuilder> {
    let name = model.file_name().context("the object has no name")?;
    let name = format!(".{}.cmd", name.to_string_lossy());
    let model = objects.join(model.with_file_name(name));
    let text = fs::read_to_string(&model)
        .with_context(|| format!("{}: build the kernel first", model.display()))?;
    let command = text
        .lines()
        .next()
        .and_then(|line| line.split_once(":= ")?.1.split(" ;").next())
        .context("the .cmd file cannot be parsed")?;

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
                ensure!(word.ends_with("rustc"), "{word}: expected rustc");
                program.program = word.into();
                break;
            }
        }
    }
    // ui_test adds the input, the output and the edition.
    let replaced = ["--emit=", "--edition="];
    while let Some(word) = words.next() {
        if word == "--out-dir" {
            words.next();
        } else if !word.ends_with(".rs") && !replaced.iter().any(|w| word.starts_with(w)) {
            let absolute = format!("{}/", objects.display());
            program.args.push(word.replacen("./", &absolute, 1).into());
        }
    }
    program.args.push("--emit=metadata".into());
    program.args.push("--error-format=json".into());
    program.out_dir_flag = Some("--out-dir".into());
    Ok(program)
}

/// Splits a command like the shell, as far as kbuild uses its syntax.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("words is not empty").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Prepends an error's code to its message, so that a case can annotate both.
///
/// If an auto trait is not implemented, rustc reports each field that causes it. These fields
/// depend on the kernel, so the reports are merged.
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

/// Prints a result line for each revision of each case.
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
            // The result of the whole file, whose revisions have been reported.
            Ok(_) if self.revision.is_empty() => return,
            Ok(TestOk::Ok) => None,
            Ok(TestOk::Ignored) => Some("the case was ignored".to_owned()),
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

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases_are_ordered() {
        assert!(version("6.12.117") < version("6.18"));
        assert!(version("6.18.2-rc1") >= version("6.18"));
        assert!(version("7.3.4") > version("6.18"));
    }
}
