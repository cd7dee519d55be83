// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The cache mode is a `Caching`: `pgprot` bits cannot be passed in its place.

use kernel::mm::{pfnmap::Caching, virt::VmaNew};
use kernel::prelude::*;

/// # Safety
///
/// Userspace may access the PFNs from `pfn` on.
pub unsafe fn mmap(vma: &VmaNew, pfn: usize) -> Result {
    #[cfg(good)]
    let caching = Caching::WriteCombine;
    #[cfg(bad)]
    let caching = 1 << 1;
    // SAFETY: By the safety requirements of this function.
    unsafe { vma.remap_pfn_range(pfn, caching) }
    //~[bad]^ ERROR: E0308: mismatched types
}
