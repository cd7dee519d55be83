// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The access and the kind of a mapping are different types, so they cannot be swapped.

use kernel::{
    mm::vm_mmap::{MapFlags, Prot},
    prelude::*,
};

pub fn map(len: usize) -> Result<usize> {
    let (prot, flags) = (Prot::READ | Prot::WRITE, MapFlags::SHARED);
    #[cfg(good)]
    return current!().vm_mmap(None, 0, len, prot, flags, 0);
    #[cfg(bad)]
    return current!().vm_mmap(None, 0, len, flags, prot, 0);
    //~[bad]^ ERROR: E0308: arguments to this method are incorrect
}
