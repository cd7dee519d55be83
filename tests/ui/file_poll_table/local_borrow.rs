// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The variable that holds a borrow of the data does not last until the file is released.

use kernel::{
    fs::File,
    miscdevice::{MiscDevice, MiscDeviceRegistration},
    prelude::*,
    sync::{Arc, ArcBorrow},
    task::{FilePollTable, WaitQueue},
};

include!("../../local_module.rs");

pub struct Device {
    pub queue: Arc<WaitQueue>,
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Err(ENXIO)
    }

    fn poll<'a>(me: ArcBorrow<'a, Self>, _file: &'a File, table: &mut FilePollTable<'a>) -> u32 {
        #[cfg(good)]
        table.poll_wait(&me.get_ref().queue);
        #[cfg(bad)]
        table.poll_wait(&me.queue);
        //~[bad]^ ERROR: E0597: `me` does not live long enough
        0
    }
}
