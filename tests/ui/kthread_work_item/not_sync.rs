// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The worker uses the struct of a work at the same time as others, so it must be `Sync`.

use core::cell::Cell;
use kernel::{
    kthread::{CurrentKThread, KThreadWork, KThreadWorkItem},
    prelude::*,
    sync::{atomic::Atomic, Arc},
};

#[cfg(good)]
type Counter = Atomic<u32>;
#[cfg(bad)]
type Counter = Cell<u32>;

#[pin_data]
pub struct Device {
    pub counter: Counter,
    #[pin]
    work: KThreadWork<Device>,
}

impl KThreadWorkItem for Device {
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    fn run(_this: Arc<Self>, _worker: &CurrentKThread) {}
}
