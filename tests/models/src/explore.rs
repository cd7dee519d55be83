// SPDX-License-Identifier: GPL-2.0

//! Exploring a model with loom: as the source is, and with one ordering weakened.

use crate::table::{Model, Strength};
use loom::sync::atomic::{
    fence, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use std::{
    any::Any,
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    panic::{self, AssertUnwindSafe},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex, Once,
    },
};

/// The orderings with which a model runs.
pub struct Sites {
    strengths: BTreeMap<String, Strength>,
    weak: Option<String>,
    used: Mutex<BTreeSet<String>>,
}

impl Sites {
    pub fn new(model: &Model, weak: Option<&str>) -> Self {
        let strengths = model.site.iter().map(|s| (s.id.clone(), s.strength()));
        Self {
            strengths: strengths.collect(),
            weak: weak.map(ToOwned::to_owned),
            used: Mutex::default(),
        }
    }

    /// Returns the ordering of a site, which is `Nothing` if it is the weakened one.
    pub fn at(&self, id: &str) -> Strength {
        if let Ok(mut used) = self.used.lock() {
            used.insert(id.to_owned());
        }
        match self.strengths.get(id) {
            None => panic!("models.toml has no site {id}"),
            Some(_) if self.weak.as_deref() == Some(id) => Strength::Nothing,
            Some(strength) => *strength,
        }
    }
}

/// The operations of the kernel, in terms of those of C11.
impl Strength {
    pub fn load(self, from: &AtomicU32) -> u32 {
        from.load(if self == Self::Acquire {
            Acquire
        } else {
            Relaxed
        })
    }

    pub fn store(self, to: &AtomicU32, value: u32) {
        to.store(
            value,
            if self == Self::Release {
                Release
            } else {
                Relaxed
            },
        );
    }

    /// Calls `f`, which changes a variable, between two full barriers if this is `Full`. C11's
    /// ordering of the operation itself would not order what is before it with what is after it.
    fn atomic<R>(self, f: impl FnOnce(loom::sync::atomic::Ordering) -> R) -> R {
        if self != Self::Full {
            return f(Relaxed);
        }
        fence(SeqCst);
        let result = f(AcqRel);
        fence(SeqCst);
        result
    }

    pub fn swap(self, at: &AtomicU32, value: u32) -> u32 {
        self.atomic(|order| at.swap(value, order))
    }

    pub fn fetch_add(self, at: &AtomicU32, value: u32) -> u32 {
        self.atomic(|order| at.fetch_add(value, order))
    }

    /// Weakened, it is a load and a store.
    pub fn cmpxchg(self, at: &AtomicU32, from: u32, to: u32) -> Result<u32, u32> {
        if self == Self::Full {
            return self.atomic(|order| at.compare_exchange(from, to, order, Relaxed));
        }
        let old = at.load(Relaxed);
        if old != from {
            return Err(old);
        }
        at.store(to, Relaxed);
        Ok(old)
    }

    /// A barrier. `smp_wmb()` and `smp_rmb()` are fences that order more in C11 than in the kernel:
    /// the models have no access that only this orders.
    pub fn fence(self) {
        match self {
            Self::Mb => fence(SeqCst),
            Self::Wmb => fence(Release),
            Self::Rmb => fence(Acquire),
            _ => {}
        }
    }

    /// Returns whether a step is done in its place.
    pub fn is_done(self) -> bool {
        !self.is_nothing()
    }
}

/// Ends an execution with a bad outcome if `is_bad`.
#[track_caller]
pub fn bad(is_bad: bool, what: &str) {
    assert!(!is_bad, "bad: {what}");
}

/// The result of an exploration.
pub struct Explored {
    pub executions: usize,
    /// The bad outcome of the last execution, if it had one.
    pub bad: Option<String>,
    /// The sites that the model has asked for.
    pub used: BTreeSet<String>,
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the messages of bad outcomes from being printed.
fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                print(info);
            }
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    text.unwrap_or_else(|| "no message".to_owned())
}

/// Explores all executions of `model` with `sites`, until one has a bad outcome.
pub fn explore(model: fn(&Arc<Sites>), sites: Sites) -> Explored {
    be_quiet();
    let sites = Arc::new(sites);
    let count = Arc::new(AtomicUsize::new(0));
    let (their_sites, their_count) = (sites.clone(), count.clone());
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = None;
    let run = AssertUnwindSafe(|| {
        builder.check(move || {
            their_count.fetch_add(1, Ordering::Relaxed);
            model(&their_sites);
        });
    });
    IS_QUIET.set(true);
    let ended = panic::catch_unwind(run);
    IS_QUIET.set(false);
    let used = sites.used.lock().map(|used| used.clone());
    Explored {
        executions: count.load(Ordering::Relaxed),
        bad: ended.err().map(|payload| message(&*payload)),
        used: used.unwrap_or_default(),
    }
}

/// Returns whether `text` is about an outcome that a model looks for, and not about its limits.
pub fn is_outcome(text: &str) -> bool {
    let begins = ["bad: ", "Causality violation", "deadlock"];
    begins.iter().any(|begin| text.starts_with(begin))
}
