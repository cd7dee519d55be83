// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `kthread_use_mm()`: the borrowed `mm_struct` of the current task cannot be stored outside of the
//! closure.

use kernel::{current, mm::{Mm, MmWithUser}, prelude::*, sync::aref::ARef};

#[cfg(good)]
type Stored<'a> = ARef<Mm>;
#[cfg(bad)]
type Stored<'a> = &'a Mm;

pub fn outside(mm: &MmWithUser) -> Result<bool> {
    let mut stored: Option<Stored<'_>> = None;
    mm.kthread_use_mm(|| {
        #[cfg(good)]
        let own = current!().mm().map(|mm| ARef::from(&**mm));
        #[cfg(bad)]
        let own = current!().mm().map(|mm| &**mm);
        //~[bad]^ ERROR: E0716: temporary value dropped while borrowed
        stored = own;
    })?;
    Ok(stored.is_some())
}
