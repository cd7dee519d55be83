// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A region has devices of one type.

use kernel::{
    cdev::{CharDevice, CharDeviceNode, CharDeviceRegion, CharDeviceRegistration},
    fs::File,
    prelude::*,
};

include!("../../local_module.rs");

pub struct Device<const KIND: u8>;

#[vtable]
impl<const KIND: u8> CharDevice for Device<KIND> {
    type Ptr = ();
    type Data = ();

    fn open(_file: &File, _device: &CharDeviceRegistration<Self>, _minor: u32) -> Result {
        Ok(())
    }
}

pub fn add(region: &CharDeviceRegion<Device<0>>) -> Result {
    let node = CharDeviceNode::default();
    #[cfg(good)]
    let device = CharDeviceRegistration::<Device<0>>::register_in(region, node, ());
    #[cfg(bad)]
    let device = CharDeviceRegistration::<Device<1>>::register_in(region, node, ());
    //~[bad]^ ERROR: mismatched types
    KBox::pin_init(device, GFP_KERNEL)?;
    Ok(())
}
