// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The macro for delayed works rejects a `KThreadWork` field.

use kernel::{
    impl_has_kthread_delayed_work,
    kthread::{CurrentKThread, KThreadDelayedWork, KThreadWork, KThreadWorkItem},
    prelude::*,
    sync::Arc,
};

#[cfg(good)]
type Work = KThreadDelayedWork<Device>;
#[cfg(bad)]
type Work = KThreadWork<Device>;

#[pin_data]
pub struct Device {
    #[pin]
    work: Work,
}

impl_has_kthread_delayed_work! {
    //~[bad]^ ERROR: E0308: mismatched types
    impl HasKThreadWork<0> for Device { self.work }
}

impl KThreadWorkItem for Device {
    fn run(this: Arc<Self>, _worker: &CurrentKThread) {
        let _ = KThreadDelayedWork::<Device>::queue(this, 1);
    }
}
