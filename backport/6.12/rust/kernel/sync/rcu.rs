// SPDX-License-Identifier: GPL-2.0

//! The RCU read lock.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// Enters a critical section. Any context.
#[inline]
pub fn read_lock() -> Guard {
    Guard::new()
}

/// Waits until every `call_rcu()` callback that is queued now has run. Sleeps.
///
/// # Examples
///
/// ```
/// kernel::sync::rcu::rcu_barrier();
/// ```
#[inline]
pub fn rcu_barrier() {
    // SAFETY: It takes a mutex and waits, which is for the caller to know.
    unsafe { bindings::rcu_barrier() };
}

/// Waits until every critical section that is open now has ended. Sleeps.
///
/// # Examples
///
/// ```
/// kernel::sync::rcu::synchronize_rcu();
/// ```
#[inline]
pub fn synchronize_rcu() {
    // SAFETY: It waits, which is for the caller to know.
    unsafe { bindings::synchronize_rcu() };
}

/// Proof that this thread is in an RCU read-side critical section.
///
/// # Invariants
///
/// `rcu_read_lock()` was called by this thread, once for each value of this type, and has not been
/// undone.
///
/// # Examples
///
/// ```
/// use kernel::sync::rcu;
///
/// let guard = rcu::read_lock();
/// // Nothing that waits for a grace period gets past here until `guard` is dropped.
/// guard.unlock();
/// ```
pub struct Guard(NotThreadSafe);

impl Guard {
    /// Enters a critical section. Any context.
    #[inline]
    pub fn new() -> Self {
        // SAFETY: `rcu_read_lock()` may be called by anyone, and nested.
        unsafe { bindings::rcu_read_lock() };
        // INVARIANT: It was called just now.
        Self(NotThreadSafe)
    }

    /// Leaves the critical section, as dropping the guard does.
    #[inline]
    pub fn unlock(self) {}
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: There is a lock to undo, by the type invariant, and it is this thread's as the
        // guard cannot be sent.
        unsafe { bindings::rcu_read_unlock() };
    }
}

impl Default for Guard {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}
