// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The data of a file is borrowed from the file.

use kernel::{
    anon_inode::{downcast, AnonFile},
    fs::file::LocalFile,
    impl_has_anon_file_ops,
    prelude::*,
    sync::Arc,
};

include!("../../local_module.rs");

pub struct Buffer {
    pub size: usize,
}

impl_has_anon_file_ops!(Buffer);

#[vtable]
impl AnonFile for Buffer {
    type Ptr = Arc<Self>;
}

pub fn size(fd: u32) -> Result<usize> {
    let file = LocalFile::fget(fd)?;
    let buffer = downcast::<Buffer>(&file).ok_or(EINVAL)?;
    #[cfg(bad)]
    drop(file);
    //~[bad]^ ERROR: E0505: cannot move out of `file` because it is borrowed
    Ok(buffer.size)
}
