// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A mapping is shared or private. Both bits would be `MAP_SHARED_VALIDATE`.

use kernel::{
    fs::File,
    mm::vm_mmap::{MapFlags, Prot},
    prelude::*,
};

pub fn map(file: &File, len: usize) -> Result<usize> {
    #[cfg(good)]
    let flags = MapFlags::SHARED.populate();
    #[cfg(bad)]
    let flags = MapFlags::SHARED | MapFlags::PRIVATE;
    //~[bad]^ ERROR: no implementation for `MapFlags | MapFlags`
    current!().vm_mmap(Some(file), 0, len, Prot::READ, flags, 0)
}
