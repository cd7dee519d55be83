// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The field of a `Capability` is private, and so is the function that makes one of a number.

use kernel::capability::Capability;

pub fn cap() -> Capability {
    #[cfg(good)]
    return Capability::SYSLOG;
    #[cfg(bad)]
    return Capability::new(99);
    //~[bad]^ ERROR: E0624: associated function `new` is private
}
