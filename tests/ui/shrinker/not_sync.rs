// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Several tasks can call a shrinker at the same time.

use kernel::{
    prelude::*,
    shrinker::{ShrinkControl, Shrinker},
    sync::atomic::{Atomic, Relaxed},
};

#[cfg(good)]
pub struct Objects(pub Atomic<usize>);
#[cfg(bad)]
pub struct Objects(pub core::cell::Cell<usize>);

impl Shrinker for Objects {
    type Ptr = KBox<Self>;
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely

    fn count_objects(me: &Self, _control: &ShrinkControl) -> usize {
        #[cfg(good)]
        return me.0.load(Relaxed);
        #[cfg(bad)]
        return me.0.get();
    }

    fn scan_objects(_me: &Self, _control: &mut ShrinkControl) -> Option<usize> {
        None
    }
}
