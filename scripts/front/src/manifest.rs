// SPDX-License-Identifier: GPL-2.0

//! `manifest.toml`, which lists the files of this repository.

use crate::versions::Needs;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The contents of `manifest.toml`, where each entry is described.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub tree: Vec<PathBuf>,
    pub cargo: Vec<PathBuf>,
    pub tested: Vec<Tested>,
    pub needs: Vec<Needs>,
    pub ui: Ui,
    pub driver: Vec<Driver>,
    pub module: Vec<Module>,
    pub test: Vec<Test>,
    pub stress: Vec<Stress>,
    pub program: Vec<Program>,
    pub size: Vec<Size>,
    pub configuration: Vec<Configuration>,
    pub mutants: Mutants,
}

/// A kernel of `make test`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    pub series: String,
    pub arch: Option<String>,
    #[serde(default)]
    pub whole: bool,
    #[serde(default)]
    pub checkers: bool,
    #[serde(default)]
    pub turns: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ui {
    pub sources: Vec<PathBuf>,
    pub flags_of: PathBuf,
}

/// A crate of the kernel outside of `rust/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    pub config: String,
    pub files: Vec<PathBuf>,
    goal: Option<String>,
}

impl Driver {
    /// Returns the path of the object in the object directory.
    pub fn object(&self) -> PathBuf {
        self.files[0].with_extension("o")
    }

    /// Returns the kbuild goal that compiles the driver.
    pub fn goal(&self) -> String {
        let object = || self.object().display().to_string();
        self.goal.clone().unwrap_or_else(object)
    }

    /// Returns the path of the module in the object directory. It only exists if the driver is
    /// configured as a module.
    pub fn module(&self) -> PathBuf {
        self.files[0].with_extension("ko")
    }
}

/// A module that is built against a complete kernel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    pub name: String,
    pub folder: PathBuf,
    /// The files that are not part of a driver.
    #[serde(default)]
    pub files: Vec<PathBuf>,
}

impl Module {
    /// Returns the directory in the object directory in which the module is built.
    pub fn directory(&self) -> &Path {
        self.folder.file_name().unwrap_or_default().as_ref()
    }
}

/// A test program of the guest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub name: String,
    #[serde(default)]
    pub drivers: bool,
    pub config: Option<String>,
    #[serde(default)]
    pub except: Vec<String>,
    pub folder: Option<PathBuf>,
    pub module: Option<String>,
}

/// A stress test of the guest.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Stress {
    pub name: String,
    pub program: String,
    #[serde(default)]
    pub kcsan: bool,
}

/// Another program of the guest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    pub name: String,
    pub directory: String,
    pub module: Option<String>,
    #[serde(default)]
    pub except: Vec<String>,
    pub folder: Option<PathBuf>,
    #[serde(default)]
    pub sources: Vec<PathBuf>,
}

/// An object whose size is compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    pub what: String,
    pub object: PathBuf,
}

/// A kernel configuration in which the crate must compile.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    pub name: String,
    series: Option<Vec<String>>,
    #[serde(default)]
    pub boot: bool,
    pub arch: Option<String>,
    #[serde(default)]
    pub debian: bool,
    #[serde(default)]
    pub slow: bool,
    /// What the test programs get on the kernel's command line.
    #[serde(default)]
    pub parameters: String,
    #[serde(default)]
    pub again: Vec<Again>,
}

/// Another boot of a configuration.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Again {
    pub arch: String,
    pub parameters: String,
    /// What the kernel logs if it has obeyed.
    pub message: String,
}

impl Configuration {
    /// Returns whether kernels of a series have the options; `like` is that of its build.
    pub fn is_for(&self, like: &[String]) -> bool {
        let mut listed = self.series.iter().flatten();
        self.series.is_none() || listed.any(|series| like.contains(series))
    }

    /// Returns the name of the fragment in `configs/`, without the extension.
    pub fn fragment(&self) -> String {
        format!("matrix/{}", self.name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutants {
    pub stale: Vec<PathBuf>,
}

impl Manifest {
    /// Reads `manifest.toml` in `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("manifest.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Returns the external module `name`.
    pub fn module(&self, name: &str) -> Result<&Module> {
        let mut all = self.module.iter();
        all.find(|module| module.name == name)
            .with_context(|| format!("manifest.toml has no module {name}"))
    }

    /// Returns the stress test `name`.
    pub fn stress(&self, name: &str) -> Result<&Stress> {
        let mut all = self.stress.iter();
        all.find(|test| test.name == name)
            .with_context(|| format!("manifest.toml has no stress test {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{series, tree};
    use std::collections::BTreeSet;

    const PROGRAMS: &str = "tools/testing/selftests/rust_task/src/bin";

    /// Returns the repository's root.
    fn root() -> PathBuf {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        manifest.ancestors().nth(2).unwrap().to_owned()
    }

    /// Returns `root` and the directories of `backport/`.
    fn tops(root: &Path) -> Vec<PathBuf> {
        let mut tops = vec![root.to_owned()];
        tops.extend(
            series::supported(root)
                .unwrap()
                .iter()
                .map(|series| root.join("backport").join(series)),
        );
        tops
    }

    /// Returns the paths and names that are present in the repository.
    fn present(root: &Path) -> BTreeSet<String> {
        let mut present = BTreeSet::new();
        for top in tops(root) {
            for folder in ["lib", "samples", "tests/known", "tests/leftover"] {
                for file in tree::walk(&top.join(folder)).unwrap() {
                    let is_c = folder == "samples" && file.extension().is_some_and(|e| e == "c");
                    if is_c || file.extension().is_some_and(|e| e == "rs") {
                        present.insert(file.strip_prefix(&top).unwrap().display().to_string());
                    }
                }
            }
        }
        for program in fs::read_dir(root.join(PROGRAMS)).unwrap().flatten() {
            let name = Path::new(&program.file_name()).with_extension("");
            present.insert(format!("program {}", name.display()));
        }
        for line in fs::read_to_string(root.join("Kconfig")).unwrap().lines() {
            if let Some(symbol) = line.strip_prefix("config ") {
                present.insert(format!("config {}", symbol.trim()));
            }
        }
        present
    }

    /// Returns the paths and names in the manifest, except for those that belong to the kernel.
    fn listed(manifest: &Manifest) -> BTreeSet<String> {
        let mut listed = BTreeSet::new();
        let drivers = manifest.driver.iter().flat_map(|driver| &driver.files);
        let modules = manifest.module.iter().flat_map(|module| &module.files);
        listed.extend(
            drivers
                .chain(modules)
                .map(|file| file.display().to_string()),
        );
        let tests = manifest.test.iter().filter(|test| test.folder.is_none());
        let own = manifest.program.iter();
        let own = own.filter(|program| program.folder.is_none());
        let names = tests
            .map(|test| &test.name)
            .chain(manifest.stress.iter().map(|test| &test.program))
            .chain(own.map(|program| &program.name));
        listed.extend(names.map(|name| format!("program {name}")));
        let symbols = manifest.driver.iter().map(|driver| &driver.config);
        listed.extend(symbols.map(|symbol| format!("config {symbol}")));
        listed
    }

    #[test]
    fn each_series_has_the_versions_that_it_needs() {
        let root = root();
        let manifest = Manifest::read(&root).unwrap();
        for series in series::supported(&root).unwrap() {
            let needs = manifest.needs.iter().find(|needs| needs.series == series);
            let needs = needs.unwrap_or_else(|| panic!("manifest.toml has no needs of {series}"));
            for tool in ["rustc", "bindgen", "llvm"] {
                assert!(needs.of(tool).is_some(), "{series}: {tool}");
            }
        }
    }

    #[test]
    fn the_manifest_lists_what_is_present() {
        let root = root();
        let manifest = Manifest::read(&root).unwrap();
        let (listed, present) = (listed(&manifest), present(&root));
        let unlisted: Vec<_> = present.difference(&listed).collect();
        assert!(unlisted.is_empty(), "not in manifest.toml: {unlisted:?}");
        let missing: Vec<_> = listed.difference(&present).collect();
        assert!(missing.is_empty(), "only in manifest.toml: {missing:?}");
    }

    #[test]
    fn paths_and_references_of_the_manifest_are_valid() {
        let root = root();
        let manifest = Manifest::read(&root).unwrap();
        let folders = manifest.tree.iter().chain(&manifest.cargo);
        let folders = folders.chain(&manifest.ui.sources);
        let folders = folders.chain(manifest.module.iter().map(|module| &module.folder));
        for folder in folders {
            assert!(root.join(folder).is_dir(), "{}", folder.display());
        }
        for name in manifest.program.iter().flat_map(|program| &program.module) {
            manifest.module(name).unwrap();
        }
        let supported = series::supported(&root).unwrap();
        assert!(manifest
            .tested
            .iter()
            .all(|one| supported.contains(&one.series)));
        let samples = manifest.driver.iter().map(Driver::object);
        assert!(samples.collect::<Vec<_>>().contains(&manifest.ui.flags_of));
    }

    #[test]
    fn each_configuration_has_a_fragment_for_each_of_its_kernels() {
        let root = root();
        let manifest = Manifest::read(&root).unwrap();
        let mut used = BTreeSet::new();
        for configuration in &manifest.configuration {
            for series in series::supported(&root).unwrap() {
                let like = series::like(&root, &series).unwrap();
                if !configuration.is_for(&like) {
                    continue;
                }
                let name = &configuration.name;
                let mut names = vec![format!("{name}.config")];
                let archs = ["x86_64", "arm64"].map(str::to_owned);
                let suffixes = like.iter().chain(&archs);
                names.extend(suffixes.map(|suffix| format!("{name}-{suffix}.config")));
                let dir = root.join("configs/matrix");
                let present = names.into_iter().filter(|name| dir.join(name).exists());
                let present: Vec<_> = present.collect();
                assert!(!present.is_empty(), "{name} on Linux {series}");
                used.extend(present);
            }
        }
        for file in fs::read_dir(root.join("configs/matrix")).unwrap().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            assert!(used.contains(&name), "no configuration uses {name}");
        }
    }

    /// Each new file, program or symbol has to be listed.
    #[test]
    fn what_is_not_listed_is_found() {
        let root = std::env::temp_dir().join(format!("manifest-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let files = [
            "lib/a.rs",
            "lib/b/c.rs",
            "samples/rust/d.rs",
            "backport/7.3/lib/e.rs",
            "tests/known/f.rs",
        ];
        for file in files {
            write(file, "");
        }
        write(&format!("{PROGRAMS}/g.rs"), "");
        write(&format!("{PROGRAMS}/h/main.rs"), "");
        write("Kconfig", "config I\n\ttristate \"i\"\n");

        let manifest = Manifest::read(&self::root()).unwrap();
        let listed = listed(&manifest);
        let found: BTreeSet<_> = present(&root).difference(&listed).cloned().collect();
        let expected = files.iter().map(|file| (*file).to_owned());
        let expected = expected.map(|file| file.replace("backport/7.3/", ""));
        let others = ["program g", "program h", "config I"].map(str::to_owned);
        assert_eq!(found, expected.chain(others).collect());
        fs::remove_dir_all(root).unwrap();
    }
}
