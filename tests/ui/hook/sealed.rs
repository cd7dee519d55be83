// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A driver cannot implement `Hook`, which is sealed.

use kernel::mm::vm_ops::Hook;

pub struct Own;

pub fn takes<T: Hook>() {}

#[cfg(bad)]
impl Hook for Own { //~[bad] ERROR: E0277: the trait bound
    const PREPARE: bool = true;
}
