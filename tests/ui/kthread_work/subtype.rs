// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A work is not queued as that of a supertype, whose function is another one.

#![allow(coherence_leak_check)]

use core::marker::PhantomData;
use kernel::{
    impl_has_kthread_work,
    kthread::{CurrentKThread, KThreadWork, KThreadWorkItem},
    prelude::*,
    sync::Arc,
};

type Sub = for<'a> fn(&'a u8);
type Super = fn(&'static u8);

#[pin_data]
pub struct Device<F> {
    #[pin]
    first: KThreadWork<Device<F>>,
    #[pin]
    second: KThreadWork<Device<F>>,
    _kind: PhantomData<F>,
}

impl_has_kthread_work! {
    impl HasKThreadWork<0> for Device<Sub> { self.first }
    impl HasKThreadWork<0> for Device<Super> { self.second }
}

impl KThreadWorkItem for Device<Sub> {
    fn run(_this: Arc<Self>, _worker: &CurrentKThread) {}
}

impl KThreadWorkItem for Device<Super> {
    fn run(_this: Arc<Self>, _worker: &CurrentKThread) {}
}

#[cfg(good)]
pub fn queue(device: Arc<Device<Sub>>) {
    let _ = KThreadWork::<Device<Sub>>::queue(device);
}

#[cfg(bad)]
pub fn queue(device: Arc<Device<Sub>>) {
    let device: Arc<Device<Super>> = device;
    //~[bad]^ ERROR: E0308: mismatched types
    let _ = KThreadWork::<Device<Super>>::queue(device);
}
