// SPDX-License-Identifier: GPL-2.0

//! Has the kernel count what each operation takes, in C and in Rust.
//!
//! With `curves=instructions` or `curves=time` in its environment, it does so for some of them with
//! more and more to do, or measures how long they take.

use anyhow::{bail, ensure, Context, Result};
use bench::{Bench, KERNEL, MODULE};
use rust_task::{ktap, words};
use std::{io::Read, path::Path, time::Duration};

mod bench;
mod curves;

const LIMIT: Duration = Duration::from_secs(600);

fn main() -> Result<()> {
    let module: ktap::Test = ("operations in a module", || count(MODULE));
    match words::text("curves").as_deref() {
        Some("instructions") => ktap::run_within(
            LIMIT,
            &[
                ("instructions for more and more areas", curves::areas),
                (
                    "instructions for more and more processes",
                    curves::processes,
                ),
                ("instructions of faults", curves::faults),
            ],
        ),
        Some("time") => ktap::run_within(
            LIMIT,
            &[
                ("time of operations", curves::operations),
                (
                    "time while others change the address space",
                    curves::contended,
                ),
                ("time of faults", curves::faults_in_time),
                ("time of a message", curves::messages),
            ],
        ),
        Some(other) => bail!("curves={other}"),
        // Only a kernel with our files can have them.
        None if Path::new(KERNEL).exists() => {
            ktap::run(&[("operations in the kernel", || count(KERNEL)), module])
        }
        None => ktap::run(&[module]),
    }
}

/// Prints what the device says: the operation, and the instructions of one in C and in Rust.
fn count(path: &str) -> Result<()> {
    let mut said = String::new();
    Bench::open(path)?.file().read_to_string(&mut said)?;
    let mut lines = said
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().context("it says nothing")?;
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
