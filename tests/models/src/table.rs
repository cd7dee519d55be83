// SPDX-License-Identifier: GPL-2.0

//! `models.toml`: which expression of the source each step of a model stands for.

use anyhow::{ensure, Context, Result};
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::Path};

/// `models.toml`, where each entry is described.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub model: Vec<Model>,
    pub none: Vec<Unmodelled>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub name: String,
    pub bad: String,
    pub site: Vec<Site>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    pub id: String,
    pub file: String,
    pub code: String,
    /// Why a weaker form would do as well.
    #[serde(default)]
    pub enough: Option<String>,
}

/// An ordering that no model needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmodelled {
    pub file: String,
    pub code: String,
    #[serde(rename = "none")]
    pub reason: String,
}

/// What an expression of the source orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Nothing: an atomic access with `Relaxed`, or a step that is left out.
    Nothing,
    Acquire,
    Release,
    Full,
    Rmb,
    Wmb,
    Mb,
    /// A read-side critical section of RCU.
    RcuSection,
    GracePeriod,
    Lock,
    /// A step whose place matters.
    Step,
}

impl Strength {
    /// Returns what an expression of the source orders.
    pub fn of(code: &str) -> Self {
        let kinds = [
            ("__set_current_state", Self::Nothing),
            ("set_current_state", Self::Mb),
            ("wq_has_sleeper", Self::Mb),
            ("waitqueue_active", Self::Nothing),
            // An operation that changes nothing is there for its barriers.
            ("fetch_add(0, Full)", Self::Mb),
            ("smp_load_acquire", Self::Acquire),
            ("smp_rmb", Self::Rmb),
            ("smp_wmb", Self::Wmb),
            ("smp_mb", Self::Mb),
            ("READ_ONCE", Self::Nothing),
            ("Full)", Self::Full),
            ("Acquire)", Self::Acquire),
            ("Release)", Self::Release),
            ("Relaxed)", Self::Nothing),
            ("Relaxed,", Self::Nothing),
            ("synchronize_rcu", Self::GracePeriod),
            ("read_lock()", Self::RcuSection),
            ("lock()", Self::Lock),
        ];
        let found = kinds.iter().find(|(text, _)| code.contains(text));
        found.map_or(Self::Step, |(_, strength)| *strength)
    }

    /// Returns whether there is nothing to weaken.
    pub fn is_nothing(self) -> bool {
        self == Self::Nothing
    }

    /// The functions of a litmus test that order the same.
    pub fn functions(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &["READ_ONCE(", "WRITE_ONCE(", "rcu_dereference("],
            Self::Acquire => &["smp_load_acquire("],
            Self::Release => &["smp_store_release("],
            Self::Full => &["xchg(", "cmpxchg(", "atomic_fetch_add("],
            Self::Rmb => &["smp_rmb("],
            Self::Wmb => &["smp_wmb("],
            Self::Mb => &["smp_mb("],
            Self::RcuSection => &["rcu_read_lock("],
            Self::GracePeriod => &["synchronize_rcu("],
            Self::Lock => &["spin_lock("],
            Self::Step => &[""],
        }
    }
}

impl Table {
    pub fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for model in &table.model {
            ensure!(names.insert(&model.name), "two models {}", model.name);
            ensure!(!model.bad.is_empty(), "{}: no bad outcome", model.name);
            let mut ids = BTreeSet::new();
            for site in &model.site {
                let name = format!("{}/{}", model.name, site.id);
                ensure!(ids.insert(&site.id), "two sites {name}");
                let useless = site.strength().is_nothing() && site.enough.is_some();
                ensure!(!useless, "{name} has nothing to weaken");
            }
        }
        let unexplained = |none: &&Unmodelled| none.reason.len() < 10;
        let one = table.none.iter().find(unexplained);
        ensure!(one.is_none(), "a row of `none` has no reason");
        Ok(table)
    }

    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("tests/models/models.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    pub fn model(&self, name: &str) -> Result<&Model> {
        let found = self.model.iter().find(|model| model.name == name);
        found.with_context(|| format!("models.toml has no model {name}"))
    }
}

impl Site {
    pub fn strength(&self) -> Strength {
        Strength::of(&self.code)
    }
}
