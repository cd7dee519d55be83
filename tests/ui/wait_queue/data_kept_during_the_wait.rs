// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! `wait_event_lock()` releases the lock, so the data cannot be borrowed during the wait.

use kernel::{
    prelude::*,
    sync::SpinLock,
    task::{
        TaskState,
        WaitQueue, //
    },
};

pub fn wait(lock: &SpinLock<u32>, queue: &WaitQueue) -> Result {
    let mut guard = lock.lock();
    let value = &mut *guard;
    #[cfg(good)]
    {
        *value += 1;
    }
    queue.wait_event_lock(&mut guard, TaskState::Killable, 1, |value| {
        //~[bad]^ ERROR: E0499: cannot borrow `guard` as mutable more than once at a time
        (**value == 0).then_some(())
    })?;
    #[cfg(bad)]
    {
        *value += 1;
    }
    Ok(())
}
