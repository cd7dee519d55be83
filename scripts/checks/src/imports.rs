// SPDX-License-Identifier: GPL-2.0

//! Tests that the modules of this workspace do not import each other in a circle.

use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the modules of their crate that the modules in `sources` import, except in their tests.
fn imports(sources: &[(String, String)]) -> Imports {
    let import = Regex::new(r"\bcrate::(?:\{([^;]*)\}|(\w+))").unwrap();
    let word = Regex::new(r"\w+").unwrap();
    let names: BTreeSet<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let of_source = |text: &str| {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = import.captures_iter(code);
        let words = lines.flat_map(|line| {
            let part = line.get(1).or(line.get(2)).map_or("", |part| part.as_str());
            word.find_iter(part).map(|word| word.as_str().to_owned())
        });
        words.filter(|word| names.contains(word.as_str())).collect()
    };
    let all = sources.iter();
    all.map(|(name, text)| (name.clone(), of_source(text)))
        .collect()
}

/// Returns the modules that are part of a circle, or import a module that is.
fn circular(mut imports: Imports) -> Vec<String> {
    loop {
        let free = imports.iter().find(|(_, used)| used.is_empty());
        let Some(free) = free.map(|(name, _)| name.clone()) else {
            return imports.into_keys().collect();
        };
        imports.remove(&free);
        for used in imports.values_mut() {
            used.remove(&free);
        }
    }
}

#[test]
fn no_module_is_part_of_a_circle() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["front", "checks"] {
        let mut sources = Vec::new();
        for file in front::tree::walk(&scripts.join(name).join("src")).unwrap() {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            // The root of a crate declares the modules.
            if name != "main" && name != "lib" {
                sources.push((name, fs::read_to_string(file).unwrap()));
            }
        }
        let imports = imports(&sources);
        assert!(imports.values().any(|used| !used.is_empty()));
        assert!(circular(imports).is_empty());
    }
}

#[test]
fn a_circle_is_found() {
    let source = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let sources = [
        source("a", "use crate::b;"),
        source("b", "use crate::{\n    c::{self, D},\n    e,\n};"),
        source("c", "fn f() { crate::a::g(); }"),
        source("e", "#[cfg(test)]\nmod tests { use crate::a; }"),
    ];
    assert_eq!(circular(imports(&sources)), ["a", "b", "c"]);
}
