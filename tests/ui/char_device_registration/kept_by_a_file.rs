// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A file can outlive the registration of its device, so it cannot keep a reference to it.

use kernel::{
    cdev::{CharDevice, CharDeviceRegistration},
    fs::File,
    prelude::*,
};

include!("../../local_module.rs");

pub struct Device {
    #[cfg(good)]
    minors: u32,
    #[cfg(bad)]
    device: &'static CharDeviceRegistration<Device>,
}

#[vtable]
impl CharDevice for Device {
    type Ptr = KBox<Self>;
    type Data = ();

    fn open(
        _file: &File,
        device: &CharDeviceRegistration<Self>,
        _minor: u32,
    ) -> Result<KBox<Self>> {
        #[cfg(good)]
        let file = Device {
            minors: device.minors(),
        };
        #[cfg(bad)]
        let file = Device { device };
        //~[bad]^ ERROR: lifetime may not live long enough
        Ok(KBox::new(file, GFP_KERNEL)?)
    }

    fn ioctl(me: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        #[cfg(good)]
        return Ok(me.minors as isize);
        #[cfg(bad)]
        return Ok(me.device.minors() as isize);
    }
}
