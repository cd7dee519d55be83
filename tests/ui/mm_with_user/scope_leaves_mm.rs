// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Nor is it left in a variable.

use kernel::{current, mm::{Mm, MmWithUser}, prelude::*, sync::aref::ARef};

#[cfg(good)]
type Left<'a> = ARef<Mm>;
#[cfg(bad)]
type Left<'a> = &'a Mm;

pub fn outside(mm: &MmWithUser) -> Result<bool> {
    let mut left: Option<Left<'_>> = None;
    mm.kthread_use_mm(|| {
        #[cfg(good)]
        let own = current!().mm().map(|mm| ARef::from(&**mm));
        #[cfg(bad)]
        let own = current!().mm().map(|mm| &**mm);
        //~[bad]^ ERROR: E0716: temporary value dropped while borrowed
        left = own;
    })?;
    Ok(left.is_some())
}
