// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The name of a node must last until the device has been registered.

use kernel::{
    cdev::{CharDevice, CharDeviceNode, CharDeviceRegion, CharDeviceRegistration},
    fs::File,
    prelude::*,
};

include!("../../local_module.rs");

pub struct Device;

#[vtable]
impl CharDevice for Device {
    type Ptr = ();
    type Data = ();

    fn open(_file: &File, _device: &CharDeviceRegistration<Self>, _minor: u32) -> Result {
        Ok(())
    }
}

pub fn add(region: &CharDeviceRegion<Device>) -> Result {
    let device = {
        #[cfg(good)]
        let name = kernel::c_str!("first");
        #[cfg(bad)]
        let name = &*kernel::str::CString::try_from_fmt(format_args!("first"))?;
        //~[bad]^ ERROR: temporary value dropped while borrowed
        let node = CharDeviceNode {
            name: Some(name),
            ..CharDeviceNode::default()
        };
        CharDeviceRegistration::register_in(region, node, ())
    };
    KBox::pin_init(device, GFP_KERNEL)?;
    Ok(())
}
