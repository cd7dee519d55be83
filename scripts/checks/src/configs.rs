// SPDX-License-Identifier: GPL-2.0

//! Kernel configurations in which the crate, the samples and the test drivers must compile, and those
//! in which the tests must pass.

use anyhow::{bail, Context, Result};
use front::{
    boot::{self, BootOptions},
    build::Build,
    initramfs::{self, Initramfs},
    kernel,
    manifest::{Configuration, Driver},
    outcome::Outcome,
    report, series,
    setup::{self, Tools},
    step, tree,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// A row of the table: the configuration, what was done, whether it succeeded, and the time.
type Row = (String, &'static str, bool, Duration);

/// Tests the configuration with the name `ONLY`, or else those whose names contain it, on one kernel.
pub fn all(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let only = variable("ONLY").unwrap_or_default();
    let all: Vec<_> = of_series(build).collect();
    let exact = all.iter().any(|configuration| configuration.name == only);
    let is_chosen = |configuration: &&&Configuration| match exact {
        true => configuration.name == only,
        false => configuration.name.contains(&only),
    };
    let mut rows = Vec::new();
    for configuration in all.iter().filter(is_chosen) {
        let begin = Instant::now();
        let (done, passed) = one(configuration, build, tools, outcome)?;
        rows.push((configuration.name.clone(), done, passed, begin.elapsed()));
    }
    if rows.is_empty() {
        bail!(
            "ONLY={only}: Linux {} has no such configuration",
            build.series
        );
    }
    print(&build.series, &rows);
    Ok(())
}

/// Boots or compiles a configuration. Returns what was done, and whether it succeeded.
fn one(
    configuration: &Configuration,
    build: &Build,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<(&'static str, bool)> {
    Ok(match configuration.boot {
        true => ("tests", boot(configuration, build, tools, outcome)),
        false => ("compiled", compile(configuration, build, tools, outcome)?),
    })
}

/// Tests the configuration of this turn, if it is one of this kernel. Each day, or with each number
/// `TURN`, it is another one of all kernels of `make test`: on even days one that is booted, on odd days
/// one that is compiled. Those that take long are left out.
pub fn in_turn(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let mut all = Vec::new();
    for kernel in build.manifest.tested.iter().filter(|kernel| kernel.whole) {
        let like = series::like(&build.root, &kernel.series)?;
        let configurations = build.manifest.configuration.iter();
        let of_series = configurations.filter(|c| c.is_for(&like) && !c.slow);
        all.extend(of_series.map(|configuration| (&kernel.series, configuration)));
    }
    let turn = turn()?;
    let (series, configuration) = *chosen(&all, turn, |(_, configuration)| configuration.boot);
    if *series == build.series {
        let name = &configuration.name;
        println!("# Linux {series}, configuration {name}: TURN={turn}");
        one(configuration, build, tools, outcome)?;
    }
    Ok(())
}

/// Returns the element of this turn: in even turns one for which `kind` is true, in odd turns one for
/// which it is false.
fn chosen<T>(all: &[T], turn: usize, kind: impl Fn(&T) -> bool) -> &T {
    let (even, odd): (Vec<_>, Vec<_>) = all.iter().partition(|element| kind(element));
    let some = if turn % 2 == 0 { even } else { odd };
    some[turn / 2 % some.len()]
}

/// Returns the number of this turn: `TURN`, or that of the day.
pub fn turn() -> Result<usize> {
    let turn = match variable("TURN") {
        Some(turn) => turn.parse().with_context(|| format!("TURN={turn}"))?,
        None => SystemTime::UNIX_EPOCH.elapsed()?.as_secs() / (24 * 60 * 60),
    };
    Ok(usize::try_from(turn)?)
}

/// Returns the configurations of a kernel.
fn of_series(build: &Build) -> impl Iterator<Item = &Configuration> {
    let all = build.manifest.configuration.iter();
    all.filter(|configuration| configuration.is_for(&build.like))
}

/// Tests that the crate, the samples and the test drivers compile without a warning about our files.
fn compile(
    configuration: &Configuration,
    build: &Build,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<bool> {
    // One object directory: kbuild compiles again what a changed option concerns.
    let mut variant = build.variant("configs");
    let configured = match &configuration.arch {
        Some(arch) => {
            variant = build.variant(arch);
            variant.arch = Some(arch.clone());
            kernel::configure_alone(&variant, tools, None, &configuration.fragment())
        }
        None => {
            let fragments = ["no-examples", &configuration.fragment()];
            kernel::derive(&variant, tools, build, &fragments)
        }
    };
    let name = format!(
        "Linux {} compiles with {}",
        build.series, configuration.name
    );
    if let Err(err) = configured {
        outcome.report(&name, false, &format!("{err:#}"));
        return Ok(false);
    }

    let mut goals = vec!["rust/".to_owned()];
    goals.extend(drivers(&variant)?.map(Driver::goal));
    let log = variant.log(&configuration.name);
    let mut make = kernel::make(&variant, tools);
    let title = format!("{} {}", variant.title(), configuration.name);
    let built = step::watch(&title, &log, make.args(goals), None)?;
    let text = fs::read_to_string(&log).unwrap_or_default();
    let files: Vec<_> = tree::files(build)?.into_values().collect();
    let passed = built && !concerns(&text, &files);
    outcome.report(&name, passed, &format!("see {}", log.display()));
    Ok(passed)
}

/// Returns the drivers of this repository that the configuration of a build has.
fn drivers(build: &Build) -> Result<impl Iterator<Item = &Driver>> {
    let mut all = Vec::new();
    for driver in &build.manifest.driver {
        if kernel::is_set(build, &driver.config)? {
            all.push(driver);
        }
    }
    Ok(all.into_iter())
}

/// Returns whether the compiler's output names one of `files`.
pub fn concerns(log: &str, files: &[PathBuf]) -> bool {
    let mut places = log
        .lines()
        .filter(|line| line.trim_start().starts_with("-->"));
    places.any(|line| {
        files
            .iter()
            .filter_map(|file| file.file_name())
            .any(|name| line.contains(&format!("/{}:", Path::new(name).display())))
    })
}

/// Runs the examples and the test programs. An error of the build or the boot is a failure.
fn boot(
    configuration: &Configuration,
    build: &Build,
    tools: &Tools,
    outcome: &mut Outcome,
) -> bool {
    let variant = build.variant(&configuration.name);
    let mut run = || {
        match configuration.debian {
            true => compile_debian(configuration, &variant, tools)?,
            false => {
                kernel::derive(&variant, tools, build, &[&configuration.fragment()])?;
                kernel::compile(&variant, tools)?;
            }
        }
        let initramfs = initramfs::create(&variant, tools)?;
        let failed = outcome.failures();
        run_tests(&variant, &initramfs, &configuration.parameters, outcome)?;
        let again = configuration.again.iter();
        for again in again.filter(|again| again.arch == variant.machine.name) {
            let console = run_tests(&variant, &initramfs, &again.parameters, outcome)?;
            outcome.check(
                &format!("{} has an effect", again.parameters),
                console.contains(&again.message),
                &format!("the kernel's log lacks {:?}", again.message),
            );
        }
        Ok(outcome.failures() - failed)
    };
    let result: Result<usize> = run();
    let why = match &result {
        Ok(failed) => format!("{failed} failed"),
        Err(err) => format!("{err:#}"),
    };
    let name = format!(
        "Linux {} passes the tests with {}",
        build.series, configuration.name
    );
    let passed = result.is_ok_and(|failed| failed == 0);
    outcome.report(&name, passed, &why);
    passed
}

/// Boots a kernel with these parameters, and runs the tests. Returns the kernel's log.
fn run_tests(
    build: &Build,
    initramfs: &Initramfs,
    parameters: &str,
    outcome: &mut Outcome,
) -> Result<String> {
    let parameters = format!("programs=/selftests {parameters}");
    let options = BootOptions::new(&parameters);
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    report::kunit(build, &guest.console, outcome)?;
    outcome.programs(&initramfs.programs, &guest.results);
    Ok(guest.console)
}

/// Builds a kernel with Debian's configuration, and of its thousands of modules those of this
/// repository.
fn compile_debian(configuration: &Configuration, variant: &Build, tools: &Tools) -> Result<()> {
    variant.machine.require_default("configs ONLY=debian")?;
    let base = setup::debian_config(variant)?;
    kernel::configure_alone(variant, tools, Some(&base), &configuration.fragment())?;
    kernel::compile_goals(variant, tools, [variant.machine.goal().to_owned()])?;
    let mut modules = Vec::new();
    for driver in drivers(variant)? {
        if kernel::has(variant, &format!("CONFIG_{}=m", driver.config))? {
            modules.push(driver.module().display().to_string());
        }
    }
    kernel::compile_goals(variant, tools, modules)
}

/// Prints the table.
fn print(series: &str, rows: &[Row]) {
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, done, passed, time) in rows {
        let verdict = if *passed { "ok" } else { "FAILED" };
        let seconds = time.as_secs();
        println!("{series}  {name:width$}  {done:8}  {verdict:6}  {seconds} s");
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn the_kinds_take_turns() {
        let all = [2, 4, 6, 1, 3];
        let turns = (0..8).map(|turn| *chosen(&all, turn, |n| n % 2 == 0));
        assert_eq!(turns.collect::<Vec<_>>(), [2, 1, 4, 3, 6, 1, 2, 3]);
    }
}
