// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A user is not compared with a number, which means something else in each namespace.

use kernel::{bindings::uid_t, task::Kuid};

pub fn is(user: Kuid, number: uid_t) -> bool {
    #[cfg(good)]
    return user.into_uid_in_current_ns() == number;
    #[cfg(bad)]
    return user == number;
    //~[bad]^ ERROR: E0308: mismatched types
}
