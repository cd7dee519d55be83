// SPDX-License-Identifier: GPL-2.0

//! Measuring Binder's speed, on our files and on mainline's.

use crate::limits::Limits;
use anyhow::{bail, ensure, Context, Result};
use front::{
    boot::{self, BootOptions, Clock},
    build::Build,
    initramfs::Initramfs,
    outcome::Outcome,
};

/// The number of timed boots of each kernel, which alternate, and Student's t for 95 % with
/// `BOOTS - 1` degrees of freedom.
const BOOTS: usize = 6;
const STUDENT: f64 = 2.571;
/// The tolerated difference in instructions, as the timer interrupt does not always arrive at the
/// same point.
const NOISE: f64 = 0.002;

/// A kernel and its initramfs.
pub type Bootable<'a> = (&'a Build, &'a Initramfs);

/// The mean time of a call, in nanoseconds of the guest's clock.
struct Case {
    name: String,
    time: f64,
}

/// Boots once, and returns the mean of each case.
fn measure(
    (build, initramfs): Bootable<'_>,
    clock: Clock,
    outcome: &mut Outcome,
) -> Result<Vec<Case>> {
    let options = BootOptions {
        clock,
        ..BootOptions::new("programs=/bench kunit.enable=0")
    };
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    let mut all = Vec::new();
    for line in guest.results.lines() {
        if let Some(cells) = line.strip_prefix("# time\t") {
            let cells: Vec<_> = cells.split('\t').collect();
            let [name, calls, time] = cells[..] else {
                bail!("cannot be parsed: {line}");
            };
            all.push(Case {
                name: name.to_owned(),
                time: time.parse::<f64>()? / calls.parse::<f64>()?,
            });
        }
    }
    ensure!(!all.is_empty(), "the guest measured nothing");
    Ok(all)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        0 => (values[half - 1] + values[half]) / 2.0,
        _ => values[half],
    }
}

/// The other side of the comparison.
#[derive(Clone, Copy, PartialEq)]
pub enum Beside {
    Mainline,
    /// Binder in C. It is a different implementation, so ours may be slower.
    C,
}

impl Beside {
    fn title(self) -> &'static str {
        match self {
            Self::Mainline => "mainline",
            Self::C => "in C",
        }
    }
}

/// Prints the instructions of both. Fails if ours takes more than mainline's files, except for what
/// `tests/bench.toml` lists.
pub fn instructions(
    ours: Bootable<'_>,
    other: Bootable<'_>,
    which: Beside,
    outcome: &mut Outcome,
) -> Result<()> {
    let title = which.title();
    println!("Binder, instructions of a transaction (both processes, and the kernel's)");
    println!("{:18}  {:>10}  {title:>10}  ratio", "", "ours");
    let limits = Limits::read(ours.0)?;
    let mine = measure(ours, Clock::Instructions, outcome)?;
    let theirs = measure(other, Clock::Instructions, outcome)?;
    ensure!(
        mine.len() == theirs.len(),
        "the kernels measured different cases"
    );
    for extra in &limits.binder {
        ensure!(
            mine.iter().any(|case| case.name == extra.case),
            "tests/bench.toml: there is no {:?}",
            extra.case
        );
    }
    for (mine, theirs) in mine.iter().zip(&theirs) {
        let ratio = mine.time / theirs.time;
        println!(
            "{:18}  {:10.0}  {:10.0}  {ratio:.4}",
            mine.name, mine.time, theirs.time
        );
        if which == Beside::C {
            continue;
        }
        let mut extras = limits.binder.iter();
        let extra = extras.find(|extra| extra.case == mine.name);
        let allowed = extra.map_or(theirs.time * NOISE, |extra| extra.instructions);
        let more = mine.time - theirs.time;
        if let Some(extra) = extra {
            println!("{:18}  {more:.0} more of {allowed:.0}: {}", "", extra.why);
        }
        outcome.check(
            &format!("Binder, {}: instructions beside mainline's", mine.name),
            more <= allowed,
            &format!("{more:.0} more instead of {allowed:.0}"),
        );
    }
    Ok(())
}

/// Prints the transactions per second of both. Nothing is checked: an emulated CPU is a thread of the
/// host, and two measurements of equal kernels differ by up to a third.
pub fn times(
    ours: Bootable<'_>,
    other: Bootable<'_>,
    which: Beside,
    outcome: &mut Outcome,
) -> Result<()> {
    let title = which.title();
    let mut rounds = Vec::new();
    for boot in 0..BOOTS {
        // The order alternates.
        let mut measure = |kernel| measure(kernel, Clock::Time, outcome);
        rounds.push(if boot % 2 == 0 {
            (measure(ours)?, measure(other)?)
        } else {
            let theirs = measure(other)?;
            (measure(ours)?, theirs)
        });
    }
    println!("Binder, transactions per second (medians of {BOOTS} boots of each, under emulation)");
    println!(
        "{:18}  {:>10}  {title:>10}  ratio, 95 % interval",
        "", "ours"
    );
    let cases = rounds.first().context("no round")?.0.len();
    for case in 0..cases {
        let name = &rounds[0].0[case].name;
        let rate = |times: Vec<f64>| 1e9 / median(times);
        let mine = rate(rounds.iter().map(|r| r.0[case].time).collect());
        let theirs = rate(rounds.iter().map(|r| r.1[case].time).collect());

        // The ratio of the rates, of each pair of boots.
        let ratios: Vec<f64> = rounds
            .iter()
            .map(|(mine, theirs)| (theirs[case].time / mine[case].time).ln())
            .collect();
        let n = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / n;
        let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = STUDENT * (variance / n).sqrt();
        let (low, high) = ((mean - half).exp(), (mean + half).exp());
        println!(
            "{name:18}  {mine:10.0}  {theirs:10.0}  {:.3}, {low:.3} to {high:.3}",
            mean.exp()
        );
    }
    Ok(())
}
