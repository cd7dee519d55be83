// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! An `Mm` does not prove that `mm_users` is not zero, so it cannot be locked.

use kernel::mm::Mm;

pub fn lock(mm: &Mm) {
    #[cfg(good)]
    if let Some(mm) = mm.mmget_not_zero() {
        drop(mm.mmap_read_lock());
    }
    #[cfg(bad)]
    drop(mm.mmap_read_lock());
    //~[bad]^ ERROR: E0599: no method named `mmap_read_lock` found
    #[cfg(bad)]
    drop(mm.lock_vma_under_rcu(0));
    //~[bad]^ ERROR: E0599: no method named `lock_vma_under_rcu` found
}
