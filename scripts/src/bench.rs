// SPDX-License-Identifier: GPL-2.0

//! How many instructions an operation takes, in C and in Rust.

use crate::{
    boot::{self, Boot, Clock},
    kernel,
    report::Outcome,
    setup::Tools,
    step, user, Place,
};
use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};
use std::{env, fs};

/// The operations. They are in the kernel, and once more in a module.
pub const MODULE: &str = "lib/rust_task_bench";
const PROGRAM: &str = "rust_task_bench";

/// `tests/bench.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    #[serde(default)]
    extra: Vec<Extra>,
}

/// What an operation may take more than in C.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extra {
    op: String,
    /// The kernel that this is for, if they differ.
    series: Option<String>,
    instructions: i64,
    /// The same in a kernel that is optimized for size, if it is another number there.
    for_size: Option<i64>,
    /// What C leaves to the programmer.
    why: String,
}

/// An operation in a kernel: instructions in C and in Rust.
struct Count {
    module: bool,
    op: String,
    c: i64,
    rust: i64,
}

#[derive(Serialize)]
struct Row<'a> {
    op: &'a str,
    module: bool,
    c: i64,
    ours: i64,
    mainline: Option<i64>,
    ratio: Option<f64>,
}

/// The bytes of code and constants in an object.
#[derive(Serialize)]
struct Text {
    what: &'static str,
    ours: u64,
    mainline: Option<u64>,
}

/// What `build/bench/` holds of a kernel.
#[derive(Serialize)]
struct Report<'a> {
    rows: &'a [Row<'a>],
    text: &'a [Text],
}

/// Where somebody has asked for calls.
const CALLS: &str = "# CONFIG_RUST_INLINE_HELPERS is not set";

/// What is weighed: the crate, a driver that has been there before, and the operations.
const OBJECTS: &[(&str, &str)] = &[
    ("the kernel crate", "rust/kernel.o"),
    ("Rust Binder", "drivers/android/binder/rust_binder_main.o"),
    ("the operations, as a module", "rust_task_bench/ops.o"),
];

/// Weighs what both kernels have.
fn texts(ours: &Place, mainline: Option<&Place>, tools: &Tools) -> Result<Vec<Text>> {
    let text = |place: &Place, object: &str| -> Result<u64> {
        let said = step::ask(tools.command("llvm-size").arg(place.objects.join(object)))?;
        let second = said.lines().nth(1);
        let text = second.and_then(|line| line.split_whitespace().next()?.parse().ok());
        text.with_context(|| format!("llvm-size of {object}: {said}"))
    };
    let there = OBJECTS
        .iter()
        .filter(|(_, object)| ours.objects.join(object).exists());
    there
        .map(|&(what, object)| {
            Ok(Text {
                what,
                ours: text(ours, object)?,
                mainline: mainline.map(|place| text(place, object)).transpose()?,
            })
        })
        .collect()
}

/// Boots once, with a nanosecond for each instruction.
fn count(place: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<Vec<Count>> {
    kernel::module(place, tools, MODULE)?;
    let initramfs = user::initramfs(place, tools)?;
    let how = Boot {
        clock: Clock::Instructions,
        // The areas of a process are where they are, and so is their tree.
        ..Boot::with("programs=/cost kunit.enable=0 nokaslr norandmaps")
    };
    let guest = boot::boot(place, &initramfs.archive, &how, outcome)?;
    outcome.programs(&[PROGRAM.to_owned()], &guest.results);

    let mut all = Vec::new();
    for line in guest.results.lines() {
        let Some(cells) = line.strip_prefix("# cost\t") else {
            continue;
        };
        let cells: Vec<_> = cells.split('\t').collect();
        let [device, op, c, rust] = cells[..] else {
            bail!("not understood: {line}");
        };
        all.push(Count {
            module: device.ends_with("_module"),
            op: op.to_owned(),
            c: c.parse()?,
            rust: rust.parse()?,
        });
    }
    ensure!(!all.is_empty(), "the guest counted nothing");
    Ok(all)
}

/// Counts on our files, and on mainline's where it has any. An operation of ours must take no more
/// than C, but for what is listed with its reason.
pub fn compare(
    ours: &Place,
    mainline: Option<&Place>,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<()> {
    let path = ours.root.join("tests/bench.toml");
    let limits: Limits =
        toml::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
    let is_here = |extra: &&Extra| {
        let series = extra.series.as_ref();
        series.is_none_or(|series| *series == ours.series)
    };
    let extras: Vec<_> = limits.extra.iter().filter(is_here).collect();

    let mine = count(ours, tools, outcome)?;
    let theirs = match mainline {
        Some(place) => count(place, tools, outcome)?,
        None => Vec::new(),
    };
    let rows: Vec<_> = mine
        .iter()
        .map(|count| Row {
            op: &count.op,
            module: count.module,
            c: count.c,
            ours: count.rust,
            mainline: theirs
                .iter()
                .find(|their| (their.module, &their.op) == (count.module, &count.op))
                .map(|their| their.rust),
            ratio: (count.c > 0).then(|| count.rust as f64 / count.c as f64),
        })
        .collect();

    let dir = ours.build.join("bench");
    fs::create_dir_all(&dir)?;
    let file = dir.join(format!("{}.json", ours.name()));
    let text = texts(ours, mainline, tools)?;
    let report = Report {
        rows: &rows,
        text: &text,
    };
    step::write_if_new(&file, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    print(ours, &report);
    println!("{}", file.display());
    let inline = kernel::inline(ours)?;
    outcome.check(
        "C's inline functions are a part of the Rust code",
        inline || !kernel::same_llvm(ours)? || kernel::has(ours, CALLS)?,
        "they are called, though Rust and Clang have the same LLVM",
    );
    if !inline {
        println!("No limits hold, as C's inline functions are called.");
        return Ok(());
    }

    let small = kernel::has(ours, "CONFIG_CC_OPTIMIZE_FOR_SIZE=y")?;
    let allowed = |extra: &Extra| match extra.for_size {
        Some(instructions) if small => instructions,
        _ => extra.instructions,
    };
    for row in &rows {
        let extra = extras.iter().find(|extra| extra.op == row.op);
        let limit = row.c + extra.map_or(0, |extra| allowed(extra));
        let place = if row.module { "module" } else { "kernel" };
        outcome.check(
            &format!("instructions of {}, {place}", row.op),
            row.ours <= limit,
            &format!("{} instead of {limit}", row.ours),
        );
    }
    for extra in extras {
        println!("{}: {} more, {}", extra.op, allowed(extra), extra.why);
        let most = rows.iter().filter(|row| row.op == extra.op);
        let most = most.map(|row| (row.ours - row.c).max(0)).max();
        outcome.check(
            &format!("limit of {}", extra.op),
            most == Some(allowed(extra)),
            &format!("it takes {most:?} more"),
        );
    }
    Ok(())
}

/// Prints the code of one operation in C and in Rust, side by side.
pub fn asm(place: &Place, tools: &Tools) -> Result<()> {
    let name = env::var("FN").unwrap_or_default();
    let dir = place.objects.join(MODULE);
    let names = step::ask(tools.command("llvm-nm").arg(dir.join("ops.o")))?;
    let names: Vec<_> = names
        .lines()
        .filter_map(|line| line.split_once(" T rust_").map(|(_, name)| name))
        .collect();
    ensure!(
        names.contains(&name.as_str()),
        "FN={name}: use one of {}",
        names.join(", ")
    );

    let code = |object: &str, symbol: String| -> Result<Vec<String>> {
        let text = step::ask(
            tools
                .command("llvm-objdump")
                .args(["-dr", "--no-show-raw-insn", "--no-leading-addr"])
                .arg(format!("--disassemble-symbols={symbol}"))
                .arg(dir.join(object)),
        )?;
        let lines = text.lines().skip_while(|line| !line.ends_with(">:"));
        let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(lines.filter(|line| !line.is_empty()).collect())
    };
    let c = code("main.o", format!("c_{name}"))?;
    let rust = code("ops.o", format!("rust_{name}"))?;
    let line = |code: &[String], i: usize| code.get(i).cloned().unwrap_or_default();
    for i in 0..c.len().max(rust.len()) {
        println!("{:48}  {}", line(&c, i), line(&rust, i));
    }
    Ok(())
}

/// Prints the operations, and what they take in the kernel and in a module.
fn print(place: &Place, Report { rows, text }: &Report<'_>) {
    println!("Instructions on {}", place.title());
    println!(
        "{:45}  {:>5} {:>5} {:>8}  {:>5} {:>5} {:>8}",
        "", "C", "ours", "mainline", "C", "ours", "mainline"
    );
    let cells = |row: &Row<'_>| {
        let theirs = row.mainline.map_or("-".to_owned(), |n| n.to_string());
        format!("{:5} {:5} {theirs:>8}", row.c, row.ours)
    };
    for row in rows.iter().filter(|row| !row.module) {
        let twin = rows.iter().find(|other| other.module && other.op == row.op);
        let twin = twin.map(cells).unwrap_or_default();
        println!("{:45}  {}  {twin}", row.op, cells(row));
    }
    println!("Left: in the kernel. Right: in a module.");
    println!("{:45}  {:>11} {:>8}", "Bytes of code", "ours", "mainline");
    for text in *text {
        let theirs = text.mainline.map_or("-".to_owned(), |n| n.to_string());
        println!("{:45}  {:11} {theirs:>8}", text.what, text.ours);
    }
}
