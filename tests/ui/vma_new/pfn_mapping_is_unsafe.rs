// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Mapping a PFN is unsafe: only the driver knows what else uses the memory.

use kernel::mm::{pfnmap::Caching, virt::VmaNew};
use kernel::prelude::*;

pub fn mmap(vma: &VmaNew) -> Result {
    // SAFETY: This is not run.
    #[cfg(good)]
    unsafe { vma.remap_pfn_range(0, Caching::Normal) }
    #[cfg(bad)]
    vma.remap_pfn_range(0, Caching::Normal)
    //~[bad]^ ERROR: E0133: call to unsafe
}
