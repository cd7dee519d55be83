// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A `CurrentTask` cannot be returned from the scope of `current!()`.

use kernel::{prelude::*, task::CurrentTask};

#[cfg(good)]
pub fn caller(f: impl FnOnce(&CurrentTask) -> i32) -> i32 {
    f(current!())
}

#[cfg(bad)]
pub fn caller<'a>() -> &'a CurrentTask {
    current!()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
