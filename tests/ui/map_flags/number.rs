// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Bits that are no flags for a driver, such as `MAP_ANONYMOUS` together with a file, are not
//! passed on.

use kernel::{
    fs::File,
    mm::vm_mmap::{MapFlags, Prot},
    prelude::*,
};

pub fn map(file: &File, len: usize) -> Result<usize> {
    #[cfg(good)]
    let flags = MapFlags::SHARED;
    #[cfg(bad)]
    let flags = MapFlags(0x21);
    //~[bad]^ ERROR: E0423: cannot initialize a tuple struct which contains private fields
    current!().vm_mmap(Some(file), 0, len, Prot::READ, flags, 0)
}
