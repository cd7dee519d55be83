// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A registration can be leaked, and a file outlives it, so neither can borrow.

use kernel::{
    cdev::{CharDevice, CharDeviceRegistration},
    fs::File,
    prelude::*,
};

include!("../../local_module.rs");

pub struct Device<'d>(pub &'d u32);

#[cfg(good)]
type Lasting = Device<'static>;

#[cfg(good)]
#[vtable]
impl CharDevice for Lasting {
    type Ptr = KBox<Self>;
    type Data = &'static u32;

    fn open(_: &File, device: &CharDeviceRegistration<Self>, _: u32) -> Result<KBox<Self>> {
        Ok(KBox::new(Device(device.data()), GFP_KERNEL)?)
    }
}

#[cfg(bad)]
#[vtable]
impl<'d> CharDevice for Device<'d> {
    //~[bad]^ ERROR: E0478: lifetime bound not satisfied
    //~[bad]| ERROR: E0803: cannot infer an appropriate lifetime
    type Ptr = KBox<u32>;
    type Data = &'d u32;
    //~[bad]^ ERROR: E0477: the type `&'d u32` does not fulfill the required lifetime

    fn open(_: &File, _: &CharDeviceRegistration<Self>, _: u32) -> Result<KBox<u32>> {
        //~[bad]^ ERROR: E0477: the type `Device<'_>` does not fulfill the required lifetime
        //~[bad]| ERROR: E0803: cannot infer an appropriate lifetime
        Err(ENXIO)
    }
}
