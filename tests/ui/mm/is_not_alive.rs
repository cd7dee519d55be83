// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The memory of an address space does not prove that it is alive.

use kernel::mm::Mm;

pub fn lock(mm: &Mm) {
    #[cfg(good)]
    if let Some(alive) = mm.mmget_not_zero() {
        drop(alive.mmap_read_lock());
    }
    #[cfg(bad)]
    drop(mm.mmap_read_lock());
    //~[bad]^ ERROR: E0599: no method named `mmap_read_lock` found
    #[cfg(bad)]
    drop(mm.lock_vma_under_rcu(0));
    //~[bad]^ ERROR: E0599: no method named `lock_vma_under_rcu` found
}
