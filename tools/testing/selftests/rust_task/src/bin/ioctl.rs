// SPDX-License-Identifier: GPL-2.0

//! `ioctl DEVICE COMMAND [ARGUMENT]` for the shell of the guest: prints what the call returns.

use anyhow::{bail, Context, Result};
use rust_task::ioctl;
use std::{env, fs::OpenOptions};

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let (device, command, argument) = match words.as_slice() {
        [device, command] => (device, command, "0"),
        [device, command, argument] => (device, command, argument.as_str()),
        _ => bail!("usage: ioctl DEVICE COMMAND [ARGUMENT]; the numbers may be hexadecimal"),
    };
    let file = OpenOptions::new().read(true).write(true).open(device);
    let file = file.with_context(|| device.clone())?;
    let argument = number(argument)?.try_into()?;
    let value = ioctl::call_for(&file, number(command)?.try_into()?, argument);
    println!("{}", value.with_context(|| format!("{device}: {command}"))?);
    Ok(())
}

/// Parses a decimal or hexadecimal number.
fn number(text: &str) -> Result<u64> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.with_context(|| format!("{text}: not a number"))
}
