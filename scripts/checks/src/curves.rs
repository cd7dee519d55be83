// SPDX-License-Identifier: GPL-2.0

//! Measuring operations by the size of their input, and in time. Draws the results.

use anyhow::{anyhow, ensure, Context, Result};
use front::{
    boot::{self, BootOptions, Clock},
    build::Build,
    initramfs,
    outcome::Outcome,
    setup::Tools,
    step,
};
use plotters::prelude::*;
use serde::Serialize;
use std::{collections::BTreeMap, fs, path::Path};

/// The cost in C and in Rust for an input of size `x`.
#[derive(Clone, Copy, Serialize)]
struct Point {
    x: f64,
    c: f64,
    ours: f64,
}

/// The time of an operation, in nanoseconds.
#[derive(Serialize)]
struct Time {
    op: String,
    rounds: usize,
    c: f64,
    ours: f64,
    /// The median of the ratio of ours to C in each round, and its confidence interval, which with 41
    /// rounds has a level of 97 %.
    ratio: f64,
    from: f64,
    to: f64,
}

#[derive(Serialize)]
struct Report {
    instructions: BTreeMap<String, Vec<Point>>,
    time: Vec<Time>,
}

/// Boots twice, prints the times, and draws the curves.
pub fn draw(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let clocks = [("instructions", Clock::Instructions), ("time", Clock::Time)];
    let initramfs = initramfs::create(build, tools)?;
    let mut results = String::new();
    for (what, clock) in clocks {
        let parameters = format!("programs=/cost kunit.enable=0 nokaslr norandmaps curves={what}");
        let options = BootOptions {
            clock,
            ..BootOptions::new(&parameters)
        };
        let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
        outcome.programs(&["rust_task_bench".to_owned()], &guest.results);
        results += &guest.results;
    }

    let report = Report {
        instructions: curves(&results)?,
        time: times(&results)?,
    };
    print(&report.time);
    let json = format!("bench/{}-curves.json", build.name());
    let picture = format!("bench/{}.svg", build.name());
    save(build, &json, &report, &picture, |path| {
        paint(path, &build.title(), &report)
    })
}

/// Writes the numbers and the picture of a measurement into `build/`, and prints where they are.
pub fn save(
    build: &Build,
    json: &str,
    report: &impl Serialize,
    picture: &str,
    paint: impl FnOnce(&Path) -> Painted<()>,
) -> Result<()> {
    let (json, picture) = (build.out.join(json), build.out.join(picture));
    for path in [&json, &picture] {
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    }
    step::write_if_changed(&json, &(serde_json::to_string_pretty(report)? + "\n"))?;
    paint(&picture).map_err(|err| anyhow!("{err}"))?;
    println!("{}\n{}", json.display(), picture.display());
    Ok(())
}

/// Returns the cells of the lines that begin with `mark`.
pub fn rows<'a>(results: &'a str, mark: &str) -> impl Iterator<Item = Vec<&'a str>> {
    let mark = format!("# {mark}\t");
    results
        .lines()
        .filter_map(move |line| Some(line.strip_prefix(&mark)?.split('\t').collect()))
}

fn curves(results: &str) -> Result<BTreeMap<String, Vec<Point>>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for row in rows(results, "curve") {
        let [name, x, c, ours] = row[..] else {
            return Err(anyhow!("cannot be parsed: {row:?}"));
        };
        all.entry(name.to_owned()).or_default().push(Point {
            x: x.parse()?,
            c: c.parse()?,
            ours: ours.parse()?,
        });
    }
    ensure!(!all.is_empty(), "the guest counted nothing");
    Ok(all)
}

fn times(results: &str) -> Result<Vec<Time>> {
    // In the order of the first round.
    let mut all: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for row in rows(results, "time") {
        let [name, c, ours] = row[..] else {
            return Err(anyhow!("cannot be parsed: {row:?}"));
        };
        let round: (f64, f64) = (c.parse()?, ours.parse()?);
        ensure!(round.0.is_finite() && round.1.is_finite(), "{row:?}");
        ensure!(round != (0.0, 0.0), "no time has passed: {row:?}");
        match all.iter_mut().find(|(other, _)| *other == name) {
            Some((_, rounds)) => rounds.push(round),
            None => all.push((name, vec![round])),
        }
    }
    ensure!(!all.is_empty(), "the guest measured nothing");
    all.into_iter()
        .map(|(op, rounds)| time(op, &rounds).with_context(|| format!("{op}: too few rounds")))
        .collect()
}

fn time(op: &str, rounds: &[(f64, f64)]) -> Option<Time> {
    let sorted = |of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<_> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (c, ours, ratio) = (
        sorted(|round| round.0),
        sorted(|round| round.1),
        sorted(|round| round.1 / round.0),
    );
    let n = rounds.len();
    let below = below_median(n)?;
    Some(Time {
        op: op.to_owned(),
        rounds: n,
        c: c[n / 2],
        ours: ours[n / 2],
        ratio: ratio[n / 2],
        from: ratio[below],
        to: ratio[n - 1 - below],
    })
}

/// Returns how many of `n` sorted values can be dropped at each end, so that the rest contains the
/// median of the distribution with a probability of at least 95 % (the sign test).
fn below_median(n: usize) -> Option<usize> {
    let mut probability = 0.5f64.powi(n.try_into().ok()?);
    let mut all = 0.0;
    for k in 0..n {
        all += probability;
        if 2.0 * all > 0.05 {
            return k.checked_sub(1);
        }
        probability *= (n - k) as f64 / (k + 1) as f64;
    }
    None
}

fn print(times: &[Time]) {
    println!(
        "{:55} {:>9} {:>9}  {:>6}  95 % of the median",
        "Nanoseconds, in QEMU", "C", "ours", "ratio"
    );
    for time in times {
        println!(
            "{:55} {:9.1} {:9.1}  {:6.3}  {:.3} to {:.3}",
            time.op, time.c, time.ours, time.ratio, time.from, time.to
        );
    }
}

/// What drawing returns.
pub type Painted<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn paint(path: &Path, title: &str, report: &Report) -> Painted<()> {
    let mut panels: Vec<(String, &str, &str, Vec<Point>)> = report
        .instructions
        .iter()
        .map(|(name, points)| {
            let x = match name {
                name if name.contains("page") => "pages",
                name if name.contains("thread group") => "thread groups",
                _ => "VMAs",
            };
            (name.clone(), x, "instructions", points.clone())
        })
        .collect();
    // The operations that were measured beside 0, 1 and 2 other threads are curves, too.
    let mut contended = BTreeMap::<_, Vec<_>>::new();
    for time in &report.time {
        let Some((name, others)) = time.op.rsplit_once(", ") else {
            continue;
        };
        let Some(others) = others.strip_suffix(" others") else {
            continue;
        };
        contended.entry(name).or_default().push(Point {
            x: others.parse()?,
            c: time.c,
            ours: time.ours,
        });
    }
    for (name, points) in contended {
        panels.push((name.to_owned(), "threads that map and unmap", "ns", points));
    }

    let root =
        SVGBackend::new(path, (1000, 360 * panels.len().div_ceil(2) as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, ("sans-serif", 20))?;
    let parts = root.split_evenly((panels.len().div_ceil(2), 2));
    for ((name, x, y, points), part) in panels.iter().zip(&parts) {
        panel(part, name, (x, y), points)?;
    }
    root.present()?;
    Ok(())
}

/// Draws both curves. A wide range is drawn on a logarithmic scale.
fn panel<DB>(
    part: &DrawingArea<DB, plotters::coord::Shift>,
    name: &str,
    (x, y): (&str, &str),
    points: &[Point],
) -> Painted<()>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let most = |of: fn(&Point) -> f64| points.iter().map(of).fold(f64::MIN, f64::max);
    let least = |of: fn(&Point) -> f64| points.iter().map(of).fold(f64::MAX, f64::min);
    let top = most(|p| p.c.max(p.ours));
    let bottom = least(|p| p.c.min(p.ours));
    let mut chart = ChartBuilder::on(part);
    chart
        .margin(12)
        .caption(name, ("sans-serif", 15))
        .x_label_area_size(36)
        .y_label_area_size(64);
    let xs = (least(|p| p.x), most(|p| p.x));
    macro_rules! curves {
        ($chart:expr) => {{
            let mut chart = $chart;
            chart
                .configure_mesh()
                .x_desc(x)
                .y_desc(y)
                .x_labels(if xs.0 == 0.0 { 3 } else { 10 })
                .x_label_formatter(&|x| format!("{x:.0}"))
                .y_label_formatter(&|y| format!("{y:.0}"))
                .light_line_style(TRANSPARENT)
                .draw()?;
            let c = points.iter().map(|p| (p.x, p.c));
            let ours = points.iter().map(|p| (p.x, p.ours));
            chart
                .draw_series(LineSeries::new(c, BLUE.stroke_width(4)))?
                .label("C")
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLUE.stroke_width(4)));
            chart
                .draw_series(LineSeries::new(ours, RED.stroke_width(2)))?
                .label("Rust")
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], RED.stroke_width(2)));
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .border_style(BLACK)
                .background_style(WHITE)
                .draw()?;
        }};
    }
    if xs.0 == 0.0 {
        curves!(chart.build_cartesian_2d(xs.0..xs.1, 0.0..top * 1.1)?);
    } else if top > 20.0 * bottom {
        curves!(chart.build_cartesian_2d(
            (xs.0..xs.1).log_scale(),
            (bottom / 2.0..top * 2.0).log_scale()
        )?);
    } else {
        curves!(chart.build_cartesian_2d((xs.0..xs.1).log_scale(), 0.0..top * 1.3)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_its_confidence_interval() {
        // From a table of the sign test.
        assert_eq!(below_median(5), None);
        assert_eq!(below_median(6), Some(0));
        assert_eq!(below_median(20), Some(5));
        assert_eq!(below_median(41), Some(13));

        let rounds: Vec<_> = (1..=41).map(|i| (100.0, 100.0 + f64::from(i))).collect();
        let time = time("op", &rounds).unwrap();
        assert_eq!((time.c, time.ours, time.ratio), (100.0, 121.0, 1.21));
        assert_eq!((time.from, time.to), (1.14, 1.28));
    }

    #[test]
    fn a_picture_has_both_curves() {
        let results = "# curve\teach\t10\t100\t101\n# curve\teach\t1000\t10000\t10001\n";
        let mut report = Report {
            instructions: curves(results).unwrap(),
            time: Vec::new(),
        };
        for others in 0..3 {
            report.time.push(Time {
                op: format!("lock, {others} others"),
                rounds: 1,
                c: 1.0,
                ours: 1.1,
                ratio: 1.1,
                from: 1.1,
                to: 1.1,
            });
        }
        let path = std::env::temp_dir().join(format!("curves-{}.svg", std::process::id()));
        paint(&path, "Linux", &report).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        // Two panels, each with a curve and a legend.
        for colour in ["#0000FF", "#FF0000"] {
            assert_eq!(text.matches(colour).count(), 4);
        }
    }
}
