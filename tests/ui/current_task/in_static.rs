// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A static cannot hold a reference to a `CurrentTask`.

#[cfg(bad)]
use kernel::task::CurrentTask;
#[cfg(good)]
use kernel::task::Task;

#[cfg(good)]
pub static TASK: Option<&Task> = None;

#[cfg(bad)]
pub static TASK: Option<&CurrentTask> = None;
//~[bad]^ ERROR: E0277: cannot be shared between threads safely
