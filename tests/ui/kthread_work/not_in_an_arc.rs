// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A work is queued with a reference to its struct, so that the worker finds the struct.

use kernel::{
    impl_has_kthread_work,
    kthread::{CurrentKThread, KThreadWork, KThreadWorkItem},
    prelude::*,
    sync::Arc,
};

#[pin_data]
pub struct Device {
    #[pin]
    work: KThreadWork<Device>,
}

impl_has_kthread_work! {
    impl HasKThreadWork<0> for Device { self.work }
}

impl KThreadWorkItem for Device {
    fn run(_this: Arc<Self>, _worker: &CurrentKThread) {}
}

#[cfg(good)]
type Owner = Arc<Device>;
#[cfg(bad)]
type Owner = Pin<KBox<Device>>;

pub fn interrupt(device: Owner) {
    let _ = KThreadWork::<Device>::queue(device);
    //~[bad]^ ERROR: E0308: mismatched types
}
