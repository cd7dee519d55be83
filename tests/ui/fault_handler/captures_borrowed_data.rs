// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A VMA may outlive the fixture that maps it, so the handler must not borrow.

use kernel::{mm::{kunit::fault_by_read, UserPage}, prelude::*};

pub fn with(page: UserPage) -> Result<u8> {
    #[cfg(good)]
    return fault_by_read(move |vmf| vmf.return_page(&page));

    #[cfg(bad)]
    {
        let page = &page; //~[bad] ERROR: E0597: `page` does not live long enough
        fault_by_read(move |vmf| vmf.return_page(page))
    }
}
