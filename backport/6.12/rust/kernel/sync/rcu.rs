// SPDX-License-Identifier: GPL-2.0

//! RCU read-side critical sections and grace periods.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// Enters an RCU read-side critical section.
///
/// # Context
///
/// Any context, including NMI. Does not sleep.
#[inline]
pub fn read_lock() -> Guard {
    Guard::new()
}

/// Waits until all `call_rcu()` callbacks that are already queued have run.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// kernel::sync::rcu::rcu_barrier();
/// ```
#[inline]
pub fn rcu_barrier() {
    // SAFETY: `rcu_barrier()` accesses no memory of the caller. That it sleeps is stated under
    // `# Context`.
    unsafe { bindings::rcu_barrier() };
}

/// Waits until all RCU read-side critical sections that have already begun have ended.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// kernel::sync::rcu::synchronize_rcu();
/// ```
#[inline]
pub fn synchronize_rcu() {
    // SAFETY: `synchronize_rcu()` accesses no memory of the caller. That it sleeps is stated under
    // `# Context`.
    unsafe { bindings::synchronize_rcu() };
}

/// Proof that this thread is in an RCU read-side critical section.
///
/// # Invariants
///
/// The current thread has called `rcu_read_lock()` for this value, and has not yet called the
/// matching `rcu_read_unlock()`.
///
/// # Examples
///
/// ```
/// use kernel::sync::rcu;
///
/// let guard = rcu::read_lock();
/// // A grace period that begins now does not end before `guard` is dropped.
/// guard.unlock();
/// ```
#[must_use = "the critical section ends when the guard is dropped"]
pub struct Guard(NotThreadSafe);

impl Guard {
    /// Enters an RCU read-side critical section.
    ///
    /// # Context
    ///
    /// Any context, including NMI. Does not sleep.
    #[inline]
    pub fn new() -> Self {
        // SAFETY: `rcu_read_lock()` has no requirements on its context, and may be nested.
        unsafe { bindings::rcu_read_lock() };
        // INVARIANT: `rcu_read_lock()` has been called above for this value.
        Self(NotThreadSafe)
    }

    /// Leaves the critical section by dropping the guard.
    #[inline]
    pub fn unlock(self) {}
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant, there is an `rcu_read_lock()` without its unlock. The
        // guard is not `Send`, so this is the thread that has called it.
        unsafe { bindings::rcu_read_unlock() };
    }
}

impl Default for Guard {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}
