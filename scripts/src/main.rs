// SPDX-License-Identifier: GPL-2.0

//! What stands behind `make`: sets up, assembles, builds, boots and reports.

mod boot;
mod kernel;
mod lint;
mod report;
mod setup;
mod step;
mod tree;
mod user;

use anyhow::{bail, Context, Result};
use clap::{Parser, Subcommand};
use report::Outcome;
use std::{env, fs, path::PathBuf, process::ExitCode};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the kernel with the crate in it
    Build,
    /// Boots it and shows each answer of the crate beside that of /proc
    Run,
    /// All that CI runs; ends with `N passed, N failed`
    Test,
    /// The examples of the documentation, run in the booted kernel
    Kunit,
    /// Programs that drive the sample in the booted kernel
    Selftest,
    /// rustfmt, clippy, rustdoc and checkpatch over our files
    Lint,
    /// Sets up what is missing, and stops
    Setup,
    /// Hands goals and variables to the kernel's own make
    Kmake {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        goals: Vec<String>,
    },
}

/// Where everything is.
pub struct Place {
    /// Our repository.
    pub root: PathBuf,
    /// All that is generated.
    pub build: PathBuf,
    /// What is downloaded, for every clone of this user.
    pub cache: PathBuf,
    /// `6.12`.
    pub series: String,
    /// The tree that a person brought.
    pub kdir: Option<PathBuf>,
    /// The assembled tree.
    pub tree: PathBuf,
    /// The objects.
    pub objects: PathBuf,
}

impl Place {
    /// Finds the place for `series`, or for what the environment says.
    fn find(series: Option<String>) -> Result<Self> {
        let root = env::current_dir()?.canonicalize()?;
        if !root.join("backport").is_dir() {
            bail!(
                "{}: not the project's folder; call make there",
                root.display()
            );
        }
        let build = root.join("build");
        fs::create_dir_all(build.join("log"))?;

        let var = |name| env::var(name).ok().filter(|v| !v.is_empty());
        if let Some(llvm) = var("LLVM").filter(|llvm| llvm != "1") {
            bail!("LLVM={llvm}: only LLVM=1 is supported, as bindgen and rustc are of LLVM too");
        }
        if let Some(arch) = var("ARCH").filter(|arch| arch != "x86_64") {
            bail!("ARCH={arch}: only x86_64 is supported so far");
        }
        let cache = match var("XDG_CACHE_HOME") {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(var("HOME").context("HOME is not set")?).join(".cache"),
        }
        .join("rust-task-mm");

        let kdir = var("KDIR").map(PathBuf::from);
        let (series, suffix) = match &kdir {
            Some(kdir) => (tree::series_of(kdir)?, "-kdir"),
            None => (
                series.or(var("KERNEL")).unwrap_or_else(|| "6.12".into()),
                "",
            ),
        };
        Ok(Self {
            tree: build.join(format!("linux-{series}{suffix}")),
            objects: build.join(format!("{series}-x86_64{suffix}")),
            root,
            build,
            cache,
            series,
            kdir,
        })
    }

    /// Where the output of a step goes.
    pub fn log(&self, step: &str) -> PathBuf {
        self.build.join("log").join(format!("{step}.log"))
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all that was asked for is well.
fn run() -> Result<bool> {
    let args = Args::parse();
    let place = Place::find(None)?;
    let _lock = step::lock(&place.build)?;
    if let Command::Test = args.command {
        return test(place);
    }

    let tools = setup::ensure(&place)?;
    if let Command::Setup = args.command {
        return Ok(true);
    }
    tree::assemble(&place)?;
    if let Command::Kmake { goals } = args.command {
        return kernel::forward(&place, &tools, &goals);
    }
    kernel::configure(&place, &tools)?;

    if let Command::Lint = args.command {
        let mut outcome = Outcome::default();
        lint::all(&place, &tools, &mut outcome)?;
        outcome.print();
        return Ok(outcome.well());
    }
    kernel::build(&place, &tools)?;
    if let Command::Build = args.command {
        println!("{}", kernel::image(&place).display());
        return Ok(true);
    }
    let initramfs = user::initramfs(&place, &tools)?;

    let mut outcome = Outcome::default();
    match args.command {
        Command::Run => {
            let guest = boot::boot(&place, &initramfs, "kunit.enable=0", &mut outcome)?;
            let facts = report::facts(&guest.results);
            report::table(&facts);
            outcome.ktap("selftest", &guest.results);
            outcome.print();
            let differ = facts.iter().filter(|f| !f.agrees()).count();
            println!("{} facts agree, {differ} differ", facts.len() - differ);
            return Ok(outcome.well() && differ == 0 && !facts.is_empty());
        }
        Command::Kunit => {
            let guest = boot::boot(&place, &initramfs, "selftests=off", &mut outcome)?;
            report::kunit(&place, &guest, &mut outcome)?;
        }
        _ => {
            let guest = boot::boot(&place, &initramfs, "kunit.enable=0", &mut outcome)?;
            outcome.ktap("selftest", &guest.results);
        }
    }
    outcome.print();
    Ok(outcome.well())
}

/// Runs all tests on the kernel that was asked for, or on each that is supported.
fn test(asked: Place) -> Result<bool> {
    let named = |name: &str| env::var(name).is_ok_and(|value| !value.is_empty());
    let places = if named("KERNEL") || named("KDIR") {
        vec![asked]
    } else {
        let all = tree::supported(&asked.root)?.into_iter();
        all.map(|series| Place::find(Some(series)))
            .collect::<Result<_>>()?
    };

    let mut outcome = Outcome::default();
    for place in places {
        println!("# Linux {}", place.series);
        let tools = setup::ensure(&place)?;
        tree::assemble(&place)?;
        kernel::configure(&place, &tools)?;
        kernel::build(&place, &tools)?;
        let initramfs = user::initramfs(&place, &tools)?;

        lint::all(&place, &tools, &mut outcome)?;
        kernel::misplaced(&place, &tools, &mut outcome)?;
        let guest = boot::boot(&place, &initramfs, "", &mut outcome)?;
        report::kunit(&place, &guest, &mut outcome)?;
        outcome.ktap("selftest", &guest.results);
    }
    outcome.print();
    Ok(outcome.well())
}
