// SPDX-License-Identifier: GPL-2.0

//! Has the kernel count the instructions of each operation, in C and in Rust.

use anyhow::{ensure, Context, Result};
use nix::sys::mman::{MapFlags, ProtFlags};
use rust_task::{device, ktap};
use std::{fs::OpenOptions, io::Read, path::Path};

const KERNEL: &str = "/dev/rust_task_bench";
const MODULE: &str = "/dev/rust_task_bench_module";

fn main() -> Result<()> {
    let module: ktap::Test = ("operations in a module", || count(MODULE));
    // Only a kernel with our files can have them.
    if Path::new(KERNEL).exists() {
        ktap::run(&[("operations in the kernel", || count(KERNEL)), module])
    } else {
        ktap::run(&[module])
    }
}

/// Prints what the device says: the operation, and the instructions of one in C and in Rust.
fn count(path: &str) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    // It puts a page there.
    device::map_file(&file, 4096, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    let mut said = String::new();
    file.read_to_string(&mut said)?;
    let mut lines = said
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().context("it says nothing")?;
    ensure!(head[0] == "rounds", "{head:?}");
    let rounds: i64 = head[1].parse()?;
    for line in lines {
        let [name, c, rust] = line[..] else {
            anyhow::bail!("{line:?}");
        };
        print!("# cost\t{path}\t{name}");
        for total in [c, rust] {
            let total: i64 = total.parse()?;
            ensure!(
                total % rounds == 0,
                "{name}: {total} ticks in {rounds} rounds: the clock does not count instructions"
            );
            print!("\t{}", total / rounds);
        }
        println!();
    }
    Ok(())
}
