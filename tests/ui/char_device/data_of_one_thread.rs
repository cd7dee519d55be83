// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Several tasks open files of a device at the same time, so its data must be `Sync`.

use core::cell::Cell;
use kernel::{
    cdev::{CharDevice, CharDeviceRegistration},
    fs::File,
    prelude::*,
};

include!("../../local_module.rs");

pub struct Device(pub Cell<u32>);

#[vtable]
impl CharDevice for Device {
    type Ptr = KBox<u32>;
    #[cfg(good)]
    type Data = u32;
    #[cfg(bad)]
    type Data = Cell<u32>;
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely

    fn open(_file: &File, _device: &CharDeviceRegistration<Self>, minor: u32) -> Result<KBox<u32>> {
        Ok(KBox::new(minor, GFP_KERNEL)?)
    }
}
