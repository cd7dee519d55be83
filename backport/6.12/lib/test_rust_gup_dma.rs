// SPDX-License-Identifier: GPL-2.0

//! Pinned pages that are mapped for DMA by a device, of which this kernel has no abstraction.

use kernel::prelude::*;

pub(crate) enum Mapped {}

impl Mapped {
    pub(crate) fn new(_arg: usize) -> Result<Self> {
        Err(ENOTTY)
    }

    pub(crate) fn unbind(&mut self) -> Result {
        match *self {}
    }
}
