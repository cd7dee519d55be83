// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The class of a device keeps the pointer to its name.

use kernel::{c_str, cdev::CharDeviceOptions, prelude::*};

pub fn options(bytes: &[u8]) -> Result<CharDeviceOptions> {
    let _ = bytes;
    #[cfg(good)]
    let name = c_str!("name");
    #[cfg(bad)]
    let name = CStr::from_bytes_with_nul(bytes).map_err(|_| EINVAL)?;
    Ok(CharDeviceOptions { name, class: None, minors: 1 })
    //~[bad]^ ERROR: lifetime may not live long enough
}
