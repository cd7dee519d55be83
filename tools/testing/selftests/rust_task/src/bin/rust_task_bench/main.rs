// SPDX-License-Identifier: GPL-2.0

//! Measures the instructions of each operation, in C and in Rust.
//!
//! With `curves=instructions` in its environment, it measures some operations for increasing
//! numbers of objects; with `curves=time`, it measures times.

use anyhow::{bail, ensure, Context, Result};
use bench::{Bench, KERNEL, MODULE};
use rust_task::{ktap, params};
use std::{io::Read, path::Path, time::Duration};

mod bench;
mod curves;

const LIMIT: Duration = Duration::from_secs(600);

fn main() -> Result<()> {
    let module: ktap::Test = ("operations in a module", || count(MODULE));
    match params::text("curves").as_deref() {
        Some("instructions") => ktap::run_within(
            LIMIT,
            &[
                ("instructions by number of VMAs", curves::vmas),
                (
                    "instructions by number of thread groups",
                    curves::thread_groups,
                ),
                ("instructions of page faults", curves::faults),
            ],
        ),
        Some("time") => ktap::run_within(
            LIMIT,
            &[
                ("time of operations", curves::operations),
                ("time while other threads map and unmap", curves::contended),
                ("time of page faults", curves::faults_in_time),
                ("time of an ioctl", curves::ioctls),
            ],
        ),
        Some(other) => bail!("curves={other}"),
        // Only a kernel with the files of this repository has the device.
        None if Path::new(KERNEL).exists() => {
            ktap::run(&[("operations in the kernel", || count(KERNEL)), module])
        }
        None => ktap::run(&[module]),
    }
}

/// Prints the name of each operation, and its instructions in C and in Rust.
fn count(path: &str) -> Result<()> {
    let mut text = String::new();
    Bench::open(path)?.file().read_to_string(&mut text)?;
    let mut lines = text
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().context("the device returned nothing")?;
    ensure!(head[0] == "rounds", "{head:?}");
    let rounds: i64 = head[1].parse()?;
    for line in lines {
        let [name, c, rust] = line[..] else {
            bail!("{line:?}");
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
