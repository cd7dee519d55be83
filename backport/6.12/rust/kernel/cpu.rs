// SPDX-License-Identifier: GPL-2.0

//! CPU IDs.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use crate::bindings;

/// Returns the exclusive upper bound of CPU IDs on this machine.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// ```
/// assert!(current!().cpu() < kernel::cpu::nr_cpu_ids());
/// ```
#[inline]
pub fn nr_cpu_ids() -> u32 {
    // `nr_cpu_ids` is a macro if `NR_CPUS` is 1 or the number of CPU IDs is fixed.
    #[cfg(any(CONFIG_NR_CPUS = "1", CONFIG_FORCE_NR_CPUS))]
    return bindings::NR_CPUS;

    // SAFETY: `setup_nr_cpu_ids()` writes the variable before driver code runs, and nothing does
    // later.
    #[cfg(not(any(CONFIG_NR_CPUS = "1", CONFIG_FORCE_NR_CPUS)))]
    unsafe {
        bindings::nr_cpu_ids
    }
}
