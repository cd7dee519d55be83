// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The resource is an `Rlimit`: an integer may be out of range.

use kernel::task::{Rlimit, Task};

pub fn limit(task: &Task) -> usize {
    #[cfg(good)]
    let resource = Rlimit::Nofile;
    #[cfg(bad)]
    let resource = 16;
    task.rlimit(resource)
    //~[bad]^ ERROR: E0308: mismatched types
}
