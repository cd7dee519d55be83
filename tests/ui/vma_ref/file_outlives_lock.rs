// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The file of a VMA cannot outlive the mmap lock without a reference of its own.

use kernel::{
    fs::File,
    mm::MmWithUser,
    sync::aref::ARef, //
};

#[cfg(good)]
pub fn caller(mm: &MmWithUser) -> Option<ARef<File>> {
    let guard = mm.mmap_read_lock();
    guard.vma_lookup(0)?.file().map(ARef::from)
}

#[cfg(bad)]
pub fn caller(mm: &MmWithUser) -> Option<&File> {
    let guard = mm.mmap_read_lock();
    guard.vma_lookup(0)?.file()
    //~[bad]^ ERROR: E0515: cannot return value referencing local variable `guard`
}
