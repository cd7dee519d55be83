// SPDX-License-Identifier: GPL-2.0

//! What stands behind `make`: sets up, assembles, builds, boots and reports.

mod allrust;
mod api;
mod bench;
mod binder;
mod boot;
mod curves;
mod debug;
mod kernel;
mod known;
mod lint;
mod mutants;
mod release;
mod report;
mod setup;
mod step;
mod tree;
mod ui;
mod user;

use anyhow::{bail, Context, Result};
use binder::Beside;
use boot::{Boot, Guest};
use clap::{Parser, Subcommand};
use debug::Ordeal;
use report::{Examples, Outcome};
use setup::Tools;
use std::{env, fs, path::PathBuf, process::ExitCode};
use user::Initramfs;

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
    /// Misuse that must not compile
    Ui,
    /// Small faults in our files, each of which some test has to notice
    Mutants,
    /// rustfmt, clippy, rustdoc and checkpatch over our files
    Lint,
    /// Mainline's public API, item by item, against ours
    Api,
    /// Rust Binder on our files, with our changes to it and without: its tests, and its speed beside
    /// that on mainline's files
    Binder,
    /// The code of one operation (FN=), in C and in Rust
    Asm,
    /// Instructions of each operation, beside those of C and of mainline's files
    Bench,
    /// Faults of mainline's files, there and on ours
    Known,
    /// All of the kernel's own Rust code, built on our files and booted
    Allrust,
    /// All tests and ordeals under the kernel's checkers, and then those for data races
    Debug,
    /// All tests and two ordeals under KCSAN, which sees data races
    Races,
    /// Each allocation and each copy that the drivers ask for fails once, under the checkers
    Faults,
    /// Random calls, under the checkers
    Fuzz,
    /// Processes that come and go in all ways, under the checkers
    Soak,
    /// Sets up what is missing, and stops
    Setup,
    /// Hands goals and variables to the kernel's own make
    Kmake {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        goals: Vec<String>,
    },
}

/// Where everything is.
#[derive(Clone)]
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
    /// Whether our files are in it.
    pub ours: bool,
    /// Whether the kernel's own drivers are changed to make use of them.
    pub drivers: bool,
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
            ours: true,
            drivers: true,
        })
    }

    /// The same kernel with another configuration, and objects of its own.
    pub fn variant(&self, name: &str) -> Self {
        let mut objects = self.objects.clone().into_os_string();
        objects.push(format!("-{name}"));
        Self {
            objects: objects.into(),
            ..self.clone()
        }
    }

    /// The name of the objects' folder, such as `6.12-x86_64`.
    pub fn name(&self) -> String {
        let name = self.objects.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// What a person calls it.
    pub fn title(&self) -> String {
        format!("Linux {}", self.name())
    }

    /// Where the output of a step goes.
    pub fn log(&self, step: &str) -> PathBuf {
        let dir = self.build.join("log").join(self.name());
        // What cannot be made is missed when the log is.
        let _ = fs::create_dir_all(&dir);
        dir.join(format!("{step}.log"))
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

    let mut outcome = Outcome::default();
    match args.command {
        Command::Build => {
            kernel::build(&place, &tools)?;
            println!("{}", kernel::image(&place).display());
            return Ok(true);
        }
        Command::Run => {
            kernel::build(&place, &tools)?;
            return show(&place, &tools, &mut outcome);
        }
        Command::Asm => {
            kernel::build(&place, &tools)?;
            bench::asm(&place, &tools)?;
            return Ok(true);
        }
        Command::Lint => lint::all(&place, &tools, &mut outcome)?,
        Command::Allrust => {
            mainline(&place)?;
            // The kernel has KASAN, and the crate's own checks.
            if let Some(place) = allrust::whole(&place, &tools, &mut outcome)? {
                let initramfs = user::initramfs(&place, &tools)?;
                everything(&place, &initramfs, &mut outcome)?;
            }
        }
        Command::Debug => debug::all(&place, &tools, &mut outcome)?,
        Command::Races => debug::races(&place, &tools, &mut outcome)?,
        Command::Faults => debug::one(Ordeal::Faults, &place, &tools, &mut outcome)?,
        Command::Fuzz => debug::one(Ordeal::Fuzz, &place, &tools, &mut outcome)?,
        Command::Soak => debug::one(Ordeal::Soak, &place, &tools, &mut outcome)?,
        part => {
            kernel::build(&place, &tools)?;
            run_part(&part, &place, &tools, &mut outcome)?;
        }
    }
    outcome.print();
    Ok(outcome.well())
}

/// Runs one part of the tests on the kernel that was built.
fn run_part(part: &Command, place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    match part {
        Command::Ui => return ui::all(place, outcome),
        Command::Mutants => return mutants::all(place, tools, outcome),
        Command::Api => {
            let mainline = mainline(place)?;
            built(&mainline, place, tools)?;
            for place in [&mainline, place] {
                api::document(place, tools)?;
            }
            return api::compare(place, &mainline, outcome);
        }
        Command::Bench => {
            let mainline = tree::mainline(place)?;
            count(place, mainline.as_ref(), tools, outcome)?;
            curves::draw(place, tools, outcome)?;
            if kernel::has(place, "CONFIG_ANDROID_BINDER_IPC_RUST=y")? {
                let c = place.variant("c-binder");
                kernel::derive(&c, tools, place, &["c-binder"])?;
                kernel::build(&c, tools)?;
                let theirs = user::initramfs(&c, tools)?;
                let ours = user::initramfs(place, tools)?;
                binder::beside((place, &ours), (&c, &theirs), Beside::C, outcome)?;
            }
            for name in ["size", "calls"] {
                let variant = place.variant(name);
                kernel::derive(&variant, tools, place, &[name])?;
                kernel::build(&variant, tools)?;
                let mainline = mainline.as_ref().map(|place| place.variant(name));
                count(&variant, mainline.as_ref(), tools, outcome)?;
            }
            return Ok(());
        }
        Command::Known => {
            let mainline = mainline(place)?;
            built(&mainline, place, tools)?;
            return known::compare(place, &mainline, tools, outcome);
        }
        _ => {}
    }
    let initramfs = user::initramfs(place, tools)?;
    match part {
        Command::Kunit => {
            let guest = boot::boot(place, &initramfs.archive, &Boot::with(""), outcome)?;
            report::kunit(place, &guest, outcome)?;
        }
        Command::Binder => {
            let mainline = mainline(place)?;
            let theirs = built(&mainline, place, tools)?;
            for (place, initramfs) in [(place, &initramfs), (&mainline, &theirs)] {
                selftest(place, initramfs, outcome)?;
            }
            unchanged(place, tools, outcome)?;
            binder::compare((place, &initramfs), (&mainline, &theirs), outcome)?;
        }
        _ => {
            selftest(place, &initramfs, outcome)?;
        }
    }
    Ok(())
}

/// Shows each answer of the crate beside that of /proc. Returns whether all is well.
fn show(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<bool> {
    let initramfs = user::initramfs(place, tools)?;
    let guest = selftest(place, &initramfs, outcome)?;
    let facts = report::facts(&guest.results);
    report::table(&facts);
    outcome.print();
    let differ = facts.iter().filter(|f| !f.agrees()).count();
    println!("{} facts agree, {differ} differ", facts.len() - differ);
    Ok(outcome.well() && differ == 0 && !facts.is_empty())
}

/// The kernel with mainline's own files.
fn mainline(place: &Place) -> Result<Place> {
    tree::mainline(place)?.with_context(|| {
        format!(
            "Linux {} has none of this to compare with: use KERNEL=7.3",
            place.series
        )
    })
}

/// Builds a kernel that is configured like another, and what it boots from.
fn built(place: &Place, like: &Place, tools: &Tools) -> Result<Initramfs> {
    kernel::derive(place, tools, like, &[])?;
    kernel::build(place, tools)?;
    user::initramfs(place, tools)
}

/// Tests that our files serve mainline's drivers as they are.
fn unchanged(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let unchanged = tree::unchanged(place);
    println!("# Linux {}, with its own drivers", place.series);
    tree::assemble(&unchanged)?;
    let initramfs = built(&unchanged, place, tools)?;
    selftest(&unchanged, &initramfs, outcome)?;
    Ok(())
}

/// Counts instructions on a kernel that is built, and on mainline's like it.
fn count(
    place: &Place,
    mainline: Option<&Place>,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<()> {
    if let Some(mainline) = mainline {
        built(mainline, place, tools)?;
    }
    bench::compare(place, mainline, tools, outcome)
}

/// Boots and runs the test programs.
fn selftest(place: &Place, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<Guest> {
    let how = Boot::with("programs=/selftests kunit.enable=0");
    let guest = boot::boot(place, &initramfs.archive, &how, outcome)?;
    outcome.programs(&initramfs.programs, &guest.results);
    Ok(guest)
}

/// Boots and runs all tests. Returns what the kernel's own examples are.
fn everything(place: &Place, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<Examples> {
    let how = Boot::with("programs=/selftests");
    let guest = boot::boot(place, &initramfs.archive, &how, outcome)?;
    let examples = report::kunit(place, &guest, outcome)?;
    outcome.programs(&initramfs.programs, &guest.results);
    Ok(examples)
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
        ui::all(&place, &mut outcome)?;
        kernel::misplaced(&place, &tools, &mut outcome)?;
        let examples = everything(&place, &initramfs, &mut outcome)?;
        if let Some(mainline) = tree::mainline(&place)? {
            println!("# Linux {}, with its own files", place.series);
            let theirs = built(&mainline, &place, &tools)?;
            let had = everything(&mainline, &theirs, &mut outcome)?;
            report::examples(&had, &examples, &place, &mut outcome)?;
            api::document(&mainline, &tools)?;
            // lint has documented ours.
            api::compare(&place.variant("clippy"), &mainline, &mut outcome)?;
            known::compare(&place, &mainline, &tools, &mut outcome)?;
            bench::compare(&place, Some(&mainline), &tools, &mut outcome)?;
            unchanged(&place, &tools, &mut outcome)?;
            binder::compare((&place, &initramfs), (&mainline, &theirs), &mut outcome)?;
            // The C code around it would take longer than all of the above.
            allrust::compile(&place, &tools, &mut outcome)?;
        } else {
            bench::compare(&place, None, &tools, &mut outcome)?;
            // One kernel with all checkers is what there is time for.
            debug::checked(&place, &tools, &mut outcome)?;
        }
    }
    outcome.print();
    Ok(outcome.well())
}
