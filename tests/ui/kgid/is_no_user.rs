// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A group is neither a user nor a number.

use kernel::{
    bindings::gid_t,
    cred::Credential,
    user_namespace::UserNamespace, //
};

pub fn is(cred: &Credential, ns: &UserNamespace, number: gid_t) -> bool {
    #[cfg(good)]
    return ns.make_kgid(number) == Some(cred.egid());
    #[cfg(bad)]
    return cred.egid() == cred.euid() || cred.egid() == number;
    //~[bad]^ ERROR: E0308: mismatched types
    //~[bad]^^ ERROR: E0308: mismatched types
}
