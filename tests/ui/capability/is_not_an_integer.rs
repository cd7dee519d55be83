// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `Capability` has a valid number: `ns_capable()` has a `BUG()` for others.

use kernel::capability::{capable, Capability};

pub fn is_privileged() -> bool {
    #[cfg(good)]
    return capable(Capability::SYS_ADMIN);
    #[cfg(bad)]
    return capable(99);
    //~[bad]^ ERROR: E0308: mismatched types
}
