// SPDX-License-Identifier: GPL-2.0

//! How fast Binder is, on our files and on mainline's own.

use crate::{
    boot::{self, Boot, Clock},
    report::Outcome,
    user::Initramfs,
    Place,
};
use anyhow::{bail, ensure, Context, Result};

/// How many boots of each kernel are timed, in turns, and Student's t for 95 % of one less.
const BOOTS: usize = 6;
const STUDENT: f64 = 2.571;
/// How much of the instructions may be the timer interrupt's, which does not always come at the
/// same place.
const NOISE: f64 = 0.002;

/// How much slower ours may be before it counts: on a busy machine, equal kernels differ by as much.
/// The instructions are the strict measure.
const MARGIN: f64 = 0.05;

/// A kernel and what it boots from.
pub type Bootable<'a> = (&'a Place, &'a Initramfs);

/// The time that a call takes, in nanoseconds of the guest's clock.
struct Case {
    name: String,
    time: f64,
}

/// Boots once and takes the mean of each case.
fn measure(
    (place, initramfs): Bootable<'_>,
    clock: Clock,
    outcome: &mut Outcome,
) -> Result<Vec<Case>> {
    let how = Boot {
        clock,
        ..Boot::with("programs=/bench kunit.enable=0")
    };
    let guest = boot::boot(place, &initramfs.archive, &how, outcome)?;
    let mut all = Vec::new();
    for line in guest.results.lines() {
        if let Some(cells) = line.strip_prefix("# time\t") {
            let cells: Vec<_> = cells.split('\t').collect();
            let [name, calls, time] = cells[..] else {
                bail!("not understood: {line}");
            };
            all.push(Case {
                name: name.to_owned(),
                time: time.parse::<f64>()? / calls.parse::<f64>()?,
            });
        }
    }
    ensure!(!all.is_empty(), "the guest timed nothing");
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

/// Compares `ours` with `mainline`, in instructions and in time; ours must not be slower.
pub fn compare(ours: Bootable<'_>, mainline: Bootable<'_>, outcome: &mut Outcome) -> Result<()> {
    beside(ours, mainline, Beside::Mainline, outcome)
}

/// What ours stands beside.
#[derive(Clone, Copy, PartialEq)]
pub enum Beside {
    Mainline,
    /// Binder in C, which is another program, so that nothing is asked of ours.
    C,
}

/// Measures both.
pub fn beside(
    ours: Bootable<'_>,
    other: Bootable<'_>,
    which: Beside,
    outcome: &mut Outcome,
) -> Result<()> {
    let (title, strict) = match which {
        Beside::Mainline => ("mainline", true),
        Beside::C => ("in C", false),
    };
    println!("Binder, instructions of a transaction (both processes, and the kernel's)");
    println!("{:18}  {:>10}  {title:>10}  ratio", "", "ours");
    let mine = measure(ours, Clock::Instructions, outcome)?;
    let theirs = measure(other, Clock::Instructions, outcome)?;
    ensure!(mine.len() == theirs.len(), "not the same was timed");
    for (mine, theirs) in mine.iter().zip(&theirs) {
        let ratio = mine.time / theirs.time;
        println!(
            "{:18}  {:10.0}  {:10.0}  {ratio:.4}",
            mine.name, mine.time, theirs.time
        );
        if !strict {
            continue;
        }
        outcome.check(
            &format!(
                "Binder, {}: no more instructions than mainline's",
                mine.name
            ),
            ratio <= 1.0 + NOISE,
            &format!("{ratio:.4} times as many"),
        );
    }

    let mut rounds = Vec::new();
    for boot in 0..BOOTS {
        // Neither is always the first.
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
        if !strict {
            continue;
        }
        outcome.check(
            &format!("Binder, {name}: not slower than on mainline's files"),
            high >= 1.0 - MARGIN,
            &format!("{high:.3} times as fast at best"),
        );
    }
    Ok(())
}
