// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A registration does not move, as a list refers to it.

use kernel::{
    prelude::*,
    shrinker::{ShrinkControl, Shrinker, ShrinkerRegistration},
};

pub struct Nothing;

impl Shrinker for Nothing {
    type Ptr = ();

    fn count_objects((): (), _control: &ShrinkControl) -> usize {
        0
    }

    fn scan_objects((): (), _control: &mut ShrinkControl) -> Option<usize> {
        None
    }
}

#[cfg(good)]
pub fn register() -> Result<Pin<KBox<ShrinkerRegistration<Nothing>>>> {
    KBox::pin_init(ShrinkerRegistration::register(format_args!("nothing"), ()), GFP_KERNEL)
}

#[cfg(bad)]
pub fn register() -> Result<KBox<ShrinkerRegistration<Nothing>>> {
    KBox::init(ShrinkerRegistration::register(format_args!("nothing"), ()), GFP_KERNEL)
    //~[bad]^ ERROR: E0308: mismatched types
}
