// SPDX-License-Identifier: GPL-2.0

//! What the models use of the kernel, in the steps of its C code.

use crate::table::Strength;
use loom::sync::{
    atomic::{
        fence, AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
    Mutex, MutexGuard,
};

const RUNNING: u32 = 0;
const SLEEPING: u32 = 1;

/// A task that may sleep. After [`schedule`](Self::schedule) has put it to sleep, the model does
/// not run it any more.
pub struct Task {
    state: AtomicU32,
    /// The lock of the runqueue, and whether the task is off it.
    is_asleep: Mutex<bool>,
}

impl Task {
    pub fn new() -> Self {
        Self {
            state: AtomicU32::new(RUNNING),
            is_asleep: Mutex::new(false),
        }
    }

    /// `set_current_state()`: the store of the state, and the barrier that `at` has.
    pub fn set_current_state(&self, at: Strength) {
        self.state.store(SLEEPING, Relaxed);
        at.fence();
    }

    /// `__set_current_state(TASK_RUNNING)`
    pub fn set_running(&self) {
        self.state.store(RUNNING, Relaxed);
    }

    /// `__schedule()`: sleeps, unless a wake-up has set the state.
    pub fn schedule(&self) {
        let mut is_asleep = lock(&self.is_asleep);
        fence(SeqCst);
        *is_asleep = self.state.load(Relaxed) != RUNNING;
    }

    /// `try_to_wake_up()`: begins with a lock and `smp_mb__after_spinlock()`. Returns whether the
    /// state was that of a task that sleeps or is about to.
    pub fn wake_up(&self) -> bool {
        fence(SeqCst);
        if self.state.load(Relaxed) == RUNNING {
            return false;
        }
        let mut is_asleep = lock(&self.is_asleep);
        self.state.store(RUNNING, Relaxed);
        *is_asleep = false;
        true
    }

    /// Returns whether the task sleeps when all others have ended.
    pub fn sleeps(&self) -> bool {
        *lock(&self.is_asleep)
    }
}

/// A wait queue with room for one task.
pub struct Queue {
    lock: Mutex<()>,
    /// Whether the list has an entry. `waitqueue_active()` reads it without the lock.
    has_entry: AtomicU32,
}

impl Queue {
    pub fn new() -> Self {
        Self {
            lock: Mutex::new(()),
            has_entry: AtomicU32::new(0),
        }
    }

    /// `add_wait_queue()`, or the first part of `prepare_to_wait_event()`
    pub fn add(&self) {
        let _lock = lock(&self.lock);
        self.has_entry.store(1, Relaxed);
    }

    /// `waitqueue_active()`, which `wq_has_sleeper()` calls after the barrier that `at` has.
    pub fn has_sleeper(&self, at: Strength) -> bool {
        at.fence();
        self.has_entry.load(Relaxed) != 0
    }

    /// `__wake_up()`
    pub fn wake_up(&self, task: &Task) {
        let _lock = lock(&self.lock);
        if self.has_entry.load(Relaxed) != 0 {
            task.wake_up();
        }
    }
}

/// One reader's view of RCU. It enters at most one section.
pub struct Rcu {
    is_inside: AtomicU32,
}

impl Rcu {
    pub fn new() -> Self {
        Self {
            is_inside: AtomicU32::new(0),
        }
    }

    /// Calls `f` in a read-side critical section, unless `at` has none.
    pub fn section<R>(&self, at: Strength, f: impl FnOnce() -> R) -> R {
        if at == Strength::RcuSection {
            self.is_inside.store(1, Relaxed);
            fence(SeqCst);
        }
        let result = f();
        if at == Strength::RcuSection {
            fence(SeqCst);
            self.is_inside.store(0, Relaxed);
        }
        result
    }

    /// `synchronize_rcu()`, unless `at` has none.
    pub fn synchronize(&self, at: Strength) {
        if at == Strength::GracePeriod {
            fence(SeqCst);
            while self.is_inside.load(Relaxed) != 0 {
                loom::thread::yield_now();
            }
            fence(SeqCst);
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|err| err.into_inner())
}

/// Takes the lock, unless `at` has none.
pub fn lock_at(at: Strength, mutex: &Mutex<()>) -> Option<MutexGuard<'_, ()>> {
    (at == Strength::Lock).then(|| lock(mutex))
}
