// SPDX-License-Identifier: GPL-2.0

//! Explores all executions of a litmus test that the kernel's memory model allows.
//!
//! The relations have the names of `tools/memory-model/linux-kernel.cat`. Left out are plain
//! accesses, SRCU, `spin_is_locked()` and dependencies through memory. A test that needs one of
//! them is an error.

use crate::litmus::{Condition, Expr, Litmus, Stmt, Thread, Value, ADDRESS};
use anyhow::{bail, ensure, Context, Result};
use std::collections::{BTreeMap, BTreeSet};

const RELEASE: u32 = 1;
const ACQUIRE: u32 = 1 << 1;
const FULL: u32 = 1 << 2;
const NO_RETURN: u32 = 1 << 3;
const RMW: u32 = 1 << 4;
const LOCK: u32 = 1 << 5;
const UNLOCK: u32 = 1 << 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Fence(Fence),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    Mb,
    Rmb,
    Wmb,
    BeforeAtomic,
    AfterAtomic,
    AfterSpinlock,
    RcuLock,
    RcuUnlock,
    SyncRcu,
}

#[derive(Clone, Debug)]
struct Event {
    kind: Kind,
    location: usize,
    value: Value,
    tags: u32,
    /// The reads of the same thread on which the address, the value or the execution depends.
    addr: u64,
    data: u64,
    ctrl: u64,
    /// Of the write of an atomic operation: its read.
    reads: Option<usize>,
}

/// One way through a thread.
#[derive(Clone)]
struct Trace {
    events: Vec<Event>,
    registers: BTreeMap<String, Value>,
}

/// What the exploration has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// The executions that the model allows.
    pub executions: usize,
    /// Those for which `exists` is true.
    pub bad: usize,
}

struct Run<'a> {
    litmus: &'a Litmus,
    thread: &'a Thread,
    domains: &'a [BTreeSet<Value>],
    /// Which value each read returns, and how many there are.
    choices: &'a mut Vec<(usize, usize)>,
    used: usize,
    events: Vec<Event>,
    registers: BTreeMap<String, (Value, u64)>,
    ctrl: u64,
}

impl Run<'_> {
    fn push(&mut self, kind: Kind, location: usize, value: Value, tags: u32, dep: (u64, u64)) {
        self.events.push(Event {
            kind,
            location,
            value,
            tags,
            addr: dep.0,
            data: dep.1,
            ctrl: self.ctrl,
            reads: None,
        });
    }

    fn location(&self, argument: Option<&Expr>) -> Result<(usize, u64)> {
        let Some(Expr::Name(name)) = argument else {
            bail!("not a location: {argument:?}");
        };
        if self.thread.params.contains(name) {
            let all = &self.litmus.variables;
            let found = all.iter().position(|v| v == name);
            return Ok((found.context("no variable")?, 0));
        }
        let (value, dep) = self.registers.get(name).with_context(|| name.clone())?;
        ensure!(*value >= ADDRESS, "{name} is not an address");
        Ok(((value - ADDRESS) as usize, *dep))
    }

    fn read(&mut self, at: (usize, u64), tags: u32, only: Option<Value>) -> Option<(Value, u64)> {
        let possible: Vec<Value> = match only {
            Some(value) => vec![value],
            None => self.domains[at.0].iter().copied().collect(),
        };
        if self.used == self.choices.len() {
            self.choices.push((0, possible.len()));
        }
        let value = *possible.get(self.choices[self.used].0)?;
        self.used += 1;
        self.push(Kind::Read, at.0, value, tags, (at.1, 0));
        Some((value, 1 << (self.events.len() - 1)))
    }

    /// Reads and writes a location. `new` returns the value to write, or `None` to write nothing.
    fn rmw(
        &mut self,
        at: (usize, u64),
        tags: u32,
        dep: u64,
        new: impl Fn(Value) -> Option<Value>,
    ) -> Result<(Value, u64)> {
        let read = self.events.len();
        let old = self.read(at, tags | RMW, None).context("no value")?;
        match new(old.0) {
            Some(value) => {
                let tags = tags & !ACQUIRE | RMW;
                self.push(Kind::Write, at.0, value, tags, (at.1, dep));
                self.events[read].tags &= !RELEASE;
                let write = self.events.len() - 1;
                self.events[write].reads = Some(read);
            }
            None => self.events[read].tags = RMW,
        }
        Ok(old)
    }

    fn call(&mut self, name: &str, arguments: &[Expr]) -> Result<(Value, u64)> {
        let fence = match name {
            "smp_mb" => Some(Fence::Mb),
            "smp_rmb" => Some(Fence::Rmb),
            "smp_wmb" => Some(Fence::Wmb),
            "smp_mb__before_atomic" => Some(Fence::BeforeAtomic),
            "smp_mb__after_atomic" => Some(Fence::AfterAtomic),
            "smp_mb__after_spinlock" => Some(Fence::AfterSpinlock),
            "rcu_read_lock" => Some(Fence::RcuLock),
            "rcu_read_unlock" => Some(Fence::RcuUnlock),
            "synchronize_rcu" => Some(Fence::SyncRcu),
            _ => None,
        };
        if let Some(fence) = fence {
            ensure!(arguments.is_empty(), "{name} has an argument");
            self.push(Kind::Fence(fence), usize::MAX, 0, 0, (0, 0));
            return Ok((0, 0));
        }
        let ordering = |base: &str| match name.strip_prefix(base) {
            Some("") => Some(FULL),
            Some("_relaxed") => Some(0),
            Some("_acquire") => Some(ACQUIRE),
            Some("_release") => Some(RELEASE),
            _ => None,
        };
        if let "READ_ONCE" | "rcu_dereference" | "atomic_read" | "smp_load_acquire" = name {
            let at = self.location(arguments.first())?;
            let acquires = name == "smp_load_acquire";
            let tags = if acquires { ACQUIRE } else { 0 };
            return self.read(at, tags, None).context("no value");
        }
        if let "WRITE_ONCE" | "atomic_set" | "smp_store_release" | "rcu_assign_pointer" = name {
            let at = self.location(arguments.first())?;
            let (value, dep) = self.eval(arguments.get(1).context("no value")?)?;
            let releases = name == "smp_store_release" || name == "rcu_assign_pointer";
            let tags = if releases { RELEASE } else { 0 };
            self.push(Kind::Write, at.0, value, tags, (at.1, dep));
            return Ok((0, 0));
        }
        match name {
            "spin_lock" => {
                let at = self.location(arguments.first())?;
                self.read(at, ACQUIRE | RMW | LOCK, Some(0))
                    .context("no value")?;
                let read = self.events.len() - 1;
                self.push(Kind::Write, at.0, 1, RMW | LOCK, (0, 0));
                self.events[read + 1].reads = Some(read);
                return Ok((0, 0));
            }
            "spin_unlock" => {
                let at = self.location(arguments.first())?;
                self.push(Kind::Write, at.0, 0, RELEASE | UNLOCK, (0, 0));
                return Ok((0, 0));
            }
            "atomic_inc" | "atomic_dec" => {
                let at = self.location(arguments.first())?;
                let by = if name == "atomic_inc" { 1 } else { -1 };
                self.rmw(at, NO_RETURN, 0, |old| Some(old + by))?;
                return Ok((0, 0));
            }
            "atomic_dec_and_test" => {
                let at = self.location(arguments.first())?;
                let (old, dep) = self.rmw(at, FULL, 0, |old| Some(old - 1))?;
                return Ok((Value::from(old == 1), dep));
            }
            "atomic_add_unless" => {
                let at = self.location(arguments.first())?;
                let (add, dep) = self.eval(arguments.get(1).context("no value")?)?;
                let (unless, _) = self.eval(arguments.get(2).context("no value")?)?;
                let new = |old| (old != unless).then_some(old + add);
                let (old, read) = self.rmw(at, FULL, dep, new)?;
                return Ok((Value::from(old != unless), read));
            }
            _ => {}
        }
        if let Some(tags) = ordering("xchg") {
            let at = self.location(arguments.first())?;
            let (value, dep) = self.eval(arguments.get(1).context("no value")?)?;
            return self.rmw(at, tags, dep, |_| Some(value));
        }
        if let Some(tags) = ordering("cmpxchg") {
            let at = self.location(arguments.first())?;
            let (from, _) = self.eval(arguments.get(1).context("no value")?)?;
            let (to, dep) = self.eval(arguments.get(2).context("no value")?)?;
            return self.rmw(at, tags, dep, |old| (old == from).then_some(to));
        }
        if let Some(tags) = ordering("atomic_fetch_add") {
            let (by, dep) = self.eval(arguments.first().context("no value")?)?;
            let at = self.location(arguments.get(1))?;
            return self.rmw(at, tags, dep, |old| Some(old + by));
        }
        bail!("{name}() is not supported")
    }

    /// Returns the value, and the reads on which it depends.
    fn eval(&mut self, expr: &Expr) -> Result<(Value, u64)> {
        match expr {
            Expr::Number(value) => Ok((*value, 0)),
            Expr::Name(name) => {
                if let Some(found) = self.registers.get(name) {
                    return Ok(*found);
                }
                let (location, _) = self.location(Some(expr))?;
                Ok((ADDRESS + location as Value, 0))
            }
            Expr::Not(inner) => {
                let (value, dep) = self.eval(inner)?;
                Ok((Value::from(value == 0), dep))
            }
            Expr::Binary(left, operator, right) => {
                let (a, left) = self.eval(left)?;
                let (b, right) = self.eval(right)?;
                let value = match operator.as_str() {
                    "==" => Value::from(a == b),
                    "!=" => Value::from(a != b),
                    "&&" => Value::from(a != 0 && b != 0),
                    "||" => Value::from(a != 0 || b != 0),
                    "+" => a + b,
                    _ => a - b,
                };
                Ok((value, left | right))
            }
            Expr::Call(name, arguments) => self.call(name, arguments),
        }
    }

    fn block(&mut self, statements: &[Stmt]) -> Result<()> {
        for statement in statements {
            match statement {
                Stmt::Do(target, value) => {
                    let value = self.eval(value)?;
                    if let Some(target) = target {
                        let plain = self.thread.params.contains(target);
                        ensure!(!plain, "plain access to {target}");
                        self.registers.insert(target.clone(), value);
                    }
                }
                Stmt::If(condition, then, otherwise) => {
                    let (value, dep) = self.eval(condition)?;
                    self.ctrl |= dep;
                    self.block(if value != 0 { then } else { otherwise })?;
                }
            }
        }
        Ok(())
    }
}

/// Returns each way through a thread, if each read may return any value of its variable's domain.
fn traces(litmus: &Litmus, thread: &Thread, domains: &[BTreeSet<Value>]) -> Result<Vec<Trace>> {
    let mut choices = Vec::new();
    let mut all = Vec::new();
    loop {
        let mut run = Run {
            litmus,
            thread,
            domains,
            choices: &mut choices,
            used: 0,
            events: Vec::new(),
            registers: BTreeMap::new(),
            ctrl: 0,
        };
        run.block(&thread.body)?;
        let registers = run.registers.into_iter().map(|(name, v)| (name, v.0));
        all.push(Trace {
            events: run.events,
            registers: registers.collect(),
        });
        // The next combination: the last read that has another value takes it.
        while choices.last().is_some_and(|(at, of)| at + 1 == *of) {
            choices.pop();
        }
        match choices.last_mut() {
            Some(last) => last.0 += 1,
            None => return Ok(all),
        }
    }
}

/// A relation between events. Bit `j` of row `i` says that it relates `i` to `j`.
#[derive(Clone, PartialEq)]
struct Rel(Vec<u64>);

impl Rel {
    fn new(n: usize, holds: impl Fn(usize, usize) -> bool) -> Self {
        let row = |i| (0..n).filter(|&j| holds(i, j)).map(|j| 1 << j).sum();
        Self((0..n).map(row).collect())
    }

    fn id(n: usize, holds: impl Fn(usize) -> bool) -> Self {
        Self::new(n, |i, j| i == j && holds(i))
    }

    fn seq(&self, other: &Self) -> Self {
        let row = |&row: &u64| {
            let bits = (0..other.0.len()).filter(|j| row >> j & 1 != 0);
            bits.fold(0, |all, j| all | other.0[j])
        };
        Self(self.0.iter().map(row).collect())
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let rows = self.0.iter().zip(&other.0);
        Self(rows.map(|(a, b)| f(*a, *b)).collect())
    }

    fn or(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    fn and(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    fn without(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    fn inverse(&self) -> Self {
        Self::new(self.0.len(), |i, j| self.0[j] >> i & 1 != 0)
    }

    /// `r?`
    fn optional(&self) -> Self {
        self.or(&Self::id(self.0.len(), |_| true))
    }

    /// `r*`
    fn star(&self) -> Self {
        let mut all = self.optional();
        loop {
            let next = all.seq(&all);
            if next == all {
                return all;
            }
            all = next;
        }
    }

    fn is_irreflexive(&self) -> bool {
        self.0.iter().enumerate().all(|(i, row)| row >> i & 1 == 0)
    }

    fn is_acyclic(&self) -> bool {
        self.seq(&self.star()).is_irreflexive()
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|row| *row == 0)
    }
}

/// What is the same for each choice of `rf` and `co`.
struct Graph {
    events: Vec<Event>,
    /// The thread of each event. The initial writes have none.
    thread: Vec<Option<usize>>,
    po: Rel,
    int: Rel,
    same_location: Rel,
    rmw: Rel,
    rcu_rscs: Rel,
}

impl Graph {
    fn new(initial: Vec<Event>, traces: &[&Trace]) -> Self {
        let mut thread = vec![None; initial.len()];
        let mut events = initial;
        for (number, trace) in traces.iter().enumerate() {
            let base = events.len();
            for event in &trace.events {
                let mut event = event.clone();
                event.reads = event.reads.map(|read| base + read);
                event.addr <<= base;
                event.data <<= base;
                event.ctrl <<= base;
                events.push(event);
                thread.push(Some(number));
            }
        }
        let n = events.len();
        let same_thread = |i: usize, j: usize| thread[i].is_some() && thread[i] == thread[j];
        let is_access = |i: usize| !matches!(events[i].kind, Kind::Fence(_));
        let po = Rel::new(n, |i, j| same_thread(i, j) && i < j);
        let mut sections = Vec::new();
        for i in 0..n {
            if events[i].kind != Kind::Fence(Fence::RcuUnlock) {
                continue;
            }
            let begins = |j: &usize| {
                same_thread(i, *j)
                    && events[*j].kind == Kind::Fence(Fence::RcuLock)
                    && !sections.iter().any(|(begin, _)| begin == j)
            };
            if let Some(begin) = (0..i).rev().find(begins) {
                sections.push((begin, i));
            }
        }
        Self {
            int: Rel::new(n, same_thread),
            same_location: Rel::new(n, |i, j| {
                is_access(i) && is_access(j) && events[i].location == events[j].location
            }),
            rmw: Rel::new(n, |i, j| events[j].reads == Some(i)),
            rcu_rscs: Rel::new(n, |i, j| sections.contains(&(i, j))),
            po,
            events,
            thread,
        }
    }

    /// Returns whether the kernel's memory model allows the execution.
    fn allows(&self, rf: &Rel, co: &Rel) -> bool {
        let n = self.events.len();
        let all = |holds: &dyn Fn(&Event) -> bool| Rel::id(n, |i| holds(&self.events[i]));
        let tagged = |tag: u32, kind: Kind| all(&|e| e.tags & tag != 0 && e.kind == kind);
        let fence = |fence: Fence| all(&|e| e.kind == Kind::Fence(fence));
        let join = |parts: &[&Rel]| {
            let rest = parts[1..].iter();
            rest.fold(parts[0].clone(), |all, part| all.seq(part))
        };
        let union = |parts: &[&Rel]| {
            let rest = parts[1..].iter();
            rest.fold(parts[0].clone(), |all, part| all.or(part))
        };
        let (po, int) = (&self.po, &self.int);
        let m = &all(&|e| !matches!(e.kind, Kind::Fence(_)));
        let r = &all(&|e| e.kind == Kind::Read);
        let w = &all(&|e| e.kind == Kind::Write);
        let id = &all(&|_| true);
        let fencerel = |kind: Fence| join(&[po, &fence(kind), po]);

        let fr = &rf.inverse().seq(co).without(id);
        let po_loc = po.and(&self.same_location);
        if !union(&[&po_loc, rf, co, fr]).is_acyclic() {
            return false;
        }
        let (fre, coe) = (fr.without(int), co.without(int));
        if !self.rmw.and(&fre.seq(&coe)).is_empty() {
            return false;
        }

        let acquire = &tagged(ACQUIRE, Kind::Read);
        let release = &tagged(RELEASE, Kind::Write);
        let lock_read = &tagged(LOCK, Kind::Read);
        let lock_write = &tagged(LOCK, Kind::Write);
        let unlock = &tagged(UNLOCK, Kind::Write);
        let rmws = &all(&|e| e.tags & RMW != 0 && e.tags & LOCK == 0);
        let acq_po = join(&[acquire, po, m]);
        let po_rel = &join(&[m, po, release]);
        let handed_over = &join(&[po, unlock, &po.or(rf), lock_read, po]);
        let r4rmb = &all(&|e| e.kind == Kind::Read && e.tags & NO_RETURN == 0);
        let rmb = join(&[r4rmb, &fencerel(Fence::Rmb), r4rmb]);
        let wmb = &join(&[w, &fencerel(Fence::Wmb), w]);
        let po_opt = &po.optional();
        let mb = union(&[
            &join(&[m, &fencerel(Fence::Mb), m]),
            &join(&[m, po, &tagged(FULL, Kind::Read)]),
            &join(&[&tagged(FULL, Kind::Write), po, m]),
            &join(&[m, &fencerel(Fence::BeforeAtomic), rmws, po_opt, m]),
            &join(&[m, po_opt, rmws, &fencerel(Fence::AfterAtomic), m]),
            &join(&[m, po_opt, lock_write, &fencerel(Fence::AfterSpinlock), m]),
        ]);
        let sync = &fence(Fence::SyncRcu);
        let gp = join(&[po, sync, po_opt]);
        let strong = &mb.or(&gp);
        let fences = union(&[strong, po_rel, &acq_po, wmb, &rmb]);

        let dep = |of: fn(&Event) -> u64| Rel::new(n, |i, j| of(&self.events[j]) >> i & 1 != 0);
        let addr = dep(|e| e.addr);
        let data_or_addr = dep(|e| e.addr | e.data);
        let any = dep(|e| e.addr | e.data | e.ctrl);
        let rfi = rf.and(int);
        let rfe = &rf.without(int);
        let overwrite = co.or(fr);
        let to_w = any.seq(w).or(&overwrite.and(int));
        let to_r = addr.seq(r).or(&data_or_addr.seq(&rfi));
        let ppo = union(&[&to_r, &to_w, &fences.and(int), &handed_over.and(int)]);

        let cumulative = rfe.optional().seq(&strong.or(po_rel));
        let rmw_sequence = rf.seq(&self.rmw).star();
        let cumul_fence = union(&[&cumulative, wmb, handed_over]).seq(&rmw_sequence);
        let prop = &join(&[
            &overwrite.without(int).optional(),
            &cumul_fence.star(),
            &rfe.optional(),
        ]);
        let hb = union(&[&ppo, rfe, &prop.without(id).and(int)]);
        if !hb.is_acyclic() {
            return false;
        }
        let hb = &hb.star();
        let pb = join(&[prop, strong, hb]);
        if !pb.is_acyclic() {
            return false;
        }
        let pb = &pb.star();

        let link = &join(&[po_opt, hb, pb, prop, po]);
        let rscsi = &self.rcu_rscs.inverse();
        let mut order = sync.clone();
        loop {
            let next = union(&[
                &order,
                &join(&[sync, link, rscsi]),
                &join(&[rscsi, link, sync]),
                &join(&[sync, link, &order, link, rscsi]),
                &join(&[rscsi, link, &order, link, sync]),
                &join(&[&order, link, &order]),
            ]);
            if next == order {
                break;
            }
            order = next;
        }
        let rcu_fence = join(&[po, &order, po_opt]);
        join(&[prop, &rcu_fence, hb, pb]).is_irreflexive()
    }
}

fn holds(
    condition: &Condition,
    traces: &[&Trace],
    memory: &impl Fn(&str) -> Option<Value>,
) -> bool {
    match condition {
        Condition::Register(thread, name, value) => {
            let thread = traces.get(*thread);
            // herd7 gives a register that is never written the value 0.
            thread.is_some_and(|t| t.registers.get(name).unwrap_or(&0) == value)
        }
        Condition::Memory(name, value) => memory(name) == Some(*value),
        Condition::Not(inner) => !holds(inner, traces, memory),
        Condition::And(all) => all.iter().all(|one| holds(one, traces, memory)),
        Condition::Or(any) => any.iter().any(|one| holds(one, traces, memory)),
    }
}

/// Calls `f` with each order of `rest` behind `begun`.
fn orders(begun: &mut Vec<usize>, rest: &[usize], f: &mut dyn FnMut(&[usize])) {
    if rest.is_empty() {
        return f(begun);
    }
    for (at, &one) in rest.iter().enumerate() {
        let mut others = rest.to_vec();
        others.remove(at);
        begun.push(one);
        orders(begun, &others, f);
        begun.pop();
    }
}

/// Returns each combination of one element per list.
fn product<T: Clone>(lists: &[Vec<T>]) -> Vec<Vec<T>> {
    let mut all = vec![Vec::new()];
    for list in lists {
        let with = |begun: &Vec<T>| {
            let begun = begun.clone();
            list.iter().map(move |one| {
                let mut longer = begun.clone();
                longer.push(one.clone());
                longer
            })
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

/// Explores the executions of `litmus`.
pub fn explore(litmus: &Litmus) -> Result<Explored> {
    let start = |name: &String| litmus.init.get(name).copied().unwrap_or(0);
    let initial: Vec<Value> = litmus.variables.iter().map(start).collect();
    let mut domains: Vec<BTreeSet<Value>> = initial.iter().map(|v| [*v].into()).collect();
    // Each round adds the values that are written if reads return those of the last one.
    let mut all = Vec::new();
    for _ in 0..8 {
        let threads = litmus.threads.iter();
        all = threads
            .map(|thread| traces(litmus, thread, &domains))
            .collect::<Result<Vec<_>>>()?;
        let before = domains.clone();
        for event in all.iter().flatten().flat_map(|trace| &trace.events) {
            if event.kind == Kind::Write {
                domains[event.location].insert(event.value);
            }
        }
        if before == domains {
            break;
        }
    }

    let mut explored = Explored::default();
    let writes: Vec<Event> = initial
        .iter()
        .enumerate()
        .map(|(location, value)| Event {
            kind: Kind::Write,
            location,
            value: *value,
            tags: 0,
            addr: 0,
            data: 0,
            ctrl: 0,
            reads: None,
        })
        .collect();
    let numbers: Vec<Vec<usize>> = all.iter().map(|t| (0..t.len()).collect()).collect();
    for choice in product(&numbers) {
        let chosen: Vec<&Trace> = choice.iter().zip(&all).map(|(n, t)| &t[*n]).collect();
        let graph = Graph::new(writes.clone(), &chosen);
        let n = graph.events.len();
        ensure!(n <= 64, "too many events");
        let reads: Vec<usize> = (0..n)
            .filter(|&i| graph.events[i].kind == Kind::Read)
            .collect();
        let sources: Vec<Vec<usize>> = reads
            .iter()
            .map(|&read| {
                let (read, from) = (&graph.events[read], 0..n);
                let fits = |&i: &usize| {
                    let e = &graph.events[i];
                    e.kind == Kind::Write && (e.location, e.value) == (read.location, read.value)
                };
                from.filter(fits).collect()
            })
            .collect();
        if sources.iter().any(Vec::is_empty) {
            continue;
        }
        // The orders of the writes to each variable, behind the initial one.
        let mut coherence = Vec::new();
        for location in 0..initial.len() {
            let later = |&i: &usize| {
                let e = &graph.events[i];
                e.kind == Kind::Write && e.location == location && graph.thread[i].is_some()
            };
            let rest: Vec<usize> = (0..n).filter(later).collect();
            let mut found = Vec::new();
            orders(&mut vec![location], &rest, &mut |order| {
                let follows = |i: &usize, j: &usize| graph.po.0[*j] >> *i & 1 == 0;
                let mut ordered = order.iter().enumerate();
                // Program order is part of the order of one thread's writes.
                let sound = |(at, i): (usize, &usize)| order[at..].iter().all(|j| follows(i, j));
                if ordered.all(sound) {
                    found.push(order.to_vec());
                }
            });
            coherence.push(found);
        }
        let coherence = product(&coherence);
        for source in product(&sources) {
            let rf = Rel::new(n, |i, j| {
                reads.iter().zip(&source).any(|(r, w)| (*w, *r) == (i, j))
            });
            for order in &coherence {
                let place = |i: usize| order.iter().find_map(|o| o.iter().position(|j| *j == i));
                let co = Rel::new(n, |i, j| {
                    let same = graph.same_location.0[i] >> j & 1 != 0;
                    same && matches!((place(i), place(j)), (Some(a), Some(b)) if a < b)
                });
                if !graph.allows(&rf, &co) {
                    continue;
                }
                explored.executions += 1;
                let memory = |name: &str| {
                    let location = litmus.variables.iter().position(|v| v == name)?;
                    order[location].last().map(|i| graph.events[*i].value)
                };
                explored.bad += usize::from(holds(&litmus.exists, &chosen, &memory));
            }
        }
    }
    Ok(explored)
}
