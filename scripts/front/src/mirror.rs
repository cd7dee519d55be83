// SPDX-License-Identifier: GPL-2.0

//! A tree of links to a kernel's source, without the files that a build has left there.
//!
//! kbuild refuses an object directory of its own if the source contains objects, and the source of a
//! person may.

use crate::{step, tree};
use anyhow::{Context, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// What an entry of the mirror is.
enum Entry {
    Link,
    Folder(BTreeMap<OsString, Entry>),
}

/// Directories in which kbuild or its scripts create files, or that are searched for objects.
const REAL: &[&str] = &["include", "scripts", "arch", "rust"];

/// Extensions of files that only a build creates.
const OBJECTS: &[&str] = &["cmd", "ko", "mod", "o", "order", "rmeta", "symvers"];

/// Creates a mirror of `base`. The files in `texts` have other contents, or are added.
pub fn create(base: &Path, mirror: &Path, texts: &BTreeMap<PathBuf, String>) -> Result<()> {
    let mut real: Vec<PathBuf> = REAL.iter().map(PathBuf::from).collect();
    let folders = |at: &PathBuf| at.ancestors().skip(1).map(Path::to_path_buf).collect();
    real.extend(texts.keys().flat_map(|at| -> Vec<PathBuf> { folders(at) }));
    let entry = look(base, Path::new(""), &real)?;
    if mirror.exists() {
        fs::remove_dir_all(mirror).with_context(|| mirror.display().to_string())?;
    }
    let Entry::Folder(entries) = entry else {
        return Ok(());
    };
    build(base, mirror, &entries)?;
    for (at, text) in texts {
        let file = mirror.join(at);
        if file.is_symlink() {
            fs::remove_file(&file)?;
        }
        step::write_if_changed(&file, text)?;
    }
    Ok(())
}

/// Returns what a directory becomes: a link, unless something in it is left out or replaced.
fn look(base: &Path, at: &Path, real: &[PathBuf]) -> Result<Entry> {
    let mut names: Vec<(OsString, bool)> = Vec::new();
    let folder = base.join(at);
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        names.push((entry.file_name(), entry.file_type()?.is_dir()));
    }
    let all: BTreeSet<OsString> = names.iter().map(|(name, _)| name.clone()).collect();
    let mut is_link = !at.as_os_str().is_empty() && !real.iter().any(|one| one == at);
    let mut entries = BTreeMap::new();
    for (name, is_dir) in &names {
        let path = at.join(name);
        let text = name.to_string_lossy();
        let command = OsString::from(format!(".{text}.cmd"));
        let is_built = is_left_over(&path) || all.contains(&command);
        if path == Path::new(".git") {
            continue;
        }
        if is_built {
            is_link = false;
            continue;
        }
        let entry = match is_dir {
            true => look(base, &path, real)?,
            false => Entry::Link,
        };
        is_link &= matches!(entry, Entry::Link);
        entries.insert(name.clone(), entry);
    }
    Ok(match is_link {
        true => Entry::Link,
        false => Entry::Folder(entries),
    })
}

/// Returns whether a build has created the file, or the directory.
fn is_left_over(at: &Path) -> bool {
    let extension = at.extension().unwrap_or_default();
    let is_config =
        at.parent() == Some(Path::new("")) && at.to_string_lossy().starts_with(".config");
    is_config
        || OBJECTS.iter().any(|object| extension == *object)
        || at.ends_with("include/generated")
        || at == Path::new("include/config")
}

fn build(base: &Path, mirror: &Path, entries: &BTreeMap<OsString, Entry>) -> Result<()> {
    fs::create_dir_all(mirror)?;
    for (name, entry) in entries {
        let (from, to) = (base.join(name), mirror.join(name));
        match entry {
            Entry::Link => tree::link(&from, &to)?,
            Entry::Folder(inner) => build(&from, &to, inner)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_has_left_is_not_linked() {
        let top = std::env::temp_dir().join(format!("mirror-{}", std::process::id()));
        let (base, mirror) = (top.join("linux"), top.join("mirror"));
        for file in [
            ".config",
            "Makefile",
            "fs/Makefile",
            "scripts/basic/.fixdep.cmd",
            "scripts/basic/fixdep",
            "scripts/basic/fixdep.c",
            "include/config/auto.conf",
            "include/linux/mm.h",
            "arch/x86/include/generated/asm/a.h",
            "rust/kernel/lib.rs",
        ] {
            let file = base.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "old").unwrap();
        }
        let texts = [("Makefile", "new"), ("rust/added.c", "added")];
        let texts = texts.map(|(at, text)| (PathBuf::from(at), text.to_owned()));
        create(&base, &mirror, &texts.clone().into()).unwrap();
        create(&base, &mirror, &texts.into()).unwrap();

        let text = |at: &str| fs::read_to_string(mirror.join(at)).ok();
        assert_eq!(text("Makefile").as_deref(), Some("new"));
        assert_eq!(text("rust/added.c").as_deref(), Some("added"));
        for file in [
            "fs/Makefile",
            "scripts/basic/fixdep.c",
            "include/linux/mm.h",
        ] {
            assert_eq!(text(file).as_deref(), Some("old"), "{file}");
        }
        for file in [
            ".config",
            "scripts/basic/fixdep",
            "include/config",
            "arch/x86/include/generated",
        ] {
            assert!(!mirror.join(file).exists(), "{file}");
        }
        assert!(mirror.join("fs").is_symlink());
        assert!(!mirror.join("scripts").is_symlink());
        let unchanged = fs::read_to_string(base.join("Makefile")).unwrap();
        assert_eq!(unchanged, "old");
        fs::remove_dir_all(top).unwrap();
    }
}
