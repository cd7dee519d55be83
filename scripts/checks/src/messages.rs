// SPDX-License-Identifier: GPL-2.0

//! Measuring the messages of `rust_mailbox` beside other ways.

use crate::curves::{rows, save, Painted};
use anyhow::{bail, ensure, Result};
use front::{
    boot::{self, BootOptions, Clock},
    build::Build,
    initramfs::Initramfs,
    outcome::Outcome,
};
use plotters::prelude::*;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const OURS: &str = "rust_mailbox";
/// What ours must not take more instructions than, and from which size in bytes on.
const LIMITS: &[(&str, usize)] = &[("Unix socket", 4096), ("Binder", 0)];

/// A number for each size in bytes, of each way. It is the number of instructions of a message, the
/// messages in a second, or a time in microseconds.
type Lines = Vec<(String, Line)>;
type Line = BTreeMap<usize, f64>;

/// What is measured of some pairs of processes, and the numbers.
#[derive(Serialize)]
struct Panel {
    title: String,
    lines: Lines,
}

/// Boots twice, prints the instructions and the times, and draws them.
pub fn all(build: &Build, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<()> {
    let mut panels = vec![instructions(build, initramfs, outcome)?];
    panels.extend(times(build, initramfs, outcome)?);
    let json = format!("messages/{}.json", build.name());
    let picture = format!("messages/{}.svg", build.name());
    save(build, &json, &panels, &picture, |path| {
        paint(path, &build.title(), &panels)
    })
}

/// Prints the instructions of a message. Fails if ours takes more than [`LIMITS`] permits.
pub fn check_instructions(
    build: &Build,
    initramfs: &Initramfs,
    outcome: &mut Outcome,
) -> Result<()> {
    instructions(build, initramfs, outcome).map(drop)
}

fn instructions(build: &Build, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<Panel> {
    let options = BootOptions {
        clock: Clock::Instructions,
        ..BootOptions::new("programs=/mailbox instructions=1 kunit.enable=0")
    };
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    ended(&guest.results, outcome);
    let mut lines = Lines::new();
    for cells in rows(&guest.results, "message") {
        let [name, len, instructions] = cells[..] else {
            bail!("cannot be parsed: {cells:?}");
        };
        line(&mut lines, name).insert(len.parse()?, instructions.parse()?);
    }
    let find = |name| lines.iter().find(|(other, _)| other == name);
    let Some((_, ours)) = find(OURS) else {
        bail!("the guest measured nothing: {}", guest.results);
    };
    for (other, from) in LIMITS {
        // Only some kernels have Rust Binder, or sockets.
        let Some((_, theirs)) = find(other) else {
            continue;
        };
        for (len, ours) in ours.range(from..) {
            let theirs = theirs.get(len).copied().unwrap_or_default();
            outcome.check(
                &format!("a message of {len} bytes: instructions beside {other}"),
                *ours <= theirs,
                &format!("{ours:.0} instead of at most {theirs:.0}"),
            );
        }
    }
    let panel = Panel {
        title: "instructions of a message".to_owned(),
        lines,
    };
    print(&panel)?;
    Ok(panel)
}

/// Checks that the program did not fail after a part of the measurement.
fn ended(results: &str, outcome: &mut Outcome) {
    let died = results.lines().find(|line| line.starts_with("# died: "));
    outcome.check(
        "mailbox_bench measures all messages",
        died.is_none(),
        died.unwrap_or_default(),
    );
}

/// Prints the messages in a second, and the times of a message. Under emulation, they only inform.
fn times(build: &Build, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<Vec<Panel>> {
    let options = BootOptions::new("programs=/mailbox kunit.enable=0");
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    ended(&guest.results, outcome);
    // By the number of pairs, in the order of `TITLES`.
    const TITLES: [&str; 3] = [
        "messages in a second",
        "median, in us",
        "99th percentile, in us",
    ];
    let mut found = BTreeMap::<usize, [Lines; 3]>::new();
    for cells in rows(&guest.results, "messages") {
        let [name, len, pairs, numbers @ ..] = &cells[..] else {
            bail!("cannot be parsed: {cells:?}");
        };
        ensure!(numbers.len() == TITLES.len(), "{cells:?}");
        let panels = found.entry(pairs.parse()?).or_default();
        for (lines, number) in panels.iter_mut().zip(numbers) {
            line(lines, name).insert(len.parse()?, number.parse()?);
        }
    }
    ensure!(!found.is_empty(), "the guest measured nothing");
    let mut all = Vec::new();
    for (pairs, panels) in found {
        for (title, lines) in TITLES.iter().zip(panels) {
            let plural = if pairs == 1 { "" } else { "s" };
            let title = format!("{pairs} pair{plural}: {title}");
            let panel = Panel { title, lines };
            print(&panel)?;
            all.push(panel);
        }
    }
    Ok(all)
}

/// Returns the line of a way, in the order in which the program measures them.
fn line<'a>(lines: &'a mut Lines, name: &str) -> &'a mut Line {
    let at = lines.iter().position(|(other, _)| other == name);
    let at = at.unwrap_or_else(|| {
        lines.push((name.to_owned(), Line::new()));
        lines.len() - 1
    });
    &mut lines[at].1
}

/// Prints a table.
fn print(Panel { title, lines }: &Panel) -> Result<()> {
    println!("{title}");
    print!("{:>8}", "bytes");
    lines.iter().for_each(|(name, _)| print!("  {name:>19}"));
    println!();
    for len in sizes(lines) {
        print!("{len:8}");
        for (name, line) in lines {
            match line.get(&len) {
                Some(number) => print!("  {number:19.0}"),
                None => bail!("{title}: {name} has no messages of {len} bytes"),
            }
        }
        println!();
    }
    Ok(())
}

fn sizes(lines: &Lines) -> Vec<usize> {
    let all: BTreeSet<_> = lines
        .iter()
        .flat_map(|(_, line)| line.keys().copied())
        .collect();
    all.into_iter().collect()
}

fn paint(path: &Path, title: &str, panels: &[Panel]) -> Painted<()> {
    let rows = panels.len().div_ceil(2);
    let root = SVGBackend::new(path, (1000, 360 * rows as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, ("sans-serif", 20))?;
    for (each, part) in panels.iter().zip(root.split_evenly((rows, 2))) {
        panel(&part, each)?;
    }
    root.present()?;
    Ok(())
}

/// Draws a line for each way. The sizes have the same distance from each other.
fn panel<DB>(
    part: &DrawingArea<DB, plotters::coord::Shift>,
    Panel { title, lines }: &Panel,
) -> Painted<()>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let sizes = sizes(lines);
    let numbers = || lines.iter().flat_map(|(_, line)| line.values().copied());
    let (least, most) = (
        numbers().fold(f64::MAX, f64::min),
        numbers().fold(0.0, f64::max),
    );
    let mut chart = ChartBuilder::on(part)
        .margin(12)
        .margin_right(36)
        .caption(title, ("sans-serif", 15))
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(
            0..sizes.len().saturating_sub(1),
            (least / 2.0..most * 16.0).log_scale(),
        )?;
    let label = |at: &usize| sizes.get(*at).map_or(String::new(), usize::to_string);
    chart
        .configure_mesh()
        .x_desc("bytes")
        .x_labels(sizes.len())
        .x_label_formatter(&label)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (index, (name, line)) in lines.iter().enumerate() {
        let width = if name == OURS { 4 } else { 2 };
        let style = Palette99::pick(index).stroke_width(width);
        let points = sizes.iter().enumerate();
        let points = points.filter_map(|(at, len)| Some((at, *line.get(len)?)));
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_picture_has_a_line_for_each_way() {
        let mut lines = Lines::new();
        for (name, factor) in [(OURS, 1.0), ("Unix socket", 2.0)] {
            let line = [0, 64, 4096].map(|len| (len, factor * (5000.0 + len as f64)));
            lines.push((name.to_owned(), line.into()));
        }
        let title = "instructions".to_owned();
        let path = std::env::temp_dir().join(format!("messages-{}.svg", std::process::id()));
        paint(&path, "Linux", &[Panel { title, lines }]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        for name in [OURS, "Unix socket", "4096"] {
            assert!(text.contains(name), "{name}");
        }
    }

    #[test]
    fn a_row_has_the_cells_of_its_line() {
        let results = "# messages\tpipes\t0\t1\n# message\tpipes\t64\t3386\n";
        let found: Vec<_> = rows(results, "message").collect();
        assert_eq!(found, [["pipes", "64", "3386"]]);
    }
}
