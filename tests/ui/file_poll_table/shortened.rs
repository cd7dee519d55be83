// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The lifetime of a table cannot be shortened to that of a queue.

use kernel::task::{FilePollTable, WaitQueue};

pub fn add<'q>(table: FilePollTable<'q>, queue: &'q WaitQueue) {
    let mut table: FilePollTable<'q> = table;
    table.poll_wait(queue);
}

#[cfg(bad)]
pub fn shorten<'q, 'a: 'q>(table: FilePollTable<'a>, queue: &'q WaitQueue) {
    let mut table: FilePollTable<'q> = table;
    //~[bad]^ ERROR: lifetime may not live long enough
    table.poll_wait(queue);
}
