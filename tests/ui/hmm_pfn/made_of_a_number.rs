// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A driver does not make PFNs up.

use kernel::mm::hmm::HmmPfn;

pub fn nothing() -> HmmPfn {
    #[cfg(good)]
    return HmmPfn::default();
    #[cfg(bad)]
    return HmmPfn(1 << 63 | 7);
    //~[bad]^ ERROR: E0423: cannot initialize a tuple struct which contains private fields
}
