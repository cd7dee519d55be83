// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The buffer of an access is only valid for the duration of the call.

use kernel::mm::vm_ops::Access;
use kernel::prelude::*;

pub struct Last {
    #[cfg(good)]
    written: KVec<u8>,
    #[cfg(bad)]
    written: &'static [u8],
}

pub fn access(last: &mut Last, what: Access<'_>) -> Result<usize> {
    if let Access::Write(from) = what {
        #[cfg(good)]
        last.written.extend_from_slice(from, GFP_KERNEL)?;
        #[cfg(bad)]
        {
            last.written = from;
            //~[bad]^ ERROR: lifetime may not live long enough
        }
        return Ok(from.len());
    }
    Ok(0)
}
