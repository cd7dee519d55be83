// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `Kuid` cannot be compared with a UID, which depends on a user namespace.

use kernel::{bindings::uid_t, task::Kuid};

pub fn is(user: Kuid, uid: uid_t) -> bool {
    #[cfg(good)]
    return user.into_uid_in_current_ns() == uid;
    #[cfg(bad)]
    return user == uid;
    //~[bad]^ ERROR: E0308: mismatched types
}
