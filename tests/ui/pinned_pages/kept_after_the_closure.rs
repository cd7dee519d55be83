// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A short pin ends with the closure.

use kernel::{
    mm::pin::{PinnedPages, ReadOnly},
    prelude::*,
};

pub fn first_byte(addr: usize) -> Result<u8> {
    let task = current!();
    #[cfg(good)]
    return task.with_pinned_user_pages(addr, 1, |pages: &PinnedPages<ReadOnly>| {
        let mut byte = [0];
        pages.read(0, &mut byte)?;
        Ok(byte[0])
    })?;
    #[cfg(bad)]
    {
        let pages: &PinnedPages<ReadOnly> =
            task.with_pinned_user_pages(addr, 1, |pages: &PinnedPages<ReadOnly>| pages)?;
        //~[bad]^ ERROR: lifetime may not live long enough
        let mut byte = [0];
        pages.read(0, &mut byte)?;
        Ok(byte[0])
    }
}
