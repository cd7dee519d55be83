// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The field must be the work of this type and number.

use kernel::{
    impl_has_kthread_work,
    kthread::{CurrentKThread, KThreadWork, KThreadWorkItem},
    prelude::*,
    sync::Arc,
};

#[pin_data]
pub struct Device {
    #[pin]
    send: KThreadWork<Device, 0>,
    #[pin]
    receive: KThreadWork<Device, 1>,
}

#[cfg(good)]
impl_has_kthread_work! {
    impl HasKThreadWork<0> for Device { self.send }
}

#[cfg(bad)]
impl_has_kthread_work! { impl HasKThreadWork<0> for Device { self.receive } }
//~[bad]^ ERROR: E0308: mismatched types

impl KThreadWorkItem for Device {
    fn run(_this: Arc<Self>, _worker: &CurrentKThread) {}
}
