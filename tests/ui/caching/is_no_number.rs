// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! How frames are cached is no matter of bits, and an area's own rights cannot be replaced by it.

use kernel::mm::{pfnmap::Caching, virt::VmaNew};
use kernel::prelude::*;

/// # Safety
///
/// Any program may use the frames from `pfn` on.
pub unsafe fn mmap(vma: &VmaNew, pfn: usize) -> Result {
    #[cfg(good)]
    let caching = Caching::WriteCombine;
    #[cfg(bad)]
    let caching = 1 << 1;
    // SAFETY: As the caller says.
    unsafe { vma.remap_pfn_range(pfn, caching) }
    //~[bad]^ ERROR: E0308: mismatched types
}
