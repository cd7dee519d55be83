// SPDX-License-Identifier: GPL-2.0

//! Measuring the messages of `rust_mailbox` beside other ways.

use anyhow::{bail, ensure, Result};
use front::{
    boot::{self, BootOptions, Clock},
    build::Build,
    initramfs::Initramfs,
    outcome::Outcome,
};
use std::collections::BTreeMap;

const OURS: &str = "rust_mailbox";
/// What ours must not take more instructions than, and from which size in bytes on.
const LIMITS: &[(&str, usize)] = &[("Unix socket", 4096), ("Binder", 0)];

/// Prints the instructions of a message. Fails if ours takes more than another way.
pub fn instructions(build: &Build, initramfs: &Initramfs, outcome: &mut Outcome) -> Result<()> {
    let options = BootOptions {
        clock: Clock::Instructions,
        ..BootOptions::new("programs=/mailbox instructions=1 kunit.enable=0")
    };
    let guest = boot::boot(build, &initramfs.archive, &options, outcome)?;
    // By size, in the order of the program.
    let mut sizes = BTreeMap::<usize, Vec<(&str, f64)>>::new();
    for line in guest.results.lines() {
        if let Some(cells) = line.strip_prefix("# message\t") {
            let cells: Vec<_> = cells.split('\t').collect();
            let [name, len, instructions] = cells[..] else {
                bail!("cannot be parsed: {line}");
            };
            let ways = sizes.entry(len.parse()?).or_default();
            ways.push((name, instructions.parse()?));
        }
    }
    let Some(first) = sizes.values().next() else {
        bail!("the guest measured nothing: {}", guest.results);
    };

    println!("Instructions of a message (both processes, and the kernel's)");
    print!("{:>6}", "bytes");
    first.iter().for_each(|(name, _)| print!("  {name:>19}"));
    println!();
    for (len, ways) in &sizes {
        ensure!(ways.len() == first.len(), "{len} bytes: a way is missing");
        print!("{len:6}");
        ways.iter()
            .for_each(|(_, number)| print!("  {number:19.0}"));
        println!();
    }
    for (other, from) in LIMITS {
        for (len, ways) in sizes.range(from..) {
            let find = |wanted| ways.iter().find(|(name, _)| *name == wanted);
            // Only some kernels have Rust Binder.
            if let (Some((_, ours)), Some((_, theirs))) = (find(OURS), find(*other)) {
                outcome.check(
                    &format!("a message of {len} bytes: instructions beside {other}"),
                    ours <= theirs,
                    &format!("{ours:.0} instead of at most {theirs:.0}"),
                );
            }
        }
    }
    Ok(())
}
