// SPDX-License-Identifier: GPL-2.0

//! Counting the instructions of each operation, in C and in Rust.

use crate::{
    binder::{self, Beside},
    curves,
    limits::{Extra, Limits},
};
use anyhow::{bail, ensure, Context, Result};
use front::{
    boot::{self, BootOptions, Clock},
    build::Build,
    initramfs, kernel,
    outcome::Outcome,
    setup::Tools,
    step, tree,
};
use serde::Serialize;
use std::{env, fs, path::Path};

/// The program that runs the operations, which are built into the kernel and also into a module.
const PROGRAM: &str = "rust_task_bench";
/// The module.
const MODULE: &str = "rust_task_bench";

/// The instructions of an operation, in C and in Rust.
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

/// The size of an object's code and constants, in bytes.
#[derive(Serialize)]
struct Text<'a> {
    what: &'a str,
    ours: u64,
    mainline: Option<u64>,
}

/// The contents of the JSON file.
#[derive(Serialize)]
struct Report<'a> {
    rows: &'a [Row<'a>],
    text: &'a [Text<'a>],
}

/// The limits in `tests/bench.toml` are instructions of this architecture.
const LIMITS_ARCH: &str = "x86_64";
/// Set if the helpers are called by request.
const CALLS: &str = "# CONFIG_RUST_INLINE_HELPERS is not set";

/// Measures the kernel, a kernel that is optimized for size, and one that calls C's inline functions.
/// If Rust Binder is configured, also compares it with Binder in C.
pub fn all(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let mainline = tree::mainline(build)?;
    build_and_compare(build, mainline.as_ref(), tools, outcome)?;
    curves::draw(build, tools, outcome)?;
    if kernel::has(build, "CONFIG_ANDROID_BINDER_IPC_RUST=y")? {
        let c = build.variant("c-binder");
        kernel::derive(&c, tools, build, &["c-binder"])?;
        kernel::compile(&c, tools)?;
        let theirs = initramfs::create(&c, tools)?;
        let ours = initramfs::create(build, tools)?;
        let (ours, theirs) = ((build, &ours), (&c, &theirs));
        binder::instructions(ours, theirs, Beside::C, outcome)?;
        binder::times(ours, theirs, Beside::C, outcome)?;
    }
    for name in ["size", "calls"] {
        let variant = build.variant(name);
        kernel::derive(&variant, tools, build, &[name])?;
        kernel::compile(&variant, tools)?;
        let mainline = mainline.as_ref().map(|build| build.variant(name));
        build_and_compare(&variant, mainline.as_ref(), tools, outcome)?;
    }
    Ok(())
}

/// Builds mainline's kernel with the same configuration, and compares.
fn build_and_compare(
    build: &Build,
    mainline: Option<&Build>,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<()> {
    if let Some(mainline) = mainline {
        kernel::derive(mainline, tools, build, &[])?;
        kernel::compile(mainline, tools)?;
    }
    compare(build, mainline, tools, outcome)
}

/// Returns the sizes in both kernels.
fn texts<'a>(ours: &'a Build, mainline: Option<&Build>, tools: &Tools) -> Result<Vec<Text<'a>>> {
    let text = |build: &Build, object: &Path| -> Result<u64> {
        let path = build.objects.join(object);
        let text = step::output(tools.command("llvm-size").arg(&path))?;
        let second = text.lines().nth(1);
        let size = second.and_then(|line| line.split_whitespace().next()?.parse().ok());
        size.with_context(|| format!("llvm-size of {}: {text}", path.display()))
    };
    let sizes = ours.manifest.size.iter();
    sizes
        .filter(|size| ours.objects.join(&size.object).exists())
        .map(|size| {
            Ok(Text {
                what: &size.what,
                ours: text(ours, &size.object)?,
                mainline: mainline
                    .map(|build| text(build, &size.object))
                    .transpose()?,
            })
        })
        .collect()
}

/// Boots once, with a clock that counts instructions.
fn count(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<Vec<Count>> {
    kernel::module(build, tools, MODULE)?;
    let initramfs = initramfs::create(build, tools)?;
    let options = BootOptions {
        clock: Clock::Instructions,
        // VMAs have the same addresses in each run, and the maple tree the same shape.
        ..BootOptions::new("programs=/cost kunit.enable=0 nokaslr norandmaps")
    };
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    outcome.programs(&[PROGRAM.to_owned()], &guest.results);

    let mut all = Vec::new();
    for line in guest.results.lines() {
        let Some(cells) = line.strip_prefix("# cost\t") else {
            continue;
        };
        let cells: Vec<_> = cells.split('\t').collect();
        let [device, op, c, rust] = cells[..] else {
            bail!("cannot be parsed: {line}");
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

/// Counts on our files, and on mainline's if there are any. Fails if an operation takes more than in C
/// on x86-64, except for what `tests/bench.toml` lists.
pub fn compare(
    ours: &Build,
    mainline: Option<&Build>,
    tools: &Tools,
    outcome: &mut Outcome,
) -> Result<()> {
    let limits = Limits::read(ours)?;
    let is_here = |extra: &&Extra| {
        let series = extra.series.as_ref();
        series.is_none_or(|series| ours.like.contains(series))
    };
    let extras: Vec<_> = limits.extra.iter().filter(is_here).collect();

    let mine = count(ours, tools, outcome)?;
    let theirs = match mainline {
        Some(build) => count(build, tools, outcome)?,
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

    let dir = ours.out.join("bench");
    fs::create_dir_all(&dir)?;
    let file = dir.join(format!("{}.json", ours.name()));
    let text = texts(ours, mainline, tools)?;
    let report = Report {
        rows: &rows,
        text: &text,
    };
    step::write_if_changed(&file, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    print(ours, &report);
    println!("{}", file.display());
    let inline = kernel::inline(ours)?;
    // 6.12 has RUST_INLINE_HELPERS on x86-64 only.
    if ours.machine.name == LIMITS_ARCH {
        outcome.check(
            "C's inline functions are inlined into Rust code",
            inline || !kernel::same_llvm(ours)? || kernel::has(ours, CALLS)?,
            "they are called, although rustc and Clang use the same LLVM version",
        );
    }
    if !inline {
        println!("The limits are not checked, as C's inline functions are called.");
        return Ok(());
    }
    if ours.machine.name != LIMITS_ARCH {
        println!("The limits are those of {LIMITS_ARCH}, and are not checked.");
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
        let allowed = allowed(extra);
        if allowed > 0 {
            let up_to = if extra.varies { "up to " } else { "" };
            println!("{}: {up_to}{allowed} more, {}", extra.op, extra.why);
        }
        let most = rows.iter().filter(|row| row.op == extra.op);
        let most = most.map(|row| row.ours - row.c).max().unwrap_or(0).max(0);
        outcome.check(
            &format!("limit of {}", extra.op),
            most == allowed || (extra.varies && most > 0 && most < allowed),
            &format!("the operation takes {most} more"),
        );
    }
    Ok(())
}

/// Prints the assembly of one operation in C and in Rust, side by side.
pub fn asm(build: &Build, tools: &Tools) -> Result<()> {
    let name = env::var("FN").unwrap_or_default();
    // The objects of the built-in operations.
    let dir = build.objects.join(&build.manifest.module(MODULE)?.folder);
    let names = step::output(tools.command("llvm-nm").arg(dir.join("ops.o")))?;
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
        let text = step::output(
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

/// Prints the instructions of each operation, in the kernel and in a module.
fn print(build: &Build, Report { rows, text }: &Report<'_>) {
    println!("Instructions on {}", build.title());
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
    println!("Left: built into the kernel. Right: as a module.");
    println!("{:45}  {:>11} {:>8}", "Bytes of code", "ours", "mainline");
    for text in *text {
        let theirs = text.mainline.map_or("-".to_owned(), |n| n.to_string());
        println!("{:45}  {:11} {theirs:>8}", text.what, text.ours);
    }
}
