// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Pages are not pinned for a long time without a decision about what is charged for them.

use kernel::{
    mm::pin::{Accounting, LongtermPages, ReadOnly},
    prelude::*,
};

pub fn pin(addr: usize, len: usize) -> Result<LongtermPages<ReadOnly>> {
    let accounting = Accounting::PinnedVm;
    #[cfg(good)]
    return current!().pin_user_pages_longterm(addr, len, accounting);
    #[cfg(bad)]
    {
        let _ = accounting;
        current!().pin_user_pages_longterm(addr, len)
        //~[bad]^ ERROR: this method takes 3 arguments but 2 arguments were supplied
    }
}
