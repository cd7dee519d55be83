// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A driver cannot have a kind of access of its own.

use kernel::{
    mm::pin::{Accounting, LongtermPages, PinAccess},
    prelude::*,
};

pub fn pin<A: PinAccess>(addr: usize, len: usize) -> Result<LongtermPages<A>> {
    current!().pin_user_pages_longterm(addr, len, Accounting::PinnedVm)
}

#[cfg(bad)]
pub enum Execute {}

#[cfg(bad)]
impl PinAccess for Execute {
    //~[bad]^ ERROR: the trait bound `Execute: kernel::mm::pin::private::Sealed` is not satisfied
    const WRITE: bool = true;
}
