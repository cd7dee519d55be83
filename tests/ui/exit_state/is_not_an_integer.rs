// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The exit state is an `ExitState`: it cannot be compared with the `EXIT_*` bits of C.

use kernel::task::{ExitState, Task};

pub fn is_zombie(task: &Task) -> bool {
    #[cfg(good)]
    return task.exit_state() == Some(ExitState::Zombie);
    #[cfg(bad)]
    return task.exit_state() == 0x20;
    //~[bad]^ ERROR: E0308: mismatched types
}
