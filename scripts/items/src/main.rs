// SPDX-License-Identifier: GPL-2.0

//! Prints the public items of a crate, one a line: `items JSON [--written]`.
//!
//! With `--written`, the items of blanket, auto trait and derived implementations are left out.

use anyhow::{bail, Context, Result};
use public_api::Builder;
use std::env;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (json, written) = match args[..] {
        [json] => (json, false),
        [json, "--written"] => (json, true),
        _ => bail!("usage: items JSON [--written]"),
    };
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(written)
        .omit_auto_trait_impls(written)
        .omit_auto_derived_impls(written)
        .build()
        .with_context(|| {
            format!("{json}: cannot be parsed; the public-api crate needs the JSON of Rust 1.95")
        })?;
    for item in api.items() {
        println!("{item}");
    }
    Ok(())
}
