// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `Kgid` can be compared neither with a `Kuid` nor with an integer.

use kernel::{
    bindings::gid_t,
    cred::Credential,
    user_namespace::UserNamespace, //
};

pub fn is(cred: &Credential, ns: &UserNamespace, gid: gid_t) -> bool {
    #[cfg(good)]
    return ns.make_kgid(gid) == Some(cred.egid());
    #[cfg(bad)]
    return cred.egid() == cred.euid() || cred.egid() == gid;
    //~[bad]^ ERROR: E0308: mismatched types
    //~[bad]^^ ERROR: E0308: mismatched types
}
