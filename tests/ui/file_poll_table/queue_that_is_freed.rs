// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A queue must exist until the file is released, so it cannot be one that another task may free.

use kernel::{
    cdev::{CharDevice, CharDeviceRegistration},
    fs::File,
    prelude::*,
    sync::{Arc, Mutex},
    task::{FilePollTable, WaitQueue},
};

include!("../../local_module.rs");

pub struct Device {
    pub own: Arc<WaitQueue>,
    pub other: Pin<KBox<Mutex<Arc<WaitQueue>>>>,
}

#[vtable]
impl CharDevice for Device {
    type Ptr = KBox<Self>;
    type Data = Arc<WaitQueue>;

    fn open(
        _file: &File,
        device: &CharDeviceRegistration<Self>,
        _minor: u32,
    ) -> Result<KBox<Self>> {
        let _ = device.data();
        Err(ENXIO)
    }

    fn poll<'a>(me: &'a Self, _file: &'a File, table: &mut FilePollTable<'a>) -> u32 {
        #[cfg(good)]
        table.poll_wait(&me.own);
        #[cfg(bad)]
        table.poll_wait(&me.other.lock());
        //~[bad]^ ERROR: E0716: temporary value dropped while borrowed
        0
    }
}
