// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A VMA cannot be used after its VMA lock has been released.

use kernel::mm::MmWithUser;

pub fn caller(mm: &MmWithUser) -> Option<usize> {
    let guard = mm.lock_vma_under_rcu(0)?;
    let vma = &*guard;
    #[cfg(bad)]
    drop(guard);
    //~[bad]^ ERROR: E0505: cannot move out of `guard` because it is borrowed
    Some(vma.start())
}
