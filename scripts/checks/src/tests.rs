// SPDX-License-Identifier: GPL-2.0

//! Booting a kernel with its tests, and `make test`, which runs all of them.

use crate::{
    allrust, api, bench,
    binder::{self, Beside},
    configs, debug, jobs, lint, mainline_bugs, messages, models, patches, shell, ui,
};
use anyhow::{Context, Result};
use front::{
    boot::{self, BootOptions, Guest},
    build::Build,
    initramfs::{self, Initramfs},
    kernel,
    outcome::Outcome,
    report::{self, Examples},
    setup::{self, Tools},
    step, tree,
};
use std::{
    env,
    fs::{self, File},
    path::Path,
};

/// Returns the build of mainline's own files.
pub fn mainline(build: &Build) -> Result<Build> {
    tree::mainline(build)?.with_context(|| {
        format!(
            "Linux {} does not have these modules, so there is nothing to compare with: use KERNEL=7.3",
            build.series
        )
    })
}

/// Builds a kernel with the configuration of `like`, and its initramfs.
pub fn build_like(build: &Build, like: &Build, tools: &Tools) -> Result<Initramfs> {
    kernel::derive(build, tools, like, &[])?;
    kernel::compile(build, tools)?;
    initramfs::create(build, tools)
}

/// Boots the kernel, or runs it as a program, and runs the documentation's examples.
pub fn kunit(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let console = match build.machine.qemu {
        Some(_) => {
            let initramfs = initramfs::create(build, tools)?;
            let options = BootOptions::new("");
            boot::boot(build, &initramfs.archive, &options, outcome)?.console
        }
        None => boot::run(build, outcome)?,
    };
    report::kunit(build, &console, outcome)?;
    Ok(())
}

/// Boots the kernel, and runs the test programs.
pub fn selftest(build: &Build, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<Guest> {
    let options = BootOptions::new("programs=/selftests kunit.enable=0");
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    outcome.programs(&initramfs.programs, &guest.results);
    Ok(guest)
}

/// What the symbol of a work item's function contains, and that of a type whose work items may run when
/// the module that has queued them is gone.
const WORK_ITEM: &str = "WorkItemPointer";
const OF_THE_CRATE: &str = "2mm3pin4Pins";

/// Tests that the function of such a work item is part of the crate, and of no driver.
fn work_items(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let has = |object: &Path| -> Result<bool> {
        let path = build.objects.join(object);
        let symbols = step::output(tools.command("llvm-nm").arg("--defined-only").arg(path))?;
        let mut symbols = symbols.lines();
        Ok(symbols.any(|line| line.contains(WORK_ITEM) && line.contains(OF_THE_CRATE)))
    };
    let mut where_else = Vec::new();
    for driver in &build.manifest.driver {
        let object = driver.object();
        if build.objects.join(&object).exists() && has(&object)? {
            where_else.push(object.display().to_string());
        }
    }
    outcome.check(
        "the functions of the crate's work items are part of the crate",
        has(Path::new("rust/kernel.o"))? && where_else.is_empty(),
        &format!("they are in {where_else:?}"),
    );
    Ok(())
}

/// Boots the kernel, and runs the examples and the test programs. Returns the examples of the kernel's
/// own files.
pub fn everything(build: &Build, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<Examples> {
    let options = BootOptions::new("programs=/selftests");
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    let examples = report::kunit(build, &guest.console, outcome)?;
    outcome.programs(&initramfs.programs, &guest.results);
    Ok(examples)
}

/// Prints the values that the crate reports beside those of /proc. Returns whether all agree.
pub fn run(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<bool> {
    let initramfs = initramfs::create(build, tools)?;
    let guest = selftest(build, &initramfs, outcome)?;
    let facts = report::facts(&guest.results);
    report::table(&facts);
    outcome.print();
    let differ = facts.iter().filter(|f| !f.agrees()).count();
    println!("{} facts agree, {differ} differ", facts.len() - differ);
    Ok(outcome.success() && differ == 0 && !facts.is_empty())
}

/// Tests Rust Binder on our files and on mainline's, with our edits and without, and its speed.
pub fn binder(
    build: &Build,
    initramfs: &Initramfs,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<()> {
    let mainline = mainline(build)?;
    let theirs = build_like(&mainline, build, tools)?;
    for (build, initramfs) in [(build, initramfs), (&mainline, &theirs)] {
        selftest(build, initramfs, outcome)?;
    }
    unmodified_drivers(build, tools, outcome)?;
    let (ours, theirs) = ((build, initramfs), (&mainline, &theirs));
    binder::instructions(ours, theirs, Beside::Mainline, outcome)?;
    binder::times(ours, theirs, Beside::Mainline, outcome)
}

/// Tests that mainline's drivers work on our files without our edits.
fn unmodified_drivers(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let unmodified = tree::unmodified_drivers(build);
    println!("# Linux {}, with unmodified drivers", build.series);
    tree::assemble(&unmodified)?;
    let initramfs = build_like(&unmodified, build, tools)?;
    selftest(&unmodified, &initramfs, outcome)?;
    Ok(())
}

/// Returns the build whose API mainline's drivers use, with its documentation. There, Rust Binder
/// selects what `DriverVma` and `UserPage` replace.
pub fn for_unmodified_drivers(build: &Build, tools: &Tools) -> Result<Build> {
    let unmodified = tree::unmodified_drivers(build);
    tree::assemble(&unmodified)?;
    kernel::derive(&unmodified, tools, build, &[])?;
    api::document(&unmodified, tools)?;
    Ok(unmodified)
}

/// Tests that the build fails if bindgen computes a wrong layout.
fn wrong_layout(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let variant = build.variant("misplaced");
    kernel::derive(&variant, tools, build, &["matrix/no-schedstats"])?;

    let log = variant.log("build");
    let wrapper = build.root.join("scripts/misplaced/bindgen");
    let mut make = kernel::make(&variant, tools);
    make.arg(format!("BINDGEN={}", wrapper.display()))
        .arg("rust/kernel.o");
    let built = step::watch("build with a wrong layout", &log, &mut make, None)?;
    let named =
        fs::read_to_string(&log)?.contains("bindgen misplaces field mm of struct task_struct");
    outcome.report(
        "a wrong layout of bindgen's fails the build",
        !built && named,
        &format!("see {}", log.display()),
    );
    Ok(())
}

/// Runs all tests on the kernel that `KERNEL` or `KDIR` names, or else on those that manifest.toml lists.
pub fn test(asked: &Build, lock: &File) -> Result<bool> {
    let is_set = |name: &str| env::var(name).is_ok_and(|value| !value.is_empty());
    let one = is_set("KERNEL") || is_set("KDIR");
    let mut outcome = Outcome::default();
    let tools = setup::ensure(asked)?;
    tree::assemble(asked)?;
    lint::sources(asked, &tools, &mut outcome)?;
    models::all(asked, &mut outcome)?;
    if one {
        kernel(asked, &tools, &mut outcome)?;
        let mut tested = asked.manifest.tested.iter();
        if tested.any(|kernel| kernel.checkers && kernel.series == asked.series) {
            debug::checked(asked, &tools, &mut outcome)?;
        }
    } else {
        jobs::all(asked, lock, &mut outcome)?;
    }
    patches::record(asked, one, &outcome)?;
    outcome.print();
    Ok(outcome.success())
}

/// Prints the version of the kernel. Debian moves a series to another point release from time to time.
fn print_version(build: &Build) -> Result<()> {
    println!("# Linux {}", patches::version(&build.tree)?);
    Ok(())
}

/// Builds the kernel, and runs the examples and the test programs.
pub fn smoke(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    print_version(build)?;
    kernel::compile(build, tools)?;
    let initramfs = initramfs::create(build, tools)?;
    everything(build, &initramfs, outcome)?;
    Ok(())
}

/// Runs all tests of one kernel.
pub fn kernel(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    print_version(build)?;
    kernel::configure(build, tools)?;
    kernel::compile(build, tools)?;
    let initramfs = initramfs::create(build, tools)?;

    lint::kernel(build, tools, outcome)?;
    ui::all(build, outcome)?;
    shell::readme(build, tools, outcome)?;
    wrong_layout(build, tools, outcome)?;
    configs::in_turn(build, tools, outcome)?;
    work_items(build, tools, outcome)?;
    let examples = everything(build, &initramfs, outcome)?;
    messages::check_instructions(build, &initramfs, outcome)?;
    let Some(mainline) = tree::mainline(build)? else {
        return bench::compare(build, None, tools, outcome);
    };
    println!("# Linux {}, with mainline's own files", build.series);
    let theirs = build_like(&mainline, build, tools)?;
    let had = everything(&mainline, &theirs, outcome)?;
    report::examples(&had, &examples, build, outcome)?;
    api::document(&mainline, tools)?;
    let unmodified = for_unmodified_drivers(build, tools)?;
    api::compare(&unmodified, &mainline, outcome)?;
    mainline_bugs::compare(build, &mainline, tools, outcome)?;
    bench::compare(build, Some(&mainline), tools, outcome)?;
    unmodified_drivers(build, tools, outcome)?;
    let (ours, theirs) = ((build, &initramfs), (&mainline, &theirs));
    binder::instructions(ours, theirs, Beside::Mainline, outcome)?;
    // Only the Rust files: the C code of these drivers would take longer than all the above.
    allrust::compile(build, tools, outcome)
}
