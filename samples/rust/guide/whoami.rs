// SPDX-License-Identifier: GPL-2.0

//! /dev/whoami: an ioctl returns the caller's TGID in its own PID namespace.

use kernel::{
    c_str,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*, //
};

module! {
    type: WhoAmI,
    name: "whoami",
    description: "Returns the caller's TGID",
    license: "GPL",
}

// Dropping the registration removes the device.
struct WhoAmI(#[allow(dead_code)] Pin<KBox<MiscDeviceRegistration<Caller>>>);

impl kernel::Module for WhoAmI {
    fn init(_: &'static ThisModule) -> Result<Self> {
        let name = c_str!("whoami");
        let device = MiscDeviceRegistration::register(MiscDeviceOptions { name });
        Ok(WhoAmI(KBox::pin_init(device, GFP_KERNEL)?))
    }
}

struct Caller;

#[vtable]
impl MiscDevice for Caller {
    type Ptr = KBox<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Caller, GFP_KERNEL)?)
    }

    fn ioctl(_: &Self, _: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        Ok(current!().tgid_nr_ns(None) as isize)
    }
}
