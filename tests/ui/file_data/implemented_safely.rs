// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A borrow of the data must own nothing, which safe code cannot promise.

#[cfg(good)]
use kernel::types::ForeignOwnable;
use kernel::{cdev::FileData, prelude::*};

#[cfg(good)]
pub fn is_data<T: FileData + ForeignOwnable>(_: &T) {}
#[cfg(good)]
pub fn check(data: &KBox<u32>) {
    is_data(data);
}

#[cfg(bad)]
pub struct Data(pub KBox<u32>);
#[cfg(bad)]
impl FileData for Data {}
//~[bad]^ ERROR: E0200: the trait `FileData` requires an `unsafe impl` declaration
