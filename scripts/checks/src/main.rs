// SPDX-License-Identifier: GPL-2.0

//! The commands of `make`.

mod allrust;
mod api;
mod apply;
mod attacks;
mod bench;
mod binder;
mod configs;
mod coverage;
mod curves;
mod deb;
mod debug;
mod docs;
mod doctor;
mod edits;
#[cfg(test)]
mod imports;
mod jobs;
mod layout;
mod limits;
mod lint;
mod mainline_bugs;
mod messages;
mod models;
mod mutants;
mod newer;
mod patches;
mod proof;
mod prose;
mod shell;
mod stress;
mod tests;
mod ui;
mod words;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use front::{
    build::Build, initramfs, kernel, outcome::Outcome, series, setup, setup::Tools, step, tree,
};
use std::{env, path::Path, process::ExitCode};

#[derive(Parser)]
#[command(disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The targets of make. `make help` prints the first line of each comment.
#[derive(Subcommand)]
enum Command {
    /// builds the kernel with the crate
    #[command(name = "all")]
    All,
    /// boots it; prints the answers of the crate beside those of /proc
    Run,
    /// opens a shell in the booted kernel, with the modules of M= in /
    Shell,
    /// builds Debian packages of the kernel and its headers, and a module against them
    Deb,
    /// runs what CI runs, on each kernel; ends with "N passed, N failed"
    Test,
    /// All tests of one kernel, but for those of the sources. `test` starts it.
    #[command(hide = true)]
    TestKernel,
    /// The tests and stress tests under checkers, but for KCSAN. `test` starts it.
    #[command(hide = true)]
    TestCheckers,
    /// runs the documentation's examples and the test programs, in one boot
    Smoke,
    /// runs the documentation's examples in the booted kernel
    Kunit,
    /// runs the test programs in the booted kernel
    Selftest,
    /// compiles misuse of the crate, which must fail
    Ui,
    /// explores models of handshakes without a lock; weakens each ordering (ONLY=part of a name)
    Models,
    /// breaks one line at a time; some test must fail each time (ONLY=parts of names)
    Mutants,
    /// runs rustfmt, clippy, rustdoc, checkpatch and our own checks of the sources
    Lint,
    /// prints the edits of the kernel's files as a diff
    Edits,
    /// writes the crate as patches for `git am` (KDIR= SIGNOFF="Name <mail>")
    Patches,
    /// applies the patches to the published source, and compares that with the tree
    PatchesTest,
    /// builds the source after each patch (ONLY=part of a subject)
    PatchesBuild,
    /// copies the crate into a kernel tree of your own (KDIR=)
    Apply,
    /// takes back what apply did to a tree (KDIR=)
    Unapply,
    /// finds words in comments and documents that are not the kernel's (ONLY=part of a path)
    Words,
    /// compares the crate's public API with mainline's (KERNEL=7.3)
    Api,
    /// runs Rust Binder's tests, and compares its speed with mainline's (KERNEL=7.3)
    Binder,
    /// counts what drivers use in C, and what of it the crate has; writes a page (KERNEL=7.3)
    Coverage,
    /// builds the guide, the soundness pages and rustdoc as HTML, and checks the links
    Docs,
    /// measures instructions and time of each operation, in C and in Rust; draws curves
    Bench,
    /// measures messages of rust_mailbox, sockets, pipes and Binder; draws them (KERNEL=7.3)
    Messages,
    /// prints one operation of bench as assembly, in C and in Rust (FN=)
    Asm,
    /// reproduces bugs of mainline's files, which ours must not have (KERNEL=7.3)
    MainlineBugs,
    /// builds and boots all Rust code of the kernel, under KASAN (KERNEL=7.3)
    Allrust,
    /// says which tools are found and needed, and why CONFIG_RUST is off (KDIR= CONFIG= JSON=1)
    Doctor,
    /// finds what rust/layout.c lacks; with KDIR= or CONFIG=: proves the layouts of that kernel
    Layout,
    /// compiles, or boots the tests, with other kernel configurations (ONLY=part of a name)
    Configs,
    /// runs all tests and stress tests under the kernel's checkers, then under KCSAN
    Debug,
    /// runs all tests, fuzz and soak under KCSAN, which detects data races
    Races,
    /// makes each allocation and user copy fail once, under the kernel's checkers
    FaultInjection,
    /// makes random calls, under the kernel's checkers (SECONDS=600 SEED= CASE=)
    Fuzz,
    /// creates and ends processes in many ways, under the kernel's checkers (SECONDS=600 SEED=)
    Soak,
    /// installs what the other targets need
    Setup,
    /// prints this list
    Help,
    /// The kernel's own make.
    #[command(external_subcommand)]
    Kernel(Vec<String>),
}

impl Command {
    /// Returns whether the command compiles the kernel with gcc if `LLVM` is not set, as the kernel's make
    /// does. The others always use Clang.
    fn can_use_gcc(&self) -> bool {
        matches!(
            self,
            Self::All
                | Self::Run
                | Self::Smoke
                | Self::Kunit
                | Self::Selftest
                | Self::Shell
                | Self::Kernel(_)
        )
    }

    /// Returns whether the command boots a virtual machine.
    fn boots(&self) -> bool {
        matches!(
            self,
            Self::Run
                | Self::Shell
                | Self::Deb
                | Self::Test
                | Self::TestKernel
                | Self::TestCheckers
                | Self::Smoke
                | Self::Selftest
                | Self::Mutants
                | Self::Binder
                | Self::Bench
                | Self::Messages
                | Self::MainlineBugs
                | Self::Allrust
                | Self::Configs
                | Self::Debug
                | Self::Races
                | Self::FaultInjection
                | Self::Fuzz
                | Self::Soak
        )
    }

    /// Returns the packages that need a newer rustc than the tool does, after the name of the command.
    fn needs_newer(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Test | Self::TestKernel => ("test", &[newer::ITEMS, newer::UI]),
            Self::Lint => ("lint", &[newer::ITEMS, newer::UI]),
            Self::Api => ("api", &[newer::ITEMS]),
            Self::Ui => ("ui", &[newer::UI]),
            Self::Mutants => ("mutants", &[newer::UI]),
            _ => ("", &[]),
        }
    }
}

fn main() -> ExitCode {
    // A reader such as `head` may have enough before the end.
    sigpipe::reset();
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything succeeded.
fn run() -> Result<bool> {
    let matches = Args::command().get_matches();
    let target = matches.subcommand_name().unwrap_or_default();
    let args = Args::from_arg_matches(&matches)?;
    if let Command::Help = args.command {
        help();
        return Ok(true);
    }
    if let Command::Doctor = args.command {
        return doctor::all();
    }
    if matches!(args.command, Command::Layout) && proof::is_asked() {
        return proof::all();
    }
    let mut build = Build::find(None)?;
    if args.command.can_use_gcc() && env::var("LLVM").unwrap_or_default().is_empty() {
        build = build.with_gcc()?;
    }
    let (name, packages) = args.command.needs_newer();
    newer::refuse_old(&build.root, name, packages)?;
    if let Command::Words = args.command {
        let mut outcome = Outcome::default();
        words::check(&build.root, &mut outcome)?;
        outcome.print();
        return Ok(outcome.success());
    }
    match args.command {
        Command::Deb => build.machine.require_default("deb")?,
        Command::Test => build.machine.require_default("test")?,
        _ => {}
    }
    if args.command.boots() {
        let machine = build.machine.qemu();
        machine.with_context(|| format!("make {target}"))?;
    }
    let lock = match jobs::is_job() {
        true => None,
        false => Some(step::lock(&build.out)?),
    };
    let copied = match args.command {
        Command::Patches => Some(patches::write(&build)),
        Command::Apply => Some(apply::apply(&build)),
        Command::Unapply => Some(apply::unapply(&build)),
        _ => None,
    };
    if let Some(done) = copied {
        return done.map(|()| true);
    }
    if let (Command::Test, Some(lock)) = (&args.command, &lock) {
        return tests::test(&build, lock);
    }

    let tools = setup::ensure(&build)?;
    if let Command::Setup = args.command {
        return Ok(true);
    }
    if let Command::Edits = args.command {
        edits::print(&build)?;
        return Ok(true);
    }
    if let Command::Coverage = args.command {
        coverage::write(&build)?;
        return Ok(true);
    }
    let mut outcome = Outcome::default();
    if let Command::PatchesTest = args.command {
        patches::test(&build, &mut outcome)?;
        outcome.print();
        return Ok(outcome.success());
    }
    tree::assemble(&build)?;
    if let Command::Models = args.command {
        models::all(&build, &mut outcome)?;
        outcome.print();
        return Ok(outcome.success());
    }
    if let Command::Kernel(goals) = args.command {
        let menus = ["menuconfig", "nconfig"];
        if goals.iter().any(|goal| menus.contains(&goal.as_str())) {
            setup::also(&build, setup::MENUS)?;
        }
        return kernel::forward(&build, &tools, &goals);
    }
    kernel::configure(&build, &tools)?;

    match args.command {
        Command::All => {
            kernel::compile(&build, &tools)?;
            println!("{}", kernel::image(&build).display());
            return Ok(true);
        }
        Command::Run => {
            kernel::compile(&build, &tools)?;
            return tests::run(&build, &tools, &mut outcome);
        }
        Command::Deb => deb::all(&build, &tools, &mut outcome)?,
        Command::Shell => {
            kernel::compile(&build, &tools)?;
            return shell::open(&build, &tools);
        }
        Command::Asm => {
            kernel::compile(&build, &tools)?;
            bench::asm(&build, &tools)?;
            return Ok(true);
        }
        Command::Layout => {
            let log = build.log("build");
            let mut make = kernel::make(&build, &tools);
            step::run(&build.title(), &log, make.arg("rust/kernel.o"))?;
            layout::check(&build, &tools, &mut outcome)?;
        }
        Command::Lint => {
            lint::sources(&build, &tools, &mut outcome)?;
            lint::kernel(&build, &tools, &mut outcome)?;
        }
        Command::TestKernel => tests::kernel(&build, &tools, &mut outcome)?,
        Command::TestCheckers => debug::checked(&build, &tools, &mut outcome)?,
        Command::Smoke => tests::smoke(&build, &tools, &mut outcome)?,
        Command::PatchesBuild => patches::steps(&build, &tools, &mut outcome)?,
        Command::Allrust => {
            tests::mainline(&build)?;
            // This kernel has KASAN, and the crate's own debug checks.
            if let Some(build) = allrust::whole(&build, &tools, &mut outcome)? {
                let initramfs = initramfs::create(&build, &tools)?;
                tests::everything(&build, &initramfs, &mut outcome)?;
            }
        }
        Command::Docs => docs::all(&build, &tools, &mut outcome)?,
        Command::Configs => configs::all(&build, &tools, &mut outcome)?,
        Command::Debug => debug::all(&build, &tools, &mut outcome)?,
        Command::Races => debug::races(&build, &tools, &mut outcome)?,
        Command::FaultInjection => {
            debug::one("faults", &build, &tools, &mut outcome)?;
        }
        Command::Fuzz => debug::one("fuzz", &build, &tools, &mut outcome)?,
        Command::Soak => debug::one("soak", &build, &tools, &mut outcome)?,
        part => {
            kernel::compile(&build, &tools)?;
            run_part(&part, &build, &tools, &mut outcome)?;
        }
    }
    outcome.print();
    Ok(outcome.success())
}

/// Runs one part of the tests, or a measurement, on the kernel that was built.
fn run_part(part: &Command, build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    match part {
        Command::Ui => return ui::all(build, outcome),
        Command::Mutants => return mutants::all(build, tools, outcome),
        Command::Bench => return bench::all(build, tools, outcome),
        Command::Kunit => return tests::kunit(build, tools, outcome),
        Command::Api => {
            let mainline = tests::mainline(build)?;
            tests::build_like(&mainline, build, tools)?;
            api::document(&mainline, tools)?;
            let unmodified = tests::for_unmodified_drivers(build, tools)?;
            return api::compare(&unmodified, &mainline, outcome);
        }
        Command::MainlineBugs => {
            let mainline = tests::mainline(build)?;
            tests::build_like(&mainline, build, tools)?;
            return mainline_bugs::compare(build, &mainline, tools, outcome);
        }
        _ => {}
    }
    let initramfs = initramfs::create(build, tools)?;
    match part {
        Command::Binder => tests::binder(build, &initramfs, tools, outcome),
        Command::Messages => messages::all(build, &initramfs, outcome),
        _ => tests::selftest(build, &initramfs, outcome).map(|_| ()),
    }
}

/// Prints the targets of make.
fn help() {
    let mut text = String::new();
    for command in Args::command().get_subcommands() {
        if command.is_hide_set() {
            continue;
        }
        let target = match command.get_name() {
            "all" => "",
            name => name,
        };
        let what = command.get_about().map(ToString::to_string);
        text += &format!("make LLVM=1 {target:16} {}\n", what.unwrap_or_default());
    }
    text += "\
make LLVM=1 M=dir            builds a module of your own
make clean                   removes build/
Any other target is passed to the kernel's make: menuconfig, rustdoc, rust-analyzer, ...

KDIR=path     a kernel tree of your own, which is not written to
ARCH=arm64    the architecture: x86_64 (the default), arm64, or um: kunit without QEMU
LLVM=1        Clang; without it, run, smoke, kunit, selftest, shell and the build use gcc
";
    let all = series::supported(Path::new(".")).unwrap_or_default();
    text += &format!("KERNEL=6.12   the kernel series: {}\n", all.join(", "));
    text += "KERNEL=next   with KDIR of a later series: says which edits do not fit\n";
    print!("{text}");
}

#[cfg(test)]
mod cli {
    use super::*;

    #[test]
    fn each_command_has_a_description_of_one_line() {
        Args::command().debug_assert();
        for command in Args::command().get_subcommands() {
            let about = command.get_about().unwrap().to_string();
            assert!(!about.is_empty() && about.len() <= 90, "{about}");
        }
    }

    #[test]
    fn other_targets_are_passed_to_the_kernel() {
        let args = Args::try_parse_from(["checks", "menuconfig"]).unwrap();
        assert!(matches!(args.command, Command::Kernel(goals) if goals == ["menuconfig"]));
        let args = Args::try_parse_from(["checks", "fault-injection"]).unwrap();
        assert!(matches!(args.command, Command::FaultInjection));
    }
}
